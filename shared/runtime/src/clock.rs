//! The real clock and real chance.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use saga_app::ports::Time;
use saga_core::Timestamp;

/// What the last call of an invocation, with its retries and what follows from its answer, may take.
const LAST_CALL_MILLIS: i64 = 20_000;

/// When an invocation begins nothing more, given when the platform ends it (milliseconds since 1970).
#[must_use]
pub fn stop_at(deadline: u64) -> Timestamp {
    let deadline = i64::try_from(deadline).unwrap_or(i64::MAX);
    Timestamp::from_millis(deadline.saturating_sub(LAST_CALL_MILLIS))
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Time for SystemClock {
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the port's one real implementation"
    )]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    async fn sleep(&self, millis: u64) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }

    fn below(&self, bound: u64) -> u64 {
        fastrand::u64(..bound.max(1))
    }
}
