//! The outbox of a cloud, and its port.

use std::collections::BTreeMap;

use saga_app::ports::{Outbox, Page, PortError};
use saga_core::outbox::{Lease, OutboxRow};
use saga_core::{EventId, Timestamp};

use crate::cloud::Cloud;

/// Pending rows by shard and event, the order in which they are read; the dead ones; and the leases.
#[derive(Default)]
pub(crate) struct Rows {
    pending: BTreeMap<(u16, EventId), OutboxRow>,
    dead: BTreeMap<EventId, OutboxRow>,
    leases: BTreeMap<u16, Lease>,
}

impl Rows {
    /// Adds a row. An event that is pending already stays one row, as the last emission wrote it.
    pub(crate) fn put(&mut self, row: Option<&OutboxRow>) {
        if let Some(row) = row {
            self.pending.insert(key(row), row.clone());
        }
    }

    pub(crate) fn all(&self) -> Vec<OutboxRow> {
        let mut rows: Vec<_> = self.pending.values().cloned().collect();
        rows.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
        rows
    }

    pub(crate) fn dead(&self) -> Vec<OutboxRow> {
        self.dead.values().cloned().collect()
    }

    fn lease(&self, shard: u16) -> Lease {
        self.leases
            .get(&shard)
            .cloned()
            .unwrap_or_else(|| Lease::unknown(shard))
    }

    /// Writes a lease if nobody has since it was read.
    fn write_lease(
        &mut self,
        known: &Lease,
        owner: Option<&str>,
        until: Timestamp,
        mark: u64,
    ) -> Option<Lease> {
        if self.lease(known.shard).mark != known.mark {
            return None;
        }
        let lease = Lease {
            shard: known.shard,
            owner: owner.map(str::to_owned),
            until,
            mark: Some(mark.to_string()),
        };
        self.leases.insert(known.shard, lease.clone());
        Some(lease)
    }
}

fn key(row: &OutboxRow) -> (u16, EventId) {
    (row.shard, row.id.clone())
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
            let all = state.outbox.pending.iter();
            let mine = all.filter(|((number, _), _)| *number == shard);
            let mut rows = mine
                .map(|(_, row)| row)
                .filter(|row| row.at < before && after.is_none_or(|after| row.id > *after));
            let page: Vec<OutboxRow> = rows.by_ref().take(limit).cloned().collect();
            let more = rows.next().is_some();
            Ok(Page {
                lease: state.outbox.lease(shard),
                next: page.last().filter(|_| more).map(|row| row.id.clone()),
                rows: page,
            })
        })
        .await
    }

    async fn take(&self, known: &Lease, owner: &str, until: Timestamp) -> Result<Option<Lease>, PortError> {
        self.call("Outbox::take", Some(None), |state| {
            let mark = state.next_revision();
            Ok(state.outbox.write_lease(known, Some(owner), until, mark))
        })
        .await
    }

    async fn release(&self, lease: &Lease) -> Result<(), PortError> {
        self.call("Outbox::release", None, |state| {
            let mark = state.next_revision();
            state
                .outbox
                .write_lease(lease, None, Timestamp::from_millis(0), mark);
            Ok(())
        })
        .await
    }

    async fn earlier(&self, row: &OutboxRow) -> Result<Vec<EventId>, PortError> {
        self.call("Outbox::earlier", None, |state| {
            let rows = state.outbox.pending.values();
            let earlier =
                rows.filter(|known| known.shard == row.shard && known.saga == row.saga && known.id < row.id);
            Ok(earlier.map(|known| known.id.clone()).collect())
        })
        .await
    }

    async fn delete(&self, rows: &[OutboxRow]) -> Result<(), PortError> {
        self.call("Outbox::delete", None, |state| {
            for row in rows {
                state.outbox.pending.remove(&key(row));
            }
            Ok(())
        })
        .await
    }

    async fn postpone(&self, rows: &[OutboxRow]) -> Result<(), PortError> {
        self.call("Outbox::postpone", None, |state| {
            for row in rows {
                if let Some(known) = state.outbox.pending.get_mut(&key(row)) {
                    known.tries = row.tries.clone();
                }
            }
            Ok(())
        })
        .await
    }

    async fn bury(&self, row: &OutboxRow, _: Timestamp) -> Result<(), PortError> {
        self.call("Outbox::bury", None, |state| {
            if state.outbox.pending.remove(&key(row)).is_some() {
                state.outbox.dead.insert(row.id.clone(), row.clone());
            }
            Ok(())
        })
        .await
    }
}
