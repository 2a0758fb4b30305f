//! The lifecycle of a saga at its origin: open, completed or cancelled, and what an override does to it.
//!
//! It is to the saga what [`crate::step`] is to a step: one pure function, [`transition`], of four small facts. It keeps
//! two invariants. A saga that has ended answers nothing, with one exception: a `complete` that reaches a CANCELLED saga
//! is answered with `compensate` to the last step, so that the other cloud follows an override. A saga that has ended
//! never ends in another way.
//!
//! ```
//! use saga_core::lifecycle::{Lifecycle, Phase, Transition, Trigger, transition};
//!
//! let open = Lifecycle::default();
//! let Transition::Moved { lifecycle, undo, send } = transition(open, Trigger::Complete) else { panic!() };
//! assert_eq!((lifecycle.phase, undo, send), (Phase::Completed, false, None));
//! // A completed saga can no longer be cancelled.
//! assert_eq!(transition(lifecycle, Trigger::Cancel), Transition::Late(None));
//! ```

/// Where a saga stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Phase {
    /// Not ended.
    #[default]
    Open,
    /// Ended: all steps are done, or an operator said so.
    Completed,
    /// Ended: step 0 is undone (or there was none at the origin).
    Cancelled,
}

/// How far a saga has come, as the origin knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Lifecycle {
    /// Where the saga stands.
    pub phase: Phase,
    /// It was ended by an override, and the steps have not all followed yet.
    pub closing: bool,
    /// While it is closing: the steps after the first have followed, and only the first one's own undo is not confirmed.
    pub followed: bool,
    /// A cancel was asked for (by a caller or by the deadline) and chases the saga.
    pub cancelling: bool,
    /// An operator, or a publisher that is not one of our participants, decided the end.
    pub overridden: bool,
}

/// What may change a lifecycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// `advance` past the last step.
    Complete,
    /// `compensate` for the origin's step, or `cancelled`: no step is done, or the origin undoes its own at once.
    Cancelled,
    /// `compensate` for the origin's step, whose own undo is not confirmed yet.
    Followed,
    /// The undo of the origin's step is confirmed, or it has refused.
    Settled,
    /// A step that cannot be undone was asked to be.
    Contradiction,
    /// A caller, or the deadline, wants the saga cancelled.
    Cancel,
    /// An override: the saga is cancelled now.
    OverrideCancelled,
    /// An override: the saga is complete now.
    OverrideCompleted,
}

/// The event that a transition sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Send {
    /// `cancel` to the first step after the origin's.
    CancelFirst,
    /// `compensate` to the last step.
    CompensateLast,
}

/// The effect of a trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transition {
    /// The lifecycle changes.
    Moved {
        /// The new facts.
        lifecycle: Lifecycle,
        /// Step 0, where it is the origin's, is undone in the same transaction.
        undo: bool,
        /// The event that is committed in the same transaction.
        send: Option<Send>,
    },
    /// Known already; the event that was sent then may be sent again.
    Repeated(Option<Send>),
    /// The saga has ended in another way; nothing changes, and only the one exception is sent.
    Late(Option<Send>),
    /// A step's word contradicts the end: shown and alerted, not enacted.
    Contradicted(Lifecycle),
}

