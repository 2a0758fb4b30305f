//! A dead letter in JSON: one line of a list, or whole.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use saga_core::{Address, StepIndex};
use serde_json::{Value, json};

use super::model::{DeadLetter, Forward};
use crate::quarantine::as_text;
use crate::time;

/// Its line in the list.
#[must_use]
pub fn listed(dead_letter: &DeadLetter) -> Value {
    let (id, facts) = (&dead_letter.id, &dead_letter.facts);
    json!({
        "id": id.to_string(),
        "source": id.source.as_str(),
        "cloud": id.source.cloud().as_str(),
        "saga_id": facts.saga.map(|saga| saga.to_string()),
        "event_id": facts.event.as_ref().map(|id| id.as_str()),
        "type": facts.kind,
        "verb": facts.verb,
        // None for an event that is for the whole saga.
        "step": facts.address().and_then(Address::step).map(StepIndex::get),
        // The outside service, of a request to one.
        "service": dead_letter.service(),
        "reason": dead_letter.reason,
        "attempts": dead_letter.attempts,
        "first_at": dead_letter.first.map(time::format),
        "last_at": dead_letter.last.map(time::format),
        "bytes": dead_letter.bytes,
        "unreadable": facts.unreadable,
    })
}

/// All of it, and what a replay would come to: in a word, and in a sentence.
#[must_use]
pub fn whole(dead_letter: &DeadLetter, verdict: &str, text: &str) -> Value {
    let facts = &dead_letter.facts;
    let to = match &dead_letter.forward {
        Forward::Send { to, .. } => Some(to.as_str()),
        Forward::Requeue => Some("outbox"),
        Forward::Nothing(_) => None,
    };
    // An answer holds 6 MB, and some texts are six times as long in JSON.
    let is_text = !facts.is_base64 && as_text(facts.text.as_bytes()).is_some();
    let part = facts.part.as_ref();
    let mut all = listed(dead_letter);
    all["headers"] = json!(facts.headers);
    all["body"] = if is_text {
        json!(facts.text)
    } else {
        json!(STANDARD.encode(facts.bytes()))
    };
    all["body_encoding"] = json!(if is_text { "text" } else { "base64" });
    // Set when the body is one part of a larger one, and the others were not found.
    all["part"] =
        json!(part.map(|part| json!({ "number": part.number, "of": part.of, "body_sha256": part.sha256 })));
    all["replay"] = json!({ "to": to, "verdict": verdict, "text": text });
    all
}
