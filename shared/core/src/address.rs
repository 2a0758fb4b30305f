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
    /// To the caller of step k's service: ask it to act.
    Act(StepIndex),
    /// To the caller of step k's service: ask it to undo.
    Undo(StepIndex),
    /// To step k on another cloud: somebody outside has answered it at the origin.
    Answer(StepIndex),
    /// To the origin: how far the calls of step k's service have come.
    Report(StepIndex),
    /// To the origin: step k cannot be undone, and was asked to be.
    Contradiction(StepIndex),
    /// To whoever is to answer step k.
    Waiting(StepIndex),
}

/// The mailbox of messages for people and systems outside. No service is called so.
pub const MAILBOX_OUTSIDE: &str = "outside";

/// The type of the event by which a first step of the other cloud says that it is undone.
const CANCELLED: &str = "SagaCancelled";
const ACT: &str = "SagaStepActRequested";
const UNDO: &str = "SagaStepUndoRequested";
const ANSWERED: &str = "SagaStepAnswered";
const REPORTED: &str = "SagaStepReported";
const CONTRADICTED: &str = "SagaStepContradicted";
const WAITING: &str = "SagaStepWaiting";

/// Types of events that no step of a definition can have as its own.
pub const RESERVED_TYPES: [&str; 7] = [CANCELLED, ACT, UNDO, ANSWERED, REPORTED, CONTRADICTED, WAITING];

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
            Address::Act(_) => "act",
            Address::Undo(_) => "undo",
            Address::Answer(_) => "answer",
            Address::Report(_) => "report",
            Address::Contradiction(_) => "contradiction",
            Address::Waiting(_) => "waiting",
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
            "act" => index.map(Address::Act),
            "undo" => index.map(Address::Undo),
            "answer" => index.map(Address::Answer),
            "report" => index.map(Address::Report),
            "contradiction" => index.map(Address::Contradiction),
            "waiting" => index.map(Address::Waiting),
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

    /// The step that it is for, or about; `None` for `complete` and `cancelled`.
    #[must_use]
    pub fn step(self) -> Option<StepIndex> {
        match self {
            Address::Complete | Address::Cancelled => None,
            Address::Advance(step)
            | Address::Compensate(step)
            | Address::Cancel(step)
            | Address::Act(step)
            | Address::Undo(step)
            | Address::Answer(step)
            | Address::Report(step)
            | Address::Contradiction(step)
            | Address::Waiting(step) => Some(step),
        }
    }

    /// The type of its events where that is the same for every definition.
    pub(crate) fn fixed_type(self) -> Option<&'static str> {
        match self {
            Address::Cancelled => Some(CANCELLED),
            Address::Act(_) => Some(ACT),
            Address::Undo(_) => Some(UNDO),
            Address::Answer(_) => Some(ANSWERED),
            Address::Report(_) => Some(REPORTED),
            Address::Contradiction(_) => Some(CONTRADICTED),
            Address::Waiting(_) => Some(WAITING),
            Address::Advance(_) | Address::Compensate(_) | Address::Cancel(_) | Address::Complete => None,
        }
    }
}
