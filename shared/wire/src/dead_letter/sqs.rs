//! Messages of the dead-letter queues on AWS. Most hold the event in EventBridge's envelope; what a rule could not deliver
//! has its attributes besides (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html>). The stream's
//! holds what Lambda says of a stream's batch that it gave up: its position, not its records
//! (<https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html>).

use std::collections::BTreeMap;

use saga_core::Timestamp;
use saga_core::text::shown;
use serde_json::Value;

use super::facts::{Facts, facts};
use super::id::{DeadLetterId, Source};
use super::model::{DeadLetter, Destination, Forward};
use crate::{event_bridge, time};

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
}

impl Received {
    pub(super) fn id(&self, source: Source) -> DeadLetterId {
        let key = self.key.clone();
        DeadLetterId { source, key }
    }
}

/// A message of the API destination's dead-letter queue. It goes back onto the bus, whose rule tries again.
#[must_use]
pub fn destination(message: &Received) -> DeadLetter {
    let text = event_bridge::event_in(&message.body).unwrap_or(&message.body);
    let forward = Forward::Send {
        to: Destination::Bus,
        message: text.to_owned(),
    };
    of(
        Source::Destination,
        message,
        "the bus could not deliver it",
        forward,
    )
}

/// A message of the events queue's dead-letter queue. It goes back to the events queue as it is.
#[must_use]
pub fn events(message: &Received) -> DeadLetter {
    let forward = Forward::Send {
        to: Destination::EventsQueue,
        message: message.body.clone(),
    };
    // SQS does not say why a message was not deleted.
    let unknown = "saga-events failed on it, or could not be invoked, at every try; the function's log and metrics have the reason";
    of(Source::Events, message, unknown, forward)
}

/// A message of the dead-letter queue of a service's caller, whose key begins with the service. It goes back to the queue of
/// that service as it is.
#[must_use]
pub fn service_request(message: &Received) -> DeadLetter {
    let forward = Forward::Send {
        to: Destination::ServiceQueue,
        message: message.body.clone(),
    };
    let unknown = "the service's caller failed on it, or could not be invoked, at every try; the function's log and metrics have the reason";
    of(Source::Services, message, unknown, forward)
}

fn of(source: Source, message: &Received, unknown: &str, forward: Forward) -> DeadLetter {
    let text = event_bridge::event_in(&message.body).unwrap_or(&message.body);
    let retries = message.attributes.get("RETRY_ATTEMPTS");
    let retries = retries.and_then(|text| text.parse::<u32>().ok());
    let envelope: Value = serde_json::from_str(&message.body).unwrap_or_default();
    DeadLetter {
        id: message.id(source),
        facts: facts(text),
        reason: shown(&undelivered(message).unwrap_or_else(|| unknown.to_owned())),
        // The first try is no retry.
        attempts: retries.map(|retries| retries.saturating_add(1)),
        first: envelope["time"].as_str().and_then(|at| time::parse(at).ok()),
        last: message.sent,
        bytes: message.body.len(),
        forward,
    }
}

/// Why a rule could not deliver it, in EventBridge's own words.
fn undelivered(message: &Received) -> Option<String> {
    let said = |name: &str| message.attributes.get(name).filter(|text| !text.is_empty());
    let what: Vec<&str> = ["ERROR_CODE", "ERROR_MESSAGE"]
        .into_iter()
        .filter_map(|name| said(name).map(String::as_str))
        .collect();
    let reason = match (what.join(": "), said("EXHAUSTED_RETRY_CONDITION")) {
        (what, None) if what.is_empty() => return None,
        (what, None) => what,
        (what, Some(condition)) if what.is_empty() => condition.clone(),
        (what, Some(condition)) => format!("{what} ({condition})"),
    };
    let target = said("TARGET_ARN").map(|arn| format!(", target {arn}"));
    Some(reason + &target.unwrap_or_default())
}

/// A message of the stream's failure destination. The rows of the batch are still in the outbox, whose sweep sends
/// them; so there is nothing to replay.
#[must_use]
pub fn stream(message: &Received) -> DeadLetter {
    let read = serde_json::from_str::<Value>(&message.body);
    let unreadable = match &read {
        Ok(said) if said["DDBStreamBatchInfo"].is_object() => None,
        Ok(_) => Some("there is no DDBStreamBatchInfo".to_owned()),
        Err(error) => Some(format!("is not the JSON that is expected: {error}")),
    };
    let said = read.unwrap_or_default();
    let (request, batch) = (&said["requestContext"], &said["DDBStreamBatchInfo"]);
    let parsed = |at: &Value| time::parse(at.as_str()?).ok();
    let reason = match unreadable {
        Some(_) => "the outbox' stream gave up a batch".to_owned(),
        None => {
            let why = [&request["condition"], &said["responseContext"]["functionError"]];
            let why: Vec<&str> = why.into_iter().filter_map(Value::as_str).collect();
            let text = |name: &str| batch[name].as_str().unwrap_or_default();
            let size = batch["batchSize"].as_u64();
            format!(
                "{}: {} records of {}, sequence numbers {} to {}",
                why.join(", "),
                size.map_or("some".to_owned(), |size| size.to_string()),
                text("shardId"),
                text("startSequenceNumber"),
                text("endSequenceNumber")
            )
        }
    };
    let invocations = request["approximateInvokeCount"].as_u64();
    DeadLetter {
        id: message.id(Source::Stream),
        facts: Facts {
            text: message.body.clone(),
            unreadable,
            ..Facts::default()
        },
        reason: shown(&reason),
        attempts: invocations.and_then(|count| u32::try_from(count).ok()),
        first: parsed(&batch["approximateArrivalOfFirstRecord"]),
        last: parsed(&said["timestamp"])
            .or(message.sent)
            .or(Some(Timestamp::from_millis(0))),
        bytes: message.body.len(),
        forward: Forward::Nothing(
            "it holds no events; its rows are in the outbox, and the sweep sends them".to_owned(),
        ),
    }
}
