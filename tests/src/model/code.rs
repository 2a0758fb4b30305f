//! The code under proof. The model has no rule of its own: what a message does to a step and to a saga, and whether a
//! service may be asked, is asked of these functions, and they are core's unless a test puts others in their place to
//! see that it is noticed.

use saga_core::Timestamp;
use saga_core::call::{CallVerb, Owed};
use saga_core::origin::{Command, Decided, Misaddressed, Origin};
use saga_core::participant::Entities;
use saga_core::participate::{Message, Step, StepDecision, StepRecord};

/// A message at a step.
pub type DecideStep =
    for<'a> fn(&Step<'a>, Option<&'a StepRecord>, &Message<'a>, &Entities, Timestamp) -> StepDecision;

/// The functions that the deployed use cases call, too.
#[derive(Clone, Copy)]
pub struct Code {
    /// A message at a step of the other cloud.
    pub step: DecideStep,
    /// A command at the origin.
    pub origin: fn(&Origin<'_>, &Command<'_>) -> Result<Decided, Misaddressed>,
    /// What a record owes to its service when a request arrives at the caller.
    pub owed: fn(&Step<'_>, Option<&StepRecord>, CallVerb, Timestamp) -> Owed,
}

impl Code {
    /// Core's own.
    pub const CORE: Code = Code {
        step: |step, record, message, entities, now| step.decide(record, message, entities, now),
        origin: |origin, command| {
            origin.reads(command)?;
            origin.apply(command, &Entities::new())
        },
        owed: |step, record, verb, now| step.owed(record, verb, now),
    };
}
