//! The quarantines of both clouds. A dead letter goes back to the entrance that did not understand it; past the webhook,
//! that is the bus.

use saga_core::Timestamp;
use saga_core::text::shown;

use super::facts::{Facts, event_of, facts, facts_of};
use super::id::Source;
use super::model::{DeadLetter, Destination, Envelope, Forward};
use super::parts::Kept;
use super::sqs::Received;
use super::storage_queue::decoded;
use crate::{cloud_event, event_grid, json, time};

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
        Err(why) => return foreign(source, key, json, last, &why),
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
    envelope.around(source, key, facts, forward)
}

/// The event as the ingress puts it on the bus; what is no event stays as it is.
fn admitted(text: &str, at: Option<Timestamp>) -> String {
    match event_grid::event(text) {
        Ok(incoming) => cloud_event::admitted(&incoming, text, at.unwrap_or(Timestamp::from_millis(0))),
        Err(_) => json::portable(text).into_owned(),
    }
}

/// A message that this software did not write.
fn foreign(source: Source, key: &str, text: &str, last: Option<Timestamp>, why: &str) -> DeadLetter {
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
    envelope.around(source, key, facts, forward)
}
