//! The document from which services are written (`shared/wire/contract.openapi.json`) says what the code does: its examples are
//! what is sent and what is understood, and each status has the meaning that the document gives it.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use regex_lite::Regex;
use saga_app::call_service::schedule::LONGEST_DELAY;
use saga_core::{DefinitionRef, SagaId, Timestamp, TraceParent};
use saga_tests::openapi::Document;
use saga_wire::contract::output::MAX_OUTPUT_BYTES;
use saga_wire::contract::reply::{Answer, MAX_BODY_BYTES, Reply, classify};
use saga_wire::contract::signature::Secrets;
use saga_wire::contract::{DOCUMENT, Request, RequestParts, Verb, lambda};
use saga_wire::{json, time};
use serde_json::Value;

const REQUEST: &str = "/requestBody/content/application~1json";

fn document() -> Document {
    Document::parse(DOCUMENT)
}

fn pointer(verb: Verb, below: &str) -> String {
    format!("/paths/~1{}/post{below}", verb.as_str())
}

/// The values of the examples at a place, by their names.
fn examples<'a>(document: &'a Document, at: &str) -> Vec<(&'a str, &'a Value)> {
    let found = document.0.pointer(&format!("{at}/examples"));
    let found = found.and_then(Value::as_object).into_iter().flatten();
    found
        .map(|(name, example)| (name.as_str(), &example["value"]))
        .collect()
}

/// The request that has this body, written anew from what the body says.
fn written(verb: Verb, body: &Value) -> Request {
    let text = |name: &str| body[name].as_str().unwrap();
    let fields = |value: &Value| json::parse_object(&value.to_string()).unwrap();
    let outputs = body["outputs"].as_object().unwrap().iter();
    let outputs: BTreeMap<_, _> = outputs
        .map(|(step, output)| (step.clone(), fields(output)))
        .collect();
    let saga: SagaId = text("saga_id").parse().unwrap();
    let parts = RequestParts {
        verb,
        saga,
        definition: &DefinitionRef {
            name: text("definition").to_owned(),
            version: u32::try_from(body["version"].as_u64().unwrap()).unwrap(),
        },
        step: text("step"),
        input: &fields(&body["input"]),
        outputs: &outputs,
        attempt: u32::try_from(body["attempt"].as_u64().unwrap()).unwrap(),
        deadline: time::parse(text("deadline_at")).unwrap(),
        reason: body["reason"].as_str(),
        trace: &TraceParent::for_saga(saga),
    };
    parts.write()
}

fn reply(verb: Verb, status: u16, body: &str) -> Reply {
    let answer = Answer {
        status,
        retry_after: None,
        body: body.as_bytes().to_vec(),
    };
    classify(verb, &answer, Timestamp::from_millis(0))
}

fn meaning(reply: &Reply) -> &'static str {
    match reply {
        Reply::Accepted(_) | Reply::Refused(_) | Reply::Undone => "decision",
        Reply::Later => "later",
        Reply::Again { .. } => "again",
        Reply::Misbound { .. } => "misbound",
        Reply::BadOutput { .. } => "bad output",
    }
}

#[test]
fn the_requests_of_the_document_are_those_that_are_sent() {
    let document = document();
    for verb in [Verb::Act, Verb::Undo] {
        let at = pointer(verb, REQUEST);
        let examples = examples(&document, &at);
        assert!(!examples.is_empty());
        for (name, body) in examples {
            assert_eq!(document.wrong(&format!("{at}/schema"), body), [""; 0], "{name}");
            let sent = written(verb, body);
            assert_eq!(
                serde_json::from_str::<Value>(&sent.body).unwrap(),
                *body,
                "{name}"
            );
            let key = &body["key"];
            assert_eq!(*key, sent.key.as_str());
            let parameter = if verb == Verb::Act { "ActKey" } else { "UndoKey" };
            for (parameter, value) in [(parameter, &sent.key), ("TraceParent", &sent.traceparent)] {
                let schema = format!("/components/parameters/{parameter}/schema");
                assert_eq!(document.wrong(&schema, &Value::from(value.as_str())), [""; 0]);
            }
        }
    }
}

