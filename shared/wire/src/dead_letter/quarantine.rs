//! The quarantines of both clouds. A letter goes back to the entrance that did not understand it; past the webhook,
//! that is the bus.

use std::borrow::Cow;

use saga_core::Timestamp;
use saga_core::dead_letter::{DeadLetter, Destination, Facts, Forward, Source};
use saga_core::text::shown;

use super::parts::Kept;
use super::sqs::Received;
use super::storage_queue::decoded;
use super::{Envelope, facts, facts_of_bytes, letter};
use crate::{cloud_event, custom_handler, event_bridge, event_grid, json, time};

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
    let json = decoded(text).and_then(|bytes| String::from_utf8(bytes).ok());
    of(
        Source::AzureQuarantine,
        key,
        json.as_deref().unwrap_or(text),
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
    let read = serde_json::from_str::<Kept>(json).map_err(|error| error.to_string());
    let (kept, body) = match read.and_then(|mut kept| kept.body().map(|body| (kept, body))) {
        Ok(read) => read,
        Err(why) => return stranger(source, key, json, last, &why),
    };
    let at = time::parse(&kept.at).ok();
    let to = back.or(match kept.entrance.as_str() {
        "saga-events" => Some(Destination::EventsQueue),
        "event-ingress" => Some(Destination::Bus),
        _ => None,
    });
    let facts = Facts {
        part: kept.part(),
        headers: kept.headers.clone(),
        ..facts_of(source, &body)
    };
    let bytes = body.len();
    let forward = match (kept.not_whole(), to, String::from_utf8(body)) {
        (Some(why), _, _) => Forward::Nothing(why),
        (None, None, _) => Forward::Nothing(format!(
            "nothing is known of the entrance `{}`",
            shown(&kept.entrance)
        )),
        (None, Some(_), Err(_)) => Forward::Nothing("its bytes are no UTF-8, as JSON has to be".to_owned()),
        (None, Some(Destination::Bus), Ok(_)) => Forward::Send {
            to: Destination::Bus,
            message: admitted(&event_of(source, &facts.text), at.or(last)),
        },
        (None, Some(to), Ok(message)) => Forward::Send { to, message },
    };
    let envelope = Envelope {
        reason: format!("{}: {}", kept.entrance, kept.reason),
        attempts: None,
        first: at,
        last: last.or(at),
        bytes,
    };
    letter(source, key, facts, envelope, forward)
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

/// The event in a letter's text: a quarantined body is kept with what its carrier put around it.
#[must_use]
pub fn event_in(letter: &DeadLetter) -> Cow<'_, str> {
    event_of(letter.id.source, &letter.facts.text)
}

fn event_of(source: Source, text: &str) -> Cow<'_, str> {
    match source {
        Source::Quarantine => Cow::Borrowed(event_bridge::event_in(text).unwrap_or(text)),
        Source::AzureQuarantine => custom_handler::event_in(text),
        _ => Cow::Borrowed(text),
    }
}

/// The event as the ingress puts it on the bus; what is no event stays as it is.
fn admitted(text: &str, at: Option<Timestamp>) -> String {
    match event_grid::event(text) {
        Ok(incoming) => cloud_event::admitted(&incoming, text, at.unwrap_or(Timestamp::from_millis(0))),
        Err(_) => json::portable(text).into_owned(),
    }
}

/// What somebody else put there.
fn stranger(source: Source, key: &str, text: &str, last: Option<Timestamp>, why: &str) -> DeadLetter {
    let facts = Facts {
        unreadable: Some(format!("is no quarantined message: {}", shown(why))),
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
