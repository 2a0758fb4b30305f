//! What a run did, or would do.

use saga_core::SagaId;
use saga_wire::dead_letter::{DeadLetterId, Source};

use super::command::Act;
use super::pace::End;

/// A source of which an operator must know something besides its dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The source.
    pub source: Source,
    /// It could not be read, or not all of it, for this reason.
    pub problem: String,
}

/// What became, or would become, of a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Disposition {
    /// A replay moves its saga on, or may.
    Tried,
    /// A replay changes nothing any more and only clears it away.
    Ignored,
    /// It stays: a replay would bring it back at once.
    Left,
    /// It was sent again.
    Replayed,
    /// It was archived, or would be.
    Discarded,
    /// Another operator took it meanwhile.
    Taken,
    /// It is not there, or not now.
    Unknown,
    /// It stays, because something failed.
    Failed,
}

impl Disposition {
    /// The word for it in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Disposition::Tried => "tried",
            Disposition::Ignored => "ignored",
            Disposition::Left => "left",
            Disposition::Replayed => "replayed",
            Disposition::Discarded => "discarded",
            Disposition::Taken => "taken",
            Disposition::Unknown => "unknown",
            Disposition::Failed => "failed",
        }
    }
}

/// What became, or would become, of one dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The dead letter.
    pub id: DeadLetterId,
    /// Its saga.
    pub saga: Option<SagaId>,
    /// In a word.
    pub disposition: Disposition,
    /// In a sentence.
    pub text: String,
}

/// What a run did, or would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What was asked for.
    pub act: Act,
    /// Nothing was changed, because it was not confirmed.
    pub dry_run: bool,
    /// How many were replayed or discarded.
    pub done: usize,
    /// How many failed.
    pub failed: usize,
    /// How many were left as they are.
    pub left: usize,
    /// Why it ended.
    pub ended: End,
    /// One by one, as many as an answer holds.
    pub items: Vec<Item>,
    /// What kept the run from seeing everything.
    pub notices: Vec<Notice>,
}
