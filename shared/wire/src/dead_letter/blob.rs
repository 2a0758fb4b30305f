//! Event Grid's dead-letter blobs: a JSON array of events in the schema of the subscription, each with what became of
//! its delivery in members of its own, spelled in the manner of the schema
//! (<https://learn.microsoft.com/azure/event-grid/manage-event-delivery>).

use std::collections::BTreeMap;

use saga_core::Timestamp;
use saga_core::text::shown;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::facts::{Facts, facts};
use super::id::Source;
use super::model::{DeadLetter, Destination, Envelope, Forward};
use crate::time;

/// What Event Grid adds, in lower case.
const ADDED: [&str; 7] = [
    "deadletterreason",
    "deliveryattempts",
    "lastdeliveryoutcome",
    "publishtime",
    "lastdeliveryattempttime",
    "lasthttpstatuscode",
    "deadletterproperties",
];

/// One event of a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobEvent {
    /// The letter.
    pub letter: DeadLetter,
    /// The event as it stands in the blob, by which it is found again when the blob is written anew.
    pub raw: String,
}

/// The letters of a blob, in its order. What is no array of events is one letter.
#[must_use]
pub fn blob(name: &str, content: &str, created: Option<Timestamp>) -> Vec<BlobEvent> {
    let events: Vec<&RawValue> = match content.trim_start().as_bytes().first() {
        Some(b'[') => serde_json::from_str(content).unwrap_or_default(),
        _ => serde_json::from_str(content)
            .map(|one| vec![one])
            .unwrap_or_default(),
    };
    if events.is_empty() {
        return vec![unreadable(name, content, created)];
    }
    let mut seen = BTreeMap::<String, u32>::new();
    events
        .into_iter()
        .map(|raw| {
            let raw = raw.get();
            let digest = mark(raw);
            // The same event twice in one blob is two letters.
            let times = seen.entry(digest.clone()).or_default();
            *times += 1;
            let key = if *times == 1 {
                format!("{name}/{digest}")
            } else {
                format!("{name}/{digest}-{times}")
            };
            BlobEvent {
                letter: event(name, &key, raw, created),
                raw: raw.to_owned(),
            }
        })
        .collect()
}

fn mark(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn event(name: &str, key: &str, raw: &str, created: Option<Timestamp>) -> DeadLetter {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(raw).unwrap_or_default();
    let is_added = |name: &str| ADDED.contains(&name.to_ascii_lowercase().as_str());
    let said = |wanted: &str| {
        let found = members.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        match serde_json::from_str::<Value>(found?.1.get()).ok()? {
            Value::String(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    };
    let at = |wanted: &str| said(wanted).and_then(|text| time::parse(&text).ok());
    let own: BTreeMap<&String, &RawValue> = members
        .iter()
        .filter(|(name, _)| !is_added(name))
        .map(|(name, raw)| (name, *raw))
        .collect();
    let text = if own.is_empty() {
        raw.to_owned()
    } else {
        as_cloud_event(&own)
    };
    let mut reason = said("deadletterreason").unwrap_or_else(|| "no reason is given".to_owned());
    if let Some(outcome) = said("lastdeliveryoutcome") {
        reason = format!("{reason} ({outcome})");
    }
    let subscription = name.split('/').next().unwrap_or_default();
    let envelope = Envelope {
        reason: format!("{reason}, subscription {subscription}"),
        attempts: said("deliveryattempts").and_then(|text| text.parse().ok()),
        first: at("publishtime"),
        last: created.or_else(|| at("lastdeliveryattempttime")),
        bytes: raw.len(),
    };
    let forward = Forward::Send {
        to: Destination::Topic,
        message: text.clone(),
    };
    envelope.around(Source::EventGrid, key, facts(&text), forward)
}

/// The event without what Event Grid added, in the one schema that the topic takes: an event in Event Grid's own is
/// written as the CloudEvent that Event Grid makes of it.
fn as_cloud_event(members: &BTreeMap<&String, &RawValue>) -> String {
    let has = |name: &str| members.keys().any(|known| known.as_str() == name);
    if has("specversion") || !has("eventType") {
        return serde_json::to_string(members).unwrap_or_default();
    }
    let quoted = |text: &'static str| serde_json::from_str::<&RawValue>(text).ok();
    let mut event = BTreeMap::<&str, &RawValue>::new();
    for (from, to) in [
        ("id", "id"),
        ("topic", "source"),
        ("eventType", "type"),
        ("subject", "subject"),
        ("eventTime", "time"),
        ("data", "data"),
    ] {
        let found = members.iter().find(|(name, _)| name.as_str() == from);
        if let Some((_, raw)) = found {
            event.insert(to, raw);
        }
    }
    event.extend(quoted(r#""1.0""#).map(|raw| ("specversion", raw)));
    if !event.contains_key("source") {
        event.extend(quoted(r#""event-grid""#).map(|raw| ("source", raw)));
    }
    serde_json::to_string(&event).unwrap_or_default()
}

fn unreadable(name: &str, content: &str, created: Option<Timestamp>) -> BlobEvent {
    let why = match serde_json::from_str::<&RawValue>(content) {
        Ok(_) => "holds no events".to_owned(),
        Err(error) => format!("is not the JSON that is expected: {error}"),
    };
    let facts = Facts {
        text: content.to_owned(),
        unreadable: Some(shown(&why)),
        ..Facts::default()
    };
    let envelope = Envelope {
        reason: "no reason can be read".to_owned(),
        last: created,
        bytes: content.len(),
        ..Envelope::default()
    };
    let forward = Forward::Nothing(format!("the blob {why}"));
    BlobEvent {
        letter: envelope.around(
            Source::EventGrid,
            &format!("{name}/{}", mark(content)),
            facts,
            forward,
        ),
        raw: content.to_owned(),
    }
}
