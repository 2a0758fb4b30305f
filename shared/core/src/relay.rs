//! How an outbox is emptied: which rows go next, what becomes of one that was refused, and how fast.
//!
//! Invariants: the events of one saga leave in their order, and never two of them side by side; a row is taken by its
//! stream or, once its grace has passed, by a sweep, never by both; a row that fails is tried again later, with
//! growing pauses, until its limit, and then moves to the dead rows with the reason.

use std::collections::{BTreeSet, VecDeque};

use crate::ids::{SagaId, Timestamp};
use crate::outbox::{OutboxRow, Tries};
use crate::text::shown;

/// How patient a relay is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// A row of this age is a sweep's; until then it is its stream's, or its writer's.
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
    pub fn failed(self, mut row: OutboxRow, reason: &str, now: Timestamp, jitter: u64) -> Fate {
        let failed = row.tries.failed.saturating_add(1);
        let doubled = 1_i64.checked_shl(failed - 1).filter(|factor| *factor > 0);
        let ceiling = self.first_wait_millis.saturating_mul(doubled.unwrap_or(i64::MAX));
        let ceiling = ceiling.clamp(1, self.longest_wait_millis.max(1));
        let wait = i64::try_from(jitter % ceiling.unsigned_abs()).unwrap_or(ceiling);
        row.tries = Tries {
            failed,
            next: Some(now.plus_millis(1 + wait)),
            reason: Some(shown(reason)),
        };
        let old = row.at.plus_millis(self.age_millis) <= now && failed >= ATTEMPTS_AT_ANY_AGE;
        if old || failed >= self.attempts {
            Fate::Dead(row)
        } else {
            Fate::Later(row)
        }
    }

    /// A row that will never be taken.
    #[must_use]
    pub fn refused(self, mut row: OutboxRow, reason: &str) -> Fate {
        row.tries = Tries {
            failed: row.tries.failed.saturating_add(1),
            next: None,
            reason: Some(shown(reason)),
        };
        Fate::Dead(row)
    }
}

/// What becomes of a row that was not published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It stays, and is tried again when its pause has passed.
    Later(OutboxRow),
    /// It moves to the dead rows.
    Dead(OutboxRow),
}

/// What one call of a publisher takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Events.
    pub events: usize,
    /// Bytes of all their bodies.
    pub bytes: usize,
}

/// The rows at hand, in order, and who has to wait.
#[derive(Debug)]
pub struct Plan {
    rules: Rules,
    limits: Limits,
    ready: VecDeque<OutboxRow>,
    blocked: BTreeSet<SagaId>,
    /// Rows that were seen and have to wait.
    pub waiting: usize,
    /// When the oldest of these was put into the outbox.
    pub oldest: Option<Timestamp>,
}

impl Plan {
    /// A plan without rows.
    #[must_use]
    pub fn new(rules: Rules, limits: Limits) -> Self {
        Self {
            rules,
            limits,
            ready: VecDeque::new(),
            blocked: BTreeSet::new(),
            waiting: 0,
            oldest: None,
        }
    }

    /// Adds rows of a shard, oldest first, as a sweep found them: one that is not due makes its saga wait.
    pub fn add(&mut self, rows: Vec<OutboxRow>, now: Timestamp) {
        for row in rows {
            if self.rules.due(&row) > now || self.blocked.contains(&row.saga) {
                self.blocks(&row);
            } else {
                self.ready.push_back(row);
            }
        }
    }

    /// Adds rows that are at hand because they were just committed.
    pub fn add_fresh(&mut self, rows: Vec<OutboxRow>) {
        self.ready.extend(rows);
    }

    /// This row stays, and later ones of its saga behind it.
    pub fn blocks(&mut self, row: &OutboxRow) {
        self.blocked.insert(row.saga);
        self.waiting += 1;
        self.oldest = Some(self.oldest.map_or(row.queued, |oldest| oldest.min(row.queued)));
    }

