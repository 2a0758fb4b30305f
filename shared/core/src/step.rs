//! The table of the protocol: what a message does to a step, and what leaves.
//!
//! This is the one place where it is decided. The participants of both clouds, the origin, the simulator
//! and the model checker all call [`transition`]; nobody has a second copy of any row.
//!
//! ```text
//! message to step k │ ∅                         │ DONE                    │ REFUSED       │ UNDONE
//! advance(k)        │ accepted → DONE, adv k+1  │ again: advance k+1      │ compensate k-1│ compensate k-1
//!                   │ refused → REFUSED, cmp k-1│                         │               │
//! compensate(k)     │ REFUSED, compensate k-1   │ UNDONE, compensate k-1  │ compensate k-1│ compensate k-1
//! cancel(k)         │ REFUSED, compensate k-1   │ cancel k+1; last: again │ compensate k-1│ compensate k-1
//!                   │                           │ advance k+1 (too late)  │               │
//! ```
//!
//! `advance` past the last step is `complete`, `compensate` before the first is `cancelled`.

use std::str::FromStr;

/// The state of a step that has acted. A step that has not has no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StepState {
    /// The participant accepted; its effect is committed.
    Done,
    /// It refused, or something stood in its way first (a tombstone). It never acts.
    Refused,
    /// It was done, and undone.
    Undone,
}

impl StepState {
    /// Every state.
    pub const ALL: [StepState; 3] = [StepState::Done, StepState::Refused, StepState::Undone];

    /// The word used in stores, events and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            StepState::Done => "DONE",
            StepState::Refused => "REFUSED",
            StepState::Undone => "UNDONE",
        }
    }
}

/// A text that is not a state of a step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown state of a step")]
pub struct UnknownState;

impl FromStr for StepState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or(UnknownState)
    }
}

/// The three messages a step receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StepVerb {
    /// Do your part.
    Advance,
    /// Undo your part.
    Compensate,
    /// If you have not acted, never do; if you have, pass it on.
    Cancel,
}

/// What the participant said when it was asked to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// The effect is to be committed.
    Accepted,
    /// Nothing is to be done, and what came before is to be undone.
    Refused,
}

/// What a step emits, relative to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Emission {
    /// `advance(k+1)`, or `complete` from the last step.
    Advance,
    /// `compensate(k-1)`, or `cancelled` from the first step.
    Compensate,
    /// `cancel(k+1)`.
    Cancel,
}

/// What happens inside the step, beside its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Nothing: the step had decided before, and says so again.
    None,
    /// The participant's effect is committed.
    Act,
    /// The participant refused.
    Refuse,
    /// The participant's effect is undone.
    Undo,
    /// The record is a tombstone: the step never acts.
    Tombstone,
}

/// One row of the table: the new state (`None`: unchanged), the effect, and the one thing that leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Transition {
    /// The state to store, when it changes.
    pub state: Option<StepState>,
    /// What happens inside the step.
    pub effect: Effect,
    /// What leaves.
    pub emit: Emission,
}

