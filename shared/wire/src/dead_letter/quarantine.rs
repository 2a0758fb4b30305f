//! The quarantines of both clouds: messages whole or in parts, and the parts put together. A dead letter goes back to the
//! entrance that did not understand it; past the webhook, that is the bus.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use saga_core::Timestamp;
use saga_core::text::shown;
use serde::Deserialize;

use super::facts::{Facts, NO_TEXT, Part, event_of, facts, facts_of};
use super::id::{DeadLetterId, Source};
use super::model::{DeadLetter, Destination, Forward};
use super::sqs::Received;
use super::storage_queue::decoded;
use crate::quarantine::sha256;
use crate::{cloud_event, event_grid, json, time};

/// Who did not understand a request to an outside service, on either cloud.
const SERVICE_CALLER: &str = "service-caller";

/// A message of a quarantine.
#[derive(Deserialize)]
struct Kept {
    #[serde(default)]
    entrance: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    at: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<String>,
    body_base64: Option<String>,
    /// Set by an earlier version where the body was cut: the bytes that it had.
    cut_from_bytes: Option<u64>,
    /// Set where the body is in several messages.
    part: Option<u32>,
    parts: Option<u32>,
    body_sha256: Option<String>,
}

/// A message of the quarantine on AWS.
#[must_use]
pub fn quarantine(message: &Received) -> DeadLetter {
    of(message.id(Source::Quarantine), &message.body, message.sent)
}

/// A message of the quarantine on Azure: `text` as the queue keeps it.
#[must_use]
pub fn azure_quarantine(key: &str, text: &str, inserted: Option<Timestamp>) -> DeadLetter {
    let json = decoded(text).and_then(|bytes| String::from_utf8(bytes).ok());
    let (source, key) = (Source::AzureQuarantine, key.to_owned());
    of(
        DeadLetterId { source, key },
        json.as_deref().unwrap_or(text),
        inserted,
    )
}

fn of(id: DeadLetterId, json: &str, last: Option<Timestamp>) -> DeadLetter {
    let read = serde_json::from_str::<Kept>(json).map_err(|error| error.to_string());
    let (kept, body) = match read.and_then(|kept| body(&kept).map(|body| (kept, body))) {
        Ok(read) => read,
        Err(why) => return foreign(id, json, last, &why),
    };
    let at = time::parse(&kept.at).ok();
    let to = match (id.source, kept.entrance.as_str()) {
        (Source::AzureQuarantine, SERVICE_CALLER) => Some(Destination::AzureServiceQueue),
        (_, SERVICE_CALLER) => Some(Destination::ServiceQueue),
        (Source::AzureQuarantine, _) => Some(Destination::ParticipantQueue),
        (_, "saga-events") => Some(Destination::EventsQueue),
        (_, "event-ingress") => Some(Destination::Bus),
        _ => None,
    };
    let part = kept.part.zip(kept.parts).filter(|(_, of)| *of > 1);
    let part = part.map(|(number, of)| Part {
        number,
        of,
        sha256: kept.body_sha256.unwrap_or_default(),
    });
    let facts = Facts {
        part,
        headers: kept.headers,
        ..facts_of(id.source, &body)
    };
    let nothing = if let Some(bytes) = kept.cut_from_bytes {
        Some(format!("its body was cut: it had {bytes} bytes"))
    } else if let Some(Part { number, of, sha256 }) = &facts.part {
        Some(format!(
            "it is part {number} of {of} of one body (SHA-256 {sha256})"
        ))
    } else if to.is_none() {
        Some(format!(
            "nothing is known of the entrance `{}`",
            shown(&kept.entrance)
        ))
    } else {
        facts.is_base64.then(|| NO_TEXT.to_owned())
    };
    let forward = match (nothing, to) {
        (None, Some(to)) => Forward::Send {
            to,
            message: match to {
                Destination::Bus => admitted(&event_of(id.source, &facts.text), at.or(last)),
                _ => facts.text.clone(),
            },
        },
        (nothing, _) => Forward::Nothing(nothing.unwrap_or_default()),
    };
    DeadLetter {
        id,
        facts,
        reason: shown(&format!("{}: {}", kept.entrance, kept.reason)),
        attempts: None,
        first: at,
        last: last.or(at),
        bytes: body.len(),
        forward,
    }
}

/// What is here of the body, or why it cannot be read.
fn body(kept: &Kept) -> Result<Vec<u8>, String> {
    match (&kept.body, &kept.body_base64) {
        (Some(text), None) => Ok(text.clone().into_bytes()),
        (None, Some(base64)) => STANDARD
            .decode(base64)
            .map_err(|error| format!("`body_base64` is no base64: {error}")),
        _ => Err("it must have one of `body` and `body_base64`".to_owned()),
    }
}

/// The event as the ingress puts it on the bus; what is no event stays as it is.
fn admitted(text: &str, at: Option<Timestamp>) -> String {
    match event_grid::event(text) {
        Ok(incoming) => cloud_event::admitted(&incoming, text, at.unwrap_or(Timestamp::from_millis(0))),
        Err(_) => json::portable(text).into_owned(),
    }
}

/// A message that this software did not write.
fn foreign(id: DeadLetterId, text: &str, last: Option<Timestamp>, why: &str) -> DeadLetter {
    DeadLetter {
        id,
        facts: Facts {
            unreadable: Some(format!("is no quarantined message: {}", shown(why))),
            ..facts(text)
        },
        reason: "unknown: the message was not written by this software".to_owned(),
        attempts: None,
        first: None,
        last,
        bytes: text.len(),
        forward: Forward::Nothing("where it was on its way to is not known".to_owned()),
    }
}

/// The dead letter with the whole body instead of its part, when `others` hold the rest of it. A part may be among them
/// more than once.
#[must_use]
pub fn join(one: &DeadLetter, others: &[DeadLetter]) -> Option<DeadLetter> {
    let wanted = one.facts.part.as_ref()?;
    let mut parts = BTreeMap::new();
    for other in [one].into_iter().chain(others) {
        let part = other.facts.part.as_ref();
        if let Some(part) = part.filter(|part| part.sha256 == wanted.sha256) {
            parts.insert(part.number, &other.facts);
        }
    }
    let bytes = (1..=wanted.of).map(|number| Some(parts.get(&number)?.bytes()));
    let whole = bytes.collect::<Option<Vec<_>>>()?.concat();
    (sha256(&whole) == wanted.sha256).then(|| DeadLetter {
        facts: Facts {
            headers: one.facts.headers.clone(),
            ..facts_of(one.id.source, &whole)
        },
        bytes: whole.len(),
        ..one.clone()
    })
}
