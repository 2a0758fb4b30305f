//! The outbox of a cloud, and its port.

use std::collections::BTreeMap;
use std::ops::Bound;

use saga_app::ports::outbox::{Lease, OutboxRow};
use saga_app::ports::{Outbox, Page, PortError};
use saga_core::{EventId, Timestamp};

use crate::cloud::Cloud;

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
            let behind = mine.flat_map(|rows| rows.range::<EventId, _>((from, Bound::Unbounded)));
            let mut rows = behind.map(|(_, row)| row).filter(|row| row.at < before);
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
