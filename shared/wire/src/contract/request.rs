//! A request to a service: its body and the headers that say which request it is.
//!
//! Invariant: key and body depend on nothing but the arguments, so a repeated attempt differs in `attempt` and in nothing else.

use std::collections::BTreeMap;

pub use saga_core::call::CallVerb as Verb;
use saga_core::document::Fields;
use saga_core::text::shown;
use saga_core::{DefinitionRef, SagaId, Timestamp, TraceParent};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{json, time};

/// What a request says.
#[derive(Debug, Clone)]
pub struct RequestParts<'a> {
    /// What is asked.
    pub verb: Verb,
    /// The saga.
    pub saga: SagaId,
    /// Its definition.
    pub definition: &'a DefinitionRef,
    /// The step's name.
    pub step: &'a str,
    /// What the saga was started with.
    pub input: &'a Fields,
    /// What earlier steps gave, by their names.
    pub outputs: &'a BTreeMap<String, Fields>,
    /// How often it has been asked, this time included.
    pub attempt: u32,
    /// When the saga is to be cancelled if it has not ended.
    pub deadline: Timestamp,
    /// Why it is to be undone; an `act` has none.
    pub reason: Option<&'a str>,
    /// The saga's trace context.
    pub trace: &'a TraceParent,
}

/// A request, as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is asked.
    pub verb: Verb,
    /// The value of `idempotency-key`, and of `webhook-id`.
    pub key: String,
    /// The value of `traceparent`.
    pub traceparent: String,
    /// The JSON body.
    pub body: String,
}

#[derive(Serialize)]
struct Body<'a> {
    saga_id: String,
    definition: &'a str,
    version: u32,
    step: &'a str,
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    act_key: Option<String>,
    input: Box<RawValue>,
    outputs: BTreeMap<&'a str, Box<RawValue>>,
    attempt: u32,
    deadline_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// The idempotency key of a request: `<saga id>.<step name>.<verb>`. Neither an id nor a name holds a dot.
#[must_use]
pub fn key(saga: SagaId, step: &str, verb: Verb) -> String {
    format!("{saga}.{step}.{}", verb.as_str())
}

impl RequestParts<'_> {
    /// The request that says this.
    #[must_use]
    pub fn write(&self) -> Request {
        let key = key(self.saga, self.step, self.verb);
        let undo = self.verb == Verb::Undo;
        let outputs = self.outputs.iter();
        let body = Body {
            saga_id: self.saga.to_string(),
            definition: &self.definition.name,
            version: self.definition.version,
            step: self.step,
            key: &key,
            act_key: undo.then(|| self::key(self.saga, self.step, Verb::Act)),
            input: json::raw_object(self.input),
            outputs: outputs
                .map(|(step, output)| (step.as_str(), json::raw_object(output)))
                .collect(),
            attempt: self.attempt,
            deadline_at: time::format(self.deadline),
            reason: self.reason.filter(|_| undo).map(shown),
        };
        Request {
            verb: self.verb,
            body: json::to_string(&body),
            key,
            traceparent: self.trace.as_str().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use saga_core::document::Document;

    use super::*;

    const SAGA: &str = "00000000-0000-8000-8000-000000000001";

    fn written(verb: Verb, reason: Option<&str>) -> Request {
        let saga: SagaId = SAGA.parse().unwrap();
        let parts = RequestParts {
            verb,
            saga,
            definition: &DefinitionRef {
                name: "transfer".to_owned(),
                version: 2,
            },
            step: "payout",
            input: &json::parse_object(r#"{"amount":"129.90","note":"ü\u202e"}"#).unwrap(),
            outputs: &BTreeMap::from([(
                "debit".to_owned(),
                Fields::from([("booking".to_owned(), Document::from("b-1"))]),
            )]),
            attempt: 3,
            deadline: Timestamp::from_millis(1_790_000_000_000),
            reason,
            trace: &TraceParent::for_saga(saga),
        };
        parts.write()
    }

    #[test]
    fn an_act_says_all_that_a_service_needs() {
        let request = written(Verb::Act, Some("is not said"));
        assert_eq!(request.key, format!("{SAGA}.payout.act"));
        assert!(request.traceparent.starts_with("00-"), "{}", request.traceparent);
        let body = "{\"saga_id\":\"00000000-0000-8000-8000-000000000001\",\"definition\":\"transfer\",\"version\":2,\
             \"step\":\"payout\",\"key\":\"00000000-0000-8000-8000-000000000001.payout.act\",\
             \"input\":{\"amount\":\"129.90\",\"note\":\"ü\u{202e}\"},\"outputs\":{\"debit\":{\"booking\":\"b-1\"}},\
             \"attempt\":3,\"deadline_at\":\"2026-09-21T14:13:20.000Z\"}";
        assert_eq!(request.body, body);
    }

    #[test]
    fn an_undo_says_what_it_undoes_and_why() {
        let request = written(Verb::Undo, Some("too\u{202e} dear"));
        assert_eq!(request.key, format!("{SAGA}.payout.undo"));
        let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
        assert_eq!(body["key"], request.key.as_str());
        assert_eq!(body["act_key"], format!("{SAGA}.payout.act"));
        assert_eq!(body["reason"], "too\\u{202e} dear");
        assert_eq!(body["input"]["amount"], "129.90");
        let without: serde_json::Value = serde_json::from_str(&written(Verb::Undo, None).body).unwrap();
        assert_eq!(without.get("reason"), None);
    }
}
