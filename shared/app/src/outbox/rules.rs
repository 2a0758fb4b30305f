//! When a row is tried, and what becomes of one that was refused: it is tried again with growing pauses until a limit, and
//! then moves to the dead rows with the reason.

use saga_core::Timestamp;
use saga_core::text::shown;

use crate::ports::outbox::{OutboxRow, Tries};

/// How patient a relay is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// A row of this age belongs to the sweep; until then to its stream, or its writer.
    pub grace_millis: i64,
    /// After so many failed attempts a row is dead.
    pub attempts: u32,
    /// A row of this age is dead after its third failure.
    pub age_millis: i64,
    /// The ceiling of the first pause; it doubles with each failure.
    pub first_wait_millis: i64,
    /// The highest ceiling.
    pub longest_wait_millis: i64,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            grace_millis: 30_000,
            attempts: 20,
            age_millis: 24 * 3_600_000,
            first_wait_millis: 1_000,
            longest_wait_millis: 3_600_000,
        }
    }
}

/// No adapter's call takes longer, with all its retries.
const LONGEST_CALL_MILLIS: i64 = 12_000;
/// Even an old row is tried so often: a retransmission carries the age of the first emission.
const ATTEMPTS_AT_ANY_AGE: u32 = 3;

impl Rules {
    /// Whether there is time to publish a row where it was just committed, before it becomes a sweep's.
    #[must_use]
    pub fn is_fresh(self, row: &OutboxRow, now: Timestamp) -> bool {
        now.plus_millis(LONGEST_CALL_MILLIS) < self.due(row)
    }

    /// A sweep looks at rows that were decided before this.
    #[must_use]
    pub fn swept_before(self, now: Timestamp) -> Timestamp {
        now.plus_millis(1 - self.grace_millis)
    }

    /// When a row becomes a sweep's.
    #[must_use]
    pub fn due(self, row: &OutboxRow) -> Timestamp {
        let grace = row.queued.plus_millis(self.grace_millis);
        row.tries.next.unwrap_or(grace)
    }

    /// What becomes of a row whose attempt failed for `reason`; `jitter` is a number below `u64::MAX`, evenly chosen.
    #[must_use]
    pub fn failed(self, mut row: OutboxRow, reason: &str, now: Timestamp, jitter: u64) -> Disposition {
        let failed = row.tries.failed.saturating_add(1);
        let doubled = 2_i64.saturating_pow(failed - 1);
        let ceiling = self.first_wait_millis.saturating_mul(doubled);
        let ceiling = ceiling.clamp(1, self.longest_wait_millis.max(1));
        let wait = i64::try_from(jitter % ceiling.unsigned_abs()).unwrap_or(ceiling);
        row.tries = Tries {
            failed,
            next: Some(now.plus_millis(1 + wait)),
            reason: Some(shown(reason)),
        };
        let old = row.at.plus_millis(self.age_millis) <= now && failed >= ATTEMPTS_AT_ANY_AGE;
        if old || failed >= self.attempts {
            Disposition::Dead(row)
        } else {
            Disposition::Later(row)
        }
    }

    /// A row that will never be taken.
    #[must_use]
    pub fn refused(self, mut row: OutboxRow, reason: &str) -> Disposition {
        row.tries = Tries {
            failed: row.tries.failed.saturating_add(1),
            next: None,
            reason: Some(shown(reason)),
        };
        Disposition::Dead(row)
    }
}

/// What becomes of a row that was not published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// It stays, and is tried again when its pause has passed.
    Later(OutboxRow),
    /// It moves to the dead rows.
    Dead(OutboxRow),
}

#[cfg(test)]
mod tests {
    use saga_core::{EventId, SagaId};

    use super::*;
    use crate::ports::Envelope;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + millis)
    }

    fn row() -> OutboxRow {
        OutboxRow {
            shard: 1,
            event: Envelope {
                id: EventId::stored("row-1".to_owned()),
                saga: SagaId::derive("any", &"saga 1".parse().unwrap()),
                kind: "Any".to_owned(),
                body: "b".to_owned(),
            },
            at: at(0),
            queued: at(0),
            follows: false,
            tries: Tries::default(),
        }
    }

    #[test]
    fn the_pauses_double_from_the_first_to_the_longest() {
        let rules = Rules::default();
        let ceiling = |failed: u32| {
            let mut tried = row();
            tried.tries.failed = failed;
            // The largest jitter below the ceiling is the ceiling less one.
            let waits = [1_000, 2_000, 4_000, 8_000, 3_600_000].map(|ceiling: u64| {
                let disposition = rules.failed(tried.clone(), "busy", at(0), ceiling - 1);
                let (Disposition::Later(row) | Disposition::Dead(row)) = disposition;
                row.tries.next.unwrap().millis() - at(0).millis()
            });
            waits.into_iter().max().unwrap()
        };
        assert_eq!([0, 1, 2, 3].map(ceiling), [1_000, 2_000, 4_000, 8_000]);
        assert_eq!([12, 61, 62, 63, u32::MAX].map(ceiling), [3_600_000; 5]);
    }

    #[test]
    fn a_row_is_dead_after_its_last_attempt_or_when_it_is_old_and_was_tried_three_times() {
        let rules = Rules::default();
        let is_dead = |failed: u32, now: i64| {
            let mut tried = row();
            tried.tries.failed = failed;
            matches!(rules.failed(tried, "busy", at(now), 0), Disposition::Dead(_))
        };
        let day = rules.age_millis;
        assert_eq!(
            [(18, 0), (19, 0)].map(|(failed, now)| is_dead(failed, now)),
            [false, true]
        );
        assert_eq!(
            [(1, day), (2, day - 1), (2, day), (3, day + 1)].map(|(failed, now)| is_dead(failed, now)),
            [false, false, true, true]
        );
    }
}
