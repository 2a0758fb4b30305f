//! A quarantined message: the message whole, as text inside JSON (so that no carrier changes it), with the reason.

use saga_core::Timestamp;
use serde::Serialize;

use crate::time;

#[derive(Serialize)]
struct Out<'a> {
    entrance: &'a str,
    reason: &'a str,
    at: String,
    body: &'a str,
    /// Set when the body was too large for the queue: the bytes it had.
    #[serde(skip_serializing_if = "Option::is_none")]
    cut_from_bytes: Option<usize>,
}

/// Writes it within `max_bytes`. What is larger than the queue takes is cut, and says so.
#[must_use]
pub fn write(entrance: &str, reason: &str, body: &str, at: Timestamp, max_bytes: usize) -> String {
    let reason: String = reason.chars().take(1_024).collect();
    let mut kept = body;
    loop {
        let cut_from_bytes = (kept.len() < body.len()).then_some(body.len());
        let out = Out {
            entrance,
            reason: &reason,
            at: time::format(at),
            body: kept,
            cut_from_bytes,
        };
        let text = serde_json::to_string(&out).unwrap_or_default();
        if text.len() <= max_bytes || kept.is_empty() {
            return text;
        }
        // Escaping makes text longer by an unknown factor: cut by a quarter until it fits.
        kept = &kept[..kept.floor_char_boundary(kept.len() * 3 / 4)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_kept_whole_or_says_that_it_is_not() {
        let at = Timestamp::from_millis(0);
        let whole: serde_json::Value =
            serde_json::from_str(&write("here", "why", "\u{0}ü\"", at, 1_000)).unwrap();
        assert_eq!(whole["body"], "\u{0}ü\"");
        assert!(whole.get("cut_from_bytes").is_none());
        let cut = write("here", "why", &"\"".repeat(5_000), at, 1_000);
        assert!(cut.len() <= 1_000);
        let cut: serde_json::Value = serde_json::from_str(&cut).unwrap();
        assert_eq!(cut["cut_from_bytes"], 5_000);
    }
}
