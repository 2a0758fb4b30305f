//! What Lambda says of a stream's batch that it gave up: its position, not its records
//! (<https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html>).

use saga_core::Timestamp;
use serde::Deserialize;

use super::facts::Facts;
use super::id::Source;
use super::model::{DeadLetter, Envelope, Forward};
use super::sqs::Received;
use crate::time;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Invocation {
    #[serde(rename = "requestContext")]
    request: Request,
    #[serde(rename = "responseContext")]
    response: Response,
    timestamp: Option<String>,
    #[serde(rename = "DDBStreamBatchInfo")]
    batch: Option<Batch>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Request {
    condition: Option<String>,
    #[serde(rename = "approximateInvokeCount")]
    tries: Option<u32>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Response {
    #[serde(rename = "functionError")]
    error: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Batch {
    shard_id: String,
    start_sequence_number: String,
    end_sequence_number: String,
    approximate_arrival_of_first_record: Option<String>,
    batch_size: Option<u64>,
}

/// A message of the stream's failure destination. The rows of the batch are still in the outbox, whose sweep sends
/// them; so there is nothing to replay.
#[must_use]
pub fn stream(message: &Received) -> DeadLetter {
    let read = serde_json::from_str::<Invocation>(&message.body);
    let unreadable = match &read {
        Ok(Invocation { batch: Some(_), .. }) => None,
        Ok(_) => Some("there is no DDBStreamBatchInfo".to_owned()),
        Err(error) => Some(format!("is not the JSON that is expected: {error}")),
    };
    let read = read.unwrap_or_default();
    let parsed = |text: &Option<String>| text.as_deref().and_then(|text| time::parse(text).ok());
    let batch = read.batch.unwrap_or_default();
    let said = [read.request.condition, read.response.error]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>();
    let reason = match unreadable {
        Some(_) => "the outbox' stream gave up a batch".to_owned(),
        None => format!(
            "{}: {} records of {}, sequence numbers {} to {}",
            said.join(", "),
            batch
                .batch_size
                .map_or("some".to_owned(), |size| size.to_string()),
            batch.shard_id,
            batch.start_sequence_number,
            batch.end_sequence_number
        ),
    };
    let envelope = Envelope {
        reason,
        attempts: read.request.tries,
        first: parsed(&batch.approximate_arrival_of_first_record),
        last: parsed(&read.timestamp)
            .or(message.sent)
            .or(Some(Timestamp::from_millis(0))),
        bytes: message.body.len(),
    };
    let facts = Facts {
        text: message.body.clone(),
        unreadable,
        ..Facts::default()
    };
    let forward = Forward::Nothing(
        "it holds no events; its rows are in the outbox, and the sweep sends them".to_owned(),
    );
    envelope.around(Source::Stream, &message.key, facts, forward)
}
