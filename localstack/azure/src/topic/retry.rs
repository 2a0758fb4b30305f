//! What happens after a delivery attempt: done, again later, or given up.
//!
//! The schedule and the statuses that are not retried are those Event Grid documents; only the unit of
//! time is scaled, so that a minute of a test shows a day of the service.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::config::Subscription;

/// Pauses after the first, second, … attempt, in seconds; the last one repeats.
const SCHEDULE: [u64; 8] = [10, 30, 60, 300, 600, 1800, 3600, 3600];

#[derive(Debug, Clone, Copy)]
pub(crate) struct RetryPolicy {
    max_attempts: u32,
    time_to_live: Duration,
    scale: f64,
}

/// The kind of destination: it decides which statuses end the retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DestinationKind {
    Webhook,
    StorageQueue,
}

/// How an attempt failed, in the words of `lastDeliveryOutcome`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failed {
    /// For example `NotFound` or `TimedOut`.
    pub(crate) outcome: String,
    /// Whether the service would try again.
    pub(crate) retryable: bool,
}

/// What to do with a delivery that failed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Retry { after: Duration },
    DeadLetter { reason: String },
}

impl Failed {
    pub(crate) fn new(outcome: impl Into<String>, retryable: bool) -> Self {
        let outcome = outcome.into();
        Self { outcome, retryable }
    }
}

impl RetryPolicy {
    pub(crate) fn new(subscription: &Subscription, scale: f64) -> Self {
        let ttl = Duration::from_secs(u64::from(subscription.ttl_minutes) * 60);
        Self {
            max_attempts: subscription.max_attempts,
            time_to_live: ttl.mul_f64(scale),
            scale,
        }
    }

    /// Whether an event published at `published` is too old to be tried at `now`.
    pub(crate) fn expired(&self, published: Timestamp, now: Timestamp) -> bool {
        now.duration_since(published)
            > SignedDuration::try_from(self.time_to_live).unwrap_or(SignedDuration::MAX)
    }

    /// What follows the failure of attempt number `attempts` (from 1). The pause is without jitter.
    pub(crate) fn after_failure(&self, attempts: u32, failed: &Failed) -> Next {
        if !failed.retryable {
            return Next::DeadLetter {
                reason: format!("UndeliverableDueToHttp{}", failed.outcome),
            };
        }
        if attempts >= self.max_attempts {
            return Next::DeadLetter {
                reason: "MaxDeliveryAttemptsExceeded".to_owned(),
            };
        }
        let index = (attempts.max(1) as usize - 1).min(SCHEDULE.len() - 1);
        Next::Retry {
            after: self.scaled(Duration::from_secs(SCHEDULE[index])),
        }
    }

    /// A pause of the real service in the stand-in's time.
    pub(crate) fn scaled(&self, real: Duration) -> Duration {
        real.mul_f64(self.scale)
    }
}

/// Judges the status of an answer: only 200 to 204 is success.
pub(crate) fn judge(destination: DestinationKind, status: u16) -> Result<(), Failed> {
    let retryable = match destination {
        _ if (200..=204).contains(&status) => return Ok(()),
        DestinationKind::Webhook => !matches!(status, 400 | 401 | 403 | 413),
        DestinationKind::StorageQueue => !matches!(status, 400 | 413),
    };
    let status_code = reqwest::StatusCode::from_u16(status).ok();
    let outcome = match status_code.and_then(|status| status.canonical_reason()) {
        Some(reason) => reason.replace([' ', '-', '\''], ""),
        None => format!("Http{status}"),
    };
    Err(Failed { outcome, retryable })
}

/// Judges an attempt that brought no answer at all.
pub(crate) fn judge_silence(error: &reqwest::Error) -> Failed {
    let outcome = if error.is_timeout() {
        "TimedOut"
    } else {
        "GenericError"
    };
    Failed::new(outcome, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(max_attempts: u32, scale: f64) -> RetryPolicy {
        let subscription = serde_json::from_value(serde_json::json!({
            "name": "any", "storage_queue": "q", "max_attempts": max_attempts, "ttl_minutes": 10,
        }))
        .unwrap();
        RetryPolicy::new(&subscription, scale)
    }

    fn busy() -> Failed {
        judge(DestinationKind::Webhook, 503).unwrap_err()
    }

    #[test]
    fn the_schedule_is_the_documented_one_and_then_hourly() {
        let pauses: Vec<u64> = (1..=10)
            .map(
                |attempts| match policy(30, 1.0).after_failure(attempts, &busy()) {
                    Next::Retry { after } => after.as_secs(),
                    Next::DeadLetter { reason } => panic!("{reason}"),
                },
            )
            .collect();
        assert_eq!(pauses, [10, 30, 60, 300, 600, 1800, 3600, 3600, 3600, 3600]);
    }

    #[test]
    fn the_scale_shortens_pauses_and_time_to_live_alike() {
        let policy = policy(30, 0.01);
        assert_eq!(
            policy.after_failure(1, &busy()),
            Next::Retry {
                after: Duration::from_millis(100)
            }
        );
        let published: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
        assert!(!policy.expired(published, "2026-11-20T10:00:05.9Z".parse().unwrap()));
        assert!(policy.expired(published, "2026-11-20T10:00:06.1Z".parse().unwrap()));
    }

    #[test]
    fn the_last_attempt_ends_in_the_dead_letters() {
        let reason = "MaxDeliveryAttemptsExceeded".to_owned();
        assert_eq!(
            policy(3, 1.0).after_failure(3, &busy()),
            Next::DeadLetter { reason }
        );
        assert!(matches!(
            policy(3, 1.0).after_failure(2, &busy()),
            Next::Retry { .. }
        ));
    }

    #[test]
    fn some_statuses_end_the_retries_at_once() {
        use DestinationKind::{StorageQueue, Webhook};
        for (kind, status, outcome, retryable) in [
            (Webhook, 400, "BadRequest", false),
            (Webhook, 401, "Unauthorized", false),
            (Webhook, 403, "Forbidden", false),
            (Webhook, 413, "PayloadTooLarge", false),
            (Webhook, 404, "NotFound", true),
            (Webhook, 302, "Found", true),
            (Webhook, 205, "ResetContent", true),
            (Webhook, 503, "ServiceUnavailable", true),
            (StorageQueue, 403, "Forbidden", true),
            (StorageQueue, 413, "PayloadTooLarge", false),
        ] {
            let failed = judge(kind, status).unwrap_err();
            assert_eq!(
                (failed.outcome.as_str(), failed.retryable),
                (outcome, retryable),
                "{kind:?} {status}"
            );
        }
        assert!((200..=204).all(|status| judge(Webhook, status).is_ok()));
        let refused = judge(Webhook, 401).unwrap_err();
        let reason = "UndeliverableDueToHttpUnauthorized".to_owned();
        assert_eq!(
            policy(30, 1.0).after_failure(1, &refused),
            Next::DeadLetter { reason }
        );
    }
}
