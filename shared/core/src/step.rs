//! The table of the protocol: what a message, or an answer from outside, does to a step, and what leaves.
//!
//! This is the one place where it is decided. The participants of both clouds, the origin, the caller of outside
//! services, the simulator and the model checker all call [`transition`]; nobody has a second copy of any row.
//!
//! ```text
//! to step k     │ ∅                         │ DONE                      │ REFUSED, UNDONE
//! advance(k)    │ accepted → DONE, adv k+1  │ advance k+1 again         │ compensate k-1 again
//!               │ refused → REFUSED, cmp k-1│                           │
//!               │ later → WAITING, waiting  │                           │
//!               │         ACTING, act k     │                           │
//! compensate(k) │ REFUSED, compensate k-1   │ UNDONE, compensate k-1    │ compensate k-1 again
//!               │                           │ call: UNDOING, undo k     │
//!               │                           │ pivot, retriable:         │
//!               │                           │ contradiction             │
//! cancel(k)     │ REFUSED, compensate k-1   │ cancel k+1                │ compensate k-1 again
//!               │                           │ last or pivot: advance k+1│
//!
//! to step k     │ WAITING                   │ ACTING                    │ STOPPING            │ UNDOING
//! advance(k)    │ waiting again             │ act k again               │ act (tombstone:     │ undo again
//! compensate(k),│ REFUSED, compensate k-1   │ STOPPING, act k           │ undo) again         │ undo again
//! cancel(k)     │                           │ tombstone: STOPPING, undo │                     │
//!               │                           │ pivot, retriable: act     │                     │
//! accepted      │ DONE, advance k+1         │ DONE, advance k+1         │ UNDOING, undo k     │ -
//! refused       │ REFUSED, compensate k-1   │ REFUSED, compensate k-1   │ REFUSED, comp. k-1  │ -
//! undone        │ -                         │ -                         │ tombstone: UNDONE,  │ UNDONE, comp. k-1
//!               │                           │                           │ compensate k-1      │
//! ```
//!
//! `advance` past the last step is `complete`, `compensate` before the first is `cancelled`. An answer is ignored wherever
//! no cell says what it does; a refusal of a retriable step, too.

use std::str::FromStr;

/// The state of a step that has acted, or was asked to. A step that was not has no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StepState {
    /// Its effect exists.
    Done,
    /// It refused, or something stood in its way first (a tombstone). It never acts.
    Refused,
    /// It was done, and undone.
    Undone,
    /// A `wait` step was reached; nobody has answered yet.
    Waiting,
    /// The intent to call the service is committed, and the outcome is not known.
    Acting,
    /// As [`StepState::Acting`], and the step is to be undone whatever the outcome is.
    Stopping,
    /// The effect exists and is to be undone, and the service has not confirmed it.
    Undoing,
}

impl StepState {
    /// Every state.
    pub const ALL: [StepState; 7] = [
        StepState::Done,
        StepState::Refused,
        StepState::Undone,
        StepState::Waiting,
        StepState::Acting,
        StepState::Stopping,
        StepState::Undoing,
    ];

    /// The word used in stores, events and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            StepState::Done => "DONE",
            StepState::Refused => "REFUSED",
            StepState::Undone => "UNDONE",
            StepState::Waiting => "WAITING",
            StepState::Acting => "ACTING",
            StepState::Stopping => "STOPPING",
            StepState::Undoing => "UNDOING",
        }
    }

    /// Whether its service has a request that is not answered.
    #[must_use]
    pub fn is_calling(self) -> bool {
        matches!(self, StepState::Acting | StepState::Stopping | StepState::Undoing)
    }

    /// Whether it has no effect and will never have one.
    #[must_use]
    pub fn is_void(self) -> bool {
        matches!(self, StepState::Refused | StepState::Undone)
    }

    /// Whether it lies on the way back: refused, undone, or about to be.
    #[must_use]
    pub fn is_compensating(self) -> bool {
        self.is_void() || matches!(self, StepState::Stopping | StepState::Undoing)
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

/// What a service promises about its undo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Recover {
    /// Both requests are idempotent by key, and the first decision for a key is final.
    #[default]
    Key,
    /// Besides, an undo for a key that was never seen is accepted, and a later act of that key is refused.
    Tombstone,
}

