//! The leases of one run of a relay: a shard is swept under its lease only.

use saga_core::Timestamp;

use crate::ports::outbox::Lease;
use crate::ports::{Outbox, PortError, causes};

/// A lease is taken for so long.
const LEASE_MILLIS: i64 = 60_000;
/// It is renewed when less than this is left, which is more than publishing, deleting and their retries take.
const RENEW_MILLIS: i64 = 30_000;

pub(super) struct Leases<'a, O> {
    outbox: &'a O,
    owner: &'a str,
    held: Vec<Lease>,
}

impl<'a, O: Outbox> Leases<'a, O> {
    pub(super) fn new(outbox: &'a O, owner: &'a str) -> Self {
        Self {
            outbox,
            owner,
            held: Vec::new(),
        }
    }

    pub(super) fn holds(&self, shard: u16) -> bool {
        self.held.iter().any(|lease| lease.shard == shard)
    }

    /// Takes the lease of a shard; `false` when another worker has it.
    pub(super) async fn take(&mut self, shard: u16, now: Timestamp) -> Result<bool, PortError> {
        let lease = Lease {
            shard,
            owner: self.owner.to_owned(),
            until: now.plus_millis(LEASE_MILLIS),
        };
        let taken = self.outbox.take(&lease, now).await?;
        if taken {
            self.held.push(lease);
        }
        Ok(taken)
    }

    /// Renews the leases that run out soon, and gives the shards whose lease was lost.
    pub(super) async fn renew(&mut self, now: Timestamp) -> Result<Vec<u16>, PortError> {
        let (mut kept, mut lost) = (Vec::with_capacity(self.held.len()), Vec::new());
        for lease in std::mem::take(&mut self.held) {
            if lease.until > now.plus_millis(RENEW_MILLIS) {
                kept.push(lease);
                continue;
            }
            let longer = Lease {
                until: now.plus_millis(LEASE_MILLIS),
                ..lease
            };
            // A lease that has run out may have been another's in between, who has published its rows.
            if lease.until > now && self.outbox.renew(&longer).await? {
                kept.push(longer);
            } else {
                let shard = longer.shard;
                tracing::warn!(shard, "the lease was lost; its rows are left to whoever has it");
                lost.push(shard);
            }
        }
        self.held = kept;
        Ok(lost)
    }

    /// Gives back the lease of a shard, or all.
    pub(super) async fn give_back(&mut self, shard: Option<u16>) {
        let is_meant = |lease: &mut Lease| shard.is_none_or(|shard| lease.shard == shard);
        for lease in self.held.extract_if(.., is_meant) {
            if let Err(error) = self.outbox.release(&lease).await {
                let (shard, error) = (lease.shard, causes(&error));
                tracing::warn!(shard, error, "the lease was not given back; it runs out");
            }
        }
    }
}
