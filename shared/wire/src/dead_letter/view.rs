//! A dead letter in JSON: one line of a list, or whole.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use saga_core::{Address, StepIndex};
use serde::Serialize;

use super::facts::Part;
use super::model::{DeadLetter, Forward};
use crate::quarantine::as_text;
use crate::time;

/// A line of the list.
#[derive(Debug, Serialize)]
pub struct Listed {
    id: String,
    source: &'static str,
    cloud: &'static str,
    saga_id: Option<String>,
    event_id: Option<String>,
    r#type: Option<String>,
    verb: Option<String>,
    /// The step that the event is for; none for an event that is for the whole saga.
    step: Option<u8>,
    reason: String,
    attempts: Option<u32>,
    first_at: Option<String>,
    last_at: Option<String>,
    bytes: usize,
    /// Why nobody understands it, when that can be seen from the dead letter alone.
    unreadable: Option<String>,
}

impl Listed {
    /// The line of this dead letter.
    #[must_use]
    pub fn of(dead_letter: &DeadLetter) -> Self {
        let facts = &dead_letter.facts;
        Self {
            id: dead_letter.id.to_string(),
            source: dead_letter.id.source.as_str(),
            cloud: dead_letter.id.source.cloud().as_str(),
            saga_id: facts.saga.map(|saga| saga.to_string()),
            event_id: facts.event.as_ref().map(|id| id.as_str().to_owned()),
            r#type: facts.kind.clone(),
            verb: facts.verb.clone(),
            step: facts.address().and_then(Address::step).map(StepIndex::get),
            reason: dead_letter.reason.clone(),
            attempts: dead_letter.attempts,
            first_at: dead_letter.first.map(time::format),
            last_at: dead_letter.last.map(time::format),
            bytes: dead_letter.bytes,
            unreadable: facts.unreadable.clone(),
        }
    }

    /// How long its line is in an answer.
    #[must_use]
    pub fn bytes_of_json(&self) -> usize {
        serde_json::to_vec(self).map_or(0, |json| json.len())
    }
}

/// One dead letter, whole.
#[derive(Debug, Serialize)]
pub struct Shown {
    #[serde(flatten)]
    listed: Listed,
    /// The headers it came with that say how to read it.
    headers: BTreeMap<String, String>,
    /// What lies there: the text, or the base64 of the bytes.
    body: String,
    body_encoding: &'static str,
    /// Set when the body is one part of a larger one, and the others were not found.
    part: Option<ShownPart>,
    replay: Replay,
}

#[derive(Debug, Serialize)]
struct ShownPart {
    number: u32,
    of: u32,
    body_sha256: String,
}

#[derive(Debug, Serialize)]
struct Replay {
    to: Option<&'static str>,
    verdict: &'static str,
    text: String,
}

impl Shown {
    /// The dead letter, and what a replay would come to: in a word, and in a sentence.
    #[must_use]
    pub fn of(dead_letter: &DeadLetter, verdict: &'static str, text: String) -> Self {
        let to = match &dead_letter.forward {
            Forward::Send { to, .. } => Some(to.as_str()),
            Forward::Requeue => Some("outbox"),
            Forward::Nothing(_) => None,
        };
        let facts = &dead_letter.facts;
        // An answer holds 6 MB, and some texts are six times as long in JSON.
        let is_text = !facts.is_base64 && as_text(facts.text.as_bytes()).is_some();
        let (body, body_encoding) = if is_text {
            (facts.text.clone(), "text")
        } else {
            (STANDARD.encode(facts.bytes()), "base64")
        };
        Self {
            listed: Listed::of(dead_letter),
            headers: facts.headers.clone(),
            body,
            body_encoding,
            part: facts.part.clone().map(|Part { number, of, sha256 }| ShownPart {
                number,
                of,
                body_sha256: sha256,
            }),
            replay: Replay { to, verdict, text },
        }
    }
}
