//! Publishes the outbox: rows that were just committed, or that a sweep found.
//!
//! Invariants: a row is deleted only after its event was taken, so a crash between gives a duplicate, never a loss. A
//! shard is swept under its lease only, and a lease that may have run out is not used.

use futures_util::future::join_all;
use saga_core::{EventId, Timestamp};

use super::dead::announce;
use super::lease::Leases;
use super::pace::Pace;
use super::plan::Plan;
use super::report::{Report, Stopped};
use super::rules::{Disposition, Rules};
use crate::about;
use crate::log::About;
use crate::ports::outbox::OutboxRow;
use crate::ports::{Alerts, Envelope, Outbox, Parking, PortError, Publisher, Refusal, Time, causes};

/// One reading of a shard: ten calls' worth, under a tenth of the function's memory at the largest size of an event.
const PAGE: usize = 100;

/// The ports of a relay, its rules and its time.
pub struct Relay<'a, O, P, A, K, T> {
    outbox: &'a O,
    publisher: &'a P,
    alerts: &'a A,
    parking: &'a K,
    time: &'a T,
    rules: Rules,
    owner: &'a str,
    until: Timestamp,
}

impl<'a, O, P, A, K, T> Relay<'a, O, P, A, K, T> {
    /// A relay from this outbox to this publisher. When a row dies, an alert is raised and its saga shows it.
    #[must_use]
    pub fn new(
        outbox: &'a O,
        publisher: &'a P,
        alerts: &'a A,
        parking: &'a K,
        time: &'a T,
        rules: Rules,
    ) -> Self {
        Self {
            outbox,
            publisher,
            alerts,
            parking,
            time,
            rules,
            owner: "",
            until: Timestamp::from_millis(0),
        }
    }

    /// The same relay for one invocation: who takes the leases, another name each time, and when no call begins any
    /// more.
    #[must_use]
    pub fn within<'b>(&self, owner: &'b str, until: Timestamp) -> Relay<'b, O, P, A, K, T>
    where
        'a: 'b,
    {
        Relay {
            owner,
            until,
            ..*self
        }
    }
}

struct Run<'a, O> {
    plan: Plan,
    /// Whether its rows were just committed, and are a sweep's once their grace has passed.
    fresh: bool,
    pace: Pace,
    leases: Leases<'a, O>,
    report: Report,
}

