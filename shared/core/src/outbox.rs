//! An outbox: events that are committed and not yet published, in shards, each of which one worker at a time empties.

use crate::ids::{EventId, SagaId, Timestamp};

/// How many shards an outbox has unless a deployment says otherwise.
pub const DEFAULT_SHARDS: u16 = 16;

/// A pending event, as it will be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// The shard: the bucket of the saga's id.
    pub shard: u16,
    /// The event's id, which is also the row's.
    pub id: EventId,
    /// The saga.
    pub saga: SagaId,
    /// The event's type.
    pub kind: String,
    /// The whole event, as it goes out.
    pub body: String,
    /// When what it tells of was decided: the time in its id, the same when it is emitted again.
    pub at: Timestamp,
    /// When it was put here, the last time.
    pub queued: Timestamp,
    /// Whether an earlier event of its saga may still be pending here.
    pub follows: bool,
    /// What became of the attempts to publish it.
    pub tries: Tries,
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
