//! The poison queues on Azure: each message is one event, in base64 as Event Grid writes it
//! (<https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue-trigger#poison-messages>).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use saga_core::Timestamp;

use super::facts::{NO_TEXT, facts, facts_of_bytes};
use super::id::{DeadLetterId, Source};
use super::model::{DeadLetter, Destination, Forward};

/// The Functions host moves a message after so many tries.
const TRIES: u32 = 5;

/// A message of the poison queue: `text` as the queue keeps it. It goes back to the queue of the participant.
#[must_use]
pub fn poison(key: &str, text: &str, inserted: Option<Timestamp>) -> DeadLetter {
    of(Source::Poison, Destination::ParticipantQueue, key, text, inserted)
}

/// A message of the poison queue of the requests to outside services. It goes back to the queue of the requests.
#[must_use]
pub fn azure_service_request(key: &str, text: &str, inserted: Option<Timestamp>) -> DeadLetter {
    of(
        Source::AzureServices,
        Destination::AzureServiceQueue,
        key,
        text,
        inserted,
    )
}

fn of(source: Source, to: Destination, key: &str, text: &str, inserted: Option<Timestamp>) -> DeadLetter {
    let (facts, reason, attempts) = match decoded(text).map(String::from_utf8) {
        Some(Ok(event)) => (
            facts(&event),
            "none of 5 tries succeeded; the log of the participant has the reason, or that of the Functions host where it \
             could not reach the participant",
            Some(TRIES),
        ),
        // The host moves it at once: nothing was tried.
        None => (
            facts(text),
            "the Functions host could not decode it, because it is no base64; the participant did not see it",
            None,
        ),
        Some(Err(error)) => (
            facts_of_bytes(error.as_bytes()),
            "it is base64 of bytes that are no UTF-8, so the Functions host could not bring it to the participant as it is",
            None,
        ),
    };
    let forward = if facts.is_base64 {
        Forward::Nothing(NO_TEXT.to_owned())
    } else {
        let message = facts.text.clone();
        Forward::Send { to, message }
    };
    DeadLetter {
        id: DeadLetterId {
            source,
            key: key.to_owned(),
        },
        facts,
        reason: reason.to_owned(),
        attempts,
        first: None,
        last: inserted,
        bytes: text.len(),
        forward,
    }
}

/// The bytes of a queue's message, which is base64 of them; `None` when it is none, as others may write it.
pub(super) fn decoded(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text.trim()).ok()
}
