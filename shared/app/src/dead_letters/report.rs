//! What a run did, or would do.

use saga_core::SagaId;
use saga_wire::dead_letter::{DeadLetterId, Source};

use super::command::Act;
use crate::runs::{End, MAX_RUN};

/// A source of which an operator must know something besides its dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The source.
    pub source: Source,
    /// It could not be read, or not all of it, for this reason.
    pub problem: String,
}

impl Notice {
    pub(super) fn new(source: Source, problem: String) -> Self {
        Self { source, problem }
    }
}

saga_wire::words! {
    /// What became, or would become, of a dead letter.
    pub enum Disposition {
        /// A replay moves its saga on, or may.
        Tried = "tried",
        /// A replay changes nothing any more and only clears it away.
        Ignored = "ignored",
        /// It stays: a replay would bring it back at once.
        Left = "left",
        /// It was sent again.
        Replayed = "replayed",
        /// It was archived, or would be.
        Discarded = "discarded",
        /// Another operator took it meanwhile.
        Taken = "taken",
        /// It is not there, or not now.
        Unknown = "unknown",
        /// It stays, because something failed.
        Failed = "failed",
    }
}

impl Disposition {
    /// What becomes of a dead letter when this succeeds.
    pub(super) fn after(act: Act) -> Self {
        match act {
            Act::Replay => Self::Replayed,
            Act::Discard => Self::Discarded,
        }
    }
}

/// What a replay would come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prospect {
    /// Whether it is worth it: [`Disposition::Tried`], [`Disposition::Ignored`] or [`Disposition::Left`].
    pub disposition: Disposition,
    /// In a sentence.
    pub text: String,
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
    /// One by one, at most [`MAX_RUN`].
    pub items: Vec<Item>,
    /// What kept the run from seeing everything.
    pub notices: Vec<Notice>,
}

impl Report {
    /// Counts a dead letter, and adds a line for it while an answer holds one more.
    pub(super) fn say(&mut self, item: Item) {
        *match item.disposition {
            Disposition::Tried | Disposition::Ignored | Disposition::Replayed | Disposition::Discarded => {
                &mut self.done
            }
            Disposition::Left | Disposition::Taken => &mut self.left,
            Disposition::Unknown | Disposition::Failed => &mut self.failed,
        } += 1;
        if self.items.len() < MAX_RUN {
            self.items.push(item);
        }
    }
}
