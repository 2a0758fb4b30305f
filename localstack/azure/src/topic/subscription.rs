//! A subscription at work: takes what is due, tries it, and decides what follows.
//!
//! Invariants: nothing is delivered before the handshake; an event waits on no other event but for one of
//! a bounded number of concurrent attempts; what leaves the journal was delivered, dead-lettered or dropped.

use std::{
    collections::BTreeMap,
    io,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    sync::{Notify, Semaphore},
    task::JoinSet,
    time::{Instant, sleep, timeout_at},
};

use super::{
    dead_letter,
    destination::Route,
    journal::{Attempt, Delivery, Journal},
    retry::{Failed, Next, RetryPolicy},
};
use crate::{config, storage::StorageAccount, system};

/// Attempts that may be under way at once.
const CONCURRENCY: usize = 16;
/// Pause between handshakes, scaled; never under a fifth of a second, or a slow receiver drowns in them.
const HANDSHAKE_PAUSE: Duration = Duration::from_secs(1);
const HANDSHAKE_PAUSE_MIN: Duration = Duration::from_millis(200);
/// Pause before a dead letter that storage did not take is written again, scaled.
const DEAD_LETTER_PAUSE: Duration = Duration::from_secs(30);

/// One subscription with its undelivered events.
pub(crate) struct Subscription {
    pub(crate) settings: config::Subscription,
    route: Route,
    policy: RetryPolicy,
    account: Arc<StorageAccount>,
    journal: Journal,
    due: Mutex<BTreeMap<(Instant, u64), Delivery>>,
    sequence: AtomicU64,
    wake: Notify,
    handshake: Mutex<String>,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    pending: AtomicU64,
    delivered: AtomicU64,
    dead_lettered: AtomicU64,
    dropped: AtomicU64,
}

impl Subscription {
    pub(crate) fn open(
        settings: &config::Subscription,
        scale: f64,
        state_dir: &Path,
        route: Route,
        account: Arc<StorageAccount>,
    ) -> io::Result<Self> {
        let (journal, pending) = Journal::open(state_dir, &settings.name)?;
        let subscription = Self {
            settings: settings.clone(),
            route,
            policy: RetryPolicy::new(settings, scale),
            account,
            journal,
            due: Mutex::default(),
            sequence: AtomicU64::new(0),
            wake: Notify::new(),
            handshake: Mutex::new("pending: not tried yet".to_owned()),
            counts: Counts::default(),
        };
        for delivery in pending {
            subscription.enqueue(delivery);
        }
        Ok(subscription)
    }

    pub(crate) fn record(&self, delivery: &Delivery) -> io::Result<()> {
        self.journal.write(delivery)
    }

    pub(crate) fn enqueue(&self, delivery: Delivery) {
        self.counts.pending.fetch_add(1, Relaxed);
        self.schedule(delivery, Duration::ZERO);
    }

    /// What the status page shows.
    pub(crate) fn status(&self) -> Value {
        json!({
            "name": self.settings.name,
            "handshake": *lock(&self.handshake),
            "pending": self.counts.pending.load(Relaxed),
            "delivered": self.counts.delivered.load(Relaxed),
            "dead_lettered": self.counts.dead_lettered.load(Relaxed),
            "dropped": self.counts.dropped.load(Relaxed),
        })
    }

