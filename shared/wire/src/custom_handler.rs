//! The Functions host's invocation of a custom handler
//! (<https://learn.microsoft.com/azure/azure-functions/functions-custom-handlers>).
//!
//! For a queue trigger the host encodes the message once more than one expects, and what was put on the queue
//! may be base64 or plain. All forms are read.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Malformed, json};

#[derive(Deserialize)]
struct Invocation<'a> {
    #[serde(rename = "Data", borrow)]
    data: BTreeMap<String, &'a RawValue>,
    #[serde(rename = "Metadata", borrow, default)]
    metadata: BTreeMap<String, &'a RawValue>,
}

/// What the host expects back; an empty body would fail the invocation.
#[derive(Debug, Serialize)]
pub struct Answer {
    #[serde(rename = "Outputs")]
    outputs: BTreeMap<String, String>,
    #[serde(rename = "Logs")]
    logs: Vec<String>,
    #[serde(rename = "ReturnValue")]
    return_value: Option<String>,
}

impl Answer {
    /// Nothing to give back, and these lines for the host's log.
    #[must_use]
    pub fn with_logs(logs: Vec<String>) -> Self {
        Self {
            outputs: BTreeMap::new(),
            logs,
            return_value: None,
        }
    }
}

/// The message that an invocation brings under `binding`, as text: JSON, if it is any.
///
/// # Errors
/// [`Malformed`] when the request is not an invocation, or has no such binding.
pub fn message(body: &str, binding: &str) -> Result<String, Malformed> {
    let invocation: Invocation<'_> = json::from_str(body)?;
    let raw = invocation.data.get(binding);
    let raw = raw.ok_or_else(|| Malformed(format!("the invocation has no binding `{binding}`")))?;
    Ok(unwrap(raw.get()))
}

/// How often the host has shown the message, this time included; 0 when the invocation does not say.
#[must_use]
pub fn dequeue_count(body: &str) -> u32 {
    let invocation: Result<Invocation<'_>, _> = json::from_str(body);
    let count = invocation.ok().and_then(|invocation| {
        let raw = invocation.metadata.get("DequeueCount")?;
        // A number, or a string that holds one, or that again.
        raw.get().trim_matches(['"', '\\', ' ']).parse().ok()
    });
    count.unwrap_or(0)
}

/// Takes off what carriers put around a JSON object: JSON strings and base64, at most four layers.
fn unwrap(text: &str) -> String {
    let mut text = text.trim().to_owned();
    for _ in 0..4 {
        let inner = if text.starts_with('"') {
            serde_json::from_str::<String>(&text).ok()
        } else if text.starts_with('{') || text.starts_with('[') {
            None
        } else {
            STANDARD
                .decode(text.trim())
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok())
        };
        match inner {
            Some(inner) => text = inner,
            None => break,
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_wrapping_is_taken_off() {
        let event = r#"{"id":"1","data":{"a":"ü"}}"#;
        let once = serde_json::to_string(event).unwrap();
        let twice = serde_json::to_string(&once).unwrap();
        let base64 = serde_json::to_string(&STANDARD.encode(event)).unwrap();
        for form in [event, &once, &twice, &base64] {
            let body = format!(r#"{{"Data":{{"event":{form}}},"Metadata":{{"DequeueCount":"\"1\""}}}}"#);
            assert_eq!(message(&body, "event").unwrap(), event, "{form}");
            assert_eq!(dequeue_count(&body), 1);
        }
    }

    #[test]
    fn what_is_no_event_is_kept_whole_for_the_quarantine() {
        let body = r#"{"Data":{"event":"\"not JSON\""},"Metadata":{}}"#;
        assert_eq!(message(body, "event").unwrap(), "not JSON");
        assert!(message(body, "other").is_err());
        assert!(message("[]", "event").is_err());
        assert_eq!(dequeue_count("[]"), 0);
        assert_eq!(dequeue_count(r#"{"Data":{},"Metadata":{"DequeueCount":"5"}}"#), 5);
        assert_eq!(dequeue_count(r#"{"Data":{},"Metadata":{"DequeueCount":5}}"#), 5);
    }
}
