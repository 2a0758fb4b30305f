//! How long the origin waits before it sends again.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_from_a_minute_to_an_hour_and_end_at_a_deadline_that_is_ahead() {
        let now = Timestamp::from_millis(1_000);
        let seconds = |nudges, deadline| {
            let next = Patience::default().next(now, nudges, deadline);
            (next.millis() - now.millis()) / 1_000
        };
        assert_eq!(
            [0, 1, 2, 5, 6, 40, u32::MAX].map(|nudges| seconds(nudges, now)),
            [60, 120, 240, 1_920, 3_600, 3_600, 3_600]
        );
        assert_eq!(seconds(3, now.plus_millis(90_000)), 90);
    }
}