/// Decides what a trigger does to a lifecycle.
#[must_use]
pub fn transition(lifecycle: Lifecycle, trigger: Trigger) -> Transition {
    use Phase::{Cancelled, Completed, Open};
    let moved = |lifecycle, undo, send| Transition::Moved {
        lifecycle,
        undo,
        send,
    };

    let closed = Lifecycle {
        closing: false,
        followed: false,
        ..lifecycle
    };

    match (trigger, lifecycle.phase) {
        (Trigger::Complete, Open) => moved(
            Lifecycle {
                phase: Completed,
                ..lifecycle
            },
            false,
            None,
        ),
        (Trigger::Complete, Completed) => Transition::Repeated(None),
        (Trigger::Complete, Cancelled) => Transition::Late(Some(Send::CompensateLast)),

        (Trigger::Cancelled | Trigger::Settled, Open) => moved(
            Lifecycle {
                phase: Cancelled,
                ..lifecycle
            },
            true,
            None,
        ),
        (Trigger::Cancelled | Trigger::Followed | Trigger::Settled, Completed) => {
            Transition::Contradicted(lifecycle)
        }
        (Trigger::Cancelled, Cancelled) if lifecycle.closing => moved(closed, false, None),
        (Trigger::Settled, Cancelled) if lifecycle.closing && lifecycle.followed => {
            moved(closed, false, None)
        }
        (Trigger::Followed, Cancelled) if lifecycle.closing && !lifecycle.followed => moved(
            Lifecycle {
                followed: true,
                ..lifecycle
            },
            false,
            None,
        ),
        (Trigger::Cancelled | Trigger::Settled | Trigger::Followed, Cancelled)
        | (Trigger::Followed, Open) => Transition::Repeated(None),
        (Trigger::Contradiction, Open | Completed | Cancelled) => Transition::Contradicted(closed),

        (Trigger::Cancel, Open) if lifecycle.cancelling => Transition::Repeated(Some(Send::CancelFirst)),
        (Trigger::Cancel, Open) => moved(
            Lifecycle {
                cancelling: true,
                ..lifecycle
            },
            false,
            Some(Send::CancelFirst),
        ),
        (Trigger::Cancel, Completed | Cancelled) => Transition::Late(None),

        (Trigger::OverrideCancelled, Open) => {
            let lifecycle = Lifecycle {
                phase: Cancelled,
                closing: true,
                overridden: true,
                ..lifecycle
            };
            moved(lifecycle, true, Some(Send::CancelFirst))
        }
        (Trigger::OverrideCompleted, Open) => moved(
            Lifecycle {
                phase: Completed,
                overridden: true,
                ..lifecycle
            },
            false,
            None,
        ),
        (Trigger::OverrideCancelled, Cancelled) | (Trigger::OverrideCompleted, Completed) => {
            Transition::Repeated(None)
        }
        (Trigger::OverrideCancelled, Completed) | (Trigger::OverrideCompleted, Cancelled) => {
            Transition::Late(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every trigger in every state, written out a second time.
    #[test]
    fn every_transition_is_as_designed() {
        use Phase::{Cancelled, Completed, Open};
        use Transition::{Contradicted, Late, Repeated};
        use Trigger as K;

        let moved = |lifecycle, undo, send| Transition::Moved {
            lifecycle,
            undo,
            send,
        };
        for cancelling in [false, true] {
            for overridden in [false, true] {
                let lifecycle = |phase, closing| Lifecycle {
                    phase,
                    closing,
                    followed: false,
                    cancelling,
                    overridden,
                };
                let followed = |lifecycle| Lifecycle {
                    followed: true,
                    ..lifecycle
                };
                let by_override = |phase, closing| Lifecycle {
                    overridden: true,
                    ..lifecycle(phase, closing)
                };
                let cancel = if cancelling {
                    Repeated(Some(Send::CancelFirst))
                } else {
                    moved(
                        Lifecycle {
                            cancelling: true,
                            ..lifecycle(Open, false)
                        },
                        false,
                        Some(Send::CancelFirst),
                    )
                };
                let to_cancelled = moved(by_override(Cancelled, true), true, Some(Send::CancelFirst));
                let to_completed = moved(by_override(Completed, false), false, None);
                for (state, with, expected) in [
                    (
                        lifecycle(Open, false),
                        K::Complete,
                        moved(lifecycle(Completed, false), false, None),
                    ),
                    (
                        lifecycle(Open, false),
                        K::Cancelled,
                        moved(lifecycle(Cancelled, false), true, None),
                    ),
                    (lifecycle(Open, false), K::Cancel, cancel),
                    (lifecycle(Open, false), K::OverrideCancelled, to_cancelled),
                    (lifecycle(Open, false), K::OverrideCompleted, to_completed),
                    (lifecycle(Completed, false), K::Complete, Repeated(None)),
                    (
                        lifecycle(Completed, false),
                        K::Cancelled,
                        Contradicted(lifecycle(Completed, false)),
                    ),
                    (
                        lifecycle(Completed, false),
                        K::Followed,
                        Contradicted(lifecycle(Completed, false)),
                    ),
                    (
                        lifecycle(Completed, false),
                        K::Settled,
                        Contradicted(lifecycle(Completed, false)),
                    ),
                    (lifecycle(Open, false), K::Followed, Repeated(None)),
                    (
                        lifecycle(Open, false),
                        K::Settled,
                        moved(lifecycle(Cancelled, false), true, None),
                    ),
                    (lifecycle(Cancelled, true), K::Settled, Repeated(None)),
                    (lifecycle(Cancelled, false), K::Settled, Repeated(None)),
                    (lifecycle(Cancelled, false), K::Followed, Repeated(None)),
                    (
                        lifecycle(Cancelled, true),
                        K::Followed,
                        moved(followed(lifecycle(Cancelled, true)), false, None),
                    ),
                    (followed(lifecycle(Cancelled, true)), K::Followed, Repeated(None)),
                    (
                        followed(lifecycle(Cancelled, true)),
                        K::Settled,
                        moved(lifecycle(Cancelled, false), false, None),
                    ),
                    (
                        lifecycle(Open, false),
                        K::Contradiction,
                        Contradicted(lifecycle(Open, false)),
                    ),
                    (
                        lifecycle(Completed, false),
                        K::Contradiction,
                        Contradicted(lifecycle(Completed, false)),
                    ),
                    (
                        followed(lifecycle(Cancelled, true)),
                        K::Contradiction,
                        Contradicted(lifecycle(Cancelled, false)),
                    ),
                    (lifecycle(Completed, false), K::Cancel, Late(None)),
                    (lifecycle(Completed, false), K::OverrideCancelled, Late(None)),
                    (lifecycle(Completed, false), K::OverrideCompleted, Repeated(None)),
                    (
                        lifecycle(Cancelled, false),
                        K::Complete,
                        Late(Some(Send::CompensateLast)),
                    ),
                    (
                        lifecycle(Cancelled, true),
                        K::Complete,
                        Late(Some(Send::CompensateLast)),
                    ),
                    (lifecycle(Cancelled, false), K::Cancelled, Repeated(None)),
                    (
                        lifecycle(Cancelled, true),
                        K::Cancelled,
                        moved(lifecycle(Cancelled, false), false, None),
                    ),
                    (lifecycle(Cancelled, false), K::Cancel, Late(None)),
                    (lifecycle(Cancelled, true), K::Cancel, Late(None)),
                    (lifecycle(Cancelled, false), K::OverrideCancelled, Repeated(None)),
                    (lifecycle(Cancelled, true), K::OverrideCancelled, Repeated(None)),
                    (lifecycle(Cancelled, false), K::OverrideCompleted, Late(None)),
                    (lifecycle(Cancelled, true), K::OverrideCompleted, Late(None)),
                ] {
                    assert_eq!(transition(state, with), expected, "{with:?} on {state:?}");
                }
            }
        }
    }
}
