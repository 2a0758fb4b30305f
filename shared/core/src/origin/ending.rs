//! How a saga ends: a transition of its lifecycle, and with it everything that is committed in the same transaction.

use super::command::Override;
use super::context::{Decided, Misaddressed, Origin, OriginDecision, PastPivot};
use crate::Outcome;
use crate::address::Address;
use crate::definition::{Cloud, Definition};
use crate::document::Fields;
use crate::event::reason_data;
use crate::ids::StepIndex;
use crate::lifecycle::{Phase, Send, Transition, Trigger, transition};
use crate::mark::{Asked, Mark};
use crate::participant::{Context, Entities, EntityKey, EntityWrite};
use crate::participate::{Message, StepDecision};
use crate::saga::Saga;
use crate::step::{StepState, StepVerb};
use crate::timeline::Entry;

impl Origin<'_> {
    /// A command of a caller or an operator, with its line in the timeline. A saga that has ended needs no definition.
    pub(super) fn commanded(
        &self,
        verb: &str,
        asked: Asked<'_>,
        trigger: Trigger,
        decide: impl FnOnce() -> Result<OriginDecision, Misaddressed>,
    ) -> Result<Decided, Misaddressed> {
        if let Err(unknown) = self.known() {
            return match transition(self.saga.lifecycle, trigger) {
                Transition::Late(None) => Ok(Decided::Nothing(Outcome::Late)),
                Transition::Repeated(None) => Ok(Decided::Nothing(Outcome::Repeated)),
                _ => Err(unknown),
            };
        }
        let mut decision = decide()?;
        if decision.outcome == Outcome::Late {
            return Ok(Decided::Nothing(Outcome::Late));
        }
        let line = Entry::of_command(verb, self.now, asked, decision.outcome);
        decision.saga.timeline.record(line);
        Ok(decision.into())
    }

    /// Asks for the saga to be cancelled: `cancel` chases it forward and is decided by the first step that has not acted.
    pub(super) fn cancel(&self, by: &str, reason: &str) -> Result<OriginDecision, Misaddressed> {
        if self.is_past_pivot() {
            return Ok(self.unchanged(Outcome::Late));
        }
        let mark = Mark::new(self.now, by, reason);
        let marked = Saga {
            cancel: self.saga.cancel.clone().or(Some(mark)),
            ..self.saga.clone()
        };
        let origin = Origin {
            saga: &marked,
            ..*self
        };
        let mut decision = origin.end(Trigger::Cancel, 0, None, &Entities::new())?;
        if decision.outcome == Outcome::Late {
            decision.saga.cancel.clone_from(&self.saga.cancel);
        }
        Ok(decision)
    }

    /// Overrides the saga's end.
    pub(super) fn resolve(
        &self,
        to: Override,
        force: bool,
        by: &str,
        reason: &str,
        entities: &Entities,
    ) -> Result<OriginDecision, Misaddressed> {
        if to == Override::Cancelled && self.saga.lifecycle.phase == Phase::Open {
            self.before_pivot(force)?;
        }
        // The time is part of the id of the cancel that closes the saga, which is another event than that of a cancel
        // that was asked for in the same millisecond.
        let after = |cancel: &Mark| self.now.max(cancel.at.plus_millis(1));
        let at = self.saga.cancel.as_ref().map_or(self.now, after);
        let mark = Mark::new(at, by, reason);
        let reason = mark.reason.clone();
        let marked = Saga {
            resolved: Some(mark),
            ..self.saga.clone()
        };
        let origin = Origin {
            saga: &marked,
            ..*self
        };
        let mut decision = origin.end(to.trigger(), 0, Some(&reason), entities)?;
        if decision.outcome != Outcome::Applied {
            decision.saga.resolved.clone_from(&self.saga.resolved);
        }
        Ok(decision)
    }

    /// Whether a step of ours that cannot be undone is done: the saga only goes forward.
    pub(super) fn is_past_pivot(&self) -> bool {
        let pivot = self.definition.and_then(Definition::pivot);
        let record = pivot.and_then(|pivot| self.saga.steps.get(&pivot));
        record.is_some_and(|record| record.state == StepState::Done)
    }

    /// Whether an override now keeps every later step from being asked to act. It stops a step 0 of ours in its own
    /// transaction, and a saga that has ended takes no answer for a step that waits; what was refused stays so. A call
    /// in between that has not been decided is no such proof: it may yet be accepted before the cancel reaches it.
    fn stops_before(&self, pivot: StepIndex) -> bool {
        let first = self.saga.steps.get(&StepIndex::FIRST);
        let mut before = self.saga.steps.range(..pivot);
        first.is_some_and(|record| record.state != StepState::Done)
            || before.any(|(_, record)| matches!(record.state, StepState::Waiting | StepState::Refused))
    }

    /// Refuses an override to CANCELLED that meets a pivot.
    fn before_pivot(&self, force: bool) -> Result<(), Misaddressed> {
        let definition = self.known()?;
        let Some(pivot) = definition.pivot() else {
            return Ok(());
        };
        let state = self.saga.steps.get(&pivot).map(|record| record.state);
        let own = definition
            .step(pivot)
            .is_some_and(|step| step.cloud == Cloud::ORIGIN);
        let describe = || definition.describe(pivot);
        match state {
            Some(StepState::Done | StepState::Acting) => Err(Misaddressed::Pivot(PastPivot::Own(describe()))),
            _ if own || force || self.stops_before(pivot) => Ok(()),
            _ => {
                let observed = self.saga.observed(definition);
                let said = observed.get(&pivot).and_then(|step| step.state);
                if said.is_some_and(StepState::is_void) {
                    return Ok(());
                }
                Err(Misaddressed::Pivot(PastPivot::MayBeDone(describe())))
            }
        }
    }

    /// What a trigger changes, undoes and sends.
    pub(super) fn end(
        &self,
        trigger: Trigger,
        hop: u16,
        reason: Option<&str>,
        entities: &Entities,
    ) -> Result<OriginDecision, Misaddressed> {
        let definition = self.known()?;
        let mut decision = self.unchanged(Outcome::Repeated);
        let send = match transition(self.saga.lifecycle, trigger) {
            Transition::Moved {
                lifecycle,
                undo,
                send,
            } => {
                decision.outcome = Outcome::Applied;
                decision.saga.lifecycle = lifecycle;
                if undo && definition.opens_at_origin() {
                    self.undo_first(&mut decision, reason, entities)?;
                }
                if trigger == Trigger::OverrideCancelled {
                    self.bar_pivot(&mut decision, reason)?;
                }
                if lifecycle.phase == Phase::Completed {
                    decision.settle = self.settle()?;
                }
                let owed = decision.saga.is_owed();
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
            Transition::Contradicted(closed) => {
                decision.outcome = Outcome::Contradicted;
                if self.saga.lifecycle.closing && self.first_is_calling() {
                    // The other steps have said all that they will; the first one's own undo is still to be confirmed.
                    decision.saga.lifecycle.followed = true;
                } else {
                    decision.saga.lifecycle = closed;
                }
                if self.saga.is_owed() && !decision.saga.is_owed() {
                    (decision.saga.stuck, decision.saga.due) = (None, None);
                }
                decision.alert = Some(self.contradiction(trigger));
                None
            }
        };
        match send {
            // The request to the first step's own service goes first while the steps after it cannot have heard of the saga.
            Some(Send::CancelFirst) if decision.emit.is_none() => self.send_cancel(&mut decision)?,
            Some(Send::CompensateLast) => decision.emit = self.compensate_last(hop),
            _ => {}
        }
        decision.saga.due = self.with_waits(&decision.saga);
        decision.status = decision.saga.status(definition);
        Ok(decision)
    }

    /// Whether step 0 is the origin's and asks its service.
    pub(super) fn first_is_calling(&self) -> bool {
        let first = self.saga.steps.get(&StepIndex::FIRST);
        first.is_some_and(|record| record.state.is_calling())
    }

    fn contradiction(&self, trigger: Trigger) -> String {
        let lifecycle = self.saga.lifecycle;
        if trigger == Trigger::Contradiction {
            return "a step that cannot be undone was asked to be undone: its effect exists although the saga is cancelled. \
                    Nothing was changed; settle the effect at the service, by hand"
                .to_owned();
        }
        let how = match (lifecycle.phase, lifecycle.overridden) {
            (_, true) => "was resolved as completed",
            _ => "had completed",
        };
        format!("the other cloud undid its part of a saga that {how}")
    }

    /// Sends a caller's cancel after the saga: past step 0 where that is done, and to its service where it is not.
    pub(super) fn send_cancel(&self, decision: &mut OriginDecision) -> Result<(), Misaddressed> {
        if decision.saga.lifecycle.phase != Phase::Open {
            decision.emit = self.cancel_event();
            return Ok(());
        }
        let Some(cancelled) = self.cancel_first()? else {
            decision.emit = self.cancel_event();
            return Ok(());
        };
        self.absorb(decision, cancelled)
    }

    /// What a cancel does to step 0 where its answer comes from outside. One of ours is done already: `None`.
    fn cancel_first(&self) -> Result<Option<StepDecision>, Misaddressed> {
        let definition = self.known()?;
        let outside = definition.opens_at_origin() && definition.steps()[0].participant().is_none();
        let (Some(mark), true) = (&self.saga.cancel, outside) else {
            return Ok(None);
        };
        let data = reason_data(&self.saga.input, Some(&mark.reason));
        let message = Message::own(StepVerb::Cancel, mark.at, &self.saga.trace, &data);
        let record = self.saga.steps.get(&StepIndex::FIRST);
        let step = self.owned(StepIndex::FIRST)?;
        Ok(Some(step.decide(record, &message, &Entities::new(), self.now)))
    }

    /// Takes what a step of ours decided into the decision. What it says to the origin is heard in the same transaction.
    pub(super) fn absorb(
        &self,
        decision: &mut OriginDecision,
        decided: StepDecision,
    ) -> Result<(), Misaddressed> {
        let index = decided.index;
        let hop = decided
            .emit
            .as_ref()
            .map_or(0, |event| event.hop.saturating_sub(1));
        if let Some(record) = decided.record {
            decision.saga.steps.insert(index, record);
        }
        decision.writes.extend(decided.writes);
        decision.alert = decision.alert.take().or(decided.alert);
        let trigger = match decided.emit.as_ref().map(|event| event.address) {
            Some(Address::Complete) => Trigger::Complete,
            Some(Address::Cancelled) => Trigger::Settled,
            Some(Address::Contradiction(_)) => Trigger::Contradiction,
            _ => {
                decision.emit = decided.emit;
                decision.saga.due = self.with_waits(&decision.saga);
                decision.status = decision.saga.status_with(self.definition);
                return Ok(());
            }
        };
        let saga = decision.saga.clone();
        let origin = Origin { saga: &saga, ..*self };
        let ended = origin.end(trigger, hop, None, &Entities::new())?;
        decision.saga = ended.saga;
        decision.status = ended.status;
        decision.settle = ended.settle;
        decision.emit = ended.emit;
        decision.alert = decision.alert.take().or(ended.alert);
        if decision.outcome != Outcome::Applied {
            decision.outcome = ended.outcome;
        }
        Ok(())
    }

    /// The entities that must be read before step 0, where it is the origin's and done, can be undone.
    pub(super) fn reads_to_undo(&self) -> Result<Vec<EntityKey>, Misaddressed> {
        if self.saga.lifecycle.phase != Phase::Open || !self.known()?.opens_at_origin() {
            return Ok(Vec::new());
        }
        let data = Fields::new();
        let message = Message::own(StepVerb::Compensate, self.now, &self.saga.trace, &data);
        let record = self.saga.steps.get(&StepIndex::FIRST);
        Ok(self.owned(StepIndex::FIRST)?.reads(record, &message))
    }

    fn undo_first(
        &self,
        decision: &mut OriginDecision,
        reason: Option<&str>,
        entities: &Entities,
    ) -> Result<(), Misaddressed> {
        let data = reason_data(&self.saga.input, reason);
        let message = Message::own(StepVerb::Compensate, self.now, &self.saga.trace, &data);
        let record = self.saga.steps.get(&StepIndex::FIRST);
        let step = self.owned(StepIndex::FIRST)?;
        let undone = step.decide(record, &message, entities, self.now);
        if let Some(record) = undone.record {
            decision.saga.steps.insert(StepIndex::FIRST, record);
        }
        decision.writes.extend(undone.writes);
        // Only a step that is not done yet can say so first: the steps after one that is done are cancelled first.
        if record.is_some_and(|record| record.state != StepState::Done) {
            decision.emit = undone.emit.filter(|event| event.mailbox.is_some());
        }
        Ok(())
    }

    /// A pivot of ours that has not acted never will: an `advance` that is still on its way would make it act in a cancelled
    /// saga. The cancel that is sent after the saga finds it refused.
    fn bar_pivot(&self, decision: &mut OriginDecision, reason: Option<&str>) -> Result<(), Misaddressed> {
        let definition = self.known()?;
        let own = |pivot: &StepIndex| {
            definition
                .step(*pivot)
                .is_some_and(|step| step.cloud == Cloud::ORIGIN)
        };
        let Some(pivot) = definition.pivot().filter(own) else {
            return Ok(());
        };
        let record = self.saga.steps.get(&pivot);
        if record.is_some_and(|record| record.state != StepState::Waiting) {
            return Ok(());
        }
        let data = reason_data(&self.saga.input, reason);
        let message = Message::own(StepVerb::Cancel, self.now, &self.saga.trace, &data);
        let barred = self
            .owned(pivot)?
            .decide(record, &message, &Entities::new(), self.now);
        decision
            .saga
            .steps
            .extend(barred.record.map(|record| (pivot, record)));
        Ok(())
    }

    /// The fields that our own done steps set on their entities when the saga completes.
    fn settle(&self) -> Result<Vec<EntityWrite>, Misaddressed> {
        let mut all = Vec::new();
        let records = self.saga.steps.iter();
        for (index, record) in records.filter(|(_, record)| record.state == StepState::Done) {
            let context = Context {
                saga: self.saga.id,
                data: &record.data,
            };
            all.extend(self.owned(*index)?.settle(context));
        }
        Ok(all)
    }
}