    /// Rows that the other side had no time for: they are next again, in their order.
    pub fn again(&mut self, rows: Vec<OutboxRow>) {
        for row in rows.into_iter().rev() {
            self.ready.push_front(row);
        }
    }

    /// Rows whose grace is about to pass are a sweep's from now on.
    pub fn keep_fresh(&mut self, now: Timestamp) {
        let ready = std::mem::take(&mut self.ready);
        for row in ready {
            if self.rules.is_fresh(&row, now) {
                self.ready.push_back(row);
            } else {
                self.blocks(&row);
            }
        }
    }

    /// How many rows are ready.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Whether rows of this shard are ready.
    #[must_use]
    pub fn has(&self, shard: u16) -> bool {
        self.ready.iter().any(|row| row.shard == shard)
    }

    /// What was ready stays for the next time: all of it, or one shard's.
    pub fn give_up(&mut self, shard: Option<u16>) {
        let ready = std::mem::take(&mut self.ready);
        for row in ready {
            if shard.is_none_or(|shard| row.shard == shard) {
                self.blocks(&row);
            } else {
                self.ready.push_back(row);
            }
        }
    }

    /// Takes up to `width` calls' worth of rows that may be sent side by side: no saga is in it twice. Only full calls,
    /// unless nothing more is to come (`last`).
    pub fn wave(&mut self, width: usize, last: bool) -> Vec<Vec<OutboxRow>> {
        let mut sagas = BTreeSet::new();
        let mut kept = VecDeque::with_capacity(self.ready.len());
        let (mut calls, mut open, mut bytes) = (Vec::new(), Vec::new(), 0);
        while let Some(row) = self.ready.pop_front() {
            if self.blocked.contains(&row.saga) {
                self.blocks(&row);
                continue;
            }
            if sagas.contains(&row.saga) {
                kept.push_back(row);
                continue;
            }
            let full = open.len() >= self.limits.events.max(1);
            if !open.is_empty() && (full || bytes + row.body.len() > self.limits.bytes) {
                calls.push(std::mem::take(&mut open));
                bytes = 0;
                if calls.len() >= width {
                    kept.push_back(row);
                    break;
                }
            }
            sagas.insert(row.saga);
            bytes += row.body.len();
            open.push(row);
        }
        if !open.is_empty() {
            if last || open.len() >= self.limits.events {
                calls.push(open);
            } else {
                // Its rows are older than those kept behind them, or of other sagas.
                open.into_iter().rev().for_each(|row| kept.push_front(row));
            }
        }
        kept.append(&mut self.ready);
        self.ready = kept;
        calls
    }
}

/// How fast: more calls side by side while all goes well, fewer and with pauses when the other side asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Calls side by side.
    pub width: usize,
    /// The ceiling of the pause before the next ones.
    pub pause_millis: u64,
    /// Waves in a row of which nothing was taken.
    vain: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            width: Self::WIDEST,
            pause_millis: 0,
            vain: 0,
        }
    }
}

impl Pace {
    /// Fifty rows in five calls are deleted in two.
    pub const WIDEST: usize = 5;
    const FIRST_PAUSE: u64 = 100;
    const LONGEST_PAUSE: u64 = 3_200;
    /// After so many waves in vain the other side is down, and trying on would only use up attempts.
    const PATIENCE: u32 = 6;

    /// After a wave: whether anything was taken, and whether anything was throttled or the other side did not answer.
    pub fn after(&mut self, taken: bool, strained: bool) {
        if strained {
            self.width = (self.width / 2).max(1);
            self.pause_millis = (self.pause_millis * 2).clamp(Self::FIRST_PAUSE, Self::LONGEST_PAUSE);
        } else {
            self.width = (self.width + 1).min(Self::WIDEST);
            self.pause_millis /= 2;
        }
        // A row that is refused says nothing about the other side; silence does.
        self.vain = if strained && !taken { self.vain + 1 } else { 0 };
    }

    /// Whether to stop for now.
    #[must_use]
    pub const fn is_down(self) -> bool {
        self.vain >= Self::PATIENCE
    }
}
