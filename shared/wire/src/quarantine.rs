//! Quarantined messages: the body byte for byte inside JSON, with where it came in, when, and why nobody understood it.
//!
//! Invariant: the body is never cut, and every carrier takes what is written. Text is kept as text, with what a queue
//! refuses escaped; everything else as base64. What one message of the queue does not hold goes in several, each with its
//! number, their count, and the length and SHA-256 of the whole: whoever joins them knows that nothing is missing, and
//! a delivery that was repeated half way leaves parts that are equal.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use saga_core::Timestamp;
use saga_core::text::shown;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{json, time};

/// A piece of a body is not made smaller than this.
const MIN_PIECE: usize = 512;

/// Headers by their names in lower case.
pub type Headers = BTreeMap<String, String>;

/// Those of a message of a queue.
pub static NO_HEADERS: Headers = Headers::new();

/// A message that cannot be understood.
#[derive(Debug, Clone, Copy)]
pub struct Quarantined<'a> {
    /// Where it came in.
    pub entrance: &'static str,
    /// Why it is here; up to [`saga_core::text::MAX_SHOWN`] characters of it are kept.
    pub reason: &'a str,
    /// When it came.
    pub at: Timestamp,
    /// The headers by which it would be read.
    pub headers: &'a Headers,
    /// Its bytes.
    pub body: &'a [u8],
}

#[derive(Serialize)]
struct Out<'a> {
    entrance: &'a str,
    reason: &'a str,
    at: String,
    #[serde(skip_serializing_if = "Headers::is_empty")]
    headers: &'a Headers,
    #[serde(flatten)]
    body: Body<'a>,
    #[serde(flatten)]
    part: Option<Part<'a>>,
}

#[derive(Clone, Copy, Serialize)]
enum Body<'a> {
    #[serde(rename = "body")]
    Text(&'a str),
    #[serde(rename = "body_base64")]
    Base64(&'a str),
}

#[derive(Serialize)]
struct Part<'a> {
    part: usize,
    parts: usize,
    body_bytes: usize,
    body_sha256: &'a str,
}

/// The messages that keep it, each of at most `max_bytes`, as long as those leave room beside the headers.
#[must_use]
pub fn write(message: &Quarantined<'_>, max_bytes: usize) -> Vec<String> {
    let text = as_text(message.body);
    let pieces = |limit: usize| match text {
        Some(text) => texts(text, limit).into_iter().map(Cow::Borrowed).collect(),
        // Three bytes are four characters: each piece is base64 of its own.
        None => {
            let pieces = message.body.chunks(limit / 4 * 3);
            let pieces = pieces.map(|bytes| Cow::Owned(STANDARD.encode(bytes)));
            pieces.collect::<Vec<_>>()
        }
    };
    let written = |piece: &str, part| {
        json::to_string(&Out {
            entrance: message.entrance,
            reason: &shown(message.reason),
            at: time::format(message.at),
            headers: message.headers,
            body: match text {
                Some(_) => Body::Text(piece),
                None => Body::Base64(piece),
            },
            part,
        })
    };
    if let [piece] = &pieces(usize::MAX)[..] {
        let whole = written(piece, None);
        if whole.len() <= max_bytes {
            return vec![whole];
        }
    }
    let (body_bytes, sha256) = (message.body.len(), sha256(message.body));
    let in_parts = |piece: &str, part, parts| {
        let part = Part {
            part,
            parts,
            body_bytes,
            body_sha256: &sha256,
        };
        written(piece, Some(part))
    };
    // No part has a larger number.
    let frame = in_parts("", body_bytes, body_bytes).len();
    let pieces = pieces(max_bytes.saturating_sub(frame).max(MIN_PIECE));
    let each = pieces.iter().enumerate();
    each.map(|(index, piece)| in_parts(piece, index + 1, pieces.len()))
        .collect()
}

/// The body as a text that is not much longer in JSON than it is; `None`: base64 of it is kept and shown.
pub(crate) fn as_text(body: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(body).ok()?;
    let written: usize = text.chars().map(json::width).sum();
    // Bytes that happen to be UTF-8, all of them escaped, would take six times their room.
    (written <= 64 + 2 * text.len()).then_some(text)
}

/// The SHA-256 digest of a body, in hexadecimal digits.
#[must_use]
pub fn sha256(body: &[u8]) -> String {
    let digest = Sha256::digest(body);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What tells one text from others where a digest in full would be long.
#[must_use]
pub fn mark(text: &str) -> String {
    sha256(text.as_bytes())[..16].to_owned()
}

/// The text in pieces of at most `limit` bytes of JSON; at least one.
fn texts(text: &str, limit: usize) -> Vec<&str> {
    let (mut pieces, mut start, mut size) = (Vec::new(), 0, 0);
    for (at, character) in text.char_indices() {
        let width = json::width(character);
        if size + width > limit {
            pieces.push(&text[start..at]);
            (start, size) = (at, 0);
        }
        size += width;
    }
    pieces.push(&text[start..]);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message<'a>(body: &'a [u8], headers: &'a Headers) -> Quarantined<'a> {
        Quarantined {
            entrance: "event-ingress",
            reason: "no JSON",
            at: Timestamp::from_millis(1_795_226_400_123),
            headers,
            body,
        }
    }

    #[test]
    fn text_is_kept_as_text_and_other_bytes_as_base64() {
        let expected = r#"{"entrance":"event-ingress","reason":"no JSON","at":"2026-11-21T02:00:00.123Z","body":"\"x\uffff"}"#;
        assert_eq!(
            write(&message("\"x\u{ffff}".as_bytes(), &NO_HEADERS), 1_000),
            [expected]
        );
        let headers = Headers::from([("content-encoding".to_owned(), "gzip".to_owned())]);
        let expected = r#"{"entrance":"event-ingress","reason":"no JSON","at":"2026-11-21T02:00:00.123Z","headers":{"content-encoding":"gzip"},"body_base64":"/wA="}"#;
        assert_eq!(write(&message(&[0xff, 0], &headers), 1_000), [expected]);
    }

    #[test]
    fn a_body_that_does_not_fit_goes_in_parts_that_do() {
        for body in [
            b"x".repeat(1_500),
            "\u{1}\u{2028}abcdefghij".repeat(300).into_bytes(),
            vec![0xff; 1_500],
        ] {
            let parts = write(&message(&body, &NO_HEADERS), 1_000);
            let count = parts.len();
            assert!(count > 1);
            for (index, part) in parts.iter().enumerate() {
                assert!(part.len() <= 1_000, "{}", part.len());
                let read: serde_json::Value = serde_json::from_str(part).unwrap();
                assert_eq!(read["part"], index + 1);
                assert_eq!(
                    (&read["parts"], &read["body_bytes"]),
                    (&count.into(), &body.len().into())
                );
                assert_eq!(read["body_sha256"], sha256(&body));
            }
        }
    }
}
