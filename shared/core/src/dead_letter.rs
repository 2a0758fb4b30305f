//! A dead letter: an event that fell out somewhere on either cloud, and what can be done with it.
//!
//! Replaying is always safe, because steps and ends are guarded: a replay is one more delivery of an event that may
//! come any number of times. So nothing here decides whether a replay is allowed by the protocol; [`prospect`] only
//! says beforehand what it would come to, and holds back what would fall out again at once.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::address::Address;
use crate::definition::Cloud;
use crate::ids::{EventId, SagaId, Timestamp, TraceParent};
use crate::mark::{Caller, Mark};
use crate::origin::Note;
use crate::saga::{Saga, Status};

/// A place where dead letters lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The dead partition of the outbox on AWS: the bus refused the event for good.
    Outbox,
    /// The dead-letter queue of the API destination: the bus could not bring the event to Event Grid.
    Destination,
    /// The dead-letter queue of the events queue: saga-events could not process it, or the bus not queue it.
    Events,
    /// The failure destination of the outbox table's stream: batches, without the events.
    Stream,
    /// The quarantine on AWS: nobody understood it.
    Quarantine,
    /// The dead rows of the participant's table on Azure: Event Grid refused the event for good.
    AzureOutbox,
    /// The dead-letter blobs of Event Grid's subscriptions.
    EventGrid,
    /// The poison queue of the participant on Azure.
    Poison,
    /// The quarantine on Azure.
    AzureQuarantine,
}

impl Source {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Source; 9] = [
        Source::Outbox,
        Source::Destination,
        Source::Events,
        Source::Stream,
        Source::Quarantine,
        Source::AzureOutbox,
        Source::EventGrid,
        Source::Poison,
        Source::AzureQuarantine,
    ];

    /// The word for it in ids, answers and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Outbox => "outbox",
            Source::Destination => "destination",
            Source::Events => "events",
            Source::Stream => "stream",
            Source::Quarantine => "quarantine",
            Source::AzureOutbox => "azure-outbox",
            Source::EventGrid => "event-grid",
            Source::Poison => "poison",
            Source::AzureQuarantine => "azure-quarantine",
        }
    }

    /// The cloud that it is on.
    #[must_use]
    pub fn cloud(self) -> Cloud {
        match self {
            Source::Outbox | Source::Destination | Source::Events | Source::Stream | Source::Quarantine => {
                Cloud::Aws
            }
            Source::AzureOutbox | Source::EventGrid | Source::Poison | Source::AzureQuarantine => {
                Cloud::Azure
            }
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no source, or no letter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLetterId {
    /// Not a source.
    #[error(
        "must be one of outbox, destination, events, stream, quarantine, azure-outbox, event-grid, poison, azure-quarantine"
    )]
    Source,
    /// Not an id of a letter.
    #[error("must be the id of a dead letter, as the list shows it")]
    Letter,
}

impl FromStr for Source {
    type Err = InvalidLetterId;

    fn from_str(text: &str) -> Result<Self, InvalidLetterId> {
        let named = Self::ALL.into_iter().find(|source| source.as_str() == text);
        named.ok_or(InvalidLetterId::Source)
    }
}

/// One letter: its source, and its key there. Written with characters that stand in a URL and a shell as they are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LetterId {
    /// Where it lies.
    pub source: Source,
    /// Its key there; the order of the keys is the order of the list.
    pub key: String,
}

/// The longest key that is read, in bytes: a blob's name has up to 1024 characters.
const MAX_KEY: usize = 4_096;

impl fmt::Display for LetterId {
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

impl FromStr for LetterId {
    type Err = InvalidLetterId;

    fn from_str(text: &str) -> Result<Self, InvalidLetterId> {
        let (source, escaped) = text.split_once('.').ok_or(InvalidLetterId::Letter)?;
        let source = source.parse().map_err(|_| InvalidLetterId::Letter)?;
        if escaped.is_empty() || escaped.len() > MAX_KEY || !escaped.is_ascii() {
            return Err(InvalidLetterId::Letter);
        }
        let mut parts = escaped.split('~');
        let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
        for part in parts {
            let (code, rest) = part.split_at_checked(2).ok_or(InvalidLetterId::Letter)?;
            bytes.push(u8::from_str_radix(code, 16).map_err(|_| InvalidLetterId::Letter)?);
            bytes.extend_from_slice(rest.as_bytes());
        }
        let key = String::from_utf8(bytes).map_err(|_| InvalidLetterId::Letter)?;
        let id = Self { source, key };
        // An id has one spelling: what is not as we write it is none of ours.
        if id.to_string() == text {
            Ok(id)
        } else {
            Err(InvalidLetterId::Letter)
        }
    }
}

/// Where a letter was on its way to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Destination {
    /// The bus on AWS, whose rules route it.
    Bus,
    /// The queue of saga-events.
    EventsQueue,
    /// The Event Grid topic, whose subscriptions route it.
    Topic,
    /// The queue of the participant on Azure.
    ParticipantQueue,
}

