//! The same contract with a Lambda function that is invoked directly: verb, headers and body are members of the payload, and so
//! are status and body of what the function returns.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::reply::Answer;
use super::request::Request;
use crate::json;

#[derive(Serialize)]
struct Payload<'a> {
    verb: &'static str,
    headers: Headers<'a>,
    body: &'a RawValue,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Headers<'a> {
    idempotency_key: &'a str,
    traceparent: &'a str,
}

#[derive(Deserialize)]
struct Returned<'a> {
    status: u16,
    #[serde(default)]
    retry_after: Option<u64>,
    #[serde(borrow, default)]
    body: Option<&'a RawValue>,
}

/// The payload of an invocation.
#[must_use]
pub fn write(request: &Request) -> String {
    let body = json::raw(request.body.clone());
    json::to_string(&Payload {
        verb: request.verb.as_str(),
        headers: Headers {
            idempotency_key: &request.key,
            traceparent: &request.traceparent,
        },
        body: &body,
    })
}

/// The answer that a function returned.
///
/// # Errors
/// What it returned is none: whether anything was done is not known.
pub fn read(payload: &[u8]) -> Result<Answer, String> {
    let unreadable = |why: &str| format!("what the function returned {why}");
    let text = std::str::from_utf8(payload).map_err(|_| unreadable("is not UTF-8"))?;
    let returned: Returned<'_> = json::from_str(text).map_err(|error| unreadable(&error.0))?;
    Ok(Answer {
        status: returned.status,
        retry_after: returned.retry_after.map(|seconds| seconds.to_string()),
        body: returned
            .body
            .map_or_else(Vec::new, |raw| raw.get().as_bytes().to_vec()),
    })
}

#[cfg(test)]
mod tests {
    use super::super::request::Verb;
    use super::*;

    #[test]
    fn a_payload_holds_verb_headers_and_body() {
        let request = Request {
            verb: Verb::Undo,
            key: "id.step.undo".to_owned(),
            traceparent: "00-1-2-01".to_owned(),
            body: r#"{"amount":12345678901234567890.10}"#.to_owned(),
        };
        assert_eq!(
            write(&request),
            r#"{"verb":"undo","headers":{"idempotency-key":"id.step.undo","traceparent":"00-1-2-01"},"body":{"amount":12345678901234567890.10}}"#
        );
    }

    #[test]
    fn what_a_function_returns_is_an_answer_or_no_answer() {
        let answer = |status, retry_after: Option<&str>, body: &str| {
            Ok(Answer {
                status,
                retry_after: retry_after.map(str::to_owned),
                body: body.as_bytes().to_vec(),
            })
        };
        for (payload, is) in [
            (
                r#"{"status":200,"body":{"decision":"accepted","output":{"n":0.10}}}"#,
                answer(200, None, r#"{"decision":"accepted","output":{"n":0.10}}"#),
            ),
            (r#"{"status":202}"#, answer(202, None, "")),
            (
                r#"{"status":503,"retry_after":7,"more":1}"#,
                answer(503, Some("7"), ""),
            ),
            (r#"{"status":200,"body":"{}"}"#, answer(200, None, "\"{}\"")),
        ] {
            assert_eq!(read(payload.as_bytes()), is, "{payload}");
        }
        for payload in [
            "",
            "null",
            "{}",
            r#"{"decision":"accepted","output":{}}"#,
            r#"{"status":"200"}"#,
            r#"{"status":200,"status":200}"#,
            r#"{"statusCode":200,"body":"{}"}"#,
            r#"{"status":503,"retry_after":-1}"#,
            "{\"status\":200,\"body\":{}",
        ] {
            assert!(read(payload.as_bytes()).is_err(), "{payload}");
        }
        assert!(read(b"{\"status\":200,\"body\":\"\xff\"}").is_err());
    }
}
