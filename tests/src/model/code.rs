//! The code under proof. The model has no rule of its own: what a message does to a step and to a saga is asked of
//! these functions, and they are core's unless a test puts others in their place to see that it is noticed.

use saga_core::origin::{Misaddressed, Origin, OriginDecision, Override};
use saga_core::participant::Entities;
use saga_core::participate::{Message, Step, StepDecision, StepRecord};
use saga_core::{Event, Timestamp};

/// What an origin's decision is, or why there is none.
pub type Decided = Result<OriginDecision, Misaddressed>;

/// A message at a step.
pub type DecideStep =
    for<'a> fn(&Step<'a>, Option<&'a StepRecord>, &Message<'a>, &Entities, Timestamp) -> StepDecision;

/// The functions that the deployed use cases call, too.
#[derive(Clone, Copy)]
pub struct Code {
    /// A message at a step of the other cloud.
    pub step: DecideStep,
    /// An event at the origin; the text names a publisher that is none of our participants.
    pub receive: fn(&Origin<'_>, &Event, Option<&str>) -> Decided,
    /// The sweeper's look at a saga.
    pub sweep: fn(&Origin<'_>) -> Result<Option<OriginDecision>, Misaddressed>,
    /// A caller's cancel.
    pub cancel: fn(&Origin<'_>) -> Decided,
    /// An operator's override.
    pub resolve: fn(&Origin<'_>, Override) -> Decided,
}

impl Code {
    /// Core's own.
    pub const CORE: Code = Code {
        step: |step, record, message, entities, now| step.decide(record, message, entities, now),
        receive: |origin, event, outsider| {
            origin.reads(event, outsider)?;
            origin.receive(event, outsider, &Entities::new())
        },
        sweep: |origin| origin.sweep(),
        cancel: |origin| origin.cancel("somebody".to_owned(), "a cancel".to_owned()),
        resolve: |origin, to| {
            origin.reads_to_undo()?;
            origin.resolve(
                to,
                "an operator".to_owned(),
                "an override".to_owned(),
                &Entities::new(),
            )
        },
    };
}
