//! What the ports of a cloud have seen, and which rule of the design is broken by it. What is held against the code is only what
//! went through a port and what is in a store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use saga_app::ports::outbox::{Lease, OutboxRow};
use saga_core::lifecycle::Phase;
use saga_core::step::StepState;
use saga_core::{EventId, Saga, SagaId, ServiceState, StepIndex, Timestamp};
use serde_json::Value;

/// What the ports of one cloud have seen.
#[derive(Default)]
pub struct Witness(Mutex<Seen>);

#[derive(Default)]
pub(super) struct Seen {
    broken: Option<String>,
    /// Events that were in an outbox.
    pub committed: BTreeSet<EventId>,
    /// Events that a carrier took.
    pub taken: BTreeSet<EventId>,
    bodies: BTreeMap<EventId, String>,
    ids: BTreeMap<(SagaId, String), BTreeSet<EventId>>,
    phases: BTreeMap<SagaId, Phase>,
    /// The states that the records of steps were seen to change to, in order.
    states: Vec<(SagaId, StepIndex, StepState)>,
    /// What is known of the state of each service.
    services: BTreeMap<String, Known>,
    /// Sagas that were cancelled or overridden since somebody looked, as they were before.
    steered: Vec<Saga>,
    /// Who has which shard, as far as those who took one were told.
    leases: BTreeMap<u16, Lease>,
}

/// What is known of the state of a service as its cloud keeps it.
#[derive(Default)]
struct Known {
    /// Changes under way.
    changing: usize,
    /// The newest change of which nobody knows whether it was kept.
    perhaps: u64,
    /// The newest change that was kept.
    kept: Option<ServiceState>,
}

impl Witness {
    /// The first rule that was broken.
    pub fn broken(&self) -> Option<String> {
        self.lock().broken.clone()
    }

    /// A message was acknowledged; `safe` says whether all of it had been passed on, decided or kept.
    pub fn acknowledged(&self, safe: bool) {
        if !safe {
            self.lock()
                .breaks("R6: a message was acknowledged, and neither passed on nor kept".to_owned());
        }
    }

    /// A carrier took this event.
    pub fn carried(&self, id: &EventId) {
        self.lock().taken.insert(id.clone());
    }

    /// How many changes of steps were seen.
    pub fn changes(&self) -> usize {
        self.lock().states.len()
    }

    /// The state that a step's record had after so many changes, and each that it was seen in since.
    pub fn states(&self, saga: SagaId, step: StepIndex, changes: usize) -> Vec<StepState> {
        let seen = self.lock();
        let of = |all: &[(SagaId, StepIndex, StepState)]| -> Vec<StepState> {
            let its = all.iter().filter(|(its, at, _)| (*its, *at) == (saga, step));
            its.map(|(_, _, state)| *state).collect()
        };
        let (before, since) = seen.states.split_at(changes);
        of(before).pop().into_iter().chain(of(since)).collect()
    }

    /// The state that a service is known to have: nobody is about to change it, and whoever did was told so.
    pub fn service(&self, name: &str) -> Option<ServiceState> {
        let seen = self.lock();
        let known = seen.services.get(name).filter(|known| known.changing == 0)?;
        known.kept.clone().filter(|kept| kept.number > known.perhaps)
    }

