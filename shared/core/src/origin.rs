//! The cloud that keeps the saga: starts it, hears of its steps, lifecycle it, and sends again what was lost.
//!
//! Each function takes the saga as it is and gives back the saga as it is to be, with everything that must
//! be committed in the same transaction. Invariants: every decision emits at most one event; a write happens
//! only through such a decision; the lifecycle are decided by [`crate::lifecycle::transition`] and the steps by
//! [`crate::step::transition`], nowhere else.

use std::collections::BTreeMap;

use crate::Outcome;
use crate::address::Address;
use crate::definition::{Cloud, Definition};
use crate::document::{Fields, carried};
pub use crate::emit::command_entry;
use crate::emit::{cancel_event, compensate_last, entry, opening_event};
use crate::event::{Event, reason_data};
use crate::ids::{SagaId, StepIndex, Timestamp, TraceParent};
use crate::lifecycle::{Lifecycle, Phase, Send, Transition, Trigger, transition};
use crate::mark::Mark;
pub use crate::participant::Participants;
use crate::participant::{Context, Entities, EntityKey, EntityWrite, Work, decimals};
use crate::participate::{Message, Step};
use crate::patience::Patience;
use crate::reports::Reports;
use crate::saga::{Saga, Status};
use crate::step::{Effect, StepState, StepVerb};
use crate::timeline::Timeline;

/// What is to be committed, in one transaction, guarded by the revision of the saga that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginDecision {
    /// What became of the message or the command.
    pub outcome: Outcome,
    /// The saga as it is to be.
    pub saga: Saga,
    /// Its status, for the store to show to whoever reads it past us.
    pub status: Status,
    /// Entities to write.
    pub writes: Vec<EntityWrite>,
    /// Fields to set on entities that exist.
    pub settle: Vec<EntityWrite>,
    /// The one event that leaves, or leaves again.
    pub emit: Option<Event>,
    /// Something an operator must know.
    pub alert: Option<String>,
}

impl OriginDecision {
    /// Marks and lines of the timeline: the saga does not move, so neither its definition nor a participant is asked.
    #[must_use]
    pub fn marking(saga: Saga) -> Self {
        Self {
            outcome: Outcome::Applied,
            status: saga.shown,
            saga,
            writes: Vec::new(),
            settle: Vec::new(),
            emit: None,
            alert: None,
        }
    }
}

/// Why nothing is decided: the message is not for the origin, or cannot be true. It is quarantined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misaddressed {
    /// The definition has no such step, or the step is another cloud's.
    #[error("step {0} is not a step of this cloud")]
    NotOurs(String),
    /// Another publisher's event would make a step act whose turn it is not known to be.
    #[error("only a participant of the saga can advance it")]
    OutOfTurn,
    /// Another publisher means another saga: what it says is not what this one was started with.
    #[error("the event's `{0}` is not the saga's")]
    Contradicts(String),
    /// The definition names a participant that this deployment does not have.
    #[error("participant `{0}` is not part of this deployment")]
    NoParticipant(String),
}

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

/// Where an operator's or a publisher's override takes a saga.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Override {
    /// To COMPLETED.
    Completed,
    /// To CANCELLED_VIA_COMPENSATION.
    Cancelled,
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
    let mut saga = Saga {
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
    let mut writes = Vec::new();
    let mut emit = None;
    if definition.opens_at_origin() {
        let data = saga.input.clone();
        let trace = saga.trace.clone();
        let message = Message {
            verb: StepVerb::Advance,
            time: now,
            hop: 0,
            trace: &trace,
            data: &data,
            reports: Reports::NOTHING,
        };
        let step = step_at(definition, participants, id, StepIndex::FIRST)?;
        let decision = step.decide(None, &message, &Entities::new(), now);
        if let Some(record) = decision.record {
            if record.state == StepState::Refused {
                return Ok(Err(record.reason.unwrap_or_default()));
            }
            saga.steps.insert(StepIndex::FIRST, record);
        }
        writes = decision.writes;
        emit = decision.emit;
    }
    let emit = emit.or_else(|| opening_event(&saga, definition, participants));
    if let Some(event) = &emit {
        saga.timeline.record(entry(event, now, Outcome::Applied, None));
    }
    saga.shown = saga.status(definition);
    Ok(Ok(OriginDecision {
        outcome: Outcome::Applied,
        status: saga.shown,
        saga,
        writes,
        settle: Vec::new(),
        emit,
        alert: None,
    }))
}

