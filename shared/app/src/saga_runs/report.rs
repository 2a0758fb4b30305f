//! What a run did, or would do.

use saga_core::SagaId;

use super::command::Act;
use crate::runs::{End, MAX_RUN};

saga_wire::words! {
    /// What became, or would become, of a saga.
    pub enum Disposition {
        /// What was asked for.
        Done = "done",
        /// Nothing: there is nothing to be done with it, or not any more.
        Left = "left",
        /// Nothing, or it is not known: something has to be mended first.
        Failed = "failed",
    }
}

/// What became, or would become, of one saga.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The saga.
    pub saga: SagaId,
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
    /// With how many sagas it was done.
    pub done: usize,
    /// With how many it failed.
    pub failed: usize,
    /// How many were left as they are.
    pub left: usize,
    /// How many sagas were looked at, those that the filter does not take included.
    pub looked_at: usize,
    /// Why it ended.
    pub ended: End,
    /// One by one, at most [`MAX_RUN`].
    pub items: Vec<Item>,
    /// Why the list of sagas could not be read to its end.
    pub notice: Option<String>,
    /// The cursor with which the same request goes on, while there is more.
    pub next: Option<String>,
}

impl Report {
    /// Counts a saga, and adds a line for it while an answer holds one more.
    pub(super) fn say(&mut self, item: Item) {
        *match item.disposition {
            Disposition::Done => &mut self.done,
            Disposition::Left => &mut self.left,
            Disposition::Failed => &mut self.failed,
        } += 1;
        if self.items.len() < MAX_RUN {
            self.items.push(item);
        }
    }
}