/// The table. `last` says whether this is the definition's last step; `act` asks the participant, and is
/// called only where the table says so.
///
/// # Examples
/// ```
/// use saga_core::step::{Answer, Effect, Emission, StepState, StepVerb, transition};
///
/// let first = transition(None, StepVerb::Advance, false, || Answer::Accepted);
/// assert_eq!((first.state, first.emit), (Some(StepState::Done), Emission::Advance));
/// // The same message again changes nothing and is answered as before.
/// let again = transition(Some(StepState::Done), StepVerb::Advance, false, || unreachable!());
/// assert_eq!((again.state, again.effect, again.emit), (None, Effect::None, Emission::Advance));
/// ```
pub fn transition(
    state: Option<StepState>,
    verb: StepVerb,
    last: bool,
    act: impl FnOnce() -> Answer,
) -> Transition {
    use Emission as E;
    use StepState::{Done, Refused, Undone};
    use StepVerb::{Advance, Cancel, Compensate};

    let to = |state, effect, emit| Transition {
        state: Some(state),
        effect,
        emit,
    };
    let again = |emit| Transition {
        state: None,
        effect: Effect::None,
        emit,
    };

    match (verb, state) {
        (Advance, None) => match act() {
            Answer::Accepted => to(Done, Effect::Act, E::Advance),
            Answer::Refused => to(Refused, Effect::Refuse, E::Compensate),
        },
        (Advance, Some(Done)) => again(E::Advance),

        (Compensate | Cancel, None) => to(Refused, Effect::Tombstone, E::Compensate),
        (Compensate, Some(Done)) => to(Undone, Effect::Undo, E::Compensate),
        (Cancel, Some(Done)) if last => again(E::Advance),
        (Cancel, Some(Done)) => again(E::Cancel),

        (Advance | Compensate | Cancel, Some(Refused | Undone)) => again(E::Compensate),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the design, cell by cell.
    #[test]
    fn every_cell_is_as_designed() {
        use Effect as F;
        use Emission as E;
        use StepState::{Done, Refused, Undone};
        use StepVerb::{Advance, Cancel, Compensate};

        let cells = [
            (Advance, None, Some(Done), F::Act, E::Advance, E::Advance),
            (Advance, Some(Done), None, F::None, E::Advance, E::Advance),
            (
                Advance,
                Some(Refused),
                None,
                F::None,
                E::Compensate,
                E::Compensate,
            ),
            (Advance, Some(Undone), None, F::None, E::Compensate, E::Compensate),
            (
                Compensate,
                None,
                Some(Refused),
                F::Tombstone,
                E::Compensate,
                E::Compensate,
            ),
            (
                Compensate,
                Some(Done),
                Some(Undone),
                F::Undo,
                E::Compensate,
                E::Compensate,
            ),
            (
                Compensate,
                Some(Refused),
                None,
                F::None,
                E::Compensate,
                E::Compensate,
            ),
            (
                Compensate,
                Some(Undone),
                None,
                F::None,
                E::Compensate,
                E::Compensate,
            ),
            (
                Cancel,
                None,
                Some(Refused),
                F::Tombstone,
                E::Compensate,
                E::Compensate,
            ),
            (Cancel, Some(Done), None, F::None, E::Cancel, E::Advance),
            (Cancel, Some(Refused), None, F::None, E::Compensate, E::Compensate),
            (Cancel, Some(Undone), None, F::None, E::Compensate, E::Compensate),
        ];
        for (verb, state, to, effect, emit, emit_when_last) in cells {
            for (last, emit) in [(false, emit), (true, emit_when_last)] {
                let row = transition(state, verb, last, || Answer::Accepted);
                assert_eq!(
                    row,
                    Transition {
                        state: to,
                        effect,
                        emit
                    },
                    "{verb:?} on {state:?}, last: {last}"
                );
            }
        }
    }

    #[test]
    fn a_refusal_is_recorded_and_falls() {
        let row = transition(None, StepVerb::Advance, false, || Answer::Refused);
        let refused = Transition {
            state: Some(StepState::Refused),
            effect: Effect::Refuse,
            emit: Emission::Compensate,
        };
        assert_eq!(row, refused);
    }

    #[test]
    fn the_participant_is_asked_once_and_only_for_an_advance_that_finds_nothing() {
        for verb in [StepVerb::Advance, StepVerb::Compensate, StepVerb::Cancel] {
            for state in [
                None,
                Some(StepState::Done),
                Some(StepState::Refused),
                Some(StepState::Undone),
            ] {
                let mut asked = 0;
                transition(state, verb, false, || {
                    asked += 1;
                    Answer::Accepted
                });
                assert_eq!(
                    asked,
                    u32::from(verb == StepVerb::Advance && state.is_none()),
                    "{verb:?} on {state:?}"
                );
            }
        }
    }
}
