//! People and systems outside who answer steps: at any time, rightly, twice, differently, and for steps that do not wait. In the
//! end an operator answers where nothing else can end a saga.
//!
//! Whoever speaks for a service says what it has decided; where it has decided nothing, it is told the same first.

use saga_app::answer_step::{Answer, NotAnswered, answer_step};
use saga_app::ports::{PortError, SagaStore, Time};
use saga_core::call::{CallVerb, Owed};
use saga_core::definition::{OnTimeout, StepWork};
use saga_core::document::Fields;
use saga_core::participate::{Step, StepRecord};
use saga_core::step::{Class, Reply, StepState};
use saga_core::{Cloud, Saga, SagaId, StepIndex};
use saga_wire::contract::request::key;
use saga_wire::json;

use super::caller::work;
use super::provider::Asked;
use super::stage::Stage;
use crate::invariants::intends;
use crate::model::Service;

const WORDS: [Reply; 3] = [Reply::Accepted, Reply::Refused, Reply::Undone];

impl Stage {
    pub fn record(&self, saga: &Saga, step: StepIndex) -> Option<StepRecord> {
        match self.definition(saga).step(step)?.cloud {
            Cloud::Aws => saga.steps.get(&step).cloned(),
            Cloud::Azure => self.azure.step(saga.id, step),
        }
    }

    /// The name of a step and the output that goes with this word, after its service was told; `None` where the word would be a
    /// lie, or would make something that no record asks for.
    fn word(&self, saga: &Saga, step: StepIndex, reply: Reply) -> Option<(String, Fields)> {
        let definition = self.definition(saga);
        let its = definition.step(step)?;
        let name = its.name.clone();
        let Some(work) = work(definition, saga.id, step) else {
            return Some((name, Fields::new()));
        };
        // Nothing after a pivot can be refused or undone, whoever says so.
        if its.class == Class::Retriable && reply != Reply::Accepted {
            return Some((name, Fields::new()));
        }
        let state = self.record(saga, step).map(|record| record.state);
        let act_key = key(saga.id, &name, CallVerb::Act);
        let unseen = self.provider.decided(&act_key) == Service::Unseen;
        if unseen && reply == Reply::Accepted && !state.is_some_and(StepState::is_calling) {
            return None;
        }
        let asked = Asked {
            verb: CallVerb::Act,
            act_key,
            sent: self.clock.now(),
            refuses: false,
            work,
        };
        let stops = matches!(state, Some(StepState::Stopping | StepState::Undoing));
        let output = self.provider.hears(&asked, reply, stops, self.clock.now())?;
        let output = match reply {
            Reply::Accepted => json::parse_object(&output.to_string()).expect("an output is an object"),
            Reply::Refused | Reply::Undone => Fields::new(),
        };
        Some((name, output))
    }

    /// Somebody outside answers a step.
    pub async fn say(
        &self,
        store: &impl SagaStore,
        id: SagaId,
        step: StepIndex,
        reply: Reply,
    ) -> Result<(), PortError> {
        let said = self.aws.saga(id).and_then(|saga| self.word(&saga, step, reply));
        let Some((name, output)) = said else {
            return Ok(());
        };
        let answer = Answer {
            step: &name,
            reply,
            output,
            reason: Some("looked at it"),
            by: "an operator",
            caller: None,
        };
        match answer_step(&self.deployment, store, &self.clock, id, answer).await {
            Ok(None) => panic!("the saga exists"),
            Ok(Some(answered)) if answered.forwarded => {
                self.counts.borrow_mut().forwarded += 1;
                Ok(())
            }
            Ok(Some(_)) => {
                self.counts.borrow_mut().answered += 1;
                let mut said = self.said.borrow_mut();
                let said = said.entry((id, step)).or_default();
                said.insert(reply);
                if said.contains(&Reply::Accepted) && said.contains(&Reply::Refused) {
                    let rule = format!("answers: step `{name}` of saga {id} was accepted and refused");
                    self.provider.breaks(rule);
                }
                Ok(())
            }
            Err(NotAnswered::Port(error)) => Err(error),
            Err(_) => {
                self.counts.borrow_mut().not_taken += 1;
                Ok(())
            }
        }
    }

    /// What an operator must say so that these sagas can end, once everything works: of calls that are held because their key
    /// may be forgotten, and of waits after a pivot that no clock ends.
    pub fn unanswered(&self) -> Vec<(SagaId, StepIndex, Reply)> {
        let mut all = Vec::new();
        for saga in self.started().into_iter().filter_map(|id| self.aws.saga(id)) {
            if saga.due.is_none() {
                continue;
            }
            let definition = self.definition(&saga);
            for number in 0..definition.steps().len() {
                let index = StepIndex::new(number as u8);
                let found = Step::find(saga.id, definition, index, &self.deployment.participants);
                let (Ok(step), Some(record)) = (found, self.record(&saga, index)) else {
                    continue;
                };
                if self.needs_a_person(&step, &record) {
                    let stops = record.state == StepState::Stopping;
                    all.extend(self.truth(&step, stops).map(|reply| (saga.id, index, reply)));
                }
            }
        }
        all
    }

    fn needs_a_person(&self, step: &Step<'_>, record: &StepRecord) -> bool {
        let now = self.clock.now();
        match &step.step().work {
            StepWork::Local { .. } => false,
            StepWork::Call(call) => {
                let act = intends(record.state, call.recover, CallVerb::Act);
                let verb = if act { CallVerb::Act } else { CallVerb::Undo };
                let held = record
                    .progress
                    .as_ref()
                    .is_some_and(|progress| progress.held.is_some());
                held && step.owed(Some(record), verb, now) == Owed::KeyExpired
            }
            StepWork::Wait(wait) => {
                let over = wait
                    .within_millis
                    .is_none_or(|within| record.at.plus_millis(within) <= now);
                let has_end = wait.within_millis.is_some() && wait.on_timeout != OnTimeout::Hold;
                step.step().class == Class::Retriable
                    && record.state == StepState::Waiting
                    && over
                    && !has_end
            }
        }
    }

    /// What is true of a step and can be said of it now.
    fn truth(&self, step: &Step<'_>, stops: bool) -> Option<Reply> {
        if step.step().wait().is_some() || step.step().class == Class::Retriable {
            return Some(Reply::Accepted);
        }
        let act_key = key(step.saga, &step.step().name, CallVerb::Act);
        let decided = self.provider.decided(&act_key);
        let first = self.chance().below(2);
        let mut words = (0..WORDS.len()).map(|at| WORDS[(at + first) % WORDS.len()]);
        words.find(|word| {
            let undone = *word == Reply::Undone;
            let takes = !undone
                || step
                    .step()
                    .call()
                    .is_some_and(|call| intends(StepState::Stopping, call.recover, CallVerb::Undo));
            takes && decided.answered_for(*word, stops).is_some()
        })
    }
}
