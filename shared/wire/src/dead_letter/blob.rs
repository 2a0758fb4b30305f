//! Event Grid's dead-letter blobs: a JSON array of events in the schema of the subscription, each with what became of
//! its delivery in members of its own, spelled in the manner of the schema
//! (<https://learn.microsoft.com/azure/event-grid/manage-event-delivery>).

use std::collections::BTreeMap;

use saga_core::Timestamp;
use saga_core::text::shown;
use serde_json::value::RawValue;

use super::facts::{Facts, facts, word};
use super::id::{DeadLetterId, Source};
use super::model::{DeadLetter, Destination, Forward};
use crate::quarantine::mark;
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
/// The subscription of the requests to outside services. Event Grid writes its name in capitals.
const TO_SERVICES: &str = "to-azure-services";
/// The members of Event Grid's own schema, and what they are in a CloudEvent.
const OWN_SCHEMA: [(&str, &str); 6] = [
    ("id", "id"),
    ("topic", "source"),
    ("eventType", "type"),
    ("subject", "subject"),
    ("eventTime", "time"),
    ("data", "data"),
];

/// One event of a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobEvent {
    /// The dead letter.
    pub dead_letter: DeadLetter,
    /// The event as it stands in the blob, by which it is found again when the blob is written anew.
    pub raw: String,
}

/// The events of a blob, in its order. What is no array of events is one dead letter.
#[must_use]
pub fn blob(name: &str, content: &str, created: Option<Timestamp>) -> Vec<BlobEvent> {
    let events: Vec<&RawValue> = match content.trim_start().as_bytes().first() {
        Some(b'[') => serde_json::from_str(content).unwrap_or_default(),
        _ => serde_json::from_str(content).into_iter().collect(),
    };
    if events.is_empty() {
        return vec![unreadable(name, content, created)];
    }
    let mut seen = BTreeMap::<String, u32>::new();
    let each = events.into_iter().map(|raw| {
        let digest = mark(raw.get());
        // The same event twice in one blob is two dead letters.
        let times = seen.entry(digest.clone()).or_default();
        *times += 1;
        let key = match times {
            1 => format!("{name}/{digest}"),
            _ => format!("{name}/{digest}-{times}"),
        };
        event(name, key, raw.get(), created)
    });
    each.collect()
}

fn event(name: &str, key: String, raw: &str, created: Option<Timestamp>) -> BlobEvent {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(raw).unwrap_or_default();
    let is_added = |name: &str| ADDED.contains(&name.to_ascii_lowercase().as_str());
    let (added, own): (BTreeMap<_, _>, BTreeMap<_, _>) =
        members.into_iter().partition(|(name, _)| is_added(name));
    let said = |wanted: &str| {
        let named = added.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        word(named?.1)
    };
    let at = |wanted: &str| said(wanted).and_then(|text| time::parse(&text).ok());
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
    let to = if subscription.eq_ignore_ascii_case(TO_SERVICES) {
        Destination::AzureServiceQueue
    } else {
        Destination::Topic
    };
    let dead_letter = DeadLetter {
        id: DeadLetterId {
            source: Source::EventGrid,
            key,
        },
        facts: facts(&text),
        reason: shown(&format!("{reason}, subscription {subscription}")),
        attempts: said("deliveryattempts").and_then(|text| text.parse().ok()),
        first: at("publishtime"),
        last: created.or_else(|| at("lastdeliveryattempttime")),
        bytes: raw.len(),
        forward: Forward::Send { to, message: text },
    };
    BlobEvent {
        dead_letter,
        raw: raw.to_owned(),
    }
}

/// The event in the one schema that the topic takes: one in Event Grid's own is written as the CloudEvent that Event Grid
/// makes of it.
fn as_cloud_event(members: &BTreeMap<String, &RawValue>) -> String {
    if members.contains_key("specversion") || !members.contains_key("eventType") {
        return serde_json::to_string(members).unwrap_or_default();
    }
    let mut event: BTreeMap<&str, &RawValue> =
        serde_json::from_str(r#"{"source":"event-grid","specversion":"1.0"}"#).unwrap_or_default();
    let renamed = OWN_SCHEMA
        .iter()
        .filter_map(|(from, to)| Some((*to, *members.get(*from)?)));
    event.extend(renamed);
    serde_json::to_string(&event).unwrap_or_default()
}

fn unreadable(name: &str, content: &str, created: Option<Timestamp>) -> BlobEvent {
    let why = match serde_json::from_str::<&RawValue>(content) {
        Ok(_) => "holds no events".to_owned(),
        Err(error) => format!("is not the JSON that is expected: {error}"),
    };
    let dead_letter = DeadLetter {
        id: DeadLetterId {
            source: Source::EventGrid,
            key: format!("{name}/{}", mark(content)),
        },
        reason: "no reason can be read".to_owned(),
        attempts: None,
        first: None,
        last: created,
        bytes: content.len(),
        forward: Forward::Nothing(format!("the blob {why}")),
        facts: Facts {
            text: content.to_owned(),
            unreadable: Some(shown(&why)),
            ..Facts::default()
        },
    };
    BlobEvent {
        dead_letter,
        raw: content.to_owned(),
    }
}
