//! What an event says of itself, member by member: one that is wrong does not hide the others.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use saga_core::SagaId;
use saga_core::dead_letter::Facts;
use saga_core::text::shown;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::{cloud_event, event_grid};

/// Reads what can be read of an event in either schema, and why nobody would understand it.
#[must_use]
pub fn facts(text: &str) -> Facts {
    Facts {
        unreadable: event_grid::event(text).err().map(|error| shown(&error.0)),
        text: text.to_owned(),
        ..said(text)
    }
}

/// What an event in either schema says of itself, as far as it can be read.
#[must_use]
pub fn said(text: &str) -> Facts {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).unwrap_or_default();
    let value = |name: &str| {
        let raw = members.get(name)?;
        serde_json::from_str::<Value>(raw.get()).ok()
    };
    let word = |name: &str| match value(name)? {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    Facts {
        event: word("id").and_then(|id| id.parse().ok()),
        kind: word("type")
            .or_else(|| word("eventType"))
            .map(|kind| shown(&kind)),
        saga: word("sagaid")
            .or_else(|| in_data(&cloud_event::attributes::payload(&members).ok()??))
            .or_else(|| in_subject(&word("subject")?))
            .and_then(|id| id.parse::<SagaId>().ok()),
        verb: word("sagaverb").map(|verb| shown(&verb)),
        step: word("sagastep").and_then(|step| step.parse().ok()),
        target: word("sagatarget").and_then(|cloud| cloud.parse().ok()),
        trace: word("traceparent").and_then(|trace| trace.parse().ok()),
        ..Facts::default()
    }
}

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

fn in_subject(subject: &str) -> Option<String> {
    let rest = subject.strip_prefix("saga/")?;
    rest.split('/').next().map(str::to_owned)
}
