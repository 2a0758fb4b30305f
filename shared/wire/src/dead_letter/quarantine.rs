//! The quarantines of both clouds. A letter goes back to the entrance that did not understand it; past the webhook,
//! that is the bus.

use saga_core::dead_letter::{DeadLetter, Destination, Facts, Forward, Source};
use saga_core::event::cut;
use saga_core::{Cloud, Timestamp};

use super::parts::Kept;
use super::sqs::Received;
use super::storage_queue::decoded;
use super::{Envelope, facts, letter};
use crate::incoming::Incoming;
use crate::{cloud_event, event_bridge, event_grid, time};

/// A message of the quarantine on AWS.
#[must_use]
pub fn quarantine(message: &Received) -> DeadLetter {
    of(
        Source::Quarantine,
        &message.key,
        &message.body,
        message.sent,
        None,
    )
}

/// A message of the quarantine on Azure: `text` as the queue keeps it.
#[must_use]
pub fn azure_quarantine(key: &str, text: &str, inserted: Option<Timestamp>) -> DeadLetter {
    let json = decoded(text);
    of(
        Source::AzureQuarantine,
        key,
        &json,
        inserted,
        Some(Destination::ParticipantQueue),
    )
}

fn of(
    source: Source,
    key: &str,
    json: &str,
    last: Option<Timestamp>,
    back: Option<Destination>,
) -> DeadLetter {
    let kept: Kept = match serde_json::from_str(json) {
        Ok(kept) => kept,
        Err(error) => return stranger(source, key, json, last, &error.to_string()),
    };
    let at = time::parse(&kept.at).ok();
    let not_whole = kept.not_whole();
    let to = back.or(match kept.entrance.as_str() {
        "saga-events" => Some(Destination::EventsQueue),
        "event-ingress" => Some(Destination::Bus),
        _ => None,
    });
    let text = event_bridge::event_in(&kept.body).unwrap_or(&kept.body);
    let facts = facts(text);
    let forward = match (not_whole, to) {
        (Some(why), _) => Forward::Nothing(why),
        (None, None) => Forward::Nothing(format!(
            "nothing is known of the entrance `{}`",
            cut(&kept.entrance)
        )),
        (None, Some(Destination::Bus)) => Forward::Send {
            to: Destination::Bus,
            message: admitted(text, at.or(last)),
        },
        (None, Some(to)) => Forward::Send {
            to,
            message: kept.body.clone(),
        },
    };
    let envelope = Envelope {
        reason: format!("{}: {}", kept.entrance, kept.reason),
        attempts: None,
        first: at,
        last: last.or(at),
        bytes: kept.body.len(),
    };
    letter(source, key, facts, envelope, forward)
}

/// The event as the ingress puts it on the bus: another publisher's with the one attribute that routes it.
fn admitted(text: &str, at: Option<Timestamp>) -> String {
    match event_grid::event(text) {
        Ok(Incoming::Outside(outside)) => {
            cloud_event::write_outside(&outside, Cloud::ORIGIN, at.unwrap_or(Timestamp::from_millis(0)))
        }
        _ => text.to_owned(),
    }
}

/// What somebody else put there.
fn stranger(source: Source, key: &str, text: &str, last: Option<Timestamp>, why: &str) -> DeadLetter {
    let facts = Facts {
        unreadable: Some(format!("is no quarantined message: {}", cut(why))),
        ..facts(text)
    };
    let envelope = Envelope {
        reason: "unknown: the message was not written by this software".to_owned(),
        last,
        bytes: text.len(),
        ..Envelope::default()
    };
    let forward = Forward::Nothing("where it was on its way to is not known".to_owned());
    letter(source, key, facts, envelope, forward)
}
