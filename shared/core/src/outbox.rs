//! A row of an outbox: an event that is committed and not yet published.

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
    /// When it was committed.
    pub at: Timestamp,
}
