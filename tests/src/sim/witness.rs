//! Ports that look on: they pass every call to the store in memory, and notice when what passes breaks a rule of the
//! design. What they hold against the code is only what went through the port and what is in the store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use saga_app::ports::outbox::{Lease, OutboxRow};
use saga_app::ports::{
    Alert, Alerts, Committed, Definitions, Envelope, Inserted, Limits, Outbox, Page, Parked, Parking,
    Partition, PortError, Published, Publisher, Quarantine, Quarantined, SagaStore, ServiceStates, Snapshot,
    StepCommit, StepStore, Time, Version, Versioned,
};
use saga_core::lifecycle::Phase;
use saga_core::origin::OriginDecision;
use saga_core::participant::EntityKey;
use saga_core::participate::StepRecord;
use saga_core::{Definition, DefinitionRef, EventId, Saga, SagaId, ServiceState, StepIndex, Timestamp};
use saga_memory::{Clock, Cloud, OriginCloud, StepCloud};

/// What the ports of one cloud have seen.
#[derive(Default)]
pub struct Witness(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    broken: Option<String>,
    committed: BTreeSet<EventId>,
    taken: BTreeSet<EventId>,
    bodies: BTreeMap<EventId, String>,
    ids: BTreeMap<(SagaId, String), BTreeSet<EventId>>,
    phases: BTreeMap<SagaId, Phase>,
    /// Who has which shard, as far as those who took one were told.
    leases: BTreeMap<u16, Lease>,
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

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn breaks(&mut self, rule: String) {
        self.broken.get_or_insert(rule);
    }

    /// Whoever hears that it has a lease, and believes it.
    fn took(&mut self, lease: &Lease, now: Timestamp) {
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

    fn gave_back(&mut self, lease: &Lease) {
        let held = self.leases.get(&lease.shard);
        if held.is_some_and(|held| held.owner == lease.owner) {
            self.leases.remove(&lease.shard);
        }
    }

    /// R2: what is emitted again has the id and the content of the first.
    fn emitted(&mut self, row: &OutboxRow) {
        let first = self
            .bodies
            .entry(row.id.clone())
            .or_insert_with(|| row.body.clone());
        if *first != row.body {
            let rule = format!("R2: event {} has two contents: {first} and {}", row.id, row.body);
            self.breaks(rule);
        }
        let ids = self.ids.entry((row.saga, row.kind.clone())).or_default();
        ids.insert(row.id.clone());
        // A cancel carries the time of the wish, and an override after a cancel is another wish.
        let wishes = if row.kind.ends_with("CancelRequested") {
            2
        } else {
            1
        };
        if ids.len() > wishes {
            let rule = format!(
                "R2: `{}` of saga {} was emitted under several ids: {ids:?}",
                row.kind, row.saga
            );
            self.breaks(rule);
        }
    }
}

/// A cloud's ports, looked on.
pub struct Watched<'a, S> {
    /// The cloud.
    pub cloud: &'a Cloud<S>,
    /// Who looks on.
    pub witness: &'a Witness,
    /// The time.
    pub clock: &'a Clock,
}

impl<S> Watched<'_, S> {
    /// Notes which rows are really in the outbox, whatever the caller was told.
    fn after_commit(&self) {
        let rows = self.cloud.outbox();
        let mut seen = self.witness.lock();
        for row in rows {
            seen.emitted(&row);
            seen.committed.insert(row.event.id);
        }
    }
}

