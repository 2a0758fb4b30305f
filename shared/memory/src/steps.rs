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
pub struct Steps(BTreeMap<Partition, Contents>);

#[derive(Default)]
struct Contents {
    steps: BTreeMap<(SagaId, StepIndex), Held<StepRecord>>,
    entities: Entities,
}

/// A cloud that owns steps, in memory.
pub type StepCloud = Cloud<Steps>;

impl StepCloud {
    /// The record of a step, read past the port and its faults, from whichever partition has it.
    pub fn step(&self, saga: SagaId, index: StepIndex) -> Option<StepRecord> {
        let state = self.lock();
        let mut all = state.stored.0.values();
        all.find_map(|contents| contents.steps.get(&(saga, index)).map(|held| held.value.clone()))
    }

    /// An entity, read past the port and its faults.
    pub fn entity(&self, partition: &Partition, key: &EntityKey) -> Option<Fields> {
        let state = self.lock();
        let contents = state.stored.0.get(partition)?;
        contents.entities.get(key)
    }

    /// Every entity, by partition, read past the port and its faults.
    pub fn all_entities(&self) -> BTreeMap<Partition, BTreeMap<EntityKey, Written>> {
        let state = self.lock();
        let all = state.stored.0.iter();
        all.map(|(partition, contents)| (partition.clone(), contents.entities.all()))
            .collect()
    }

    /// Writes an entity as other software of this cloud would: a participant that read it before must read again.
    pub fn put_entity(&self, partition: &Partition, key: EntityKey, fields: Fields) {
        let mut state = self.lock();
        let revision = state.next_revision();
        let contents = state.stored.0.entry(partition.clone()).or_default();
        let writes = [EntityWrite { key, fields }];
        contents.entities.replace(&writes, revision);
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
            let contents = state.stored.0.get(partition);
            let found = contents.and_then(|contents| contents.steps.get(&(saga, index)));
            Ok(found.map(Held::versioned))
        })
        .await
    }

    async fn entities(&self, partition: &Partition, keys: &[EntityKey]) -> Result<Snapshot, PortError> {
        self.call("StepStore::entities", None, |state| {
            let contents = state.stored.0.get(partition);
            let found = contents.map(|contents| contents.entities.snapshot(keys));
            Ok(found.unwrap_or_default())
        })
        .await
    }

    async fn commit(&self, commit: StepCommit<'_>) -> Result<Committed, PortError> {
        self.call("StepStore::commit", Some(Committed::Conflict), |state| {
            check_shape("the step store", commit.writes.iter())?;
            let revision = state.next_revision();
            let contents = state.stored.0.entry(commit.partition.clone()).or_default();
            let step = (commit.saga, commit.index);
            let known = contents.steps.get(&step).map(Held::version);
            if known.as_ref() != commit.version || !contents.entities.are_as_read(commit.writes, commit.read)
            {
                return Ok(Committed::Conflict);
            }
            if let Some(record) = commit.record {
                contents.steps.insert(step, Held::new(record.clone(), revision));
            }
            contents.entities.replace(commit.writes, revision);
            state.outbox.put(commit.row);
            Ok(Committed::Yes)
        })
        .await
    }
}
