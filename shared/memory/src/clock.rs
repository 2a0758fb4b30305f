//! Time that stands still until somebody moves it, and chance that is the same in every run.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use saga_app::ports::Time;
use saga_core::Timestamp;

use crate::faults::give_way;

/// A clock that the test sets. Sleeping moves it and lets others run.
#[derive(Debug)]
pub struct Clock {
    millis: AtomicI64,
    chance: AtomicU64,
}

impl Clock {
    /// A clock that shows `now`, with chance that follows from `seed`.
    #[must_use]
    pub fn new(now: Timestamp, seed: u64) -> Self {
        Self {
            millis: AtomicI64::new(now.millis()),
            chance: AtomicU64::new(seed),
        }
    }

    /// Sets it.
    pub fn set(&self, now: Timestamp) {
        self.millis.store(now.millis(), Ordering::SeqCst);
    }

    /// Moves it on.
    pub fn advance(&self, millis: i64) {
        self.millis.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Time for Clock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.millis.load(Ordering::SeqCst))
    }

    async fn sleep(&self, millis: u64) {
        self.advance(i64::try_from(millis).unwrap_or(i64::MAX));
        give_way().await;
    }

    /// SplitMix64 (<https://prng.di.unimi.it/splitmix64.c>): one addition of state, so that it can be atomic.
    fn below(&self, bound: u64) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.chance.fetch_add(STEP, Ordering::SeqCst).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }
}
