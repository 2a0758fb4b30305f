//! How a saga ends: a transition of its lifecycle, and with it everything that is committed in the same transaction.

use super::command::Override;
use super::context::{Decided, Misaddressed, Origin, OriginDecision};
use crate::Outcome;
use crate::event::reason_data;
use crate::ids::StepIndex;
use crate::lifecycle::{Phase, Send, Transition, Trigger, transition};
use crate::mark::{Asked, Mark};
use crate::participant::{Context, Entities, EntityKey, EntityWrite, Work};
use crate::participate::Message;
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
        by: &str,
        reason: &str,
        entities: &Entities,
    ) -> Result<OriginDecision, Misaddressed> {
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
        decision.status = decision.saga.status(definition);
        decision.emit = send.and_then(|send| match send {
            Send::CancelFirst => self.cancel_event(),
            Send::CompensateLast => self.compensate_last(hop),
        });
        Ok(decision)
    }

    /// The entities that must be read before step 0, where it is the origin's and done, can be undone.
    pub(super) fn reads_to_undo(&self) -> Result<Vec<EntityKey>, Misaddressed> {
        let record = self.saga.steps.get(&StepIndex::FIRST);
        let open = self.saga.lifecycle.phase == Phase::Open;
        match record.filter(|record| record.state == StepState::Done && open) {
            None => Ok(Vec::new()),
            Some(record) => {
                let context = Context {
                    saga: self.saga.id,
                    data: &record.data,
                };
                let step = self.owned(StepIndex::FIRST)?;
                Ok(step.participant.reads(Work::Undo, context))
            }
        }
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
            all.extend(self.owned(*index)?.participant.settle(context));
        }
        Ok(all)
    }
}
