//! The outbox of a cloud, and its port.

use std::collections::BTreeMap;

use saga_app::ports::{Outbox, PortError};
use saga_core::outbox::OutboxRow;
use saga_core::{EventId, Timestamp};

use crate::cloud::Cloud;

/// Pending rows by shard, time and event: the order in which they are read.
#[derive(Default)]
pub(crate) struct Rows(BTreeMap<(u16, Timestamp, EventId), OutboxRow>);

impl Rows {
    /// Adds a row. An event that is pending already stays one row, as the last emission wrote it.
    pub(crate) fn put(&mut self, row: Option<&OutboxRow>) {
        if let Some(row) = row {
            self.0.insert(key(row), row.clone());
        }
    }

    pub(crate) fn all(&self) -> Vec<OutboxRow> {
        let mut rows: Vec<_> = self.0.values().cloned().collect();
        rows.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
        rows
    }
}

fn key(row: &OutboxRow) -> (u16, Timestamp, EventId) {
    (row.shard, row.at, row.id.clone())
}

impl<S: Send> Outbox for Cloud<S> {
    async fn pending(
        &self,
        shard: u16,
        before: Timestamp,
        limit: usize,
    ) -> Result<Vec<OutboxRow>, PortError> {
        self.call("Outbox::pending", None, |state| {
            let rows = state.outbox.0.values();
            let found = rows.filter(|row| row.shard == shard && row.at < before);
            Ok(found.take(limit).cloned().collect())
        })
        .await
    }

    async fn delete(&self, rows: &[OutboxRow]) -> Result<(), PortError> {
        self.call("Outbox::delete", None, |state| {
            for row in rows {
                state.outbox.0.remove(&key(row));
            }
            Ok(())
        })
        .await
    }
}
