//! What the steps of the other cloud report of themselves.
//!
//! The origin keeps no record of a step of the other cloud; it learns of one from the events that come in. Where two
//! steps of the other cloud follow each other, the events between them never come in. So each event of that cloud
//! carries what its steps have reported on the way ([`Reports`]), and the origin keeps the last report of each
//! ([`Observed`]) for people to see. Invariant: nothing is decided by any of it.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::definition::Definition;
use crate::ids::{StepIndex, Timestamp};
use crate::progress::Progress;
use crate::step::StepState;

/// The states that steps of one cloud have reported, as they travel: `1 DONE 1790000000123, 2 REFUSED 1790000000456`, by
/// the number of the step, with milliseconds since 1970. Text, because a number may be rewritten between the clouds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reports(String);

impl Reports {
    /// The member of an event's data that it is. It stands under the event's checksum like all data.
    pub const MEMBER: &str = "saga_steps";

    /// No report of any step.
    pub const NOTHING: &'static Reports = &Reports(String::new());

    /// The text as it came. What in it is none of this version's words is not understood, and harms nobody.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether nothing was said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The words, by step.
    pub(crate) fn words(&self) -> BTreeMap<StepIndex, (StepState, Timestamp)> {
        let word = |text: &str| {
            let mut parts = text.trim().split(' ');
            let step: u8 = parts.next()?.parse().ok()?;
            let state = parts.next()?.parse().ok()?;
            let at = Timestamp::from_millis(parts.next()?.parse().ok()?);
            let known = usize::from(step) < Definition::MAX_STEPS && parts.next().is_none();
            known.then_some((StepIndex::new(step), (state, at)))
        };
        self.0.split(',').filter_map(word).collect()
    }

    fn of_words(words: BTreeMap<StepIndex, (StepState, Timestamp)>) -> Self {
        let words = words
            .into_iter()
            .map(|(step, (state, at))| format!("{step} {} {}", state.as_str(), at.millis()));
        Self(words.collect::<Vec<_>>().join(", "))
    }

    /// What was said of the other steps: what a step stores of the message that moves it.
    #[must_use]
    pub(crate) fn of_others(&self, step: StepIndex) -> Self {
        let mut words = self.words();
        words.remove(&step);
        Self::of_words(words)
    }

    /// The same, and what this step says.
    #[must_use]
    pub(crate) fn and(&self, step: StepIndex, state: StepState, at: Timestamp) -> Self {
        let mut words = self.words();
        words.insert(step, (state, at));
        Self::of_words(words)
    }
}

/// The last word of a step of the other cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// What it decided; `None` when it is not done, and was not said to have refused or to have been undone.
    pub state: Option<StepState>,
    /// When, by the clock of its cloud; `None` when that was not said.
    pub at: Option<Timestamp>,
    /// Why it refused or was undone.
    pub reason: Option<String>,
    /// How far its calls have come, where it said so.
    pub progress: Option<Progress>,
}

impl Observed {
    pub(crate) fn is_done(&self) -> bool {
        self.state == Some(StepState::Done)
    }

    /// How far on its way a step of this state is; on its way back where only that is known.
    fn rank(&self) -> u8 {
        match self.state {
            Some(StepState::Waiting | StepState::Acting) => 0,
            Some(StepState::Done) => 1,
            Some(StepState::Stopping) => 2,
            None => 3,
            Some(StepState::Undoing) => 4,
            Some(StepState::Refused | StepState::Undone) => 5,
        }
    }

    /// Whether this says more than `known`, or something newer. What is undone or refused stays so.
    pub(crate) fn outdoes(&self, known: &Observed) -> bool {
        match self.rank().cmp(&known.rank()) {
            Ordering::Greater => true,
            Ordering::Less => false,
            Ordering::Equal => self.state.is_none() || known.at.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_reported_comes_back_in_the_order_of_the_steps_and_each_step_has_one_word() {
        let at = Timestamp::from_millis;
        let reports = Reports::default()
            .and(StepIndex::new(2), StepState::Refused, at(7))
            .and(StepIndex::new(1), StepState::Done, at(5))
            .and(StepIndex::new(1), StepState::Undone, at(9));
        assert_eq!(reports.as_str(), "1 UNDONE 9, 2 REFUSED 7");
        assert_eq!(reports.of_others(StepIndex::new(1)).as_str(), "2 REFUSED 7");
    }

    #[test]
    fn what_is_none_of_our_words_is_passed_over() {
        for text in [
            "",
            ",",
            "1",
            "1 DONE",
            "1 DONE x",
            "1 DONE 5 more",
            "x DONE 5",
            "16 DONE 5",
            "1 done 5",
            "1  DONE 5",
        ] {
            assert_eq!(
                Reports::new(text).of_others(StepIndex::FIRST),
                Reports::default(),
                "{text:?}"
            );
        }
        let mixed = Reports::new("3 LATER 5,1 DONE 5, ,2 UNDONE 6");
        assert_eq!(mixed.of_others(StepIndex::FIRST).as_str(), "1 DONE 5, 2 UNDONE 6");
    }
}