impl<S: Send> Outbox for Watched<'_, S> {
    async fn read(
        &self,
        shard: u16,
        after: Option<&EventId>,
        before: Timestamp,
        limit: usize,
    ) -> Result<Page, PortError> {
        let page = self.cloud.read(shard, after, before, limit).await?;
        let ids = page.rows.iter().map(|row| row.id.clone());
        self.witness.lock().committed.extend(ids);
        Ok(page)
    }

    async fn overdue(&self, shards: u16, before: Timestamp) -> Result<Vec<u16>, PortError> {
        self.cloud.overdue(shards, before).await
    }

    async fn take(&self, wanted: &Lease, now: Timestamp) -> Result<bool, PortError> {
        let taken = self.cloud.take(wanted, now).await?;
        if taken {
            self.witness.lock().took(wanted, self.clock.now());
        }
        Ok(taken)
    }

    async fn renew(&self, lease: &Lease) -> Result<bool, PortError> {
        let kept = self.cloud.renew(lease).await?;
        if kept {
            self.witness.lock().took(lease, self.clock.now());
        }
        Ok(kept)
    }

    async fn release(&self, lease: &Lease) -> Result<(), PortError> {
        self.witness.lock().gave_back(lease);
        self.cloud.release(lease).await
    }

    async fn earlier(&self, row: &OutboxRow) -> Result<Vec<EventId>, PortError> {
        self.cloud.earlier(row).await
    }

    async fn postpone(&self, rows: &[OutboxRow]) -> Result<(), PortError> {
        self.cloud.postpone(rows).await
    }

    async fn set_aside(&self, row: &OutboxRow, now: Timestamp) -> Result<(), PortError> {
        self.cloud.set_aside(row, now).await
    }

    async fn delete(&self, rows: &[OutboxRow]) -> Result<(), PortError> {
        {
            let mut seen = self.witness.lock();
            if let Some(row) = rows.iter().find(|row| !seen.taken.contains(&row.id)) {
                seen.breaks(format!(
                    "R1: {} was deleted from the outbox and no carrier had taken it",
                    row.id
                ));
            }
        }
        self.cloud.delete(rows).await
    }
}

impl<S: Send> Publisher for Watched<'_, S> {
    const LIMITS: Limits = <OriginCloud as Publisher>::LIMITS;

    async fn publish(&self, events: &[&Envelope]) -> Result<Vec<Published>, PortError> {
        let committed = self.cloud.outbox();
        {
            let mut seen = self.witness.lock();
            seen.committed
                .extend(committed.into_iter().map(|row| row.event.id));
            let uncommitted = events.iter().find(|event| !seen.committed.contains(&event.id));
            if let Some(event) = uncommitted {
                seen.breaks(format!("R1: {} was published and is not committed", event.id));
            }
        }
        let answers = self.cloud.publish(events).await?;
        let taken = events.iter().zip(&answers).filter(|(_, answer)| answer.is_ok());
        self.witness
            .lock()
            .taken
            .extend(taken.map(|(event, _)| event.id.clone()));
        Ok(answers)
    }
}

/// The bus as the ingress sees it: counts the events of which the caller was told that they were taken.
pub struct Bus<'a> {
    cloud: &'a OriginCloud,
    taken: Mutex<usize>,
}

impl<'a> Bus<'a> {
    /// The bus of this cloud.
    #[must_use]
    pub fn new(cloud: &'a OriginCloud) -> Self {
        Self {
            cloud,
            taken: Mutex::default(),
        }
    }

    /// How many events it took, as far as the caller knows.
    #[must_use]
    pub fn taken(&self) -> usize {
        *self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Publisher for Bus<'_> {
    const LIMITS: Limits = <OriginCloud as Publisher>::LIMITS;

    async fn publish(&self, events: &[&Envelope]) -> Result<Vec<Published>, PortError> {
        let answers = self.cloud.publish(events).await?;
        let taken = answers.iter().filter(|answer| answer.is_ok()).count();
        *self.taken.lock().unwrap_or_else(PoisonError::into_inner) += taken;
        Ok(answers)
    }
}

impl<S: Send> Quarantine for Watched<'_, S> {
    async fn keep(&self, message: Quarantined<'_>) -> Result<(), PortError> {
        self.cloud.keep(message).await
    }
}

impl<S: Send> Parking for Watched<'_, S> {
    async fn park(&self, parked: &Parked) -> Result<(), PortError> {
        self.cloud.park(parked).await
    }
}

impl<S: Send> Alerts for Watched<'_, S> {
    async fn raise(&self, alert: Alert) -> Result<(), PortError> {
        self.cloud.raise(alert).await
    }
}

