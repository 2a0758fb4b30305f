//! EventBridge: the envelope in which a rule delivers an event to SQS
//! (<https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html>).

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::{Malformed, json};

/// EventBridge drops events with a longer `detail-type` without a word.
pub const MAX_DETAIL_TYPE: usize = 128;

/// The largest event that goes onto the bus: less than one request of 256 KB takes.
pub const MAX_DETAIL_BYTES: usize = 240 * 1024;

/// The CloudEvent inside an SQS body: the envelope's `detail`, or the body itself when there is no envelope
/// (a redriven or replayed message may be the bare event).
///
/// # Errors
/// [`Malformed`] when the body is no JSON object.
pub fn event_in(body: &str) -> Result<&str, Malformed> {
    let envelope: BTreeMap<String, &RawValue> = json::from_str(body)?;
    Ok(envelope.get("detail").map_or(body, |detail| detail.get()))
}
