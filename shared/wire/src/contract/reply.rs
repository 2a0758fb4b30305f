//! What an answer of a service means.
//!
//! Invariant: a step is accepted, refused or undone only by a 200 that says so in full. Everything else is asked again with the
//! same key: at once where the outcome is unknown, slowly where the service is bound wrongly or gave an output that cannot be kept.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use saga_core::Timestamp;
use saga_core::document::{Document, Fields};
use saga_core::text::{shown, shown_within};
use serde_json::value::RawValue;

use super::output::kept;
use super::request::Verb;
use crate::json;

/// The longest body that is read.
pub const MAX_BODY_BYTES: usize = 64 * 1024;
/// The longest pause that a service may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);
/// How much of an error's own words is kept, in characters.
const MAX_DETAIL: usize = 120;
/// The reason of a refusal that gives none.
pub const NO_REASON: &str = "the service refused and gave no reason";

/// An answer as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The header `retry-after`.
    pub retry_after: Option<String>,
    /// The body, or as much of it as shows that it is longer than [`MAX_BODY_BYTES`].
    pub body: Vec<u8>,
}

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The work is done; this is the step's output, in the form in which it travels.
    Accepted(Fields),
    /// Nothing was done, for this reason.
    Refused(String),
    /// What was done is taken back.
    Undone,
    /// It is under way; the decision comes later.
    Later,
    /// It is not known whether anything was done: ask again with the same key.
    Again {
        /// The pause that the service asks for, at most an hour.
        after: Option<Duration>,
        /// What came instead of a decision.
        why: String,
    },
    /// The service is bound wrongly, or is not what it should be. A person has to mend it; this is no refusal.
    Misbound {
        /// What it answered.
        why: String,
    },
    /// It accepted, with an output that cannot be kept. Nothing of it is taken.
    BadOutput {
        /// The rule that the output breaks.
        why: String,
    },
}

/// What the answer to a request means. `now` turns a date in `retry-after` into a pause.
#[must_use]
pub fn classify(verb: Verb, answer: &Answer, now: Timestamp) -> Reply {
    let after = || {
        answer
            .retry_after
            .as_deref()
            .and_then(|value| retry_after(value, now))
    };
    let again = |why: String| Reply::Again { after: after(), why };
    match answer.status {
        200 => {
            decision(verb, &answer.body).unwrap_or_else(|why| again(format!("it answered 200, but {why}")))
        }
        202 => Reply::Later,
        408 | 409 | 425 | 429 => again(answered(answer)),
        300..500 => Reply::Misbound {
            why: answered(answer),
        },
        _ => again(answered(answer)),
    }
}

/// The pause that a `retry-after` asks for, in seconds or as a date
/// (<https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3>), at most an hour. What is neither asks for nothing.
#[must_use]
pub fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number holds are more than an hour.
        let seconds = value.parse().map_or(MAX_RETRY_AFTER, Duration::from_secs);
        return Some(seconds.min(MAX_RETRY_AFTER));
    }
    let until: SystemTime = httpdate::parse_http_date(value).ok()?;
    let until = until.duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = Duration::from_millis(u64::try_from(now.millis()).unwrap_or(0));
    Some(until.saturating_sub(now).min(MAX_RETRY_AFTER))
}

/// The decision in the body of a 200, or what the body is instead.
fn decision(verb: Verb, body: &[u8]) -> Result<Reply, String> {
    if body.len() > MAX_BODY_BYTES {
        return Err(format!("its body is over {MAX_BODY_BYTES} bytes"));
    }
    let text = std::str::from_utf8(body).map_err(|_| "its body is not UTF-8".to_owned())?;
    let members = json::members(text).map_err(|error| format!("its body {error}"))?;
    let word = members.get("decision").map(|raw| json::parse(raw.get()));
    let Some(Ok(Document::Text(word))) = word else {
        return Err("its body has no `decision`".to_owned());
    };
    match (verb, word.as_str()) {
        (Verb::Act, "accepted") => Ok(match members.get("output") {
            None => Reply::Accepted(Fields::new()),
            Some(raw) => output(raw).map_or_else(|why| Reply::BadOutput { why }, Reply::Accepted),
        }),
        (Verb::Act, "refused") => Ok(Reply::Refused(reason(members.get("reason").copied()))),
        (Verb::Undo, "undone") => Ok(Reply::Undone),
        _ => Err(format!(
            "`{}` is no decision on {}",
            shown_within(&word, MAX_DETAIL),
            verb.as_str()
        )),
    }
}

