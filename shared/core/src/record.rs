//! What a step keeps for ever.

use crate::document::{Document, Fields};
use crate::ids::Timestamp;
use crate::progress::Progress;
use crate::reports::Reports;
use crate::step::StepState;

/// The member of an event's data that holds the outputs of steps which are answered from outside, by the step's name.
pub const OUTPUTS: &str = "saga_outputs";

/// What a step keeps for ever: what it decided, and all that it needs to say so again or to undo it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRecord {
    /// What it decided.
    pub state: StepState,
    /// When.
    pub at: Timestamp,
    /// The hop count of what it emits.
    pub hop: u16,
    /// Why it refused or was undone.
    pub reason: Option<String>,
    /// The data it was given.
    pub data: Fields,
    /// The output of its participant, or of the answer from outside.
    pub output: Fields,
    /// How far it has come, where the answer comes from outside.
    pub progress: Option<Progress>,
    /// What other steps of its cloud had said when it decided; at the origin nothing, which hears of them itself.
    pub reports: Reports,
}

impl StepRecord {
    /// When the intent was committed.
    #[must_use]
    pub fn began(&self) -> Timestamp {
        self.progress.as_ref().map_or(self.at, |progress| progress.since)
    }

    /// Whether somebody outside may answer it: it waits, or its service has not decided when it was asked.
    #[must_use]
    pub fn takes_answers(&self) -> bool {
        let tried = |progress: &Progress| progress.attempts > 0 || progress.held.is_some();
        self.state == StepState::Waiting
            || self.state.is_calling() && self.progress.as_ref().is_some_and(tried)
    }

    /// What the caller's input and the steps before gave to this one.
    #[must_use]
    pub fn input(&self) -> Fields {
        let mut input = self.data.clone();
        input.remove(OUTPUTS);
        input
    }

    /// The outputs of the steps before that were answered from outside, by the step's name.
    #[must_use]
    pub fn outputs(&self) -> Fields {
        match self.data.get(OUTPUTS) {
            Some(Document::Map(outputs)) => outputs.clone(),
            _ => Fields::new(),
        }
    }
}
