//! An event of the saga arrives at its origin.

use super::command::Override;
use super::context::{Misaddressed, Origin, OriginDecision};
use crate::Outcome;
use crate::address::Address;
use crate::event::Event;
use crate::ids::StepIndex;
use crate::lifecycle::{Phase, Trigger};
use crate::participant::{Entities, EntityKey, decimals};
use crate::participate::{Message, StepDecision};
use crate::step::{Kind, StepVerb};
use crate::timeline::Entry;

impl Origin<'_> {
    pub(super) fn receive(
        &self,
        event: &Event,
        outsider: Option<&str>,
        entities: &Entities,
    ) -> Result<OriginDecision, Misaddressed> {
        let definition = self.known()?;
        self.is_its_own(event)?;
        if outsider.is_some() {
            self.check_claims(event)?;
        }
        let reason = event.reason();
        let by = || format!("publisher {}", outsider.unwrap_or(event.sender.as_str()));
        let opens = definition.opens_at_origin();
        let mut decision = match event.address {
            // Only our participants can say that a step was done in turn. An outside publisher's word that the last one
            // is done is an override, as its compensation is: shown, final, and contradicted if our own say otherwise.
            Address::Complete if outsider.is_some() => {
                let reason = reason.unwrap_or("confirmed from outside");
                self.resolve(Override::Completed, false, &by(), reason, entities)?
            }
            Address::Advance(_) if outsider.is_some() => return Err(Misaddressed::OutOfTurn),
            Address::Complete => self.end(Trigger::Complete, event.hop, reason, entities)?,
            Address::Cancelled => self.end(Trigger::Cancelled, event.hop, reason, entities)?,
            Address::Compensate(step) if outsider.is_some() => {
                self.owned(step)?;
                let reason = reason.unwrap_or("none given");
                self.resolve(Override::Cancelled, false, &by(), reason, entities)?
            }
            Address::Compensate(StepIndex::FIRST) if opens => {
                self.compensate_first(event, reason, entities)?
            }
            Address::Cancel(StepIndex::FIRST) if opens => {
                self.cancel(&by(), reason.unwrap_or("none given"))?
            }
            Address::Advance(StepIndex::FIRST) if opens => self.unchanged(Outcome::Late),
            Address::Advance(_) | Address::Compensate(_) | Address::Cancel(_) => {
                self.step(event, entities)?
            }
            Address::Report(_) if outsider.is_none() => self.unchanged(Outcome::Noted),
            Address::Contradiction(_) if outsider.is_none() => {
                self.end(Trigger::Contradiction, event.hop, reason, entities)?
            }
            other => {
                let index = other.step().unwrap_or(StepIndex::FIRST);
                return Err(Misaddressed::NotOurs(definition.describe(index)));
            }
        };
        if decision.outcome == Outcome::Applied {
            // It moves again.
            decision.saga.stuck = None;
        }
        let line = Entry::of_event(event, self.now, decision.outcome, reason);
        decision.saga.timeline.record(line);
        if outsider.is_none() {
            decision.saga.observe(definition, event);
        }
        Ok(decision)
    }

    pub(super) fn reads_for(
        &self,
        event: &Event,
        outsider: Option<&str>,
    ) -> Result<Vec<EntityKey>, Misaddressed> {
        let opens = self.known()?.opens_at_origin();
        self.is_its_own(event)?;
        let Some((index, message)) = Message::of(event) else {
            return Ok(Vec::new());
        };
        match message.verb {
            StepVerb::Compensate if outsider.is_some() => return self.reads_to_undo(),
            StepVerb::Compensate if opens && index == StepIndex::FIRST => return self.reads_to_undo(),
            _ if opens && index == StepIndex::FIRST => return Ok(Vec::new()),
            _ => {}
        }
        let step = self.owned(index)?;
        Ok(step.reads(self.saga.steps.get(&index), &message))
    }

    fn is_its_own(&self, event: &Event) -> Result<(), Misaddressed> {
        if event.definition == self.saga.definition {
            return Ok(());
        }
        Err(Misaddressed::OtherDefinition {
            said: event.definition.clone(),
            is: self.saga.definition.clone(),
        })
    }

    /// Compares what an outside publisher's event says of the saga with the saga.
    fn check_claims(&self, event: &Event) -> Result<(), Misaddressed> {
        let decimals = decimals(self.known()?, self.participants);
        match self.saga.contradicted_by(&event.data, &decimals) {
            Some(field) => Err(Misaddressed::Contradicts(field.to_owned())),
            None => Ok(()),
        }
    }

    /// The steps after the first are undone. Where the first one's work is a service's, that is asked first.
    fn compensate_first(
        &self,
        event: &Event,
        reason: Option<&str>,
        entities: &Entities,
    ) -> Result<OriginDecision, Misaddressed> {
        let lifecycle = self.saga.lifecycle;
        let record = self.saga.steps.get(&StepIndex::FIRST);
        let void = record.is_none_or(|record| record.state.is_void());
        let local = self.owned(StepIndex::FIRST)?.rules().kind == Kind::Local;
        match lifecycle.phase {
            Phase::Open if !local => self.step(event, entities),
            Phase::Cancelled if lifecycle.closing && !void => {
                self.end(Trigger::Followed, event.hop, reason, entities)
            }
            Phase::Open | Phase::Cancelled | Phase::Completed => {
                self.end(Trigger::Cancelled, event.hop, reason, entities)
            }
        }
    }

    /// A step of ours, through the table; and the end of the saga, when that is what the step emits.
    fn step(&self, event: &Event, entities: &Entities) -> Result<OriginDecision, Misaddressed> {
        let Some((index, message)) = Message::of(event) else {
            return Ok(self.unchanged(Outcome::Late));
        };
        let decided = self
            .owned(index)?
            .decide(self.saga.steps.get(&index), &message, entities, self.now);
        self.take(decided)
    }

    /// A decision of a step of ours, as the origin's.
    pub(super) fn take(&self, decided: StepDecision) -> Result<OriginDecision, Misaddressed> {
        let mut decision = self.unchanged(decided.outcome);
        self.absorb(&mut decision, decided)?;
        // A transaction writes an entity once: what completing sets on an entity that this step writes goes with it.
        decision.settle.retain(|settled| {
            let own = decision.writes.iter_mut().find(|write| write.key == settled.key);
            own.map(|write| write.fields.extend(settled.fields.clone()))
                .is_none()
        });
        Ok(decision)
    }
}
