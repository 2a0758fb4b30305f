//! The outside services of a run: one ledger that nobody else writes, which keeps the contract and remembers everything that
//! was asked, whatever its replies became of.
//!
//! What a service decides is [`Service`], the same as in the model. Here it also forgets its keys, has requests in hand that
//! it gets to late, is restarted, and is bound wrongly for a while.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use saga_core::call::CallVerb;
use saga_core::step::{Class, Recover, Reply};
use saga_core::{SagaId, StepIndex, Timestamp};
use serde_json::{Value, json};

use super::outcome::Outcome;
use crate::invariants::at_most_once;
use crate::model::Service;

/// A process that has looked at a record asks within this time or not at all, because its function is ended. Services remember
/// their keys for so much longer than their lifetime.
pub(super) const LONGEST_PROCESS: i64 = 120_000;

/// The step that a request is for, as its definition has it.
#[derive(Debug, Clone)]
pub(super) struct Work {
    pub saga: SagaId,
    pub step: StepIndex,
    pub name: String,
    pub promise: Recover,
    pub class: Class,
    pub timeout: i64,
    pub lifetime: i64,
}

/// A request as a service sees it.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub work: Work,
    pub verb: CallVerb,
    /// The key of the act, by which the effect is known.
    pub act_key: String,
    /// When it was sent.
    pub sent: Timestamp,
    /// What the service decides on an act that it sees for the first time.
    pub refuses: bool,
}

/// What a service has of one key.
struct Entry {
    work: Work,
    decided: Service,
    /// When the key was first seen, or somebody last spoke for the service.
    since: Timestamp,
    applied: usize,
    taken_back: usize,
    output: Value,
}

/// What the ledger says of a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Effects {
    pub applied: usize,
    pub taken_back: usize,
}

#[derive(Default)]
struct State {
    ledger: BTreeMap<String, Entry>,
    /// The first request of each key, but for the number of the attempt.
    first: BTreeMap<String, Value>,
    in_hand: Vec<Asked>,
    wrong: BTreeMap<&'static str, u16>,
    restarts: usize,
    broken: Option<String>,
    counts: Outcome,
}

/// All services.
#[derive(Default)]
pub(super) struct Provider(Mutex<State>);

impl State {
    fn breaks(&mut self, rule: String) {
        self.broken.get_or_insert(rule);
    }

    fn arrives(&mut self, asked: &Asked, now: Timestamp) -> Option<Value> {
        let Asked { work, verb, .. } = asked;
        let known = self.ledger.get(&asked.act_key);
        let decided = known.map_or(Service::Unseen, |entry| entry.decided);
        let forgotten =
            known.is_some_and(|entry| entry.since.plus_millis(work.lifetime + LONGEST_PROCESS) < now);
        let late = asked.sent.plus_millis(work.timeout) < now;
        let expired = asked.sent.plus_millis(work.lifetime) < now;
        // No network keeps a request for as long as a service keeps its keys.
        if late && (forgotten || expired) {
            return None;
        }
        // What is needed to take an effect back is never forgotten, and whether a key was used is.
        let decided = match verb {
            CallVerb::Act if forgotten => Service::Unseen,
            _ => decided,
        };
        if *verb == CallVerb::Undo && !decided.can_undo(work.promise) {
            self.breaks(format!(
                "only what was accepted is undone: {} was asked to be undone, and is {decided:?}",
                asked.act_key
            ));
        }
        if *verb == CallVerb::Undo && work.class != Class::Compensatable {
            self.breaks(format!(
                "I9: {} was asked to be undone, and is a {:?}",
                asked.act_key, work.class
            ));
        }
        let (next, reply) = decided.asked(*verb, work.promise, asked.refuses);
        self.decides(asked, decided, next, now);
        let entry = &self.ledger[&asked.act_key];
        Some(match reply {
            Reply::Accepted => json!({"decision": "accepted", "output": entry.output}),
            Reply::Refused => json!({"decision": "refused", "reason": "no funds"}),
            Reply::Undone => json!({"decision": "undone"}),
        })
    }

    /// Writes what was decided, and counts what that did.
    fn decides(&mut self, asked: &Asked, before: Service, next: Service, now: Timestamp) {
        let count = self.ledger.len();
        let entry = self.ledger.entry(asked.act_key.clone()).or_insert_with(|| Entry {
            work: asked.work.clone(),
            decided: before,
            since: now,
            applied: 0,
            taken_back: 0,
            output: json!({"ref": format!("r-{count}")}),
        });
        if before == Service::Unseen {
            entry.since = now;
        }
        entry.decided = next;
        if before == next {
            return;
        }
        match next {
            Service::Accepted => {
                entry.applied += 1;
                self.counts.effects += 1;
            }
            Service::Undone => {
                entry.taken_back += 1;
                self.counts.undone += 1;
            }
            Service::Tombstoned => self.counts.tombstones += 1,
            Service::Refused => self.counts.refused += 1,
            Service::Unseen => {}
        }
        let work = &asked.work;
        let effects = self.effects(work.saga, work.step);
        if !at_most_once(effects.applied, effects.taken_back) {
            self.breaks(format!(
                "I2: step `{}` of saga {} took effect {} times and was undone {} times",
                work.name, work.saga, effects.applied, effects.taken_back
            ));
        }
    }

