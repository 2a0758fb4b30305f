//! A new saga: its record, its first step where that is the origin's, and the event that opens it.

use std::collections::BTreeMap;

use super::context::{Misaddressed, Origin, OriginDecision};
use crate::Outcome;
use crate::definition::Definition;
use crate::document::{Fields, carried};
use crate::ids::{SagaId, StepIndex, Timestamp, TraceParent};
use crate::lifecycle::Lifecycle;
use crate::participant::{Entities, Participants, decimals};
use crate::participate::Message;
use crate::patience::Patience;
use crate::saga::{Saga, Status};
use crate::step::{StepState, StepVerb};
use crate::timeline::{Entry, Timeline};

/// What a caller gives to start a saga.
#[derive(Debug, Clone)]
pub struct Start {
    /// The id, derived from the caller's idempotency key.
    pub saga: SagaId,
    /// What the steps need.
    pub input: Fields,
    /// The caller's trace context.
    pub trace: TraceParent,
    /// The time.
    pub now: Timestamp,
}

/// Starts a saga. `Ok(Err(reason))`: its own first step refused, and nothing is to be stored.
///
/// # Errors
/// [`Misaddressed`] when a participant is missing.
pub fn start(
    definition: &Definition,
    participants: &Participants,
    patience: Patience,
    start: Start,
) -> Result<Result<OriginDecision, String>, Misaddressed> {
    let Start {
        saga: id,
        input,
        trace,
        now,
    } = start;
    let deadline = now.plus_millis(definition.deadline_millis());
    let saga = Saga {
        id,
        definition: definition.reference().clone(),
        input: carried(input, &decimals(definition, participants)),
        created: now,
        deadline,
        trace,
        lifecycle: Lifecycle::default(),
        steps: BTreeMap::new(),
        cancel: None,
        resolved: None,
        parked: Vec::new(),
        stuck: None,
        shown: Status::PendingAwsConfirmation,
        timeline: Timeline::default(),
        due: Some(patience.next(now, 0, deadline)),
        nudges: 0,
    };
    let origin = Origin {
        saga: &saga,
        definition: Some(definition),
        participants,
        patience,
        now,
    };
    let mut decision = origin.unchanged(Outcome::Applied);
    if definition.opens_at_origin() {
        let message = Message::own(StepVerb::Advance, now, &saga.trace, &saga.input);
        let opened = origin
            .owned(StepIndex::FIRST)?
            .decide(None, &message, &Entities::new(), now);
        if let Some(record) = opened.record {
            if record.state == StepState::Refused {
                return Ok(Err(record.reason.unwrap_or_default()));
            }
            decision.saga.steps.insert(StepIndex::FIRST, record);
        }
        decision.writes = opened.writes;
        decision.emit = opened.emit;
        decision.saga.due = origin.with_waits(&decision.saga);
    }
    decision.emit = decision.emit.or_else(|| origin.opening_event());
    if let Some(event) = &decision.emit {
        let line = Entry::of_event(event, now, Outcome::Applied, None);
        decision.saga.timeline.record(line);
    }
    decision.status = decision.saga.status(definition);
    decision.saga.shown = decision.status;
    Ok(Ok(decision))
}
