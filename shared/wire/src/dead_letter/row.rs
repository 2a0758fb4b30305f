//! The dead rows of the two outboxes: the event as it was to be sent, and why nobody took it.

use saga_core::Timestamp;

use super::facts::{Facts, facts};
use super::id::Source;
use super::model::{DeadLetter, Envelope, Forward};

/// A dead row as its store keeps it; what is missing or of another type is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    /// Its key in the list.
    pub key: String,
    /// The event.
    pub body: Option<String>,
    /// Why nobody took it.
    pub reason: Option<String>,
    /// How often it was tried.
    pub attempts: Option<u32>,
    /// The event's time.
    pub at: Option<Timestamp>,
    /// When it was given up.
    pub dead_at: Option<Timestamp>,
    /// Why this version cannot make it a pending row again, if it cannot.
    pub unreadable: Option<String>,
}

/// A dead row of an outbox.
#[must_use]
pub fn row(source: Source, row: Row) -> DeadLetter {
    let body = row.body.unwrap_or_default();
    let envelope = Envelope {
        reason: row.reason.unwrap_or_else(|| "no reason is kept".to_owned()),
        attempts: row.attempts,
        first: row.at,
        last: row.dead_at,
        bytes: body.len(),
    };
    let facts = facts(&body);
    let (facts, forward) = match row.unreadable {
        None => (facts, Forward::Requeue),
        Some(why) => {
            let forward = Forward::Nothing(format!("the row cannot be read ({why})"));
            let unreadable = Some(why);
            (Facts { unreadable, ..facts }, forward)
        }
    };
    envelope.around(source, &row.key, facts, forward)
}
