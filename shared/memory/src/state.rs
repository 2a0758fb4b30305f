//! What a cloud keeps.

use std::collections::BTreeMap;

use saga_app::ports::outbox::{Lease, OutboxRow};
use saga_app::ports::{Alert, Envelope, Parked};
use saga_core::{DefinitionRef, EventId, ServiceState, Timestamp};

#[derive(Default)]
pub(crate) struct State<S> {
    pub(crate) stored: S,
    pub(crate) outbox: Rows,
    pub(crate) carriers: Carriers,
    pub(crate) definitions: BTreeMap<DefinitionRef, String>,
    pub(crate) services: BTreeMap<String, ServiceState>,
    revision: u64,
}

impl<S> State<S> {
    /// A version that no record has had.
    pub(crate) fn next_revision(&mut self) -> u64 {
        self.revision += 1;
        self.revision
    }
}

#[derive(Default)]
pub(crate) struct Carriers {
    pub(crate) published: Vec<Envelope>,
    pub(crate) quarantined: Vec<Kept>,
    pub(crate) alerts: Vec<Alert>,
    pub(crate) parked: Vec<Parked>,
}

/// A message in the quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Where it came in.
    pub entrance: &'static str,
    /// Why it is here.
    pub reason: String,
    /// The headers that it came with.
    pub headers: BTreeMap<String, String>,
    /// The message, whole.
    pub body: Vec<u8>,
    /// When it came.
    pub at: Timestamp,
}

impl Kept {
    /// The message, as far as it is text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

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
        let rows = self.pending.values().flat_map(BTreeMap::values);
        let mut rows: Vec<_> = rows.cloned().collect();
        rows.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
        rows
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
