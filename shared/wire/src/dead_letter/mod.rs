//! Dead letters as the services of both clouds keep them → [`DeadLetter`]. One file an envelope.
//!
//! Invariant: nothing that lies somewhere is hidden. Whatever cannot be read becomes a letter, too, with its body
//! whole and the reason why it cannot be read.

mod blob;
mod facts;
pub mod http;
mod lambda;
mod parts;
mod quarantine;
mod row;
mod sqs;
mod storage_queue;

pub use blob::{BlobLetter, blob};
pub use facts::{facts, said};
pub use lambda::stream;
pub use parts::{bytes, join};
pub use quarantine::{azure_quarantine, event_in, quarantine};
pub use row::{Row, row};
pub use sqs::{Received, destination, events};
pub use storage_queue::poison;

use facts::facts_of_bytes;
use saga_core::Timestamp;
use saga_core::dead_letter::{DeadLetter, Facts, Forward, LetterId, Source};
use saga_core::text::shown;

/// What an envelope says beside the event.
#[derive(Debug, Default)]
struct Envelope {
    reason: String,
    attempts: Option<u32>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    bytes: usize,
}

/// The letter with this key.
fn letter(source: Source, key: &str, facts: Facts, envelope: Envelope, forward: Forward) -> DeadLetter {
    DeadLetter {
        id: LetterId {
            source,
            key: key.to_owned(),
        },
        facts,
        // Others write reasons, too.
        reason: shown(&envelope.reason),
        attempts: envelope.attempts,
        first: envelope.first,
        last: envelope.last,
        bytes: envelope.bytes,
        forward,
    }
}
