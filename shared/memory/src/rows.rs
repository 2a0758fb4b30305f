//! The rows and leases of an outbox.

use std::collections::BTreeMap;

use saga_app::ports::outbox::{Lease, OutboxRow};
use saga_core::EventId;

/// Pending rows by shard and event, the order in which they are read; the dead ones; and the leases.
#[derive(Default)]
pub(crate) struct Rows {
    pub(crate) pending: BTreeMap<u16, BTreeMap<EventId, OutboxRow>>,
    pub(crate) dead: BTreeMap<EventId, OutboxRow>,
    pub(crate) leases: BTreeMap<u16, Lease>,
}

impl Rows {
    /// Adds a row. An event that is pending already stays one row, as the last emission wrote it.
    pub(crate) fn put(&mut self, row: Option<&OutboxRow>) {
        if let Some(row) = row {
            let shard = self.pending.entry(row.shard).or_default();
            shard.insert(row.id.clone(), row.clone());
        }
    }

    pub(crate) fn all(&self) -> Vec<OutboxRow> {
        let mut rows: Vec<_> = self
            .pending
            .values()
            .flat_map(BTreeMap::values)
            .cloned()
            .collect();
        rows.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
        rows
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pending.values().all(BTreeMap::is_empty)
    }

    pub(crate) fn leases(&self) -> usize {
        self.leases.len()
    }

    pub(crate) fn dead(&self) -> Vec<OutboxRow> {
        self.dead.values().cloned().collect()
    }

    pub(crate) fn get_mut(&mut self, row: &OutboxRow) -> Option<&mut OutboxRow> {
        self.pending.get_mut(&row.shard)?.get_mut(&row.id)
    }

    pub(crate) fn remove(&mut self, row: &OutboxRow) -> bool {
        let shard = self.pending.get_mut(&row.shard);
        shard.is_some_and(|shard| shard.remove(&row.id).is_some())
    }

    pub(crate) fn is_held_by(&self, lease: &Lease) -> bool {
        let held = self.leases.get(&lease.shard);
        held.is_some_and(|held| held.owner == lease.owner)
    }
}