impl Destination {
    /// The words for it in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Destination::Bus => "bus",
            Destination::EventsQueue => "events queue",
            Destination::Topic => "Event Grid topic",
            Destination::ParticipantQueue => "participant queue",
        }
    }
}

/// What a replay does with a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Forward {
    /// Sends this, and removes the letter once it was taken.
    Send {
        /// Where.
        to: Destination,
        /// What, as it went the first time.
        message: String,
    },
    /// Makes the dead row a pending one, in one transaction: the outbox' relay sends it.
    Requeue,
    /// Nothing can be sent, for this reason.
    Nothing(String),
}

/// What an event says of itself, as far as it can be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its id.
    pub event: Option<EventId>,
    /// Its type.
    pub kind: Option<String>,
    /// The saga that it names.
    pub saga: Option<SagaId>,
    /// The verb.
    pub verb: Option<String>,
    /// The step's number.
    pub step: Option<i32>,
    /// The cloud that it is for.
    pub target: Option<Cloud>,
    /// The caller's trace context.
    pub trace: Option<TraceParent>,
    /// The event, whole, as text.
    pub text: String,
    /// It is no UTF-8, and `text` is the base64 of its bytes.
    pub is_base64: bool,
    /// The headers it came with that say how to read it, where they are kept.
    pub headers: BTreeMap<String, String>,
    /// It is one part of a body that one message does not hold.
    pub part: Option<Part>,
    /// Why nobody would understand it, when that can be seen from the event alone.
    pub unreadable: Option<String>,
}

impl Facts {
    /// Who it is for, when it says so.
    #[must_use]
    pub fn address(&self) -> Option<Address> {
        Address::parse(self.verb.as_deref()?, self.step?)
    }
}

/// Which part of a body a letter holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its number, from 1.
    pub number: u32,
    /// How many there are.
    pub of: u32,
    /// The SHA-256 of the whole body in hexadecimal digits: all parts of one body have it.
    pub sha256: String,
}

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its id.
    pub id: LetterId,
    /// What the event says of itself.
    pub facts: Facts,
    /// Why it is here.
    pub reason: String,
    /// How often it was tried, where that is known.
    pub attempts: Option<u32>,
    /// When it was first on its way.
    pub first: Option<Timestamp>,
    /// When it came here.
    pub last: Option<Timestamp>,
    /// The size of what lies here, in bytes.
    pub bytes: usize,
    /// What a replay does with it.
    pub forward: Forward,
}

impl DeadLetter {
    /// The letter for a list, which shows no bodies and keeps none in memory.
    #[must_use]
    pub fn without_body(mut self) -> Self {
        self.facts.text = String::new();
        if let Forward::Send { message, .. } = &mut self.forward {
            *message = String::new();
        }
        self
    }

    /// When it is counted as having come here.
    #[must_use]
    pub fn arrived(&self) -> Timestamp {
        self.last.or(self.first).unwrap_or(Timestamp::from_millis(0))
    }
}

/// Which letters are meant. What is `None` does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only this source.
    pub source: Option<Source>,
    /// Only this saga.
    pub saga: Option<SagaId>,
    /// Only this type of event.
    pub kind: Option<String>,
    /// Only with this in the reason, whatever the case.
    pub reason: Option<String>,
    /// Only what came here then or later.
    pub since: Option<Timestamp>,
}

impl Filter {
    /// Whether the letter is meant.
    #[must_use]
    pub fn takes(&self, letter: &DeadLetter) -> bool {
        let says = |wanted: &String| letter.reason.to_lowercase().contains(&wanted.to_lowercase());
        self.source.is_none_or(|source| source == letter.id.source)
            && self.saga.is_none_or(|saga| letter.facts.saga == Some(saga))
            && (self.kind.is_none() || self.kind == letter.facts.kind)
            && self.reason.as_ref().is_none_or(says)
            && self.since.is_none_or(|since| letter.arrived() >= since)
    }
}

/// Whether a replay is worth it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It moves its saga on, or may.
    Tried,
    /// It changes nothing any more; replaying it only clears it away.
    Ignored,
    /// It is not replayed: it would be here again at once.
    Left,
}

/// What a replay would come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prospect {
    /// In a word.
    pub verdict: Verdict,
    /// In a sentence.
    pub text: String,
}

