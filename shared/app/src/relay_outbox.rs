//! Publishes the outbox: rows that were just committed, or that a sweep found. The core's plan says which rows go
//! next and what becomes of one that was refused.
//!
//! Invariants: a row is deleted only after its event was taken, so a crash between gives a duplicate, never a loss. A
//! shard is swept under its lease only, and a lease that may have run out is not used.

use futures_util::future::join_all;
use saga_core::outbox::{Lease, OutboxRow};
use saga_core::relay::{Fate, Pace, Plan, Rules};
use saga_core::{EventId, Timestamp};

use crate::about;
use crate::log::{About, not_shown};
use crate::ports::{Alert, Alerts, Outbox, Parked, Parking, PortError, Publisher, Refusal, Time, causes};

/// One reading of a shard: ten calls' worth, under a tenth of the function's memory at the largest size of an event.
const PAGE: usize = 100;
/// A lease is taken for so long.
const LEASE_MILLIS: i64 = 60_000;
/// It is renewed when less than this is left, which is more than publishing, deleting and their retries take.
const RENEW_MILLIS: i64 = 30_000;

/// What a relay did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Events taken by the other side, and deleted here.
    pub published: usize,
    /// Events that were seen and stay for the next time: refused for now, held back behind one that was, or not due.
    pub left: usize,
    /// Events that moved to the dead ones.
    pub buried: usize,
    /// Calls to the publisher.
    pub calls: usize,
    /// Shards that other workers were at.
    pub busy: usize,
    /// Shards that were not looked at, or not to their end.
    pub unseen: usize,
    /// The age of the oldest event that was left, in milliseconds.
    pub oldest_millis: i64,
    /// Why it stopped before everything was seen.
    pub stopped: Option<Stopped>,
}

/// Why a relay stopped early. What it did not see is there for the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Its time was up.
    OutOfTime,
    /// The other side takes nothing.
    Down,
}

impl Stopped {
    /// The word used in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OutOfTime => "out of time",
            Self::Down => "the other side is down",
        }
    }
}

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
    /// A relay from this outbox to this publisher. What dies is told to the monitoring channel and to its sagas.
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