fn output(raw: &RawValue) -> Result<Fields, String> {
    let fields = json::parse_object(raw.get()).map_err(|error| match error {
        json::Unreadable::Json(why) => format!("`output` {why}"),
        json::Unreadable::Number { field, why } => {
            format!("`output.{}` {why}", shown_within(&field, MAX_DETAIL))
        }
    })?;
    kept(fields)
}

/// A refusal without a proper reason is a refusal all the same.
fn reason(raw: Option<&RawValue>) -> String {
    let read = raw.and_then(|raw| json::parse(raw.get()).ok());
    let text = read.as_ref().and_then(Document::as_text).unwrap_or_default();
    let text = shown(text);
    if text.trim().is_empty() {
        NO_REASON.to_owned()
    } else {
        text
    }
}

/// Its status, and what its body says for people (`detail` of RFC 9457, or what others call it).
fn answered(answer: &Answer) -> String {
    let said = std::str::from_utf8(&answer.body)
        .ok()
        .filter(|_| answer.body.len() <= MAX_BODY_BYTES)
        .and_then(|text| json::parse_object(text).ok());
    let names = ["detail", "title", "message", "Message", "error"];
    let detail = said.as_ref().and_then(|fields| {
        let mut texts = names.iter().filter_map(|name| fields.get(*name)?.as_text());
        texts.find(|text| !text.trim().is_empty())
    });
    match detail {
        Some(detail) => format!(
            "it answered {}: {}",
            answer.status,
            shown_within(detail, MAX_DETAIL)
        ),
        None => format!("it answered {}", answer.status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_790_000_000_000;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            retry_after: None,
            body: body.as_bytes().to_vec(),
        }
    }

    fn reply(verb: Verb, status: u16, body: &str) -> Reply {
        classify(verb, &answer(status, body), Timestamp::from_millis(NOW))
    }

    fn word(reply: &Reply) -> &'static str {
        match reply {
            Reply::Accepted(_) => "accepted",
            Reply::Refused(_) => "refused",
            Reply::Undone => "undone",
            Reply::Later => "later",
            Reply::Again { .. } => "again",
            Reply::Misbound { .. } => "misbound",
            Reply::BadOutput { .. } => "bad output",
        }
    }

    #[test]
    fn a_decision_is_read_in_full() {
        let accepted = |body: &str| reply(Verb::Act, 200, body);
        assert_eq!(
            accepted(
                r#" {"decision":"accepted","output":{"id":"b-1","n":7,"exact":129.90,"list":[null,true]},"more":{}} "#
            ),
            Reply::Accepted(
                json::parse_object(r#"{"id":"b-1","n":7,"exact":"129.90","list":[null,true]}"#).unwrap()
            )
        );
        assert_eq!(
            accepted(r#"{"decision":"accepted"}"#),
            Reply::Accepted(Fields::new())
        );
        assert_eq!(
            accepted(r#"{"decision":"accepted","output":{}}"#),
            Reply::Accepted(Fields::new())
        );
        for (body, reason) in [
            (
                r#"{"decision":"refused","reason":"no\nfunds\u202e"}"#,
                "no funds\\u{202e}",
            ),
            (r#"{"decision":"refused"}"#, NO_REASON),
            (r#"{"decision":"refused","reason":" "}"#, NO_REASON),
            (r#"{"decision":"refused","reason":{"code":1}}"#, NO_REASON),
        ] {
            assert_eq!(accepted(body), Reply::Refused(reason.to_owned()), "{body}");
        }
        assert_eq!(reply(Verb::Undo, 200, r#"{"decision":"undone"}"#), Reply::Undone);
        let long = format!(r#"{{"decision":"refused","reason":"{}"}}"#, "x".repeat(9_000));
        assert_eq!(accepted(&long), Reply::Refused("x".repeat(256)));
    }

    #[test]
    fn every_status_has_its_meaning() {
        let decides = r#"{"decision":"accepted","output":{}}"#;
        for (statuses, is) in [
            (&[200][..], "accepted"),
            (&[202], "later"),
            (&[408, 409, 425, 429], "again"),
            (&[500, 501, 502, 503, 504, 507, 599, 600, 999], "again"),
            (&[0, 100, 101, 103, 201, 203, 204, 205, 206, 226], "again"),
            (&[300, 301, 302, 303, 304, 307, 308, 399], "misbound"),
            (
                &[
                    400, 401, 402, 403, 404, 405, 406, 410, 411, 413, 415, 417, 421, 422, 424, 426, 428, 431,
                    451, 499,
                ],
                "misbound",
            ),
        ] {
            for status in statuses {
                assert_eq!(word(&reply(Verb::Act, *status, decides)), is, "{status}");
            }
        }
        for body in ["", "null", "<html>", r#"{"decision":"later"}"#, decides] {
            for verb in [Verb::Act, Verb::Undo] {
                assert_eq!(reply(verb, 202, body), Reply::Later, "{body}");
            }
        }
    }

    #[test]
    fn a_200_that_does_not_decide_leaves_the_outcome_unknown() {
        let large = format!(r#"{{"decision":"accepted"}}{}"#, " ".repeat(MAX_BODY_BYTES));
        let deep = format!(r#"{{"decision":{}{}}}"#, "[".repeat(200), "]".repeat(200));
        for (verb, body) in [
            (Verb::Act, ""),
            (Verb::Act, "OK"),
            (Verb::Act, "<html></html>"),
            (Verb::Act, "null"),
            (Verb::Act, "[]"),
            (Verb::Act, "\"accepted\""),
            (Verb::Act, "{}"),
            (Verb::Act, r#"{"decision":null}"#),
            (Verb::Act, r#"{"decision":true}"#),
            (Verb::Act, r#"{"decision":"ACCEPTED"}"#),
            (Verb::Act, r#"{"Decision":"accepted"}"#),
            (Verb::Act, r#"{"decision":"later"}"#),
            (Verb::Act, r#"{"decision":"undone"}"#),
            (Verb::Undo, r#"{"decision":"accepted","output":{}}"#),
            (Verb::Undo, r#"{"decision":"refused","reason":"no"}"#),
            (Verb::Act, r#"{"decision":"accepted","decision":"refused"}"#),
            (Verb::Act, r#"{"decision":"accepted","output":{},"output":{}}"#),
            (Verb::Act, r#"{"decision":"accepted","output":{}"#),
            (Verb::Act, r#"{"decision":"accepted"} {"decision":"refused"}"#),
            (Verb::Act, &large),
            (Verb::Act, &deep),
        ] {
            assert_eq!(word(&reply(verb, 200, body)), "again", "{body}");
        }
        let latin = Answer {
            body: b"{\"decision\":\"accepted\",\"x\":\"\xe4\"}".to_vec(),
            ..answer(200, "")
        };
        assert_eq!(
            word(&classify(Verb::Act, &latin, Timestamp::from_millis(NOW))),
            "again"
        );
        let mark = format!("\u{feff}{}", r#"{"decision":"accepted"}"#);
        assert_eq!(word(&reply(Verb::Act, 200, &mark)), "again");
    }

    #[test]
    fn an_output_that_cannot_be_kept_is_kept_in_no_part() {
        let nested = |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
        let of_bytes = |bytes: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - 8));
        for (output, why) in [
            ("null", "must be a JSON object"),
            ("[]", "must be a JSON object"),
            ("\"b-1\"", "must be a JSON object"),
            (
                r#"{"saga_id":"x","fine":1}"#,
                "`output.saga_id` begins with `saga_`",
            ),
            (r#"{"saga_":1}"#, "reserved"),
            (r#"{"a":1,"a":2}"#, "stands twice"),
            (
                r#"{"a":[{"b":1e400}]}"#,
                "`output.a[0].b` must have at most 38 digits",
            ),
            (&nested(9), "more than 8 deep"),
            (&nested(40), "deep"),
            (&of_bytes(4_097), "4097 bytes, at most 4096"),
        ] {
            let body = format!(r#"{{"decision":"accepted","output":{output}}}"#);
            match reply(Verb::Act, 200, &body) {
                Reply::BadOutput { why: said } => assert!(said.contains(why), "{output}: {said}"),
                other => panic!("{output}: {other:?}"),
            }
        }
        for output in [&nested(8), &of_bytes(4_096), r#"{"a":{"saga_id":1},"Saga_":1}"#] {
            let body = format!(r#"{{"decision":"accepted","output":{output}}}"#);
            assert_eq!(word(&reply(Verb::Act, 200, &body)), "accepted", "{output}");
        }
    }

    #[test]
    fn the_service_may_ask_for_a_pause_of_at_most_an_hour() {
        for (value, seconds) in [
            ("0", Some(0)),
            (" 17 ", Some(17)),
            ("3600", Some(3_600)),
            ("3601", Some(3_600)),
            ("99999999999999999999999999", Some(3_600)),
            // NOW is Mon, 21 Sep 2026 14:13:20 GMT.
            ("Mon, 21 Sep 2026 14:13:50 GMT", Some(30)),
            ("Monday, 21-Sep-26 14:13:50 GMT", Some(30)),
            ("Mon Sep 21 14:13:50 2026", Some(30)),
            ("Tue, 22 Sep 2026 14:13:50 GMT", Some(3_600)),
            ("Mon, 21 Sep 2026 14:13:00 GMT", Some(0)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
            ("2026-09-21T14:13:50Z", None),
        ] {
            let now = Timestamp::from_millis(NOW);
            let pause = seconds.map(Duration::from_secs);
            assert_eq!(retry_after(value, now), pause, "{value}");
            for (status, body) in [(503, ""), (429, "{}"), (409, ""), (200, "what?")] {
                let answer = Answer {
                    retry_after: Some(value.to_owned()),
                    ..answer(status, body)
                };
                match classify(Verb::Act, &answer, now) {
                    Reply::Again { after, .. } => assert_eq!(after, pause, "{value}"),
                    other => panic!("{status}: {other:?}"),
                }
            }
        }
    }

    #[test]
    fn a_person_reads_what_the_service_answered() {
        let long = format!(r#"{{"message":"{}"}}"#, "x".repeat(300));
        for (status, body, says) in [
            (404, "", "it answered 404"),
            (404, "<html>secret</html>", "it answered 404"),
            (
                403,
                r#"{"Message":"For\u202ebidden"}"#,
                "it answered 403: For\\u{202e}bidden",
            ),
            (
                400,
                r#"{"title":"Bad","detail":"no `amount`"}"#,
                "it answered 400: no `amount`",
            ),
            (400, r#"{"detail":" ","title":"Bad"}"#, "it answered 400: Bad"),
            (
                400,
                &long,
                &format!("it answered 400: {}", "x".repeat(MAX_DETAIL)),
            ),
        ] {
            let why = says.to_owned();
            assert_eq!(reply(Verb::Act, status, body), Reply::Misbound { why }, "{body}");
        }
        match reply(Verb::Act, 200, r#"{"decision":"done"}"#) {
            Reply::Again { why, .. } => assert_eq!(why, "it answered 200, but `done` is no decision on act"),
            other => panic!("{other:?}"),
        }
    }
}
