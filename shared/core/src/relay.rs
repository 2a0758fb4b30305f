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

impl Limits {
    /// Whether a call with so many events and bytes has no room for another of so many bytes. An empty call has room for any.
    fn is_full(self, events: usize, bytes: usize, more: usize) -> bool {
        events > 0 && (events >= self.events || bytes + more > self.bytes)
    }

    /// How many of these rows, from the first on, one call takes.
    #[must_use]
    pub fn first_call(self, rows: &[OutboxRow]) -> usize {
        let mut bytes = 0;
        let full = |(events, row): (usize, &OutboxRow)| {
            let more = row.body.len();
            let full = self.is_full(events, bytes, more);
            bytes += more;
            full
        };
        rows.iter().enumerate().position(full).unwrap_or(rows.len())
    }
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
            if self.limits.is_full(open.len(), bytes, row.body.len()) {
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
    pub fn is_down(self) -> bool {
        self.vain >= Self::PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{EventId, IdempotencyKey};

    const LIMITS: Limits = Limits { events: 3, bytes: 10 };

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + millis)
    }

    fn saga(number: u8) -> SagaId {
        let key: IdempotencyKey = format!("saga {number}").parse().unwrap();
        SagaId::derive("any", &key)
    }

    /// A row of this saga with a body of so many bytes, decided and queued at the same time.
    fn row(number: u8, of: u8, bytes: usize) -> OutboxRow {
        OutboxRow {
            shard: u16::from(of),
            id: EventId::stored(format!("row-{number}")),
            saga: saga(of),
            kind: "Any".to_owned(),
            body: "b".repeat(bytes),
            at: at(0),
            queued: at(0),
            follows: false,
            tries: Tries::default(),
        }
    }

    fn plan(rows: Vec<OutboxRow>) -> Plan {
        let mut plan = Plan::new(Rules::default(), LIMITS);
        plan.add_fresh(rows);
        plan
    }

    fn numbers(calls: &[Vec<OutboxRow>]) -> Vec<Vec<String>> {
        let names = |call: &Vec<OutboxRow>| {
            let names = call.iter().map(|row| row.id.to_string().replace("row-", ""));
            names.collect()
        };
        calls.iter().map(names).collect()
    }

    #[test]
    fn a_call_takes_as_many_rows_as_fit_and_one_at_least() {
        let first_call = |sizes: &[usize]| {
            let rows: Vec<OutboxRow> = sizes.iter().map(|bytes| row(1, 1, *bytes)).collect();
            LIMITS.first_call(&rows)
        };
        assert_eq!(first_call(&[]), 0);
        assert_eq!(first_call(&[4, 6]), 2);
        assert_eq!(first_call(&[4, 7]), 1);
        assert_eq!(first_call(&[11, 1]), 1);
        assert_eq!(first_call(&[1, 1, 1, 1]), 3);
    }

    #[test]
    fn a_row_is_its_streams_until_too_little_is_left_of_its_grace_and_a_sweeps_from_then_on() {
        let rules = Rules::default();
        let row = row(1, 1, 1);
        assert_eq!(rules.due(&row), at(30_000));
        assert!(rules.is_fresh(&row, at(17_999)));
        assert!(!rules.is_fresh(&row, at(18_000)));

        let looked_at = |millis| {
            let mut plan = Plan::new(rules, LIMITS);
            plan.add(vec![row.clone()], at(millis));
            (plan.ready(), plan.waiting, plan.oldest)
        };
        assert_eq!(looked_at(29_999), (0, 1, Some(at(0))));
        assert_eq!(looked_at(30_000), (1, 0, None));

        let kept = |millis| {
            let mut plan = plan(vec![row.clone()]);
            plan.keep_fresh(at(millis));
            (plan.ready(), plan.waiting)
        };
        assert_eq!((kept(17_999), kept(18_000)), ((1, 0), (0, 1)));
    }

    #[test]
    fn a_row_that_is_not_due_holds_back_its_saga_and_no_other() {
        let mut plan = Plan::new(Rules::default(), LIMITS);
        let mut tried = row(1, 1, 1);
        tried.tries.next = Some(at(60_000));
        plan.add(vec![tried, row(2, 1, 1), row(3, 2, 1)], at(31_000));
        assert_eq!((plan.ready(), plan.waiting), (1, 2));
        assert_eq!(numbers(&plan.wave(1, true)), [["3"]]);
    }

