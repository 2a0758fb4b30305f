//! Ports that look on: they pass every call to the store in memory, and tell a [`Witness`] what passed.

use std::sync::{Mutex, PoisonError};

use saga_app::ports::outbox::{Lease, OutboxRow};
use saga_app::ports::{
    Alert, Alerts, Committed, Definitions, Envelope, Inserted, Limits, Outbox, Page, Parked, Parking,
    Partition, PortError, Published, Publisher, Quarantine, Quarantined, SagaStore, ServiceChanges,
    ServiceStates, Snapshot, StepCommit, StepStore, Time, Version, Versioned,
};
use saga_core::origin::OriginDecision;
use saga_core::participant::EntityKey;
use saga_core::participate::StepRecord;
use saga_core::step::StepState;
use saga_core::{Definition, DefinitionRef, EventId, Saga, SagaId, ServiceState, StepIndex, Timestamp};
use saga_memory::{Clock, Cloud, OriginCloud, StepCloud};

use super::witness::Witness;

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
    /// R1: a decision's event is committed with it.
    fn before_commit(&self, decision: &OriginDecision, row: Option<&OutboxRow>) {
        let said = decision.emit.as_ref().map(|event| &event.id);
        let mut seen = self.witness.lock();
        if said != row.map(|row| &row.id) {
            seen.breaks(format!(
                "R1: {said:?} was decided and {row:?} is committed with it"
            ));
        }
    }

    fn look_at(&self, id: SagaId) -> Option<Saga> {
        let cloud: &OriginCloud = self.cloud;
        let saga = cloud.saga(id);
        if let Some(saga) = &saga {
            self.witness.lock().saw(saga);
        }
        saga
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
        self.witness.lock().service_changes(&state.service);
        let committed = self.cloud.keep_service_state(state).await;
        let kept = committed
            .as_ref()
            .ok()
            .map(|committed| *committed == Committed::Yes);
        self.witness.lock().service_changed(state, kept);
        committed
    }
}

impl ServiceChanges for Watched<'_, saga_memory::Sagas> {
    async fn keep_and_send_service_state(
        &self,
        state: &ServiceState,
        row: &OutboxRow,
    ) -> Result<Committed, PortError> {
        let committed = self.cloud.keep_and_send_service_state(state, row).await;
        self.after_commit();
        committed
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
        let before = self.look_at(decision.saga.id);
        let committed = SagaStore::commit(self.cloud, decision, version, read, row).await;
        self.after_commit();
        let after = self.look_at(decision.saga.id);
        if let (Some(before), Some(after)) = (before, after) {
            self.witness.lock().changed(before, &after);
        }
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

impl Watched<'_, saga_memory::Steps> {
    fn look_at_step(&self, saga: SagaId, index: StepIndex) -> Option<StepState> {
        let cloud: &StepCloud = self.cloud;
        let state = cloud.step(saga, index).map(|record| record.state)?;
        self.witness.lock().saw_step(saga, index, state);
        Some(state)
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
        let (saga, index) = (commit.saga, commit.index);
        let known = self.look_at_step(saga, index);
        // An attempt without a decision changes no state, and need not say anything.
        let moves = commit.record.is_none_or(|record| Some(record.state) != known);
        let silent = commit.row.is_none();
        let committed = StepStore::commit(self.cloud, commit).await;
        // What was decided on a state that is past is not committed.
        if silent && moves && matches!(committed, Ok(Committed::Yes)) {
            self.witness.lock().breaks(format!(
                "R1: step {index} of saga {saga} is committed without its event"
            ));
        }
        self.after_commit();
        self.look_at_step(saga, index);
        committed
    }
}
