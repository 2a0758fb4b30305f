//! Who a message is for, and what it asks: a verb and a step.

use crate::ids::{EventId, SagaId, StepIndex};

/// Who a message is for, and what it asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// Do step k.
    Advance(StepIndex),
    /// Undo step k.
    Compensate(StepIndex),
    /// Stand in the way at step k, or pass it on.
    Cancel(StepIndex),
    /// All steps are done: `advance` past the last.
    Complete,
    /// All steps are undone: `compensate` before the first.
    Cancelled,
}

impl Address {
    /// The verb's word in events, logs and timelines.
    #[must_use]
    pub fn verb(self) -> &'static str {
        match self {
            Address::Advance(_) => "advance",
            Address::Compensate(_) => "compensate",
            Address::Cancel(_) => "cancel",
            Address::Complete => "complete",
            Address::Cancelled => "cancelled",
        }
    }

    /// The address that a verb and a step's number say, if they say one.
    #[must_use]
    pub fn parse(verb: &str, step: i32) -> Option<Self> {
        let index = u8::try_from(step).ok().map(StepIndex::new);
        match verb {
            "advance" => index.map(Address::Advance),
            "compensate" => index.map(Address::Compensate),
            "cancel" => index.map(Address::Cancel),
            "complete" => index.map(|_| Address::Complete),
            "cancelled" if step == -1 => Some(Address::Cancelled),
            _ => None,
        }
    }

    /// The address in the id of an event of ours; `None` for other publishers' ids, and for another saga's.
    #[must_use]
    pub fn of_id(event: &EventId, saga: SagaId) -> Option<Self> {
        event.decided_at(saga)?;
        let (_, label) = event.as_str().split_once(&format!("-{saga}-"))?;
        let number = label.find(|c: char| c == '-' || c.is_ascii_digit())?;
        let (verb, number) = label.split_at(number);
        Self::parse(verb, number.parse().ok()?)
    }

    /// The step addressed; `None` for `complete` and `cancelled`.
    #[must_use]
    pub fn step(self) -> Option<StepIndex> {
        match self {
            Address::Advance(step) | Address::Compensate(step) | Address::Cancel(step) => Some(step),
            Address::Complete | Address::Cancelled => None,
        }
    }
}
