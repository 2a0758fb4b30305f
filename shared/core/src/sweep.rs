//! What the sweeper does with a saga that is due: cancel it when its deadline has passed, and otherwise send again
//! what opened it. Because every repeat is answered again, one retransmission from the origin heals the
//! loss of any message anywhere.

use crate::ids::Timestamp;

/// How long the origin waits before it sends again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Before the first time, in milliseconds.
    pub first_millis: i64,
    /// At most, in milliseconds; it doubles from the first.
    pub longest_millis: i64,
    /// A saga whose end is overdue and that has not moved for so long is stuck, in milliseconds.
    pub stuck_millis: i64,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            first_millis: 60_000,
            longest_millis: 3_600_000,
            stuck_millis: 15 * 60_000,
        }
    }
}

impl Patience {
    /// When to look again, after `nudges` retransmissions; never past the deadline while that is ahead.
    #[must_use]
    pub fn next(self, now: Timestamp, nudges: u32, deadline: Timestamp) -> Timestamp {
        let wait = self
            .first_millis
            .saturating_mul(1_i64.checked_shl(nudges.min(32)).unwrap_or(i64::MAX));
        let next = now.plus_millis(wait.clamp(1, self.longest_millis.max(1)));
        if now < deadline { next.min(deadline) } else { next }
    }
}
