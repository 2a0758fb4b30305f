//! The dead rows of the two outboxes: the event as it was to be sent, and why nobody took it.

use saga_core::Timestamp;
use saga_core::text::shown;

use super::facts::facts;
use super::id::{DeadLetterId, Source};
use super::model::{DeadLetter, Forward};

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
    let (mut facts, mut forward) = (facts(&body), Forward::Requeue);
    if let Some(why) = row.unreadable {
        forward = Forward::Nothing(format!("the row cannot be read ({why})"));
        facts.unreadable = Some(why);
    }
    DeadLetter {
        id: DeadLetterId { source, key: row.key },
        facts,
        reason: shown(row.reason.as_deref().unwrap_or("no reason is kept")),
        attempts: row.attempts,
        first: row.at,
        last: row.dead_at,
        bytes: body.len(),
        forward,
    }
}
