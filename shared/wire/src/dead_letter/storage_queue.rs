//! The participant's poison queue: each message is one event, in base64 as Event Grid writes it
//! (<https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue-trigger#poison-messages>).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use saga_core::Timestamp;
use saga_core::dead_letter::{DeadLetter, Destination, Forward, Source};

use super::{Envelope, facts, letter};

/// The Functions host moves a message after so many tries.
const TRIES: u32 = 5;

/// A message of the poison queue: `text` as the queue keeps it. It goes back to the queue of the participant.
#[must_use]
pub fn poison(key: &str, text: &str, inserted: Option<Timestamp>) -> DeadLetter {
    let event = decoded(text);
    let envelope = Envelope {
        reason: format!("the participant failed on it {TRIES} times; its log has the reason"),
        attempts: Some(TRIES),
        first: None,
        last: inserted,
        bytes: text.len(),
    };
    let facts = facts(&event);
    let forward = Forward::Send {
        to: Destination::ParticipantQueue,
        message: event,
    };
    letter(Source::Poison, key, facts, envelope, forward)
}

/// The text in a queue's message: base64 of it, or, from others, as it is.
pub(super) fn decoded(text: &str) -> String {
    let bytes = STANDARD.decode(text.trim());
    let inner = bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok());
    inner.unwrap_or_else(|| text.to_owned())
}
