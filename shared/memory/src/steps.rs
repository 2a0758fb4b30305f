//! A cloud that owns steps and does not keep the saga.

use std::collections::BTreeMap;

use saga_app::ports::{Committed, Partition, PortError, Snapshot, StepCommit, StepStore, Versioned};
use saga_core::document::Fields;
use saga_core::participant::{EntityKey, EntityWrite};
use saga_core::participate::StepRecord;
use saga_core::{SagaId, StepIndex};

use crate::cloud::Cloud;
use crate::entities::{Entities, Held, Written, check_shape};

/// Steps and entities, by partition: a transaction reaches one of them.
#[derive(Default)]
pub struct Steps(BTreeMap<Partition, Shelf>);

#[derive(Default)]
struct Shelf {
    steps: BTreeMap<(SagaId, StepIndex), Held<StepRecord>>,
    entities: Entities,
}

/// A cloud that owns steps, in memory.
pub type StepCloud = Cloud<Steps>;

impl StepCloud {
    /// The record of a step, read past the port and its faults, from whichever partition has it.
    pub fn step(&self, saga: SagaId, index: StepIndex) -> Option<StepRecord> {
        let state = self.lock();
        let mut shelves = state.stored.0.values();
        shelves.find_map(|shelf| shelf.steps.get(&(saga, index)).map(|held| held.value.clone()))
    }

    /// An entity, read past the port and its faults.
    pub fn entity(&self, partition: &Partition, key: &EntityKey) -> Option<Fields> {
        self.lock()
            .stored
            .0
            .get(partition)
            .and_then(|shelf| shelf.entities.get(key))
    }

    /// Every entity, by partition, read past the port and its faults.
    pub fn all_entities(&self) -> BTreeMap<Partition, BTreeMap<EntityKey, Written>> {
        let state = self.lock();
        let shelves = state.stored.0.iter();
        shelves
            .map(|(partition, shelf)| (partition.clone(), shelf.entities.all()))
            .collect()
    }

    /// Writes an entity as other software of this cloud would: a participant that read it before must read again.
    pub fn put_entity(&self, partition: &Partition, key: EntityKey, fields: Fields) {
        let mut state = self.lock();
        let revision = state.next_revision();
        let shelf = state.stored.0.entry(partition.clone()).or_default();
        shelf.entities.replace(&[EntityWrite { key, fields }], revision);
    }
}

impl StepStore for StepCloud {
    async fn load(
        &self,
        partition: &Partition,
        saga: SagaId,
        index: StepIndex,
    ) -> Result<Option<Versioned<StepRecord>>, PortError> {
        self.call("StepStore::load", None, |state| {
            let shelf = state.stored.0.get(partition);
            let found = shelf.and_then(|shelf| shelf.steps.get(&(saga, index)));
            Ok(found.map(|held| Versioned {
                value: held.value.clone(),
                version: held.version(),
            }))
        })
        .await
    }

    async fn entities(&self, partition: &Partition, keys: &[EntityKey]) -> Result<Snapshot, PortError> {
        self.call("StepStore::entities", None, |state| {
            let shelf = state.stored.0.get(partition);
            Ok(shelf
                .map(|shelf| shelf.entities.snapshot(keys))
                .unwrap_or_default())
        })
        .await
    }

    async fn commit(&self, commit: StepCommit<'_>) -> Result<Committed, PortError> {
        self.call("StepStore::commit", Some(Committed::Conflict), |state| {
            check_shape("the step store", commit.writes.iter())?;
            let revision = state.next_revision();
            let shelf = state.stored.0.entry(commit.partition.clone()).or_default();
            let step = (commit.saga, commit.index);
            let known = shelf.steps.get(&step).map(Held::version);
            if known.as_ref() != commit.version || !shelf.entities.are_as_read(commit.writes, commit.read) {
                return Ok(Committed::Conflict);
            }
            if let Some(record) = commit.record {
                shelf.steps.insert(step, Held::new(record.clone(), revision));
            }
            shelf.entities.replace(commit.writes, revision);
            state.outbox.put(commit.row);
            Ok(Committed::Yes)
        })
        .await
    }
}
