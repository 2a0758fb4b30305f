//! The two ends of a saga, at the origin: what completes it, what cancels it, and what an override does.
//!
//! The counterpart of [`crate::step`] for the saga itself, and just as alone: one function on four small
//! facts. It keeps two invariants. A terminal saga answers nothing, with one exception: a `complete` that
//! reaches a CANCELLED saga is answered with `compensate` to the last step, so that the other cloud follows
//! an override. And an end once reached is never left.

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

/// What the origin knows of the ends of a saga.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Ends {
    /// Where the saga stands.
    pub phase: Phase,
    /// It was ended by an override, and the other steps have not all followed yet.
    pub closing: bool,
    /// A cancel was asked for (by a caller or by the deadline) and chases the saga.
    pub cancelling: bool,
    /// An operator, or a publisher that is not one of our participants, decided the end.
    pub overridden: bool,
}

/// What reaches the origin's ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Knock {
    /// `advance` past the last step.
    Complete,
    /// `compensate` for the origin's step, or `cancelled`.
    Cancelled,
    /// A caller, or the deadline, wants the saga cancelled.
    Cancel,
    /// An override: the saga is cancelled now.
    OverrideCancelled,
    /// An override: the saga is complete now.
    OverrideCompleted,
}

/// What the ends send, if anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Send {
    /// `cancel` to the first step after the origin's.
    CancelFirst,
    /// `compensate` to the last step.
    CompensateLast,
}

/// The verdict on a knock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The ends change. `undo`: step 0, where it is the origin's, is undone in the same transaction.
    Moved {
        /// The new facts.
        ends: Ends,
        /// Undo step 0 in the same transaction.
        undo: bool,
        /// What leaves in the same transaction.
        send: Option<Send>,
    },
    /// Known already; what left then may leave again.
    Repeated(Option<Send>),
    /// The saga has ended otherwise; nothing changes, and at most the one exception leaves.
    Late(Option<Send>),
    /// The other cloud refused what an override completed: shown and told, not enacted.
    Contradicted,
}

/// Decides what a knock does.
#[must_use]
pub fn knock(ends: Ends, knock: Knock) -> Verdict {
    use Phase::{Cancelled, Completed, Open};
    let moved = |ends, undo, send| Verdict::Moved { ends, undo, send };

    match (knock, ends.phase) {
        (Knock::Complete, Open) => moved(
            Ends {
                phase: Completed,
                ..ends
            },
            false,
            None,
        ),
        (Knock::Complete, Completed) => Verdict::Repeated(None),
        (Knock::Complete, Cancelled) => Verdict::Late(Some(Send::CompensateLast)),

        (Knock::Cancelled, Open) => moved(
            Ends {
                phase: Cancelled,
                ..ends
            },
            true,
            None,
        ),
        (Knock::Cancelled, Completed) => Verdict::Contradicted,
        (Knock::Cancelled, Cancelled) if ends.closing => moved(
            Ends {
                closing: false,
                ..ends
            },
            false,
            None,
        ),
        (Knock::Cancelled, Cancelled) => Verdict::Repeated(None),

        (Knock::Cancel, Open) if ends.cancelling => Verdict::Repeated(Some(Send::CancelFirst)),
        (Knock::Cancel, Open) => moved(
            Ends {
                cancelling: true,
                ..ends
            },
            false,
            Some(Send::CancelFirst),
        ),
        (Knock::Cancel, Completed | Cancelled) => Verdict::Late(None),

        (Knock::OverrideCancelled, Open) => {
            let ends = Ends {
                phase: Cancelled,
                closing: true,
                overridden: true,
                ..ends
            };
            moved(ends, true, Some(Send::CancelFirst))
        }
        (Knock::OverrideCompleted, Open) => moved(
            Ends {
                phase: Completed,
                overridden: true,
                ..ends
            },
            false,
            None,
        ),
        (Knock::OverrideCancelled, Cancelled) | (Knock::OverrideCompleted, Completed) => {
            Verdict::Repeated(None)
        }
        (Knock::OverrideCancelled, Completed) | (Knock::OverrideCompleted, Cancelled) => Verdict::Late(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every knock on every state that the ends can be in, written out a second time.
    #[test]
    fn every_knock_is_as_designed() {
        use Knock as K;
        use Phase::{Cancelled, Completed, Open};
        use Verdict::{Contradicted, Late, Repeated};

        let moved = |ends, undo, send| Verdict::Moved { ends, undo, send };
        for cancelling in [false, true] {
            for overridden in [false, true] {
                let ends = |phase, closing| Ends {
                    phase,
                    closing,
                    cancelling,
                    overridden,
                };
                let by_override = |phase, closing| Ends {
                    overridden: true,
                    ..ends(phase, closing)
                };
                let cancel = if cancelling {
                    Repeated(Some(Send::CancelFirst))
                } else {
                    moved(
                        Ends {
                            cancelling: true,
                            ..ends(Open, false)
                        },
                        false,
                        Some(Send::CancelFirst),
                    )
                };
                let to_cancelled = moved(by_override(Cancelled, true), true, Some(Send::CancelFirst));
                let to_completed = moved(by_override(Completed, false), false, None);
                for (state, with, expected) in [
                    (
                        ends(Open, false),
                        K::Complete,
                        moved(ends(Completed, false), false, None),
                    ),
                    (
                        ends(Open, false),
                        K::Cancelled,
                        moved(ends(Cancelled, false), true, None),
                    ),
                    (ends(Open, false), K::Cancel, cancel),
                    (ends(Open, false), K::OverrideCancelled, to_cancelled),
                    (ends(Open, false), K::OverrideCompleted, to_completed),
                    (ends(Completed, false), K::Complete, Repeated(None)),
                    (ends(Completed, false), K::Cancelled, Contradicted),
                    (ends(Completed, false), K::Cancel, Late(None)),
                    (ends(Completed, false), K::OverrideCancelled, Late(None)),
                    (ends(Completed, false), K::OverrideCompleted, Repeated(None)),
                    (
                        ends(Cancelled, false),
                        K::Complete,
                        Late(Some(Send::CompensateLast)),
                    ),
                    (
                        ends(Cancelled, true),
                        K::Complete,
                        Late(Some(Send::CompensateLast)),
                    ),
                    (ends(Cancelled, false), K::Cancelled, Repeated(None)),
                    (
                        ends(Cancelled, true),
                        K::Cancelled,
                        moved(ends(Cancelled, false), false, None),
                    ),
                    (ends(Cancelled, false), K::Cancel, Late(None)),
                    (ends(Cancelled, true), K::Cancel, Late(None)),
                    (ends(Cancelled, false), K::OverrideCancelled, Repeated(None)),
                    (ends(Cancelled, true), K::OverrideCancelled, Repeated(None)),
                    (ends(Cancelled, false), K::OverrideCompleted, Late(None)),
                    (ends(Cancelled, true), K::OverrideCompleted, Late(None)),
                ] {
                    assert_eq!(knock(state, with), expected, "{with:?} on {state:?}");
                }
            }
        }
    }
}