/// What is known of the saga that a letter names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It names none, or none that is known here.
    No,
    /// It stands here.
    Saga {
        /// Its status.
        status: Status,
        /// An override has not been followed everywhere yet.
        closing: bool,
    },
}

impl Known {
    /// What is known of this saga.
    #[must_use]
    pub fn of(saga: &Saga) -> Self {
        Known::Saga {
            status: saga.shown,
            closing: saga.lifecycle.closing,
        }
    }
}

/// Says what a replay of the letter would come to. `refused`: why its receiver would not understand it.
#[must_use]
pub fn prospect(letter: &DeadLetter, refused: Option<&str>, saga: Known) -> Prospect {
    let as_is = |verdict, text: String| Prospect { verdict, text };
    if let Forward::Nothing(why) = &letter.forward {
        return as_is(Verdict::Left, format!("cannot be replayed: {why}"));
    }
    if let Some(why) = refused {
        return as_is(Verdict::Left, format!("would be quarantined again: {why}"));
    }
    match saga {
        Known::No if letter.facts.target == Some(Cloud::Azure) => {
            let text = "would be tried again; the saga is not known here, it may have expired";
            as_is(Verdict::Tried, text.to_owned())
        }
        Known::No => {
            let text = match letter.facts.saga {
                Some(saga) => format!("would be quarantined again: there is no saga {saga}"),
                None => "would be quarantined again: it names no saga".to_owned(),
            };
            as_is(Verdict::Left, text)
        }
        Known::Saga {
            status,
            closing: true,
        } => as_is(
            Verdict::Tried,
            format!("would be tried again: saga is {status} and closing"),
        ),
        Known::Saga { status, .. } if status.is_terminal() => {
            as_is(Verdict::Ignored, format!("would be ignored: saga is {status}"))
        }
        Known::Saga { status, .. } => {
            as_is(Verdict::Tried, format!("would be tried again: saga is {status}"))
        }
    }
}

/// What an operator did with a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// Sent again.
    Replay,
    /// Taken out, and archived.
    Discard,
}

impl Act {
    /// The word for it in timelines and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Act::Replay => "replay",
            Act::Discard => "discard",
        }
    }
}

/// The line for the timeline of the letter's saga that says who did what with the letter. The message is no longer parked.
#[must_use]
pub fn note(letter: &DeadLetter, act: Act, mark: &Mark, caller: Option<&Caller>) -> Note {
    Note {
        id: line_id(mark.at, act, &letter.id),
        at: mark.at,
        verb: act.as_str(),
        step: letter.facts.step.unwrap_or(0),
        cloud: letter.id.source.cloud(),
        text: format!(
            "{}: {} ({}, from {})",
            mark.by,
            mark.reason,
            what(letter),
            letter.id.source
        ),
        caller: caller.cloned(),
        unparks: letter.facts.event.clone(),
    }
}

/// The letter is part of the id: a run replays many in one millisecond.
fn line_id(at: Timestamp, act: Act, letter: &LetterId) -> EventId {
    let head = format!("{:013}-{}-", at.millis(), act.as_str());
    let letter = letter.to_string();
    // A letter's id is ASCII, and what tells two apart stands at its end.
    let tail = letter.len().saturating_sub(EventId::MAX_BYTES - head.len());
    EventId::stored(head + &letter[tail..])
}

/// Whether the saga's timeline says that this letter, which came at `arrived`, was replayed or discarded since: whoever
/// watches may have seen it just before.
#[must_use]
pub fn is_dealt_with(saga: &Saga, letter: &LetterId, arrived: Timestamp) -> bool {
    let since = saga.timeline.entries.iter().filter(|line| line.at >= arrived);
    since.into_iter().any(|line| {
        [Act::Replay, Act::Discard]
            .into_iter()
            .any(|act| line.event == line_id(line.at, act, letter))
    })
}

fn what(letter: &DeadLetter) -> &str {
    letter.facts.kind.as_deref().unwrap_or("a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_line_keeps_the_end_of_a_long_letters_id_and_its_own_bound() {
        let at = Timestamp::from_millis(1_790_000_000_000);
        for length in [1, 200, 226, 227, 228, 400] {
            let letter = LetterId {
                source: Source::Quarantine,
                key: format!("{}-end", "x".repeat(length)),
            };
            let line = line_id(at, Act::Replay, &letter).to_string();
            let (head, letter) = ("1790000000000-replay-", letter.to_string());
            let kept = letter.len().min(256 - head.len());
            assert_eq!(line, format!("{head}{}", &letter[letter.len() - kept..]));
        }
    }
}
