//! Messages of the two dead-letter queues on AWS. Both hold the event in EventBridge's envelope; what a rule could not
//! deliver has its attributes besides
//! (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html>).

use std::collections::BTreeMap;

use saga_core::Timestamp;

use super::facts::facts;
use super::id::Source;
use super::model::{DeadLetter, Destination, Envelope, Forward};
use crate::event_bridge;

/// A message as SQS gives it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Received {
    /// Its key in the list.
    pub key: String,
    /// Its body.
    pub body: String,
    /// Its message attributes that are texts.
    pub attributes: BTreeMap<String, String>,
    /// When it was sent to the queue.
    pub sent: Option<Timestamp>,
    /// The queue that it was moved from, if SQS did that.
    pub moved_from: Option<String>,
}

/// A message of the API destination's dead-letter queue. It goes back onto the bus, whose rule tries again.
#[must_use]
pub fn destination(message: &Received) -> DeadLetter {
    let text = event_bridge::event_in(&message.body).unwrap_or(&message.body);
    let forward = Forward::Send {
        to: Destination::Bus,
        message: text.to_owned(),
    };
    let reason = undelivered(message).unwrap_or_else(|| "the bus could not deliver it".to_owned());
    of(Source::Destination, message, text, reason, forward)
}

/// A message of the events queue's dead-letter queue. It goes back to the events queue as it is.
#[must_use]
pub fn events(message: &Received) -> DeadLetter {
    let text = event_bridge::event_in(&message.body).unwrap_or(&message.body);
    let forward = Forward::Send {
        to: Destination::EventsQueue,
        message: message.body.clone(),
    };
    // SQS does not say why a message was not deleted.
    let failed = || {
        "saga-events failed on it, or could not be invoked, at every try; the function's log and metrics have the reason"
            .to_owned()
    };
    let reason = undelivered(message).unwrap_or_else(failed);
    of(Source::Events, message, text, reason, forward)
}

fn of(source: Source, message: &Received, text: &str, reason: String, forward: Forward) -> DeadLetter {
    let retries = message
        .attributes
        .get("RETRY_ATTEMPTS")
        .and_then(|text| text.parse::<u32>().ok());
    let envelope = Envelope {
        reason,
        // The first try is no retry.
        attempts: retries.map(|retries| retries.saturating_add(1)),
        first: sent_to_the_bus(&message.body),
        last: message.sent,
        bytes: message.body.len(),
    };
    envelope.around(source, &message.key, facts(text), forward)
}

/// Why a rule could not deliver it, in EventBridge's own words.
fn undelivered(message: &Received) -> Option<String> {
    let said = |name: &str| {
        message
            .attributes
            .get(name)
            .map(String::as_str)
            .filter(|text| !text.is_empty())
    };
    let what: Vec<&str> = ["ERROR_CODE", "ERROR_MESSAGE"]
        .into_iter()
        .filter_map(said)
        .collect();
    let condition = said("EXHAUSTED_RETRY_CONDITION");
    if what.is_empty() && condition.is_none() {
        return None;
    }
    let mut reason = what.join(": ");
    if let Some(condition) = condition {
        reason = if reason.is_empty() {
            condition.to_owned()
        } else {
            format!("{reason} ({condition})")
        };
    }
    let target = said("TARGET_ARN")
        .map(|arn| format!(", target {arn}"))
        .unwrap_or_default();
    Some(reason + &target)
}

/// The envelope's own time.
fn sent_to_the_bus(body: &str) -> Option<Timestamp> {
    #[derive(serde::Deserialize)]
    struct Time {
        time: String,
    }
    let time: Time = serde_json::from_str(body).ok()?;
    crate::time::parse(&time.time).ok()
}
