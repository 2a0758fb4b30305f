//! Whether and when a request is sent again.
//!
//! Invariant: a request that may have been done is repeated only if doing it twice is the same as doing it once.

use std::time::Duration;

use azure_core::error::ErrorKind;

use super::answer::Answer;
use super::error::Failure;

/// A service that asks for a longer pause than this is not waited for: the message waits on its queue instead.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How long an attempt may take, and how many there are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// For one attempt, with the token it may need.
    pub(crate) attempt: Duration,
    pub(crate) attempts: u32,
    /// The ceiling of the first pause; it doubles.
    pub(crate) pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            attempt: Duration::from_secs(10),
            attempts: 3,
            pause: Duration::from_millis(100),
        }
    }
}

/// Whether a request may be sent again when it is not known whether it was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Doing it twice is the same as doing it once.
    Freely,
    /// Only when it is certain that it was not done.
    WhenUndone,
}

impl Limits {
    /// The pause before the next attempt; `None` when this outcome is final.
    pub(super) fn pause_after(
        &self,
        attempt: u32,
        outcome: &Result<Answer, Failure>,
        repeat: Repeat,
    ) -> Option<Duration> {
        let (undone, wait) = match outcome {
            Ok(answer) => match answer.status {
                429 | 503 => (true, retry_after(answer)),
                408 | 500 | 502 | 504 => (false, None),
                _ => return None,
            },
            Err(Failure::Broken(error)) => match error.kind() {
                ErrorKind::Connection => (true, None),
                ErrorKind::Io => (false, None),
                _ => return None,
            },
            Err(_) => (false, None),
        };
        let wait = wait.unwrap_or_default();
        if attempt >= self.attempts || wait > LONGEST_PAUSE || !(undone || repeat == Repeat::Freely) {
            return None;
        }
        let ceiling = self.pause.saturating_mul(1 << (attempt - 1).min(10));
        let ceiling = ceiling.min(LONGEST_PAUSE).as_millis();
        let jitter = fastrand::u64(..=u64::try_from(ceiling).unwrap_or(u64::MAX));
        Some(wait + Duration::from_millis(jitter))
    }
}

/// `Retry-After` in seconds, as these services write it.
fn retry_after(answer: &Answer) -> Option<Duration> {
    let seconds = answer.header("retry-after")?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
