//! What an event says of itself, member by member: one that is wrong does not hide the others.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use saga_core::ids::TraceParent;
use saga_core::text::shown;
use saga_core::{Address, Cloud, EventId, SagaId};
use serde_json::Value;
use serde_json::value::RawValue;

use super::id::Source;
use crate::{cloud_event, custom_handler, event_bridge, event_grid, notice};

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
    /// The outside service that it is a request for.
    pub service: Option<String>,
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

    /// The bytes of the body, or of the part of it that is here.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        if self.is_base64 {
            // Written by this module.
            STANDARD.decode(&self.text).unwrap_or_default()
        } else {
            self.text.clone().into_bytes()
        }
    }
}

/// Which part of a body a dead letter holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its number, from 1.
    pub number: u32,
    /// How many there are.
    pub of: u32,
    /// The SHA-256 of the whole body in hexadecimal digits: all parts of one body have it.
    pub sha256: String,
}

/// Reads what can be read of an event in either schema, and why nobody would understand it.
#[must_use]
pub fn facts(text: &str) -> Facts {
    Facts {
        unreadable: event_grid::event(text)
            .err()
            .filter(|_| !notice::tells_of_a_service(text))
            .map(|error| shown(&error.0)),
        text: text.to_owned(),
        ..said(text)
    }
}

/// What an event in either schema says of itself, as far as it can be read.
#[must_use]
pub fn said(text: &str) -> Facts {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).unwrap_or_default();
    let word = |name: &str| word(members.get(name)?);
    // The cloud, and behind a dot one of its mailboxes.
    let target = word("sagatarget").unwrap_or_default();
    let (cloud, mailbox) = match target.split_once('.') {
        Some((cloud, mailbox)) => (cloud, Some(mailbox)),
        None => (target.as_str(), None),
    };
    let verb = word("sagaverb");
    let is_request = verb
        .as_deref()
        .is_some_and(|verb| ["act", "undo"].contains(&verb));
    Facts {
        event: word("id").and_then(|id| id.parse().ok()),
        kind: word("type")
            .or_else(|| word("eventType"))
            .map(|kind| shown(&kind)),
        saga: word("sagaid")
            .or_else(|| in_data(&cloud_event::attributes::payload(&members).ok()??))
            .or_else(|| {
                Some(
                    word("subject")?
                        .strip_prefix("saga/")?
                        .split('/')
                        .next()?
                        .to_owned(),
                )
            })
            .and_then(|id| id.parse::<SagaId>().ok()),
        verb: verb.map(|verb| shown(&verb)),
        step: word("sagastep").and_then(|step| step.parse().ok()),
        target: cloud.parse().ok(),
        service: mailbox.filter(|_| is_request).map(shown),
        trace: word("traceparent").and_then(|trace| trace.parse().ok()),
        ..Facts::default()
    }
}

/// A member that is a text or a number.
pub(super) fn word(raw: &RawValue) -> Option<String> {
    match serde_json::from_str(raw.get()).ok()? {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// What a quarantined body says of itself.
pub(super) fn facts_of(source: Source, body: &[u8]) -> Facts {
    match std::str::from_utf8(body) {
        Ok(text) => Facts {
            text: text.to_owned(),
            ..facts(&event_of(source, text))
        },
        Err(_) => facts_of_bytes(body),
    }
}

/// The event in the text of a dead letter of this source: a quarantined body is kept with what its carrier put around it.
pub(super) fn event_of(source: Source, text: &str) -> Cow<'_, str> {
    match source {
        Source::Quarantine => Cow::Borrowed(event_bridge::event_in(text).unwrap_or(text)),
        Source::AzureQuarantine => custom_handler::event_in(text),
        _ => Cow::Borrowed(text),
    }
}

/// Why bytes that are no text cannot be sent.
pub(super) const NO_TEXT: &str = "its bytes are no UTF-8, as JSON has to be";

/// What is known of bytes that are no text.
pub(super) fn facts_of_bytes(bytes: &[u8]) -> Facts {
    Facts {
        text: STANDARD.encode(bytes),
        is_base64: true,
        unreadable: Some("is no UTF-8, as JSON has to be".to_owned()),
        ..Facts::default()
    }
}

fn in_data(data: &str) -> Option<String> {
    let data: BTreeMap<String, &RawValue> = serde_json::from_str(data).ok()?;
    serde_json::from_str(data.get("saga_id")?.get()).ok()
}