/// Who does the work, as far as the table needs to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A participant of ours, in the same transaction.
    Local,
    /// An outside service, which is called.
    Call(Recover),
    /// Nobody is called; a person, another system or a timer answers.
    Wait,
}

/// Whether a step can be undone, and whether it can refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Class {
    /// It can be undone, and can refuse.
    #[default]
    Compensatable,
    /// It can refuse, and cannot be undone: once it is done, the saga goes forward.
    Pivot,
    /// It comes after the pivot: it never refuses, and is not undone.
    Retriable,
}

/// What the table needs to know about a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rules {
    /// Who does the work.
    pub kind: Kind,
    /// Whether it can be undone.
    pub class: Class,
    /// It is the last step of its definition.
    pub last: bool,
}

impl Rules {
    /// Those of a step whose work is a participant's, and which can be undone.
    #[must_use]
    pub fn local(last: bool) -> Self {
        Self {
            kind: Kind::Local,
            class: Class::Compensatable,
            last,
        }
    }

    fn can_be_undone(self) -> bool {
        self.class == Class::Compensatable
    }

    /// The request that a step makes of its service once it is told to stop.
    fn stop(self) -> Emission {
        match self.kind {
            Kind::Call(Recover::Tombstone) => Emission::Undo,
            Kind::Call(Recover::Key) | Kind::Local | Kind::Wait => Emission::Act,
        }
    }
}

/// What reaches a step: three messages of its neighbours, and the answer from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StepVerb {
    /// Do your part.
    Advance,
    /// Undo your part.
    Compensate,
    /// If you have not acted, never do; if you have, pass it on.
    Cancel,
    /// The service, a person, another system or a timer has answered.
    Answer(Reply),
}

/// An answer from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reply {
    /// The effect exists.
    Accepted,
    /// It does not, and never will.
    Refused,
    /// It does not exist any more, or never will.
    Undone,
}

/// What is known at once when a step is asked to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// The effect is to be committed.
    Accepted,
    /// Nothing is to be done, and what came before is to be undone.
    Refused,
    /// The answer comes from outside.
    Later,
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
    /// `act(k)`: the request to do it, to the caller of the step's service.
    Act,
    /// `undo(k)`: the request to undo it, to the caller of the step's service.
    Undo,
    /// `waiting(k)`: the notification for whoever is to answer.
    Waiting,
    /// `contradiction(k)`, to the origin: what cannot be undone was asked to be undone.
    Contradiction,
}

/// What happens inside the step, beside its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Nothing.
    None,
    /// The participant's effect is committed.
    Act,
    /// The participant refused.
    Refuse,
    /// The participant's effect is undone.
    Undo,
    /// The record is a tombstone: the step never acts.
    Tombstone,
    /// The intent to call, or to wait, is committed.
    Begin,
    /// The step is told to stop, or to undo what its service did.
    Recall,
    /// An answer from outside is committed.
    Settle,
}

/// One cell of the table: the new state (`None`: unchanged), the effect, and the one thing that leaves, if any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Transition {
    /// The state to store, when it changes.
    pub state: Option<StepState>,
    /// What happens inside the step.
    pub effect: Effect,
    /// What leaves.
    pub emit: Option<Emission>,
}