impl Watched<'_, saga_memory::Sagas> {
    /// R1: a decision's event is committed with it. I5: an end once reached is never left.
    fn before_commit(&self, decision: &OriginDecision, row: Option<&OutboxRow>) {
        let said = decision.emit.as_ref().map(|event| &event.id);
        let mut seen = self.witness.lock();
        if said != row.map(|row| &row.id) {
            seen.breaks(format!(
                "R1: {said:?} was decided and {row:?} is committed with it"
            ));
        }
    }

    fn look_at(&self, id: SagaId) {
        let cloud: &OriginCloud = self.cloud;
        if let Some(saga) = cloud.saga(id) {
            let mut seen = self.witness.lock();
            let before = seen.phases.insert(id, saga.lifecycle.phase);
            if before.is_some_and(|before| before != Phase::Open && before != saga.lifecycle.phase) {
                seen.breaks(format!(
                    "I5: saga {id} was {before:?} and is {:?}",
                    saga.lifecycle.phase
                ));
            }
        }
    }
}

impl<S: Send> Definitions for Watched<'_, S> {
    async fn stored_definition(&self, reference: &DefinitionRef) -> Result<Option<Definition>, PortError> {
        self.cloud.stored_definition(reference).await
    }

    async fn keep_definition(&self, definition: &Definition) -> Result<Definition, PortError> {
        self.cloud.keep_definition(definition).await
    }
}

impl<S: Send> ServiceStates for Watched<'_, S> {
    async fn service_state(&self, name: &str) -> Result<Option<ServiceState>, PortError> {
        self.cloud.service_state(name).await
    }

    async fn keep_service_state(&self, state: &ServiceState) -> Result<Committed, PortError> {
        self.cloud.keep_service_state(state).await
    }
}

impl SagaStore for Watched<'_, saga_memory::Sagas> {
    async fn insert(
        &self,
        decision: &OriginDecision,
        row: Option<&OutboxRow>,
    ) -> Result<Inserted, PortError> {
        self.before_commit(decision, row);
        let inserted = self.cloud.insert(decision, row).await;
        self.after_commit();
        inserted
    }

    async fn load(&self, id: SagaId) -> Result<Option<Versioned<Saga>>, PortError> {
        SagaStore::load(self.cloud, id).await
    }

    async fn entities(&self, keys: &[EntityKey]) -> Result<Snapshot, PortError> {
        SagaStore::entities(self.cloud, keys).await
    }

    async fn commit(
        &self,
        decision: &OriginDecision,
        version: &Version,
        read: &Snapshot,
        row: Option<&OutboxRow>,
    ) -> Result<Committed, PortError> {
        self.before_commit(decision, row);
        self.look_at(decision.saga.id);
        let committed = SagaStore::commit(self.cloud, decision, version, read, row).await;
        self.after_commit();
        self.look_at(decision.saga.id);
        committed
    }

    async fn list(
        &self,
        since: Option<Timestamp>,
        before: Option<(Timestamp, SagaId)>,
        limit: usize,
    ) -> Result<Vec<Saga>, PortError> {
        self.cloud.list(since, before, limit).await
    }

    async fn due(&self, bucket: u16, now: Timestamp, limit: usize) -> Result<Vec<SagaId>, PortError> {
        self.cloud.due(bucket, now, limit).await
    }
}

impl StepStore for Watched<'_, saga_memory::Steps> {
    async fn load(
        &self,
        partition: &Partition,
        saga: SagaId,
        index: StepIndex,
    ) -> Result<Option<Versioned<StepRecord>>, PortError> {
        let cloud: &StepCloud = self.cloud;
        StepStore::load(cloud, partition, saga, index).await
    }

    async fn entities(&self, partition: &Partition, keys: &[EntityKey]) -> Result<Snapshot, PortError> {
        StepStore::entities(self.cloud, partition, keys).await
    }

    async fn commit(&self, commit: StepCommit<'_>) -> Result<Committed, PortError> {
        if commit.row.is_none() {
            let (saga, index) = (commit.saga, commit.index);
            self.witness.lock().breaks(format!(
                "R1: step {index} of saga {saga} is committed without its event"
            ));
        }
        let committed = StepStore::commit(self.cloud, commit).await;
        self.after_commit();
        committed
    }
}
