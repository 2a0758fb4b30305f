//! What the model checker and the simulator hold against a saga, each rule once: functions of what is stored, and of what
//! services have done.

use saga_core::call::CallVerb;
use saga_core::lifecycle::{Lifecycle, Phase};
use saga_core::step::{Class, Recover, StepState};

/// Whether an end is one that the protocol does not vouch for: an operator's word against the facts, or a forced override that
/// met a pivot, which is shown as a contradiction.
#[must_use]
pub fn is_exempt(lifecycle: Lifecycle, contradicted: bool) -> bool {
    (lifecycle.overridden && lifecycle.phase == Phase::Completed) || contradicted
}

/// I1 for one step of a saga that has ended everywhere; `all`: it completed.
#[must_use]
pub fn is_whole(all: bool, state: Option<StepState>) -> bool {
    (state == Some(StepState::Done)) == all
}

/// I2 for one step: its effect and its undo were made at most once.
#[must_use]
pub fn at_most_once(acted: usize, undone: usize) -> bool {
    acted <= 1 && undone <= acted
}

/// I7: whether a record in this state asks its service for this.
#[must_use]
pub fn intends(state: StepState, promise: Recover, verb: CallVerb) -> bool {
    match state {
        StepState::Acting => verb == CallVerb::Act,
        StepState::Stopping => (verb == CallVerb::Undo) == (promise == Recover::Tombstone),
        StepState::Undoing => verb == CallVerb::Undo,
        _ => false,
    }
}

/// I9 for one step. `undone`: an undo of it was made or asked for. `cancelled`: the saga was overridden to CANCELLED; then a
/// cancel may stand in the way of a step after the pivot that has not acted.
#[must_use]
pub fn pivot_stays(class: Class, state: Option<StepState>, undone: bool, cancelled: bool) -> bool {
    use StepState::{Refused, Stopping, Undoing, Undone};
    let back = undone || matches!(state, Some(Stopping | Undoing | Undone));
    match class {
        Class::Compensatable => true,
        Class::Pivot => !back,
        Class::Retriable => !back && (cancelled || state != Some(Refused)),
    }
}
