//! One call of the custom handler: the body it is sent and the answer it owes.
//!
//! The bodies are what the host's serializer makes of the binding data, which is why strings arrive encoded
//! twice: a JSON string whose content is the JSON of the value.

use std::{
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{storage::QueueMessage, system};

/// How long an invocation may take. The real host's default is far longer and it renews its hold on the message
/// meanwhile; here the hold is a little longer than this instead (see `queue_trigger`).
pub(crate) const TIMEOUT: Duration = Duration::from_secs(90);

#[derive(Debug, Default)]
pub(crate) struct FunctionCounts {
    pub(super) invocations: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) poisoned: AtomicU64,
}

#[derive(Clone)]
pub(crate) struct Invoker {
    http: reqwest::Client,
    url: String,
    pub(crate) function: String,
    pub(crate) counts: Arc<FunctionCounts>,
}

impl Invoker {
    pub(crate) fn new(
        http: reqwest::Client,
        port: u16,
        function: String,
        counts: Arc<FunctionCounts>,
    ) -> Self {
        Self {
            http,
            url: format!("http://127.0.0.1:{port}/{function}"),
            function,
            counts,
        }
    }

    /// Invokes once; success is a 2xx answer with a JSON object.
    pub(crate) async fn invoke(&self, body: &Value) -> Result<(), String> {
        self.counts.invocations.fetch_add(1, Relaxed);
        let invocation_id = system::guid();
        let result = self.call(body, &invocation_id).await;
        let function = &self.function;
        match &result {
            Ok(logs) => {
                for line in logs {
                    tracing::info!(function, invocation_id, line, "logged by the function");
                }
                tracing::info!(function, invocation_id, outcome = "succeeded", "invocation");
            }
            Err(why) => {
                self.counts.failures.fetch_add(1, Relaxed);
                tracing::warn!(function, invocation_id, outcome = "failed", why, "invocation");
            }
        }
        result.map(drop)
    }

    async fn call(&self, body: &Value, invocation_id: &str) -> Result<Vec<String>, String> {
        let request = self
            .http
            .post(&self.url)
            .timeout(TIMEOUT)
            .header("content-type", "application/json; charset=utf-8")
            .header("x-azure-functions-invocationid", invocation_id)
            .body(body.to_string());
        let silent = |error: reqwest::Error| format!("no answer: {}", error.without_url());
        let answer = request.send().await.map_err(silent)?;
        let status = answer.status();
        if !status.is_success() {
            return Err(format!("the handler answered {status}"));
        }
        judge_body(&answer.bytes().await.map_err(silent)?)
    }

    pub(crate) fn poisoned(&self) {
        self.counts.poisoned.fetch_add(1, Relaxed);
    }
}

/// The log lines of a good answer.
fn judge_body(body: &[u8]) -> Result<Vec<String>, String> {
    let Ok(Value::Object(answer)) = serde_json::from_slice(body) else {
        return Err("the answer's body must be a JSON object with Outputs, Logs and ReturnValue".to_owned());
    };
    match answer.get("Logs") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(lines)) => Ok(lines
            .iter()
            .map(|line| line.as_str().map_or_else(|| line.to_string(), str::to_owned))
            .collect()),
        Some(_) => Err("the answer's Logs must be an array".to_owned()),
    }
}

/// The body for a queue trigger; `text` is the message decoded.
pub(crate) fn queue_body(function: &str, binding: &str, message: &QueueMessage, text: &str) -> Value {
    json!({
        "Data": {binding: twice(text)},
        "Metadata": {
            "DequeueCount": message.dequeue_count.to_string(),
            "Id": twice(&message.id),
            "InsertionTime": twice(&date(&message.insertion_time)),
            "ExpirationTime": twice(&date(&message.expiration_time)),
            "NextVisibleTime": twice(&date(&message.next_visible_time)),
            "PopReceipt": twice(&message.pop_receipt),
            "sys": system_metadata(function),
        },
    })
}

pub(crate) fn timer_body(function: &str, binding: &str, past_due: bool) -> Value {
    json!({
        "Data": {
            binding: {"Schedule": {"AdjustForDST": true}, "ScheduleStatus": null, "IsPastDue": past_due},
        },
        "Metadata": {"sys": system_metadata(function)},
    })
}

fn system_metadata(function: &str) -> Value {
    json!({"MethodName": function, "UtcNow": system::now(), "RandGuid": system::guid()})
}

fn twice(text: &str) -> String {
    Value::from(text).to_string()
}

/// A date of the queue service as .NET serializes it; anything else as it is.
fn date(rfc1123: &str) -> String {
    jiff::fmt::rfc2822::parse(rfc1123).map_or_else(
        |_| rfc1123.to_owned(),
        |at| Timestamp::strftime(&at.timestamp(), "%Y-%m-%dT%H:%M:%S+00:00").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_message_is_encoded_twice() {
        let message = QueueMessage {
            id: "m1".to_owned(),
            insertion_time: "Fri, 20 Nov 2026 10:00:00 GMT".to_owned(),
            expiration_time: "Fri, 27 Nov 2026 10:00:00 GMT".to_owned(),
            pop_receipt: "AgAA=".to_owned(),
            next_visible_time: "Fri, 20 Nov 2026 10:00:30 GMT".to_owned(),
            dequeue_count: 2,
            text: String::new(),
        };
        let mut body = queue_body("SagaEvents", "event", &message, r#"{"id":"e1"}"#);
        assert_eq!(body["Data"]["event"], r#""{\"id\":\"e1\"}""#);
        let sys = body["Metadata"].as_object_mut().unwrap().remove("sys").unwrap();
        assert_eq!(sys["MethodName"], "SagaEvents");
        assert!(sys["UtcNow"].as_str().unwrap().ends_with('Z'));
        assert_eq!(sys["RandGuid"].as_str().unwrap().len(), 36);
        assert_eq!(
            body["Metadata"],
            json!({
                "DequeueCount": "2", "Id": "\"m1\"", "PopReceipt": "\"AgAA=\"",
                "InsertionTime": "\"2026-11-20T10:00:00+00:00\"",
                "ExpirationTime": "\"2026-11-27T10:00:00+00:00\"",
                "NextVisibleTime": "\"2026-11-20T10:00:30+00:00\"",
            })
        );
    }

    #[test]
    fn a_timer_has_its_documented_body() {
        let mut body = timer_body("Sweep", "timer", false);
        assert!(body["Metadata"]["sys"].is_object());
        let data = body["Data"].take();
        let expected = json!({"timer": {
            "Schedule": {"AdjustForDST": true}, "ScheduleStatus": null, "IsPastDue": false,
        }});
        assert_eq!(data, expected);
    }

    #[test]
    fn only_a_json_object_is_an_answer() {
        let logs = judge_body(br#"{"Outputs":{},"Logs":["a"],"ReturnValue":null}"#);
        assert_eq!(logs, Ok(vec!["a".to_owned()]));
        for body in ["", "ok", "[]", r#"{"Logs":"a"}"#] {
            assert!(judge_body(body.as_bytes()).is_err(), "{body}");
        }
    }
}
