//! The bounds of a run: how many, how fast, and when to give up.

use saga_core::Timestamp;

/// What an operator allows one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// At most so many dead letters or sagas.
    pub limit: usize,
    /// At most so many a second.
    pub per_second: u32,
    /// Stops at this many failures.
    pub stop_after: usize,
}

saga_wire::words! {
    /// Why a run ended.
    pub enum End {
        /// Nothing was left.
        Done = "done",
        /// As many as were allowed.
        Limit = "limit",
        /// As many failures as were allowed.
        Failures = "failures",
        /// The time that the function has is nearly over.
        Time = "time",
        /// The store could not say which come next.
        Store = "store",
    }
}

impl End {
    /// Whether the same run again would find more to do.
    #[must_use]
    pub fn is_resumable(self) -> bool {
        self != End::Done
    }
}

/// A run that was slower than it may be does not catch up by more than this.
const BURST_MICROS: i64 = 500_000;

/// A run on its way.
#[derive(Debug, Clone)]
pub struct Run {
    bounds: Bounds,
    until: Timestamp,
    /// When the next one may be begun, in microseconds since 1970: a rate of 300 a second is no whole milliseconds.
    next_micros: i64,
    begun: usize,
    failed: usize,
}

impl Run {
    /// A run that begins now and has to end at `until`.
    #[must_use]
    pub fn new(bounds: Bounds, now: Timestamp, until: Timestamp) -> Self {
        Self {
            bounds,
            until,
            next_micros: now.millis().saturating_mul(1_000),
            begun: 0,
            failed: 0,
        }
    }

    /// When the next one may be begun, or why none may be.
    ///
    /// # Errors
    /// The end of the run.
    pub fn begin(&mut self, now: Timestamp) -> Result<Timestamp, End> {
        if self.failed >= self.bounds.stop_after.max(1) {
            return Err(End::Failures);
        }
        if self.begun >= self.bounds.limit {
            return Err(End::Limit);
        }
        let earliest = now.millis().saturating_mul(1_000) - BURST_MICROS;
        let slot = self.next_micros.max(earliest);
        // Not before its time: what is rounded down would be too fast.
        let slot_millis = Timestamp::from_millis((slot + 999).div_euclid(1_000)).max(now);
        if slot_millis >= self.until {
            return Err(End::Time);
        }
        self.next_micros = slot + 1_000_000 / i64::from(self.bounds.per_second.max(1));
        self.begun += 1;
        Ok(slot_millis)
    }

    /// Counts a failure.
    pub fn failed(&mut self) {
        self.failed += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(limit: usize, per_second: u32, stop_after: usize) -> Run {
        let bounds = Bounds {
            limit,
            per_second,
            stop_after,
        };
        Run::new(
            bounds,
            Timestamp::from_millis(1_000),
            Timestamp::from_millis(1_000_000),
        )
    }

    #[test]
    fn it_holds_its_rate_to_the_millisecond() {
        for rate in [1, 3, 7, 300, 900] {
            let mut run = run(usize::MAX, rate, 1);
            let mut now = Timestamp::from_millis(1_000);
            for _ in 0..=rate * 10 {
                now = run.begin(now).unwrap();
            }
            let took = now.millis() - 1_000;
            assert!((9_900..=10_010).contains(&took), "{rate} a second took {took} ms");
        }
    }

    #[test]
    fn no_dead_letter_is_begun_before_its_time() {
        for rate in [3, 7, 300, 900] {
            let mut run = run(usize::MAX, rate, 1);
            let began = Timestamp::from_millis(1_000);
            for before in 0..i64::from(rate) {
                let slot = run.begin(began).unwrap();
                let micros = (slot.millis() - began.millis()) * 1_000;
                let earliest = before * (1_000_000 / i64::from(rate));
                assert!(
                    micros >= earliest,
                    "{rate} a second: {before} before one at {micros}"
                );
                assert!(
                    micros < earliest + 1_000,
                    "{rate} a second: {before} before one at {micros}"
                );
            }
        }
    }

    #[test]
    fn it_does_not_make_up_for_a_pause_in_a_burst() {
        let mut run = run(usize::MAX, 10, 1);
        run.begin(Timestamp::from_millis(1_000)).unwrap();
        let late = Timestamp::from_millis(61_000);
        let at_once = std::iter::from_fn(|| run.begin(late).ok().filter(|slot| *slot == late)).count();
        assert!(at_once <= 6, "{at_once} at once");
    }

    #[test]
    fn it_ends_at_its_bounds() {
        let now = Timestamp::from_millis(1_000);
        let mut few = run(2, 1_000, 2);
        assert!(few.begin(now).is_ok() && few.begin(now).is_ok());
        assert_eq!(few.begin(now), Err(End::Limit));
        let mut failing = run(9, 1_000, 2);
        failing.failed();
        assert!(failing.begin(now).is_ok());
        failing.failed();
        assert_eq!(failing.begin(now), Err(End::Failures));
        assert_eq!(
            run(9, 1, 1).begin(Timestamp::from_millis(1_000_000)),
            Err(End::Time)
        );
    }
}
