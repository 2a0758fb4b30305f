//! An outbox: events that are committed and not yet published, in shards, each of which one worker at a time empties.

use std::ops::Deref;

use saga_core::{EventId, Timestamp};

use super::error::PortFuture;
use super::publisher::Envelope;

/// How many shards an outbox has unless a deployment says otherwise.
pub const DEFAULT_SHARDS: u16 = 16;

/// A pending event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// The shard: the bucket of the saga's id.
    pub shard: u16,
    /// What will be sent. Its id is also the row's.
    pub event: Envelope,
    /// When the event was decided: the time in its id, the same when it is emitted again.
    pub at: Timestamp,
    /// When it was put here, the last time.
    pub queued: Timestamp,
    /// Whether an earlier event of its saga may still be pending here.
    pub follows: bool,
    /// What became of the attempts to publish it.
    pub tries: Tries,
}

impl Deref for OutboxRow {
    type Target = Envelope;

    fn deref(&self) -> &Envelope {
        &self.event
    }
}

/// The attempts to publish a row that failed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tries {
    /// How many.
    pub failed: u32,
    /// Not before this again.
    pub next: Option<Timestamp>,
    /// Why the last one failed.
    pub reason: Option<String>,
}

impl Tries {
    /// Why the last one failed, in words for people.
    #[must_use]
    pub fn why(&self) -> &str {
        self.reason.as_deref().unwrap_or("no reason given")
    }
}

/// Who empties a shard, and until when. One that has run out belongs to whoever takes it; one that is given back is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The shard.
    pub shard: u16,
    /// Who has it: another name for each run of a relay.
    pub owner: String,
    /// Until when.
    pub until: Timestamp,
}

/// A reading of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Rows, oldest first.
    pub rows: Vec<OutboxRow>,
    /// Where to go on, if there may be more.
    pub next: Option<EventId>,
}

/// The events that are committed and not yet published.
///
/// An adapter MUST give only rows that are committed, oldest first, MUST NOT hide a row before it is deleted, and MUST
/// see every commit and every lease that was answered before. A row that it cannot read stays and is left out.
pub trait Outbox: Send + Sync {
    /// The shards (or partitions) below `shards` that may have rows decided before `before`, or leases. MUST NOT leave one
    /// out.
    fn overdue(&self, shards: u16, before: Timestamp) -> impl PortFuture<Vec<u16>>;

    /// Takes the lease of a shard. MUST give it only if nobody else has one that runs on after `now`.
    fn take(&self, wanted: &Lease, now: Timestamp) -> impl PortFuture<bool>;

    /// Makes the lease run until `lease.until`. MUST do so only if nobody has taken it since, and say so otherwise.
    fn renew(&self, lease: &Lease) -> impl PortFuture<bool>;

    /// Gives the lease back. MUST leave it alone when somebody else has taken it since.
    fn release(&self, lease: &Lease) -> impl PortFuture<()>;

    /// Up to `limit` pending rows of a shard, decided before `before` and after the row `after`.
    fn read(
        &self,
        shard: u16,
        after: Option<&EventId>,
        before: Timestamp,
        limit: usize,
    ) -> impl PortFuture<Page>;

    /// The ids of pending rows of the same saga and shard that are older than this one.
    fn earlier(&self, row: &OutboxRow) -> impl PortFuture<Vec<EventId>>;

    /// Deletes published rows. Deleting what is gone is no error.
    fn delete(&self, rows: &[OutboxRow]) -> impl PortFuture<()>;

    /// Stores these rows' [`OutboxRow::tries`]. MUST NOT bring back a row that is gone.
    fn postpone(&self, rows: &[OutboxRow]) -> impl PortFuture<()>;

    /// Moves a row to the dead ones, in one transaction, with its tries and the time. A row that is gone is no error.
    fn set_aside(&self, row: &OutboxRow, now: Timestamp) -> impl PortFuture<()>;
}