struct Run {
    plan: Plan,
    /// Whether its rows were just committed, and are a sweep's once their grace has passed.
    fresh: bool,
    pace: Pace,
    leases: Vec<Lease>,
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
        for lease in std::mem::take(&mut run.leases) {
            self.give_back(&lease).await;
        }
        drained?;
        let report = self.report(run);
        if report != Report::default() {
            tracing::info!(
                published = report.published,
                left = report.left,
                buried = report.buried,
                calls = report.calls,
                busy = report.busy,
                unseen = report.unseen,
                oldest_ms = report.oldest_millis,
                stopped = report.stopped.map(Stopped::as_str),
                "outbox swept"
            );
        }
        Ok(report)
    }

    fn run(&self) -> Run {
        Run {
            plan: Plan::new(self.rules, P::LIMITS),
            fresh: false,
            pace: Pace::default(),
            leases: Vec::new(),
            report: Report::default(),
        }
    }

    fn report(&self, run: Run) -> Report {
        let now = self.time.now();
        let age = |queued: Timestamp| now.millis().saturating_sub(queued.millis()).max(0);
        Report {
            left: run.plan.waiting,
            oldest_millis: run.plan.oldest.map_or(0, age),
            ..run.report
        }
    }

    fn must_stop(&self, run: &mut Run) -> bool {
        if run.report.stopped.is_none() {
            run.report.stopped = if run.pace.is_down() {
                Some(Stopped::Down)
            } else if self.time.now() >= self.until {
                Some(Stopped::OutOfTime)
            } else {
                None
            };
        }
        run.report.stopped.is_some()
    }

    /// Reads a shard page by page under its lease, and publishes full waves on the way.
    async fn shard(&self, run: &mut Run, shard: u16, before: Timestamp) -> Result<(), PortError> {
        let now = self.time.now();
        let lease = Lease {
            shard,
            owner: self.owner.to_owned(),
            until: now.plus_millis(LEASE_MILLIS),
        };
        if !self.outbox.take(&lease, now).await? {
            run.report.busy += 1;
            return Ok(());
        }
        run.leases.push(lease);
        let mut after = None;
        loop {
            let page = self.outbox.read(shard, after.as_ref(), before, PAGE).await?;
            run.plan.add(page.rows, self.time.now());
            self.drain(run, run.plan.ready() > 2 * PAGE).await?;
            let lost = !run.leases.iter().any(|lease| lease.shard == shard);
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
            let (done, kept): (Vec<_>, Vec<_>) = run.leases.drain(..).partition(|lease| lease.shard == shard);
            run.leases = kept;
            for lease in &done {
                self.give_back(lease).await;
            }
        }
        Ok(())
    }

    /// Publishes what is ready, in waves; all of it when it is the `last` of it, otherwise full waves only.
    async fn drain(&self, run: &mut Run, last: bool) -> Result<(), PortError> {
        loop {
            self.renew(run).await?;
            if run.fresh {
                run.plan.keep_fresh(self.time.now());
            }
            let enough = if last {
                1
            } else {
                run.pace.width * P::LIMITS.events
            };
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
    async fn send(&self, run: &mut Run, wave: Vec<Vec<OutboxRow>>) -> Result<(), PortError> {
        run.report.calls += wave.len();
        let calls = wave.iter().map(|rows| self.publisher.publish(rows));
        let answers = join_all(calls).await;
        let (mut done, mut again, mut fates) = (Vec::new(), Vec::new(), Vec::new());
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
                        fates.push(self.rules.failed(row, &reason, now, self.time.below(u64::MAX)));
                    }
                    Err(Refusal::Never(reason)) => fates.push(self.rules.refused(row, &reason)),
                }
            }
        }
        run.pace.after(taken, strained);
        run.plan.again(again);
        for row in &done {
            about!(
                info,
                &About::row(row),
                r#type = row.kind,
                outcome = "published",
                "outbox"
            );
        }
        run.report.published += done.len();
        // What is published goes first, while the lease is surely held. An error of either ends the run, so that nothing
        // overtakes what was refused.
        let deleted = if done.is_empty() {
            Ok(())
        } else {
            self.outbox.delete(&done).await
        };
        let settled = self.settle(run, fates).await;
        deleted.and(settled)
    }

    /// What was refused stays or is buried; who must know is told before.
    async fn settle(&self, run: &mut Run, fates: Vec<Fate>) -> Result<(), PortError> {
        let (mut later, mut dead) = (Vec::new(), Vec::new());
        for fate in fates {
            match fate {
                Fate::Later(row) => later.push(row),
                Fate::Dead(row) => dead.push(row),
            }
        }
        if !dead.is_empty() && !self.tell(&dead).await {
            // Nobody knows of it yet, so it is tried once more, and told of then.
            later.append(&mut dead);
        }
        for row in &later {
            run.plan.blocks(row);
            let reason = row.tries.reason.as_deref();
            about!(
                warn,
                &About::row(row),
                attempts = row.tries.failed,
                reason,
                outcome = "left",
                "outbox"
            );
        }
        if !later.is_empty() {
            self.outbox.postpone(&later).await?;
        }
        for row in &dead {
            let reason = row.tries.reason.as_deref();
            about!(
                error,
                &About::row(row),
                attempts = row.tries.failed,
                reason,
                outcome = "dead",
                "outbox"
            );
            self.outbox.bury(row, self.time.now()).await?;
            run.report.buried += 1;
        }
        Ok(())
    }

    /// Tells the monitoring channel and the sagas; whether it was told.
    async fn tell(&self, dead: &[OutboxRow]) -> bool {
        // Of a message that came again, and died again, its saga was told of already.
        let mut new = Vec::with_capacity(dead.len());
        for row in dead {
            if !self.parking.is_parked(row.saga, &row.id).await.unwrap_or(false) {
                new.push(row);
            }
        }
        let Some(example) = new.first() else { return true };
        let alert = Alert {
            subject: format!("saga-bridge: {} event(s) could not be published", new.len()),
            text: format!(
                "For example {} ({}) of saga {}, after {} attempt(s): {}\n\nNothing is lost: each is kept whole among the \
                 dead rows of the outbox, and its saga shows `parked`. Mend the cause, then replay it.",
                example.id,
                example.kind,
                example.saga,
                example.tries.failed,
                example.tries.reason.as_deref().unwrap_or("no reason given"),
            ),
        };
        if let Err(error) = self.alerts.raise(alert).await {
            about!(
                error,
                &About::row(example),
                error = causes(&error),
                outcome = "not told",
                "alert not sent; the events stay in the outbox"
            );
            return false;
        }
        for row in new {
            let reason = row.tries.reason.as_deref().unwrap_or("no reason given");
            let parked = Parked {
                saga: row.saga,
                event: row.id.clone(),
                reason: format!("{} could not be published: {reason}", row.kind),
                at: self.time.now(),
            };
            if let Err(error) = self.parking.park(&parked).await {
                not_shown(&About::row(row), &error);
            }
        }
        true
    }

    /// Renews the leases that run out soon. What was read under one that is lost is somebody else's now.
    async fn renew(&self, run: &mut Run) -> Result<(), PortError> {
        let now = self.time.now();
        let mut kept = Vec::with_capacity(run.leases.len());
        for lease in std::mem::take(&mut run.leases) {
            if lease.until > now.plus_millis(RENEW_MILLIS) {
                kept.push(lease);
                continue;
            }
            let longer = Lease {
                until: now.plus_millis(LEASE_MILLIS),
                ..lease
            };
            // What has run out may have been another's in between, who is done with it.
            if lease.until > now && self.outbox.renew(&longer).await? {
                kept.push(longer);
            } else {
                tracing::warn!(
                    shard = longer.shard,
                    "the lease was lost; its rows are left to whoever has it"
                );
                run.plan.give_up(Some(longer.shard));
            }
        }
        run.leases = kept;
        Ok(())
    }

    async fn give_back(&self, lease: &Lease) {
        if let Err(error) = self.outbox.release(lease).await {
            tracing::warn!(
                shard = lease.shard,
                error = causes(&error),
                "the lease was not given back; it runs out"
            );
        }
    }
}
