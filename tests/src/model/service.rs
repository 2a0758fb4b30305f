//! An outside service, as small as its promise: what it has decided for the key of one step.

use saga_core::call::CallVerb;
use saga_core::step::{Recover, Reply};

/// What a service has decided. Its first decision for a key is final, and it forgets nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Service {
    /// It was not asked to act.
    #[default]
    Unseen,
    /// The effect exists.
    Accepted,
    /// It does not, and never will.
    Refused,
    /// It existed, and was undone.
    Undone,
    /// It was undone before it was asked for, and never will exist.
    Tombstoned,
}

impl Service {
    /// Whether the effect exists.
    #[must_use]
    pub fn in_effect(self) -> bool {
        self == Self::Accepted
    }

    /// What a request makes of it, and what it answers.
    #[must_use]
    pub fn asked(self, verb: CallVerb, promise: Recover, refuses: bool) -> (Self, Reply) {
        match (verb, self) {
            (CallVerb::Act, Self::Unseen) if refuses => (Self::Refused, Reply::Refused),
            (CallVerb::Act, Self::Unseen | Self::Accepted) => (Self::Accepted, Reply::Accepted),
            (CallVerb::Act, Self::Refused | Self::Tombstoned) => (self, Reply::Refused),
            // An act by a key that is known is answered as the first time; nothing happens.
            (CallVerb::Act, Self::Undone) => (self, Reply::Accepted),
            (CallVerb::Undo, Self::Accepted) => (Self::Undone, Reply::Undone),
            (CallVerb::Undo, Self::Unseen) if promise == Recover::Tombstone => {
                (Self::Tombstoned, Reply::Undone)
            }
            (CallVerb::Undo, _) => (self, Reply::Undone),
        }
    }

    /// All that it may have said so far, or somebody for it.
    #[must_use]
    pub fn said(self) -> &'static [Reply] {
        match self {
            Self::Unseen => &[],
            Self::Accepted => &[Reply::Accepted],
            Self::Refused | Self::Tombstoned => &[Reply::Refused, Reply::Undone],
            Self::Undone => &[Reply::Accepted, Reply::Undone],
        }
    }

    /// Whether its promise says what an undo does now: with `key` only what was accepted can be undone.
    #[must_use]
    pub fn can_undo(self, promise: Recover) -> bool {
        promise == Recover::Tombstone || matches!(self, Self::Accepted | Self::Undone)
    }

    /// What an operator makes of it who says so; `None` where it would not be true. Either the service has decided so, or it
    /// has decided nothing and is told so first. Only a step that is to be undone may be undone by hand.
    #[must_use]
    pub fn answered_for(self, word: Reply, stops: bool) -> Option<Self> {
        match (word, self) {
            (Reply::Accepted, Self::Unseen | Self::Accepted) => Some(Self::Accepted),
            // It was done, and is undone already.
            (Reply::Accepted, Self::Undone) if stops => Some(Self::Undone),
            (Reply::Refused, Self::Unseen) => Some(Self::Refused),
            (Reply::Refused, Self::Refused | Self::Tombstoned) => Some(self),
            (Reply::Undone, Self::Unseen) if stops => Some(Self::Tombstoned),
            (Reply::Undone, Self::Accepted) if stops => Some(Self::Undone),
            (Reply::Undone, Self::Refused | Self::Undone | Self::Tombstoned) => Some(self),
            _ => None,
        }
    }
}
