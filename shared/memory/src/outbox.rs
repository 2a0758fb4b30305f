//! The outbox of a cloud, and its port.

use std::collections::BTreeMap;
use std::ops::Bound;

use saga_app::ports::outbox::{Lease, OutboxRow};
use saga_app::ports::{Outbox, Page, PortError};
use saga_core::{EventId, Timestamp};

use crate::cloud::Cloud;

/// Pending rows by shard and event, the order in which they are read; the dead ones; and the leases.
#[derive(Default)]
pub(crate) struct Rows {
    pending: BTreeMap<u16, BTreeMap<EventId, OutboxRow>>,
    dead: BTreeMap<EventId, OutboxRow>,
    leases: BTreeMap<u16, Lease>,
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

    fn get_mut(&mut self, row: &OutboxRow) -> Option<&mut OutboxRow> {
        self.pending.get_mut(&row.shard)?.get_mut(&row.id)
    }

    fn remove(&mut self, row: &OutboxRow) -> bool {
        let shard = self.pending.get_mut(&row.shard);
        shard.is_some_and(|shard| shard.remove(&row.id).is_some())
    }

    fn is_held_by(&self, lease: &Lease) -> bool {
        let held = self.leases.get(&lease.shard);
        held.is_some_and(|held| held.owner == lease.owner)
    }
}

impl<S: Send> Outbox for Cloud<S> {
    async fn read(
        &self,
        shard: u16,
        after: Option<&EventId>,
        before: Timestamp,
        limit: usize,
    ) -> Result<Page, PortError> {
        self.call("Outbox::read", None, |state| {
            let from = after.map_or(Bound::Unbounded, Bound::Excluded);
            let mine = state.outbox.pending.get(&shard).into_iter();
            let mut rows = mine
                .flat_map(|rows| rows.range::<EventId, _>((from, Bound::Unbounded)))
                .map(|(_, row)| row)
                .filter(|row| row.at < before);
            let page: Vec<OutboxRow> = rows.by_ref().take(limit).cloned().collect();
            let more = rows.next().is_some();
            Ok(Page {
                next: page.last().filter(|_| more).map(|row| row.id.clone()),
                rows: page,
            })
        })
        .await
    }

    async fn overdue(&self, shards: u16, before: Timestamp) -> Result<Vec<u16>, PortError> {
        self.call("Outbox::overdue", None, |state| {
            let outbox = &state.outbox;
            let old = |shard: &u16| {
                let mut rows = outbox.pending.get(shard).into_iter().flat_map(BTreeMap::values);
                outbox.leases.contains_key(shard) || rows.any(|row| row.at < before)
            };
            Ok((0..shards).filter(old).collect())
        })
        .await
    }

    async fn take(&self, wanted: &Lease, now: Timestamp) -> Result<bool, PortError> {
        self.call("Outbox::take", Some(false), |state| {
            let leases = &mut state.outbox.leases;
            let held = leases.get(&wanted.shard);
            let free = held.is_none_or(|held| held.until <= now || held.owner == wanted.owner);
            if free {
                leases.insert(wanted.shard, wanted.clone());
            }
            Ok(free)
        })
        .await
    }

    async fn renew(&self, lease: &Lease) -> Result<bool, PortError> {
        self.call("Outbox::renew", Some(false), |state| {
            let ours = state.outbox.is_held_by(lease);
            if ours {
                state.outbox.leases.insert(lease.shard, lease.clone());
            }
            Ok(ours)
        })
        .await
    }

    async fn release(&self, lease: &Lease) -> Result<(), PortError> {
        self.call("Outbox::release", None, |state| {
            if state.outbox.is_held_by(lease) {
                state.outbox.leases.remove(&lease.shard);
            }
            Ok(())
        })
        .await
    }

    async fn earlier(&self, row: &OutboxRow) -> Result<Vec<EventId>, PortError> {
        self.call("Outbox::earlier", None, |state| {
            let rows = state.outbox.pending.get(&row.shard).into_iter();
            let rows = rows.flat_map(BTreeMap::values);
            let earlier = rows.filter(|known| known.saga == row.saga && known.id < row.id);
            Ok(earlier.map(|known| known.id.clone()).collect())
        })
        .await
    }

    async fn delete(&self, rows: &[OutboxRow]) -> Result<(), PortError> {
        self.call("Outbox::delete", None, |state| {
            for row in rows {
                state.outbox.remove(row);
            }
            Ok(())
        })
        .await
    }

    async fn postpone(&self, rows: &[OutboxRow]) -> Result<(), PortError> {
        self.call("Outbox::postpone", None, |state| {
            for row in rows {
                if let Some(known) = state.outbox.get_mut(row) {
                    known.tries = row.tries.clone();
                }
            }
            Ok(())
        })
        .await
    }

    async fn set_aside(&self, row: &OutboxRow, _: Timestamp) -> Result<(), PortError> {
        self.call("Outbox::set_aside", None, |state| {
            if state.outbox.remove(row) {
                state.outbox.dead.insert(row.id.clone(), row.clone());
            }
            Ok(())
        })
        .await
    }
}