    #[test]
    fn the_pauses_double_from_the_first_to_the_longest() {
        let rules = Rules::default();
        let ceiling = |failed: u32| {
            let mut tried = row(1, 1, 1);
            tried.tries.failed = failed;
            // The largest jitter below the ceiling is the ceiling less one.
            let waits = [1_000, 2_000, 4_000, 8_000, 3_600_000].map(|ceiling: u64| {
                let fate = rules.failed(tried.clone(), "busy", at(0), ceiling - 1);
                let (Fate::Later(row) | Fate::Dead(row)) = fate;
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
            let mut tried = row(1, 1, 1);
            tried.tries.failed = failed;
            matches!(rules.failed(tried, "busy", at(now), 0), Fate::Dead(_))
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

    #[test]
    fn a_call_takes_as_many_rows_and_bytes_as_its_limits_say() {
        let sagas = |count: u8, bytes: usize| (1..=count).map(|number| row(number, number, bytes)).collect();
        // Three rows a call.
        assert_eq!(
            numbers(&plan(sagas(7, 1)).wave(5, true)),
            vec![vec!["1", "2", "3"], vec!["4", "5", "6"], vec!["7"]]
        );
        // Ten bytes a call: twice five is ten.
        assert_eq!(
            numbers(&plan(sagas(3, 5)).wave(5, true)),
            vec![vec!["1", "2"], vec!["3"]]
        );
        assert_eq!(numbers(&plan(sagas(2, 6)).wave(5, true)), [["1"], ["2"]]);
        // One that is larger than a call goes alone: the other side says what becomes of it.
        assert_eq!(numbers(&plan(sagas(2, 11)).wave(5, true)), [["1"], ["2"]]);
    }

    #[test]
    fn only_full_calls_leave_until_nothing_more_is_to_come() {
        let sagas = |count: u8| {
            (1..=count)
                .map(|number| row(number, number, 1))
                .collect::<Vec<_>>()
        };
        let mut some = plan(sagas(5));
        assert_eq!(numbers(&some.wave(5, false)), [["1", "2", "3"]]);
        assert_eq!(some.ready(), 2);
        some.add_fresh(vec![row(6, 6, 1)]);
        assert_eq!(numbers(&some.wave(5, false)), [["4", "5", "6"]]);
        assert_eq!(numbers(&plan(sagas(2)).wave(5, false)), [[""; 0]; 0]);
        assert_eq!(numbers(&plan(sagas(2)).wave(5, true)), [["1", "2"]]);
        let mut many = plan(sagas(9));
        assert_eq!(numbers(&many.wave(2, true)), [["1", "2", "3"], ["4", "5", "6"]]);
        assert_eq!(numbers(&many.wave(2, true)), [["7", "8", "9"]]);
    }

    #[test]
    fn two_events_of_a_saga_never_leave_side_by_side_and_stay_in_their_order() {
        let mut plan = plan(vec![row(1, 1, 1), row(2, 1, 1), row(3, 2, 1), row(4, 1, 1)]);
        assert_eq!(numbers(&plan.wave(5, true)), [["1", "3"]]);
        assert_eq!(numbers(&plan.wave(5, true)), [["2"]]);
        // The other side had no time for it: it is next again, before what comes after it.
        plan.again(vec![row(2, 1, 1), row(5, 3, 1)]);
        assert_eq!(numbers(&plan.wave(5, true)), [["2", "5"]]);
        assert_eq!(numbers(&plan.wave(5, true)), [["4"]]);
        assert_eq!(plan.ready(), 0);
    }

    #[test]
    fn one_shard_is_given_up_and_the_others_go_on() {
        let mut plan = plan(vec![row(1, 1, 1), row(2, 2, 1), row(3, 1, 1)]);
        assert_eq!([0, 1, 2].map(|shard| plan.has(shard)), [false, true, true]);
        plan.give_up(Some(1));
        assert_eq!([0, 1, 2].map(|shard| plan.has(shard)), [false, false, true]);
        assert_eq!((plan.ready(), plan.waiting), (1, 2));
        plan.give_up(None);
        assert_eq!((plan.ready(), plan.waiting), (0, 3));
    }

    #[test]
    fn the_pace_halves_under_strain_and_comes_back_step_by_step() {
        let mut pace = Pace::default();
        let mut after = |taken, strained| {
            pace.after(taken, strained);
            (pace.width, pace.pause_millis)
        };
        assert_eq!(after(true, false), (5, 0));
        let strained: Vec<_> = (0..8).map(|_| after(true, true)).collect();
        assert_eq!(
            strained,
            [
                (2, 100),
                (1, 200),
                (1, 400),
                (1, 800),
                (1, 1_600),
                (1, 3_200),
                (1, 3_200),
                (1, 3_200)
            ]
        );
        let calm: Vec<_> = (0..6).map(|_| after(false, false)).collect();
        assert_eq!(
            calm,
            [(2, 1_600), (3, 800), (4, 400), (5, 200), (5, 100), (5, 50)]
        );
    }

    #[test]
    fn only_silence_in_a_row_means_that_the_other_side_is_down() {
        let mut pace = Pace::default();
        for _ in 0..5 {
            pace.after(false, true);
        }
        assert!(!pace.is_down());
        for (taken, strained) in [(true, true), (false, false)] {
            let mut other = pace;
            other.after(taken, strained);
            other.after(false, true);
            assert!(!other.is_down(), "taken: {taken}, strained: {strained}");
        }
        pace.after(false, true);
        assert!(pace.is_down());
    }
}