impl<O: Outbox, P: Publisher, A: Alerts, K: Parking, T: Time> Relay<'_, O, P, A, K, T> {
    /// Publishes rows that were just committed. What cannot be published stays for the sweep.
    ///
    /// # Errors
    /// [`PortError`] when the outbox cannot be reached; published rows that could not be deleted go out again.
    pub async fn publish(&self, rows: Vec<OutboxRow>) -> Result<Report, PortError> {
        let mut run = self.run();
        let mut fresh = Vec::with_capacity(rows.len());
        for row in rows {
            if !self.rules.is_fresh(&row, self.time.now()) || self.is_behind(&row, &fresh).await? {
                run.plan.blocks(&row);
            } else {
                fresh.push(row);
            }
        }
        run.plan.add_fresh(fresh);
        run.fresh = true;
        self.drain(&mut run, true).await?;
        run.plan.give_up(None);
        Ok(self.report(run))
    }

    /// Whether an earlier event of the same saga is pending that is not among those at hand.
    async fn is_behind(&self, row: &OutboxRow, fresh: &[OutboxRow]) -> Result<bool, PortError> {
        if !row.follows {
            return Ok(false);
        }
        let at_hand = |id: &EventId| fresh.iter().any(|row| row.id == *id);
        let earlier = self.outbox.earlier(row).await?;
        Ok(!earlier.iter().all(at_hand))
    }

    /// Finds and publishes what is due in every shard that no other worker is at, beginning anywhere.
    ///
    /// # Errors
    /// [`PortError`] when the outbox cannot be reached. What was published before is deleted.
    pub async fn sweep(&self, shards: u16) -> Result<Report, PortError> {
        let mut run = self.run();
        let before = self.rules.swept_before(self.time.now());
        let mut overdue = self.outbox.overdue(shards, before).await?;
        if !overdue.is_empty() {
            let first = self.time.below(overdue.len() as u64);
            overdue.rotate_left(usize::try_from(first).unwrap_or_default());
        }
        let mut swept = Ok(());
        for shard in overdue {
            if swept.is_err() || self.must_stop(&mut run) {
                run.report.unseen += 1;
                continue;
            }
            swept = self.shard(&mut run, shard, before).await;
        }
        let drained = match swept {
            Ok(()) => self.drain(&mut run, true).await,
            Err(error) => Err(error),
        };
        run.plan.give_up(None);
        run.leases.give_back(None).await;
        drained?;
        let report = self.report(run);
        report.log();
        Ok(report)
    }

    fn run(&self) -> Run<'_, O> {
        Run {
            plan: Plan::new(self.rules, P::LIMITS),
            fresh: false,
            pace: Pace::default(),
            leases: Leases::new(self.outbox, self.owner),
            report: Report::default(),
        }
    }

    fn report(&self, run: Run<'_, O>) -> Report {
        let now = self.time.now();
        let age = |queued: Timestamp| now.millis().saturating_sub(queued.millis()).max(0);
        Report {
            left: run.plan.waiting,
            oldest_millis: run.plan.oldest.map_or(0, age),
            ..run.report
        }
    }

    fn must_stop(&self, run: &mut Run<'_, O>) -> bool {
        let down = || run.pace.is_down().then_some(Stopped::Down);
        let late = || (self.time.now() >= self.until).then_some(Stopped::OutOfTime);
        run.report.stopped = run.report.stopped.or_else(down).or_else(late);
        run.report.stopped.is_some()
    }

    /// Reads a shard page by page under its lease, and publishes full waves on the way.
    async fn shard(&self, run: &mut Run<'_, O>, shard: u16, before: Timestamp) -> Result<(), PortError> {
        if !run.leases.take(shard, self.time.now()).await? {
            run.report.busy += 1;
            return Ok(());
        }
        let mut after = None;
        loop {
            let page = self.outbox.read(shard, after.as_ref(), before, PAGE).await?;
            run.plan.add(page.rows, self.time.now());
            self.drain(run, run.plan.ready() > 2 * PAGE).await?;
            let lost = !run.leases.holds(shard);
            match page.next {
                Some(_) if lost || self.must_stop(run) => {
                    run.report.unseen += 1;
                    return Ok(());
                }
                Some(next) => after = Some(next),
                None => break,
            }
        }
        if !run.plan.has(shard) {
            run.leases.give_back(Some(shard)).await;
        }
        Ok(())
    }

    /// Publishes what is ready, in waves; all of it when it is the `last` of it, otherwise full waves only.
    async fn drain(&self, run: &mut Run<'_, O>, last: bool) -> Result<(), PortError> {
        loop {
            // Rows that were read under a lost lease are somebody else's now.
            for shard in run.leases.renew(self.time.now()).await? {
                run.plan.give_up(Some(shard));
            }
            if run.fresh {
                run.plan.keep_fresh(self.time.now());
            }
            let full = run.pace.width * P::LIMITS.events;
            let enough = if last { 1 } else { full };
            if run.plan.ready() < enough || self.must_stop(run) {
                break;
            }
            let wave = run.plan.wave(run.pace.width, last);
            if wave.is_empty() {
                break;
            }
            self.send(run, wave).await?;
            if run.pace.pause_millis > 0 && run.plan.ready() > 0 {
                self.time.sleep(1 + self.time.below(run.pace.pause_millis)).await;
            }
        }
        Ok(())
    }

    /// One wave: published side by side, then everything that follows from the answers.
    async fn send(&self, run: &mut Run<'_, O>, wave: Vec<Vec<OutboxRow>>) -> Result<(), PortError> {
        run.report.calls += wave.len();
        let calls = wave.iter().map(async |rows| {
            let events: Vec<&Envelope> = rows.iter().map(|row| &row.event).collect();
            self.publisher.publish(&events).await
        });
        let answers = join_all(calls).await;
        let (mut done, mut again, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        let (mut taken, mut strained) = (false, false);
        for (rows, answer) in wave.into_iter().zip(answers) {
            let answers = answer.unwrap_or_else(|error| {
                strained = true;
                let refusal = match &error {
                    PortError::Throttled { .. } => Refusal::Throttled,
                    _ => Refusal::Later(causes(&error)),
                };
                vec![Err(refusal); rows.len()]
            });
            for (row, answer) in rows.into_iter().zip(answers) {
                let now = self.time.now();
                match answer {
                    Ok(()) => {
                        taken = true;
                        done.push(row);
                    }
                    Err(Refusal::Throttled) => {
                        strained = true;
                        again.push(row);
                    }
                    Err(Refusal::Later(reason)) => {
                        refused.push(self.rules.failed(row, &reason, now, self.time.below(u64::MAX)));
                    }
                    Err(Refusal::Never(reason)) => refused.push(self.rules.refused(row, &reason)),
                }
            }
        }
        run.pace.after(taken, strained);
        run.plan.again(again);
        for row in &done {
            let (about, kind) = (&About::envelope(row), &row.kind);
            about!(info, about, r#type = kind, outcome = "published", "outbox");
        }
        run.report.published += done.len();
        // What is published goes first, while the lease is surely held. An error of either ends the run, so that nothing
        // overtakes what was refused.
        let mut deleted = Ok(());
        if !done.is_empty() {
            deleted = self.outbox.delete(&done).await;
        }
        let settled = self.settle(run, refused).await;
        deleted.and(settled)
    }

    /// Rows that were refused stay, or move to the dead ones once that is announced.
    async fn settle(&self, run: &mut Run<'_, O>, refused: Vec<Disposition>) -> Result<(), PortError> {
        let (mut later, mut dead) = (Vec::new(), Vec::new());
        for disposition in refused {
            match disposition {
                Disposition::Later(row) => later.push(row),
                Disposition::Dead(row) => dead.push(row),
            }
        }
        if !dead.is_empty() && !announce(self.alerts, self.parking, self.time, &dead).await {
            // Nobody knows of them yet, so they are tried once more, and announced then.
            later.append(&mut dead);
        }
        for row in &later {
            run.plan.blocks(row);
            let (about, attempts) = (&About::envelope(row), row.tries.failed);
            let reason = row.tries.reason.as_deref();
            about!(warn, about, attempts, reason, outcome = "left", "outbox");
        }
        if !later.is_empty() {
            self.outbox.postpone(&later).await?;
        }
        for row in &dead {
            let (about, attempts) = (&About::envelope(row), row.tries.failed);
            let reason = row.tries.reason.as_deref();
            about!(error, about, attempts, reason, outcome = "dead", "outbox");
            self.outbox.set_aside(row, self.time.now()).await?;
            run.report.set_aside += 1;
        }
        Ok(())
    }
}