    /// The sagas that were cancelled or overridden since the last time, as they were before that.
    pub fn take_steered(&self) -> Vec<Saga> {
        std::mem::take(&mut self.lock().steered)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    pub fn breaks(&mut self, rule: String) {
        self.broken.get_or_insert(rule);
    }

    /// Whoever hears that it has a lease, and believes it.
    pub fn took(&mut self, lease: &Lease, now: Timestamp) {
        if lease.until <= now {
            return;
        }
        let before = self.leases.insert(lease.shard, lease.clone());
        if let Some(before) = before.filter(|before| before.owner != lease.owner && before.until > now) {
            let rule = format!(
                "leases: {} has shard {}, which {} has until {:?}",
                lease.owner, lease.shard, before.owner, before.until
            );
            self.breaks(rule);
        }
    }

    pub fn gave_back(&mut self, lease: &Lease) {
        let held = self.leases.get(&lease.shard);
        if held.is_some_and(|held| held.owner == lease.owner) {
            self.leases.remove(&lease.shard);
        }
    }

    /// R2: what is emitted again has the id and the content of the first.
    pub fn emitted(&mut self, row: &OutboxRow) {
        let Some(first) = self.bodies.get(&row.id) else {
            self.bodies.insert(row.id.clone(), row.body.clone());
            return self.first_emitted(row);
        };
        // Two reports of one millisecond share an id, and the second says all that the first does. Two answers may, too: the
        // first is as if it had come late.
        let by_time = ["SagaStepReported", "SagaStepAnswered"].contains(&row.kind.as_str());
        if *first != row.body && !by_time {
            let rule = format!("R2: event {} has two contents: {first} and {}", row.id, row.body);
            self.breaks(rule);
        }
    }

    fn first_emitted(&mut self, row: &OutboxRow) {
        let event: Value = serde_json::from_str(&row.body).expect("an event is JSON");
        if row.kind.starts_with("SagaService") {
            // Each tells of another change.
            return;
        }
        let wishes = match event["sagaverb"].as_str() {
            // A cancel carries the time of the wish, and an override after a cancel is another wish.
            Some("cancel") => 2,
            // Before its outcome is known, and after it.
            Some("undo") => 2,
            // Each tells something else, or answers something else.
            Some("report" | "answer" | "contradiction") => return,
            _ => 1,
        };
        let what = format!("{} {}", row.kind, event["sagastep"]);
        let ids = self.ids.entry((row.saga, what)).or_default();
        ids.insert(row.id.clone());
        if ids.len() > wishes {
            let rule = format!(
                "R2: `{}` of saga {} was emitted under several ids: {ids:?}",
                row.kind, row.saga
            );
            self.breaks(rule);
        }
    }

    /// A saga as it is stored. I5: an end once reached is never left.
    pub fn saw(&mut self, saga: &Saga) {
        for (step, record) in &saga.steps {
            self.saw_step(saga.id, *step, record.state);
        }
        let phase = saga.lifecycle.phase;
        let before = self.phases.insert(saga.id, phase);
        if before.is_some_and(|before| before != Phase::Open && before != phase) {
            self.breaks(format!("I5: saga {} was {before:?} and is {phase:?}", saga.id));
        }
    }

    /// Somebody is about to change the state of a service.
    pub fn service_changes(&mut self, name: &str) {
        self.services.entry(name.to_owned()).or_default().changing += 1;
    }

    /// A change of a service is over. `kept`: whether it was, if anybody knows.
    pub fn service_changed(&mut self, state: &ServiceState, kept: Option<bool>) {
        let known = self.services.entry(state.service.clone()).or_default();
        known.changing -= 1;
        match kept {
            Some(true) if known.kept.as_ref().is_none_or(|kept| kept.number < state.number) => {
                known.kept = Some(state.clone());
            }
            Some(_) => {}
            None => known.perhaps = known.perhaps.max(state.number),
        }
    }

    /// A step's record as it is stored.
    pub fn saw_step(&mut self, saga: SagaId, step: StepIndex, state: StepState) {
        let mut all = self.states.iter().rev();
        let last = all.find(|(its, at, _)| (*its, *at) == (saga, step));
        if last.is_none_or(|(_, _, last)| *last != state) {
            self.states.push((saga, step, state));
        }
    }

    /// A commit has changed a saga.
    pub fn changed(&mut self, before: Saga, after: &Saga) {
        let cancelled = before.cancel.is_none() && after.cancel.is_some();
        let resolved = before.resolved.is_none() && after.resolved.is_some();
        if before.lifecycle.phase == Phase::Open
            && (cancelled || resolved && after.lifecycle.phase == Phase::Cancelled)
        {
            self.steered.push(Saga {
                resolved: after.resolved.clone(),
                ..before
            });
        }
    }
}
