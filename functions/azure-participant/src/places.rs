//! The places of one service: so many requests at a time, and how long those that find none stay away.
//!
//! Invariant: a service that answers slowly costs the others little, however many requests wait for it. All services share the
//! host's invocations, so only a few requests of one wait here for a place; the others go back on their queue at once. Those
//! that come back in vain too often stay away for longer, and for less long again once few do.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use saga_core::Timestamp;
use tokio::sync::{Semaphore, SemaphorePermit};

/// How long a request waits for a place.
const PATIENCE: Duration = Duration::from_millis(250);
/// So many wait for one at a time. Each keeps one of the host's invocations meanwhile.
const MOST_WAITING: usize = 2;
/// A request stays away for a quarter of this at least, and by chance for up to five quarters.
const SHORTEST_AWAY_MILLIS: u64 = 8_000;
const LONGEST_AWAY_MILLIS: u64 = 256_000;
/// How many come in vain is counted over so long.
const WINDOW_MILLIS: i64 = 5_000;
/// More than so many in a window are too many: each costs an invocation and a message.
const MANY: u32 = 50;
/// Fewer than so many are few.
const FEW: u32 = 20;

/// The places of one service.
pub(crate) struct Places {
    free: Semaphore,
    waiting: AtomicUsize,
    crowd: Mutex<Crowd>,
}

/// Those that found no place.
struct Crowd {
    since: Timestamp,
    in_vain: u32,
    away_millis: u64,
}

impl Places {
    /// So many.
    pub(crate) fn new(count: u16, now: Timestamp) -> Self {
        Self {
            free: Semaphore::new(usize::from(count)),
            waiting: AtomicUsize::new(0),
            crowd: Mutex::new(Crowd {
                since: now,
                in_vain: 0,
                away_millis: SHORTEST_AWAY_MILLIS,
            }),
        }
    }

    /// A place, if one is free, or becomes free soon and few wait for it.
    pub(crate) async fn take(&self) -> Option<SemaphorePermit<'_>> {
        if let Ok(place) = self.free.try_acquire() {
            return Some(place);
        }
        let _waits = Waits::among(&self.waiting)?;
        let taken = tokio::time::timeout(PATIENCE, self.free.acquire()).await;
        taken.ok().and_then(Result::ok)
    }

    /// How long a request that found no place is to stay away. `below` draws a number below another.
    pub(crate) fn away(&self, now: Timestamp, below: impl FnOnce(u64) -> u64) -> Duration {
        let mut crowd = self.crowd.lock().unwrap_or_else(PoisonError::into_inner);
        crowd.pass(now);
        crowd.in_vain += 1;
        Duration::from_millis(crowd.away_millis / 4 + below(crowd.away_millis))
    }
}

/// One of those that wait for a place, until it is dropped.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    /// `None` where enough wait.
    fn among(waiting: &'a AtomicUsize) -> Option<Self> {
        let one_more = |count| (count < MOST_WAITING).then_some(count + 1);
        let counted = waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        counted.ok().map(|_| Self(waiting))
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Crowd {
    /// Draws the conclusion of the window, when it is over. One that nobody came in counts as one with few.
    fn pass(&mut self, now: Timestamp) {
        let windows = (now.millis() - self.since.millis()) / WINDOW_MILLIS;
        if windows < 1 {
            return;
        }
        if self.in_vain > MANY {
            self.away_millis = (self.away_millis * 2).min(LONGEST_AWAY_MILLIS);
        }
        let with_few = windows - 1 + i64::from(self.in_vain < FEW);
        self.away_millis = (self.away_millis >> with_few.min(16)).max(SHORTEST_AWAY_MILLIS);
        self.in_vain = 0;
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests that wait for a service that is never free: how many come in each of the last windows, of so many.
    fn visits(waiting: usize, seconds: i64) -> Vec<usize> {
        let places = Places::new(1, Timestamp::from_millis(0));
        let mut seed = 7_u64;
        let mut below = |bound: u64| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % bound
        };
        let mut due: Vec<i64> = (0..waiting).map(|_| below(1_000) as i64).collect();
        let mut windows = vec![0; usize::try_from(seconds / 5).unwrap()];
        for now in (0..seconds * 1_000).step_by(50) {
            for at in due.iter_mut().filter(|at| **at <= now) {
                windows[usize::try_from(now / 5_000).unwrap()] += 1;
                let away = places.away(Timestamp::from_millis(now), &mut below);
                *at = now + i64::try_from(away.as_millis()).unwrap();
            }
        }
        windows
    }

    #[test]
    fn however_many_wait_few_come_back_in_vain() {
        for waiting in [10, 200, 1_000] {
            let windows = visits(waiting, 600);
            let late = &windows[windows.len() / 2..];
            let most = late.iter().max().unwrap();
            assert!(*most <= 120, "{waiting} wait, and {most} come in five seconds");
        }
    }

    #[test]
    fn a_few_stay_away_for_seconds_only() {
        let windows = visits(10, 600);
        let least = windows[1..].iter().min().unwrap();
        assert!(*least >= 1, "{windows:?}");
    }

    #[test]
    fn after_a_crowd_the_next_one_stays_away_for_seconds_again() {
        let places = Places::new(1, Timestamp::from_millis(0));
        for now in (0..120_000).step_by(50) {
            places.away(Timestamp::from_millis(now), |bound| bound / 2);
        }
        let in_the_crowd = places.away(Timestamp::from_millis(120_000), |_| 0);
        assert_eq!(in_the_crowd, Duration::from_millis(LONGEST_AWAY_MILLIS / 4));
        let later = places.away(Timestamp::from_millis(180_000), |_| 0);
        assert_eq!(later, Duration::from_millis(SHORTEST_AWAY_MILLIS / 4));
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_few_wait_and_the_others_are_turned_away_at_once() {
        let places = Places::new(1, Timestamp::from_millis(0));
        let taken = places.take().await.unwrap();
        let begun = tokio::time::Instant::now();
        let crowd = (0..200).map(|_| async {
            let place = places.take().await;
            (place.is_some(), begun.elapsed())
        });
        let all = futures_util::future::join_all(crowd).await;
        let at_once = all.iter().filter(|(_, after)| after.is_zero()).count();
        assert_eq!(at_once, 200 - MOST_WAITING);
        assert!(all.iter().all(|(got, after)| !got && *after <= PATIENCE));
        // Who waited has gone, so another one may wait, and gets the place that becomes free.
        let (next, ()) = tokio::join!(places.take(), async {
            tokio::task::yield_now().await;
            drop(taken);
        });
        assert!(next.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_waited_for_only_a_moment() {
        let places = Places::new(1, Timestamp::from_millis(0));
        let taken = places.take().await.unwrap();
        assert!(places.take().await.is_none());
        drop(taken);
        assert!(places.take().await.is_some());
    }
}