    fn effects(&self, saga: SagaId, step: StepIndex) -> Effects {
        let its = |entry: &&Entry| entry.work.saga == saga && entry.work.step == step;
        let mut effects = Effects::default();
        for entry in self.ledger.values().filter(its) {
            effects.applied += entry.applied;
            effects.taken_back += entry.taken_back;
        }
        effects
    }
}

impl Provider {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first rule that was broken.
    pub fn broken(&self) -> Option<String> {
        self.lock().broken.clone()
    }

    /// Notes that a rule is broken.
    pub fn breaks(&self, rule: String) {
        self.lock().breaks(rule);
    }

    /// What it counted.
    pub fn counts(&self) -> Outcome {
        self.lock().counts
    }

    /// Counts something.
    pub fn count(&self, what: impl FnOnce(&mut Outcome)) {
        what(&mut self.lock().counts);
    }

    /// A request leaves for a service: the same key always asks the same.
    pub fn sent(&self, key: &str, body: &Value) {
        let mut gist = body.clone();
        if let Some(members) = gist.as_object_mut() {
            members.remove("attempt");
        }
        let mut state = self.lock();
        state.counts.calls += 1;
        let first = state.first.entry(key.to_owned()).or_insert_with(|| gist.clone());
        if *first != gist {
            let rule = format!("R2: key {key} asked for two things: {first} and {gist}");
            state.breaks(rule);
        }
        // What earlier calls gave travels with the request, whatever became of the messages in between.
        let saga = body["saga_id"].as_str().unwrap_or_default();
        for (step, output) in body["outputs"].as_object().into_iter().flatten() {
            let given = state
                .ledger
                .get(&format!("{saga}.{step}.act"))
                .map(|entry| entry.output.clone());
            if given.is_some_and(|given| given != *output) {
                let rule =
                    format!("outputs: {key} brings {output} of step `{step}`, which gave something else");
                state.breaks(rule);
            }
        }
    }

    /// A request reaches the service. `None`: it does not, because it is too late.
    pub fn arrives(&self, asked: &Asked, now: Timestamp) -> Option<Value> {
        self.lock().arrives(asked, now)
    }

    /// The service has a request that it gets to later.
    pub fn keeps_in_hand(&self, asked: Asked) {
        self.lock().in_hand.push(asked);
    }

    /// How many requests it has in hand.
    pub fn in_hand(&self) -> usize {
        self.lock().in_hand.len()
    }

    /// The service gets to one of the requests that it has in hand; says which.
    pub fn gets_to(&self, number: usize, now: Timestamp) -> Option<String> {
        let mut state = self.lock();
        if state.in_hand.is_empty() {
            return None;
        }
        let number = number % state.in_hand.len();
        let asked = state.in_hand.swap_remove(number);
        let reply = state.arrives(&asked, now);
        state.counts.arrived_late += usize::from(reply.is_some());
        Some(format!("{:?} of {}: {reply:?}", asked.verb, asked.act_key))
    }

    /// It loses what it had in hand, and the connections that are open.
    pub fn restarts(&self) {
        let mut state = self.lock();
        state.in_hand.clear();
        state.restarts += 1;
        state.counts.restarts += 1;
    }

    /// How often it was restarted.
    pub fn generation(&self) -> usize {
        self.lock().restarts
    }

    /// The binding of a service is wrong from now on, or right again.
    pub fn bind(&self, service: &'static str, wrong: Option<u16>) {
        let mut state = self.lock();
        match wrong {
            Some(status) => state.wrong.insert(service, status),
            None => state.wrong.remove(service),
        };
    }

    /// What a wrong binding answers.
    pub fn wrong(&self, service: &str) -> Option<u16> {
        self.lock().wrong.get(service).copied()
    }

    /// Every binding is right again, and nothing is in hand that never arrives.
    pub fn is_mended(&self) {
        self.lock().wrong.clear();
    }

    /// Somebody is about to say what a service has decided, or what it is told with the same words; gives the output. `None`
    /// where it would not be true.
    pub fn hears(&self, asked: &Asked, word: Reply, stops: bool, now: Timestamp) -> Option<Value> {
        let mut state = self.lock();
        let known = state.ledger.get(&asked.act_key);
        let decided = known.map_or(Service::Unseen, |entry| entry.decided);
        let next = decided.answered_for(word, stops)?;
        state.decides(asked, decided, next, now);
        let entry = state.ledger.get_mut(&asked.act_key)?;
        entry.since = now;
        Some(entry.output.clone())
    }

    /// What the service of a step has decided.
    pub fn decided(&self, act_key: &str) -> Service {
        let state = self.lock();
        state
            .ledger
            .get(act_key)
            .map_or(Service::Unseen, |entry| entry.decided)
    }

    /// What the ledger says of a step.
    pub fn effects(&self, saga: SagaId, step: StepIndex) -> Effects {
        self.lock().effects(saga, step)
    }
}