/// The origin's knowledge of the steps, ready to decide about one saga.
#[derive(Clone, Copy)]
pub struct Origin<'a> {
    /// The saga as it was read.
    pub saga: &'a Saga,
    /// Its definition.
    pub definition: &'a Definition,
    /// The participants of this deployment.
    pub participants: &'a Participants,
    /// How long to wait before sending again.
    pub patience: Patience,
    /// The time.
    pub now: Timestamp,
}

impl Origin<'_> {
    /// Decides what an event does. `outsider` names a publisher that is none of our participants (the event
    /// came without our attributes); a compensation that comes so is an override.
    ///
    /// # Errors
    /// [`Misaddressed`] when the event is for a step of another cloud, or contradicts the saga.
    pub fn receive(
        &self,
        event: &Event,
        outsider: Option<&str>,
        entities: &Entities,
    ) -> Result<OriginDecision, Misaddressed> {
        if outsider.is_some() {
            self.check_claims(event)?;
        }
        let reason = event.reason();
        let mut decision = match event.address {
            // Only our participants can say that a step was done in turn; another publisher's word that the last
            // one is, is an override as a compensation is: shown, final, and contradicted if our own say otherwise.
            Address::Complete if outsider.is_some() => {
                let by = format!("publisher {}", outsider.unwrap_or_default());
                let reason = reason.unwrap_or("confirmed from outside").to_owned();
                self.resolve(Override::Completed, by, reason, entities)?
            }
            Address::Advance(_) if outsider.is_some() => return Err(Misaddressed::OutOfTurn),
            Address::Complete => self.end(Trigger::Complete, event.hop, reason, entities)?,
            Address::Cancelled => self.end(Trigger::Cancelled, event.hop, reason, entities)?,
            Address::Compensate(step) if outsider.is_some() => {
                self.owned(step)?;
                let by = format!("publisher {}", outsider.unwrap_or_default());
                self.resolve(
                    Override::Cancelled,
                    by,
                    reason.unwrap_or("none given").to_owned(),
                    entities,
                )?
            }
            Address::Compensate(StepIndex::FIRST) if self.definition.opens_at_origin() => {
                self.end(Trigger::Cancelled, event.hop, reason, entities)?
            }
            Address::Cancel(StepIndex::FIRST) if self.definition.opens_at_origin() => {
                let by = format!("publisher {}", outsider.unwrap_or(event.sender.as_str()));
                self.cancel(by, reason.unwrap_or("none given").to_owned())?
            }
            Address::Advance(StepIndex::FIRST) if self.definition.opens_at_origin() => {
                self.unchanged(Outcome::Late)
            }
            Address::Advance(step) | Address::Compensate(step) | Address::Cancel(step) => {
                self.step(step, event, entities)?
            }
        };
        if decision.outcome == Outcome::Applied {
            // It moves again.
            decision.saga.stuck = None;
        }
        decision
            .saga
            .timeline
            .record(entry(event, self.now, decision.outcome, reason));
        if outsider.is_none() {
            decision.saga.observe(self.definition, event);
        }
        Ok(decision)
    }

    /// Holds what another team's event says of the saga against the saga.
    ///
    /// # Errors
    /// [`Misaddressed::Contradicts`] names the first field that differs.
    pub fn check_claims(&self, event: &Event) -> Result<(), Misaddressed> {
        let decimals = decimals(self.definition, self.participants);
        match self.saga.contradicted_by(&event.data, &decimals) {
            Some(field) => Err(Misaddressed::Contradicts(field.to_owned())),
            None => Ok(()),
        }
    }

    /// The entities that must be read before [`Origin::receive`] can decide about this event.
    ///
    /// # Errors
    /// [`Misaddressed`] when the event is for a step of another cloud.
    pub fn reads(&self, event: &Event, outsider: Option<&str>) -> Result<Vec<EntityKey>, Misaddressed> {
        let opens = self.definition.opens_at_origin();
        match Message::of(event) {
            None => Ok(Vec::new()),
            Some((
                _,
                Message {
                    verb: StepVerb::Compensate,
                    ..
                },
            )) if outsider.is_some() => self.reads_to_undo(),
            Some((StepIndex::FIRST, message)) if opens => match message.verb {
                StepVerb::Compensate => self.reads_to_undo(),
                StepVerb::Advance | StepVerb::Cancel => Ok(Vec::new()),
            },
            Some((index, message)) => {
                let step = self.owned(index)?;
                let record = self.saga.steps.get(&index);
                let work = Step::work(record, message.verb);
                let context = step.context(record, &message);
                Ok(work
                    .map(|work| step.participant.reads(work, context))
                    .unwrap_or_default())
            }
        }
    }

    /// The entities that must be read before [`Origin::resolve`] can decide.
    ///
    /// # Errors
    /// [`Misaddressed`] when a participant is missing.
    pub fn reads_to_undo(&self) -> Result<Vec<EntityKey>, Misaddressed> {
        let record = self.saga.steps.get(&StepIndex::FIRST);
        let done = record
            .filter(|record| record.state == StepState::Done && self.saga.lifecycle.phase == Phase::Open);
        let Some(record) = done else { return Ok(Vec::new()) };
        let context = Context {
            saga: self.saga.id,
            data: &record.data,
        };
        Ok(self
            .owned(StepIndex::FIRST)?
            .participant
            .reads(Work::Undo, context))
    }

    /// Asks the saga to be cancelled: `cancel` chases it forward and is decided by the first step that has not
    /// acted. The command's own line in the timeline is part of the decision.
    ///
    /// # Errors
    /// [`Misaddressed`] when a participant is missing.
    pub fn cancel(&self, by: String, reason: String) -> Result<OriginDecision, Misaddressed> {
        let mark = Mark::new(self.now, &by, &reason);
        let marked = Saga {
            cancel: self.saga.cancel.clone().or(Some(mark)),
            ..self.saga.clone()
        };
        let mut decision = Origin {
            saga: &marked,
            ..*self
        }
        .end(Trigger::Cancel, 0, None, &Entities::new())?;
        if decision.outcome == Outcome::Late {
            decision.saga.cancel.clone_from(&self.saga.cancel);
        }
        Ok(decision)
    }

    /// Overrides the saga's end.
    ///
    /// # Errors
    /// [`Misaddressed`] when a participant is missing.
    pub fn resolve(
        &self,
        to: Override,
        by: String,
        reason: String,
        entities: &Entities,
    ) -> Result<OriginDecision, Misaddressed> {
        let trigger = match to {
            Override::Completed => Trigger::OverrideCompleted,
            Override::Cancelled => Trigger::OverrideCancelled,
        };
        // The time is part of the id of the cancel that closes the saga, which is another event than that of a cancel
        // that was asked for in the same millisecond.
        let after = |cancel: &Mark| self.now.max(cancel.at.plus_millis(1));
        let at = self.saga.cancel.as_ref().map_or(self.now, after);
        let mark = Mark::new(at, &by, &reason);
        let reason = mark.reason.clone();
        let marked = Saga {
            resolved: Some(mark),
            ..self.saga.clone()
        };
        let mut decision = Origin {
            saga: &marked,
            ..*self
        }
        .end(trigger, 0, Some(&reason), entities)?;
        if decision.outcome != Outcome::Applied {
            decision.saga.resolved.clone_from(&self.saga.resolved);
        }
        Ok(decision)
    }

    /// The participant's context at a step of ours: the record's data, or the message's.
    ///
    /// # Errors
    /// [`Misaddressed`] when the step is not the origin's.
    pub fn owned(&self, step: StepIndex) -> Result<Step<'_>, Misaddressed> {
        step_at(self.definition, self.participants, self.saga.id, step)
    }

    /// A step of ours, through the table; and the end of the saga, when that is what it emits.
    fn step(
        &self,
        index: StepIndex,
        event: &Event,
        entities: &Entities,
    ) -> Result<OriginDecision, Misaddressed> {
        let step = self.owned(index)?;
        let Some((_, message)) = Message::of(event) else {
            return Err(Misaddressed::NotOurs(self.definition.describe(index)));
        };
        let step_decision = step.decide(self.saga.steps.get(&index), &message, entities, self.now);
        let mut saga = self.saga.clone();
        if let Some(record) = step_decision.record {
            saga.steps.insert(index, record);
        }
        // The last step of a saga may be ours: then `complete` goes to ourselves, in the same transaction.
        let completes = |emitted: &Event| emitted.address == Address::Complete;
        let origin = Origin { saga: &saga, ..*self };
        let mut decision = if step_decision.emit.as_ref().is_some_and(completes) {
            origin.end(Trigger::Complete, message.hop, None, entities)?
        } else {
            OriginDecision {
                emit: step_decision.emit,
                ..origin.unchanged(step_decision.outcome)
            }
        };
        if step_decision.outcome == Outcome::Applied {
            decision.outcome = Outcome::Applied;
        }
        decision.writes.extend(step_decision.writes);
        // A transaction writes an entity once: what completing sets on an entity that this step writes goes with it.
        decision.settle.retain(|settled| {
            let own = decision.writes.iter_mut().find(|write| write.key == settled.key);
            own.map(|write| write.fields.extend(settled.fields.clone()))
                .is_none()
        });
        if step_decision.effect == Effect::Tombstone && message.verb == StepVerb::Compensate {
            decision.alert = Some(undid_nothing(self.definition, index));
        }
        Ok(decision)
    }

    /// The lifecycle: what a trigger changes, undoes and sends.
    fn end(
        &self,
        with: Trigger,
        hop: u16,
        reason: Option<&str>,
        entities: &Entities,
    ) -> Result<OriginDecision, Misaddressed> {
        let mut decision = self.unchanged(Outcome::Repeated);
        let send = match transition(self.saga.lifecycle, with) {
            Transition::Moved {
                lifecycle,
                undo,
                send,
            } => {
                decision.outcome = Outcome::Applied;
                decision.saga.lifecycle = lifecycle;
                if undo {
                    self.undo_first(&mut decision, reason, entities)?;
                }
                if lifecycle.phase == Phase::Completed {
                    decision.settle = self.settle()?;
                }
                let owed = lifecycle.phase == Phase::Open || lifecycle.closing;
                if !owed {
                    decision.saga.stuck = None;
                }
                decision.saga.due = owed.then(|| {
                    decision.saga.nudges = 0;
                    self.patience.next(self.now, 0, self.saga.deadline)
                });
                send
            }
            Transition::Repeated(send) => send,
            Transition::Late(send) => {
                decision.outcome = Outcome::Late;
                send
            }
            Transition::Contradicted => {
                decision.outcome = Outcome::Contradicted;
                let how = if self.saga.lifecycle.overridden {
                    "was resolved as completed"
                } else {
                    "had completed"
                };
                decision.alert = Some(format!("the other cloud undid its part of a saga that {how}"));
                None
            }
        };
        decision.status = decision.saga.status(self.definition);
        decision.emit = send.and_then(|send| match send {
            Send::CancelFirst => cancel_event(&decision.saga, self.definition),
            Send::CompensateLast => compensate_last(&decision.saga, self.definition, hop),
        });
        Ok(decision)
    }

    /// Undoes step 0, where it is ours, through the table.
    fn undo_first(
        &self,
        decision: &mut OriginDecision,
        reason: Option<&str>,
        entities: &Entities,
    ) -> Result<(), Misaddressed> {
        if !self.definition.opens_at_origin() {
            return Ok(());
        }
        let step = self.owned(StepIndex::FIRST)?;
        let data = reason_data(&self.saga.input, reason);
        let message = Message {
            verb: StepVerb::Compensate,
            time: self.now,
            hop: 0,
            trace: &self.saga.trace,
            data: &data,
            reports: Reports::NOTHING,
        };
        let undone = step.decide(
            self.saga.steps.get(&StepIndex::FIRST),
            &message,
            entities,
            self.now,
        );
        if let Some(record) = undone.record {
            decision.saga.steps.insert(StepIndex::FIRST, record);
        }
        decision.writes.extend(undone.writes);
        Ok(())
    }

    /// What our own done steps set on their entities when the saga completes.
    fn settle(&self) -> Result<Vec<EntityWrite>, Misaddressed> {
        let mut all = Vec::new();
        for (index, record) in self
            .saga
            .steps
            .iter()
            .filter(|(_, record)| record.state == StepState::Done)
        {
            let context = Context {
                saga: self.saga.id,
                data: &record.data,
            };
            all.extend(self.owned(*index)?.participant.settle(context));
        }
        Ok(all)
    }

    pub(crate) fn unchanged(&self, outcome: Outcome) -> OriginDecision {
        OriginDecision {
            outcome,
            status: self.saga.status(self.definition),
            saga: self.saga.clone(),
            writes: Vec::new(),
            settle: Vec::new(),
            emit: None,
            alert: None,
        }
    }
}

/// What an operator is told of a step that was asked to undo what it never did.
#[must_use]
pub fn undid_nothing(definition: &Definition, step: StepIndex) -> String {
    format!(
        "step {} was asked to undo what it never did",
        definition.describe(step)
    )
}

pub(crate) fn step_at<'a>(
    definition: &'a Definition,
    participants: &'a Participants,
    saga: SagaId,
    index: StepIndex,
) -> Result<Step<'a>, Misaddressed> {
    let step = definition.step(index).filter(|step| step.cloud == Cloud::ORIGIN);
    let name = &step
        .ok_or_else(|| Misaddressed::NotOurs(definition.describe(index)))?
        .participant;
    let participant = participants
        .get(name.as_str())
        .ok_or_else(|| Misaddressed::NoParticipant(name.clone()))?;
    Ok(Step {
        saga,
        definition,
        index,
        cloud: Cloud::ORIGIN,
        participant: participant.as_ref(),
    })
}