/// The table. `act` asks the participant (or says that the answer comes later), and is called only where the table says so.
///
/// # Examples
/// ```
/// use saga_core::step::{
///     Answer, Class, Effect, Emission, Kind, Recover, Reply, Rules, StepState, StepVerb, transition,
/// };
///
/// let local = Rules::local(false);
/// let first = transition(local, None, StepVerb::Advance, || Answer::Accepted);
/// assert_eq!((first.state, first.emit), (Some(StepState::Done), Some(Emission::Advance)));
/// // The same message again changes nothing and is answered as before.
/// let again = transition(local, Some(StepState::Done), StepVerb::Advance, || unreachable!());
/// assert_eq!((again.state, again.effect, again.emit), (None, Effect::None, Some(Emission::Advance)));
///
/// // A cancel while the outcome of a call is unknown: the step is told to stop, and asks its service on.
/// let call = Rules { kind: Kind::Call(Recover::Key), ..local };
/// let stop = transition(call, Some(StepState::Acting), StepVerb::Cancel, || unreachable!());
/// assert_eq!((stop.state, stop.emit), (Some(StepState::Stopping), Some(Emission::Act)));
/// let accepted = StepVerb::Answer(Reply::Accepted);
/// let undo = transition(call, Some(StepState::Stopping), accepted, || unreachable!());
/// assert_eq!((undo.state, undo.emit), (Some(StepState::Undoing), Some(Emission::Undo)));
/// ```
pub fn transition(
    rules: Rules,
    state: Option<StepState>,
    verb: StepVerb,
    act: impl FnOnce() -> Answer,
) -> Transition {
    use Emission as E;
    use StepState::{Acting, Done, Refused, Stopping, Undoing, Undone, Waiting};
    use StepVerb::{Advance, Answer as From, Cancel, Compensate};

    let to = |state, effect, emit| Transition {
        state: Some(state),
        effect,
        emit: Some(emit),
    };
    let stays = |emit| Transition {
        state: None,
        effect: Effect::None,
        emit,
    };
    let again = |emit| stays(Some(emit));
    let ignored = stays(None);

    match (verb, state) {
        (Advance, None) => match (act(), rules.kind) {
            (Answer::Accepted, _) => to(Done, Effect::Act, E::Advance),
            (Answer::Refused, _) if rules.class == Class::Retriable => again(E::Contradiction),
            (Answer::Refused, _) => to(Refused, Effect::Refuse, E::Compensate),
            (Answer::Later, Kind::Wait) => to(Waiting, Effect::Begin, E::Waiting),
            (Answer::Later, Kind::Call(_) | Kind::Local) => to(Acting, Effect::Begin, E::Act),
        },
        (Compensate | Cancel, None) => to(Refused, Effect::Tombstone, E::Compensate),
        (From(_), None) => ignored,

        (Advance, Some(Done)) => again(E::Advance),
        (Compensate, Some(Done)) if !rules.can_be_undone() => again(E::Contradiction),
        (Compensate, Some(Done)) if matches!(rules.kind, Kind::Call(_)) => {
            to(Undoing, Effect::Recall, E::Undo)
        }
        (Compensate, Some(Done)) => to(Undone, Effect::Undo, E::Compensate),
        (Cancel, Some(Done)) if rules.last || rules.class == Class::Pivot => again(E::Advance),
        (Cancel, Some(Done)) => again(E::Cancel),
        (From(_), Some(Done)) => ignored,

        (Advance, Some(Waiting)) => again(E::Waiting),
        (Compensate | Cancel, Some(Waiting)) => to(Refused, Effect::Tombstone, E::Compensate),

        (Advance, Some(Acting)) => again(E::Act),
        (Compensate | Cancel, Some(Acting)) if rules.can_be_undone() => {
            to(Stopping, Effect::Recall, rules.stop())
        }
        (Compensate | Cancel, Some(Acting)) => again(E::Act),
        (Advance | Compensate | Cancel, Some(Stopping)) => again(rules.stop()),
        (Advance | Compensate | Cancel, Some(Undoing)) => again(E::Undo),

        (From(Reply::Accepted), Some(Waiting | Acting)) => to(Done, Effect::Settle, E::Advance),
        (From(Reply::Accepted), Some(Stopping)) => to(Undoing, Effect::Settle, E::Undo),
        (From(Reply::Refused), Some(Waiting | Acting)) if rules.class == Class::Retriable => ignored,
        (From(Reply::Refused), Some(Waiting | Acting | Stopping)) => {
            to(Refused, Effect::Settle, E::Compensate)
        }
        (From(Reply::Undone), Some(Undoing)) => to(Undone, Effect::Settle, E::Compensate),
        (From(Reply::Undone), Some(Stopping)) if rules.stop() == E::Undo => {
            to(Undone, Effect::Settle, E::Compensate)
        }
        (From(_), Some(Waiting | Acting | Stopping | Undoing)) => ignored,

        (Advance | Compensate | Cancel, Some(Refused | Undone)) => again(E::Compensate),
        (From(_), Some(Refused | Undone)) => ignored,
    }
}

#[cfg(test)]
mod tests;
