//! Business entities with their versions, and the conditions under which a transaction may write them.

use std::collections::{BTreeMap, BTreeSet};

use saga_app::ports::{PortError, Snapshot, Version, Versioned};
use saga_core::document::Fields;
use saga_core::participant::{EntityKey, EntityWrite};

pub(crate) struct Held<T> {
    pub(crate) value: T,
    revision: u64,
}

impl<T> Held<T> {
    pub(crate) fn new(value: T, revision: u64) -> Self {
        Self { value, revision }
    }

    pub(crate) fn versioned(&self) -> Versioned<T>
    where
        T: Clone,
    {
        let (value, version) = (self.value.clone(), self.version());
        Versioned { value, version }
    }

    pub(crate) fn version(&self) -> Version {
        Version(self.revision.to_string())
    }
}

/// An entity, and how often it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its fields as they are.
    pub fields: Fields,
    /// How many transactions wrote it.
    pub times: usize,
}

/// Entities that one transaction can reach, and how often each was written.
#[derive(Default)]
pub(crate) struct Entities(BTreeMap<EntityKey, (Held<Fields>, usize)>);

/// The most operations of one transaction, on either cloud: saga or step, entities, outbox row
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>,
/// <https://learn.microsoft.com/rest/api/storageservices/performing-entity-group-transactions>).
const MAX_OPERATIONS: usize = 100;

/// Refuses what both clouds' transactions refuse: too many operations, or two on one entity.
pub(crate) fn check_shape<'a>(
    store: &'static str,
    writes: impl Iterator<Item = &'a EntityWrite>,
) -> Result<(), PortError> {
    let mut seen = BTreeSet::new();
    for write in writes {
        if !seen.insert(&write.key) {
            let why = format!("one transaction writes {} twice", write.key);
            return Err(PortError::unavailable(store, why));
        }
    }
    if seen.len() + 2 > MAX_OPERATIONS {
        let why = format!("one transaction writes {} entities", seen.len());
        return Err(PortError::unavailable(store, why));
    }
    Ok(())
}

impl Entities {
    pub(crate) fn get(&self, key: &EntityKey) -> Option<Fields> {
        self.0.get(key).map(|(held, _)| held.value.clone())
    }

    pub(crate) fn all(&self) -> BTreeMap<EntityKey, Written> {
        let each = self.0.iter().map(|(key, (held, times))| {
            let (fields, times) = (held.value.clone(), *times);
            (key.clone(), Written { fields, times })
        });
        each.collect()
    }

    pub(crate) fn snapshot(&self, keys: &[EntityKey]) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for key in keys {
            if let Some((held, _)) = self.0.get(key) {
                snapshot.insert(key.clone(), held.value.clone(), held.version());
            }
        }
        snapshot
    }

    /// Whether every written entity is as it was read: unchanged, or still absent.
    pub(crate) fn are_as_read(&self, writes: &[EntityWrite], read: &Snapshot) -> bool {
        writes.iter().all(|write| {
            let now = self.0.get(&write.key).map(|(held, _)| held.version());
            now.as_ref() == read.versions.get(&write.key)
        })
    }

    pub(crate) fn all_exist(&self, writes: &[EntityWrite]) -> bool {
        writes.iter().all(|write| self.0.contains_key(&write.key))
    }

    pub(crate) fn replace(&mut self, writes: &[EntityWrite], revision: u64) {
        for write in writes {
            let times = self.0.get(&write.key).map_or(0, |(_, times)| *times);
            let held = Held::new(write.fields.clone(), revision);
            self.0.insert(write.key.clone(), (held, times + 1));
        }
    }

    /// Sets the named fields and keeps the others.
    pub(crate) fn set_fields(&mut self, writes: &[EntityWrite], revision: u64) {
        for write in writes {
            if let Some((held, times)) = self.0.get_mut(&write.key) {
                held.value.extend(write.fields.clone());
                held.revision = revision;
                *times += 1;
            }
        }
    }
}
