//! The Functions host's invocation of a custom handler
//! (<https://learn.microsoft.com/azure/azure-functions/functions-custom-handlers>).
//!
//! For a queue trigger the host encodes the message once more than one expects, and what was put on the queue
//! may be base64 or plain. All forms are read; the message itself is kept apart from what is read in it, so that what
//! nobody understands can be kept as it was.

use std::borrow::Cow;
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

/// The message that an invocation brings under `binding`, as it was put on the queue: the text that the host encoded as a
/// JSON string, or as a JSON string in another; or JSON that the host put there as it is.
///
/// # Errors
/// [`Malformed`] when the request is not an invocation, or has no such binding.
pub fn message(body: &str, binding: &str) -> Result<String, Malformed> {
    let invocation: Invocation<'_> = json::from_str(body)?;
    let raw = invocation.data.get(binding);
    let raw = raw.ok_or_else(|| Malformed(format!("the invocation has no binding `{binding}`")))?;
    let once = string(raw.get()).unwrap_or_else(|| raw.get().to_owned());
    Ok(string(&once).unwrap_or(once))
}

fn string(json: &str) -> Option<String> {
    serde_json::from_str(json).ok()
}

/// The event in a message: what others put around a JSON object is taken off, JSON strings and base64, at most four
/// layers.
#[must_use]
pub fn event_in(message: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(message.trim());
    for _ in 0..4 {
        let inner = if text.starts_with(['{', '[']) {
            None
        } else if text.starts_with('"') {
            string(&text)
        } else {
            let bytes = STANDARD.decode(text.trim()).ok();
            bytes.and_then(|bytes| String::from_utf8(bytes).ok())
        };
        match inner {
            Some(inner) => text = Cow::Owned(inner),
            None => break,
        }
    }
    text
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
            let message = message(&body, "event").unwrap();
            assert_eq!(event_in(&message), event, "{form}");
            assert_eq!(dequeue_count(&body), 1);
        }
    }

    #[test]
    fn a_message_is_what_was_put_on_the_queue() {
        for text in ["Zm9v", "no event", " {\"id\": 1}\n", "\u{feff}", "[1]", "abcd"] {
            let twice = serde_json::to_string(&serde_json::to_string(text).unwrap()).unwrap();
            let body = format!(r#"{{"Data":{{"event":{twice}}}}}"#);
            assert_eq!(message(&body, "event").unwrap(), text);
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