#[test]
fn the_replies_of_the_document_are_understood() {
    let document = document();
    let expected = [
        (
            Verb::Act,
            "accepted",
            Reply::Accepted(json::parse_object(r#"{"payment":"p-77","fee":"1.20"}"#).unwrap()),
        ),
        (
            Verb::Act,
            "accepted without output",
            Reply::Accepted(BTreeMap::new()),
        ),
        (
            Verb::Act,
            "refused",
            Reply::Refused("the account is closed".to_owned()),
        ),
        (Verb::Undo, "undone", Reply::Undone),
    ];
    let mut understood = 0;
    for verb in [Verb::Act, Verb::Undo] {
        let at = pointer(verb, "/responses/200/content/application~1json");
        for (name, body) in examples(&document, &at) {
            assert_eq!(document.wrong(&format!("{at}/schema"), body), [""; 0], "{name}");
            let is = reply(verb, 200, &body.to_string());
            assert!(expected.contains(&(verb, name, is)), "{name}");
            understood += 1;
        }
    }
    assert_eq!(understood, expected.len());
    for (_, body) in examples(&document, "/components/responses/Later/content/application~1json") {
        assert_eq!(reply(Verb::Act, 202, &body.to_string()), Reply::Later);
    }
}

#[test]
fn each_status_means_what_the_document_says() {
    let document = document();
    let decisions = [
        (Verb::Act, r#"{"decision":"refused","reason":"no"}"#),
        (Verb::Undo, r#"{"decision":"undone"}"#),
    ];
    for (verb, body) in decisions {
        let responses = document.0.pointer(&pointer(verb, "/responses")).unwrap();
        for status in 200..600 {
            let range = format!("{}XX", status / 100);
            let response = responses
                .get(status.to_string())
                .or(responses.get(range))
                .unwrap();
            let response = match response["$ref"].as_str() {
                Some(name) => document.0.pointer(name.trim_start_matches('#')).unwrap(),
                None => response,
            };
            assert_eq!(
                meaning(&reply(verb, status, body)),
                response["x-meaning"],
                "{status}"
            );
        }
    }
}

#[test]
fn a_signature_looks_as_the_document_says() {
    let schema = "/components/parameters/WebhookSignature/schema";
    let (one, other) = (
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    );
    for secrets in [one.to_owned(), format!("{one} {other}")] {
        let signature = Secrets::parse(&secrets).unwrap().sign("id", 1, "{}");
        assert_eq!(document().wrong(schema, &Value::from(signature)), [""; 0]);
    }
}

#[test]
fn a_lambda_function_is_asked_and_answers_as_the_document_says() {
    let document = document();
    let examples = |at: &str| {
        let found = document.0.pointer(&format!("{at}/examples"));
        found.and_then(Value::as_array).unwrap().clone()
    };
    let at = "/components/schemas/LambdaPayload";
    for payload in examples(at) {
        let sent = Request {
            traceparent: payload["headers"]["traceparent"].as_str().unwrap().to_owned(),
            ..written(Verb::Act, &payload["body"])
        };
        assert_eq!(
            serde_json::from_str::<Value>(&lambda::write(&sent)).unwrap(),
            payload
        );
        assert_eq!(document.wrong(at, &payload), [""; 0]);
        assert_eq!(
            document.wrong("/components/schemas/Act", &payload["body"]),
            [""; 0]
        );
    }
    let at = "/components/schemas/LambdaResult";
    let results = examples(at);
    let meanings = results.iter().map(|result| {
        assert_eq!(document.wrong(at, result), [""; 0]);
        let answer = lambda::read(result.to_string().as_bytes()).unwrap();
        meaning(&classify(Verb::Act, &answer, Timestamp::from_millis(0)))
    });
    assert_eq!(
        meanings.collect::<Vec<_>>(),
        ["decision", "decision", "later", "again"]
    );
}

/// Bounds stand in the text as numbers.
#[test]
fn the_bounds_of_the_document_are_those_of_the_code() {
    let said = Regex::new("at most ([0-9,]+) bytes as JSON").unwrap();
    let lower = DOCUMENT.replace("At most", "at most");
    let output = said.captures(&lower).unwrap()[1].replace(',', "");
    assert_eq!(output, MAX_OUTPUT_BYTES.to_string());
    assert!(DOCUMENT.contains(&format!("A body has at most {} KiB", MAX_BODY_BYTES / 1024)));
    let seconds = LONGEST_DELAY.as_secs();
    let minutes = seconds / 60;
    assert!(DOCUMENT.contains(&format!("at most {minutes} minutes count")));
    assert!(DOCUMENT.contains(&format!(
        "More than {minutes} minutes count as {minutes} minutes."
    )));
    assert!(DOCUMENT.contains(&format!("At most {seconds} count.")));
}

proptest! {
    /// Nothing but a 200 decides, whatever is in the body.
    #[test]
    fn no_other_answer_is_ever_a_decision(
        status in (0_u16..=999).prop_filter("a 200 may decide", |status| *status != 200),
        retry_after in proptest::option::of(".{0,40}"),
        body in prop_oneof![
            Just(br#"{"decision":"accepted","output":{}}"#.to_vec()),
            Just(br#"{"decision":"undone"}"#.to_vec()),
            proptest::collection::vec(any::<u8>(), 0..200),
        ],
        now in any::<i64>(),
    ) {
        let answer = Answer { status, retry_after, body };
        for verb in [Verb::Act, Verb::Undo] {
            let reply = classify(verb, &answer, Timestamp::from_millis(now));
            prop_assert!(!matches!(meaning(&reply), "decision" | "bad output"), "{:?}", reply);
        }
    }

    /// What is taken of an output is within the bounds, and is written as it was read.
    #[test]
    fn an_output_that_is_taken_is_within_the_bounds(output in saga_tests::arbitrary::fields()) {
        let text = json::write_object(&output);
        let body = format!(r#"{{"decision":"accepted","output":{text}}}"#);
        match reply(Verb::Act, 200, &body) {
            Reply::Accepted(fields) => {
                let written = json::write_object(&fields);
                prop_assert!(written.len() <= MAX_OUTPUT_BYTES);
                prop_assert!(!fields.keys().any(|name| name.starts_with("saga_")));
                prop_assert_eq!(json::parse_object(&written), Ok(fields));
            }
            other => prop_assert_eq!(meaning(&other), "bad output"),
        }
    }
}
