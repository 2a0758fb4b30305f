//! Which rows go next.
//!
//! Invariants: the events of one saga leave in their order, and never two of them side by side; a row is taken by its
//! stream or, once its grace has passed, by a sweep, never by both.

use std::collections::{BTreeSet, VecDeque};

use saga_core::{SagaId, Timestamp};

use super::rules::Rules;
use crate::ports::Limits;
use crate::ports::outbox::OutboxRow;

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
        let rules = self.rules;
        self.block_unless(|row| rules.is_fresh(row, now));
    }

    /// What was ready stays for the next time: all of it, or one shard's.
    pub fn give_up(&mut self, shard: Option<u16>) {
        self.block_unless(|row| shard.is_some_and(|shard| row.shard != shard));
    }

    fn block_unless(&mut self, goes_on: impl Fn(&OutboxRow) -> bool) {
        for row in std::mem::take(&mut self.ready) {
            if goes_on(&row) {
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

#[cfg(test)]
mod tests {
    use saga_core::ids::{EventId, IdempotencyKey};

    use super::*;
    use crate::ports::Envelope;
    use crate::ports::outbox::Tries;

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
            event: Envelope {
                id: EventId::stored(format!("row-{number}")),
                saga: saga(of),
                kind: "Any".to_owned(),
                body: "b".repeat(bytes),
            },
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
}