    /// Shakes hands, then delivers until the task is aborted; attempts under way end with it.
    pub(crate) async fn run(self: Arc<Self>) {
        self.shake_hands().await;
        let permits = Arc::new(Semaphore::new(CONCURRENCY));
        let mut attempts = JoinSet::new();
        while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
            let batch = self.next_due().await;
            let subscription = Arc::clone(&self);
            attempts.spawn(async move {
                subscription.attempt(batch).await;
                drop(permit);
            });
            while attempts.try_join_next().is_some() {}
        }
    }

    async fn shake_hands(&self) {
        let pause = self.policy.scaled(HANDSHAKE_PAUSE).max(HANDSHAKE_PAUSE_MIN);
        while let Err(why) = self.route.shake_hands().await {
            let state = format!("pending: {why}");
            if *lock(&self.handshake) != state {
                tracing::warn!(
                    subscription = self.settings.name,
                    why,
                    "the handshake failed, nothing is delivered"
                );
                *lock(&self.handshake) = state;
            }
            sleep(pause).await;
        }
        "ok".clone_into(&mut lock(&self.handshake));
        tracing::info!(subscription = self.settings.name, "the subscription delivers");
    }

    fn schedule(&self, delivery: Delivery, after: Duration) {
        let key = (system::instant() + after, self.sequence.fetch_add(1, Relaxed));
        lock(&self.due).insert(key, delivery);
        self.wake.notify_one();
    }

    /// Waits until something is due and takes as much of it as fits one attempt.
    async fn next_due(&self) -> Vec<Delivery> {
        loop {
            let first = {
                let mut due = lock(&self.due);
                let now = system::instant();
                let mut batch = Vec::new();
                while batch.len() < self.route.batch_size()
                    && due.first_key_value().is_some_and(|((at, _), _)| *at <= now)
                {
                    batch.extend(due.pop_first().map(|(_, delivery)| delivery));
                }
                if !batch.is_empty() {
                    return batch;
                }
                due.first_key_value().map(|((at, _), _)| *at)
            };
            match first {
                // Either the time has come or something new was scheduled: look again in both cases.
                Some(at) => drop(timeout_at(at, self.wake.notified()).await),
                None => self.wake.notified().await,
            }
        }
    }

    async fn attempt(&self, batch: Vec<Delivery>) {
        let mut to_try = Vec::new();
        for delivery in batch {
            if let Some(reason) = delivery.given_up.clone() {
                self.give_up(delivery, &reason).await;
            } else if self.policy.expired(delivery.published, system::now()) {
                self.give_up(delivery, "TimeToLiveExceeded").await;
            } else {
                to_try.push(delivery);
            }
        }
        if to_try.is_empty() {
            return;
        }
        let at = system::now();
        match self.route.deliver(&to_try).await {
            Ok(()) => {
                for delivery in to_try {
                    self.log("delivered", &delivery, "");
                    self.settle(&delivery, &self.counts.delivered);
                }
            }
            Err(failed) => {
                for mut delivery in to_try {
                    delivery.attempts += 1;
                    let outcome = failed.outcome.clone();
                    delivery.last_attempt = Some(Attempt { at, outcome });
                    self.follow_failure(delivery, &failed).await;
                }
            }
        }
    }

    async fn follow_failure(&self, delivery: Delivery, failed: &Failed) {
        match self.policy.after_failure(delivery.attempts, failed) {
            Next::Retry { after } => {
                self.log("retry", &delivery, &failed.outcome);
                self.rewrite(&delivery);
                self.schedule(delivery, system::jittered(after));
            }
            Next::DeadLetter { reason } => self.give_up(delivery, &reason).await,
        }
    }

    async fn give_up(&self, mut delivery: Delivery, reason: &str) {
        let Some(container) = &self.settings.dead_letter_container else {
            tracing::error!(
                subscription = self.settings.name,
                attempts = delivery.attempts,
                reason,
                event = delivery.event.get(),
                "EVENT LOST: it cannot be delivered and the subscription has no dead-letter container"
            );
            return self.settle(&delivery, &self.counts.dropped);
        };
        let path = dead_letter::path(&self.settings.name, system::now(), &system::guid());
        let content = match dead_letter::content(&self.route.topic, self.route.schema, &delivery, reason) {
            Ok(content) => content,
            Err(error) => {
                tracing::error!(%error, event = delivery.event.get(), "EVENT LOST: its dead letter cannot be written");
                return self.settle(&delivery, &self.counts.dropped);
            }
        };
        match self.account.put_blob(container, &path, content).await {
            Ok(()) => {
                self.log("dead_lettered", &delivery, reason);
                self.settle(&delivery, &self.counts.dead_lettered);
            }
            Err(error) => {
                tracing::error!(subscription = self.settings.name, %error, "a dead letter waits for its container");
                delivery.given_up = Some(reason.to_owned());
                self.rewrite(&delivery);
                let pause = self.policy.scaled(DEAD_LETTER_PAUSE).max(HANDSHAKE_PAUSE_MIN);
                self.schedule(delivery, pause);
            }
        }
    }

    fn settle(&self, delivery: &Delivery, count: &AtomicU64) {
        if let Err(error) = self.journal.remove(delivery) {
            tracing::error!(%error, "the journal keeps a settled delivery: it will be delivered again");
        }
        count.fetch_add(1, Relaxed);
        self.counts.pending.fetch_sub(1, Relaxed);
    }

    fn rewrite(&self, delivery: &Delivery) {
        if let Err(error) = self.journal.write(delivery) {
            tracing::error!(%error, "the journal keeps an older count of attempts");
        }
    }

    fn log(&self, outcome: &str, delivery: &Delivery, detail: &str) {
        let event: Value = serde_json::from_str(delivery.event.get()).unwrap_or_default();
        let event_id = event["id"].as_str().unwrap_or_default();
        let (subscription, attempts) = (&self.settings.name, delivery.attempts);
        tracing::info!(subscription, event_id, outcome, detail, attempts, "delivery");
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
