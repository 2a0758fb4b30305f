//! The cloud that keeps the sagas.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use saga_app::ports::outbox::{DEFAULT_SHARDS, OutboxRow};
use saga_app::ports::{Committed, Inserted, PortError, SagaStore, Snapshot, Version, Versioned};
use saga_core::document::Fields;
use saga_core::origin::OriginDecision;
use saga_core::participant::EntityKey;
use saga_core::{Saga, SagaId, Status, Timestamp};

use crate::cloud::Cloud;
use crate::entities::{Entities, Held, Written, check_shape};

/// The sagas and the entities of the origin's own participants.
#[derive(Default)]
pub struct Sagas {
    sagas: BTreeMap<SagaId, Held<Saga>>,
    spoilt: BTreeSet<SagaId>,
    entities: Entities,
}

/// The cloud that keeps the sagas, in memory. It has [`DEFAULT_SHARDS`] buckets.
pub type OriginCloud = Cloud<Sagas>;

impl OriginCloud {
    /// A saga, read past the port and its faults.
    pub fn saga(&self, id: SagaId) -> Option<Saga> {
        self.lock().stored.sagas.get(&id).map(|held| held.value.clone())
    }

    /// From now on the saga's record is one that this version cannot read.
    pub fn spoil(&self, id: SagaId) {
        self.lock().stored.spoilt.insert(id);
    }

    /// The status that the last decision showed to those who read the store past us.
    pub fn shown_status(&self, id: SagaId) -> Option<Status> {
        self.saga(id).map(|saga| saga.shown)
    }

    /// An entity, read past the port and its faults.
    pub fn entity(&self, key: &EntityKey) -> Option<Fields> {
        self.lock().stored.entities.get(key)
    }

    /// Every entity, read past the port and its faults.
    pub fn all_entities(&self) -> BTreeMap<EntityKey, Written> {
        self.lock().stored.entities.all()
    }
}

impl Sagas {
    fn put(&mut self, decision: &OriginDecision, revision: u64) {
        let saga = Saga {
            shown: decision.status,
            ..decision.saga.clone()
        };
        self.sagas.insert(saga.id, Held::new(saga, revision));
    }
}

fn shape(decision: &OriginDecision) -> Result<(), PortError> {
    check_shape("the saga store", decision.writes.iter().chain(&decision.settle))
}

impl SagaStore for OriginCloud {
    async fn insert(
        &self,
        decision: &OriginDecision,
        row: Option<&OutboxRow>,
    ) -> Result<Inserted, PortError> {
        self.call("SagaStore::insert", Some(Inserted::Conflict), |state| {
            shape(decision)?;
            let id = decision.saga.id;
            if let Some(held) = state.stored.sagas.get(&id) {
                return Ok(Inserted::Exists(Box::new(held.value.clone())));
            }
            // A new saga has read nothing, so each of its entities must be new too.
            let unread = Snapshot::default();
            if !state.stored.entities.are_as_read(&decision.writes, &unread) {
                return Ok(Inserted::Spent);
            }
            let revision = state.next_revision();
            state.stored.put(decision, revision);
            state.stored.entities.replace(&decision.writes, revision);
            state.outbox.put(row);
            Ok(Inserted::Yes)
        })
        .await
    }

    async fn load(&self, id: SagaId) -> Result<Option<Versioned<Saga>>, PortError> {
        self.call("SagaStore::load", None, |state| {
            if state.stored.spoilt.contains(&id) {
                return Err(PortError::corrupt("the saga store", "the record was spoilt"));
            }
            let found = state.stored.sagas.get(&id);
            Ok(found.map(Held::versioned))
        })
        .await
    }

    async fn entities(&self, keys: &[EntityKey]) -> Result<Snapshot, PortError> {
        self.call("SagaStore::entities", None, |state| {
            Ok(state.stored.entities.snapshot(keys))
        })
        .await
    }

    async fn commit(
        &self,
        decision: &OriginDecision,
        version: &Version,
        read: &Snapshot,
        row: Option<&OutboxRow>,
    ) -> Result<Committed, PortError> {
        self.call("SagaStore::commit", Some(Committed::Conflict), |state| {
            shape(decision)?;
            let id = decision.saga.id;
            let known = state.stored.sagas.get(&id).map(Held::version);
            let entities = &state.stored.entities;
            let holds = known.as_ref() == Some(version)
                && entities.are_as_read(&decision.writes, read)
                && entities.all_exist(&decision.settle);
            if !holds {
                return Ok(Committed::Conflict);
            }
            let revision = state.next_revision();
            state.stored.put(decision, revision);
            state.stored.entities.replace(&decision.writes, revision);
            state.stored.entities.set_fields(&decision.settle, revision);
            state.outbox.put(row);
            Ok(Committed::Yes)
        })
        .await
    }

    async fn list(
        &self,
        since: Option<Timestamp>,
        before: Option<(Timestamp, SagaId)>,
        limit: usize,
    ) -> Result<Vec<Saga>, PortError> {
        self.call("SagaStore::list", None, |state| {
            let sagas = state.stored.sagas.values().map(|held| &held.value);
            let mut found: Vec<&Saga> = sagas
                .filter(|saga| !state.stored.spoilt.contains(&saga.id))
                .filter(|saga| since.is_none_or(|since| saga.created >= since))
                .filter(|saga| before.is_none_or(|before| (saga.created, saga.id) < before))
                .collect();
            found.sort_by_key(|saga| Reverse((saga.created, saga.id)));
            Ok(found.into_iter().take(limit).cloned().collect())
        })
        .await
    }

    async fn due(&self, bucket: u16, now: Timestamp, limit: usize) -> Result<Vec<SagaId>, PortError> {
        self.call("SagaStore::due", None, |state| {
            let sagas = state.stored.sagas.values().map(|held| &held.value);
            let mut found: Vec<(Timestamp, SagaId)> = sagas
                .filter(|saga| saga.id.bucket(DEFAULT_SHARDS) == bucket)
                .filter_map(|saga| saga.due.filter(|due| *due <= now).map(|due| (due, saga.id)))
                .collect();
            found.sort();
            Ok(found.into_iter().take(limit).map(|(_, id)| id).collect())
        })
        .await
    }
}
