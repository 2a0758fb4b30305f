//! The stores of dead letters on both clouds, and the id of a dead letter.

use std::fmt;
use std::str::FromStr;

use saga_core::Cloud;

crate::words! {
    /// A store of dead letters. Those of AWS come first.
    pub enum Source {
        /// The dead partition of the outbox on AWS: the bus refused the event for good.
        Outbox = "outbox",
        /// The dead-letter queue of the API destination: the bus could not bring the event to Event Grid.
        Destination = "destination",
        /// The dead-letter queue of the events queue: saga-events could not process it, or the bus not queue it.
        Events = "events",
        /// The failure destination of the outbox table's stream: batches, without the events.
        Stream = "stream",
        /// The quarantine on AWS: nobody understood it.
        Quarantine = "quarantine",
        /// The dead-letter queues of the callers of outside services: a request could not be handled, or the bus not queue it.
        Services = "services",
        /// The dead rows of the participant's table on Azure: Event Grid refused the event for good.
        AzureOutbox = "azure-outbox",
        /// The dead-letter blobs of Event Grid's subscriptions.
        EventGrid = "event-grid",
        /// The poison queue of the participant on Azure.
        Poison = "poison",
        /// The quarantine on Azure.
        AzureQuarantine = "azure-quarantine",
        /// The poison queue of the requests to outside services that Azure calls.
        AzureServices = "azure-services",
    }
}

impl Source {
    /// The cloud that it is on.
    #[must_use]
    pub fn cloud(self) -> Cloud {
        if self < Source::AzureOutbox {
            Cloud::Aws
        } else {
            Cloud::Azure
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no source, or no dead letter: what it must be instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be {0}")]
pub struct InvalidDeadLetterId(String);

impl FromStr for Source {
    type Err = InvalidDeadLetterId;

    fn from_str(text: &str) -> Result<Self, InvalidDeadLetterId> {
        let named = Self::ALL.into_iter().find(|source| source.as_str() == text);
        named.ok_or_else(|| InvalidDeadLetterId(format!("one of {}", Self::ALL.map(Self::as_str).join(", "))))
    }
}

/// The source of a dead letter, and its key there. It is written with characters that a URL and a shell take unescaped.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeadLetterId {
    /// The store that holds it.
    pub source: Source,
    /// Its key there; the order of the keys is the order of the list.
    pub key: String,
}

/// The longest key that is read, in bytes: a blob's name has up to 1024 characters.
const MAX_KEY: usize = 4_096;

impl fmt::Display for DeadLetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.", self.source)?;
        for byte in self.key.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => write!(f, "{}", char::from(byte))?,
                _ => write!(f, "~{byte:02X}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for DeadLetterId {
    type Err = InvalidDeadLetterId;

    fn from_str(text: &str) -> Result<Self, InvalidDeadLetterId> {
        // An id has one spelling: what is not as we write it is none of ours.
        unescaped(text)
            .filter(|id| id.to_string() == text)
            .ok_or_else(|| InvalidDeadLetterId("the id of a dead letter, as the list shows it".to_owned()))
    }
}

fn unescaped(text: &str) -> Option<DeadLetterId> {
    let (source, escaped) = text.split_once('.')?;
    if escaped.is_empty() || escaped.len() > MAX_KEY || !escaped.is_ascii() {
        return None;
    }
    let mut parts = escaped.split('~');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    Some(DeadLetterId {
        source: source.parse().ok()?,
        key: String::from_utf8(bytes).ok()?,
    })
}
