//! When a service is asked again.
//!
//! Invariant: attempts at one step grow apart up to five minutes and never stop by themselves; how often they may be made is the
//! step's business, not the schedule's.

use std::time::Duration;

use saga_core::Timestamp;
use saga_core::participate::StepRecord;
use saga_wire::contract::Reply;

/// A message that comes back so much before its time is not early.
const EARLY_MILLIS: i64 = 1_000;
/// No queue delays a message for longer.
pub const LONGEST_DELAY: Duration = Duration::from_secs(900);
/// The ceiling of the first pause; it doubles with each attempt.
const FIRST: Duration = Duration::from_secs(1);
/// The highest ceiling.
const LONGEST: Duration = Duration::from_secs(5 * 60);
/// The pause where a person or the service itself has to do something first.
pub const SLOW: Duration = Duration::from_secs(5 * 60);
/// While a service is paused, a request comes back after so long at least, and by chance up to so much later.
const PAUSED: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(45));
/// Those who were told the same pause come back within this part of it: not all at once.
const SPREAD: u32 = 8;

/// The pause after a reply; `None` after a decision. `attempt` counts from 1; `chance` is any number, each as likely as another.
#[must_use]
pub fn pause_after(reply: &Reply, attempt: u32, chance: u64) -> Option<Duration> {
    match reply {
        Reply::Accepted(_) | Reply::Refused(_) | Reply::Undone => None,
        Reply::Again { after, .. } => Some(pause(attempt, *after, chance)),
        Reply::Later | Reply::Misbound { .. } | Reply::BadOutput { .. } => Some(SLOW),
    }
}

/// The pause after an attempt whose outcome is not known: by chance between nothing and a ceiling (full jitter), and no shorter
/// than the service asked for.
#[must_use]
pub fn pause(attempt: u32, retry_after: Option<Duration>, chance: u64) -> Duration {
    let doubled = FIRST.checked_mul(2_u32.saturating_pow(attempt));
    let ceiling = doubled.unwrap_or(LONGEST).min(LONGEST);
    let backoff = part(ceiling, chance);
    match retry_after {
        Some(asked) => backoff.max(asked.saturating_add(part(asked / SPREAD, chance))),
        None => backoff,
    }
}

/// How long a request stays away whose service is paused.
#[must_use]
pub fn pause_while_paused(chance: u64) -> Duration {
    PAUSED.0 + part(PAUSED.1, chance)
}

/// How long it is until the next attempt is due, where that is not now.
#[must_use]
pub fn too_early(record: &StepRecord, now: Timestamp) -> Option<Duration> {
    let next = record.progress.as_ref()?.next?;
    let wait = next.millis() - now.millis();
    (wait > EARLY_MILLIS).then(|| Duration::from_millis(wait.unsigned_abs()))
}

/// Between nothing and all of it, in milliseconds.
fn part(whole: Duration, chance: u64) -> Duration {
    let millis = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(chance % millis.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use saga_core::document::Fields;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// `pause` with the chance that gives the whole ceiling.
    fn longest(attempt: u32) -> Duration {
        let millis = (0..=8).map(|power| 2_u64.pow(power) * 1_000).chain([300_000]);
        let each = millis.map(|ceiling| pause(attempt, None, ceiling));
        each.max().unwrap()
    }

    #[test]
    fn the_ceiling_doubles_up_to_five_minutes() {
        for (attempt, seconds) in [
            (1, 2),
            (2, 4),
            (3, 8),
            (8, 256),
            (9, 300),
            (31, 300),
            (32, 300),
            (u32::MAX, 300),
        ] {
            assert_eq!(longest(attempt), seconds * SECOND, "{attempt}");
        }
    }

    #[test]
    fn every_pause_up_to_the_ceiling_is_as_likely() {
        let of = |chance| pause(1, None, chance).as_millis();
        let all: std::collections::BTreeSet<_> = (0..=2_000).map(of).collect();
        assert_eq!(all.len(), 2_001);
        assert_eq!((of(2_001), of(u64::MAX) <= 2_000), (0, true));
    }

    #[test]
    fn the_service_is_not_asked_before_it_wants_to_be_and_not_by_all_at_once() {
        for chance in [0, 1, 999, 1_000, 123_456_789, u64::MAX] {
            for seconds in [0, 1, 30, 3_600] {
                let asked = seconds * SECOND;
                let pause = pause(1, Some(asked), chance);
                let latest = (asked + asked / SPREAD).max(2 * SECOND);
                assert!(pause >= asked && pause <= latest, "{asked:?} {chance}: {pause:?}");
            }
        }
        assert_ne!(pause(1, Some(60 * SECOND), 0), pause(1, Some(60 * SECOND), 5_000));
        assert_eq!(pause(9, Some(SECOND), 299_999), Duration::from_millis(299_999));
    }

    #[test]
    fn a_request_to_a_paused_service_comes_back_within_a_minute() {
        for (chance, millis) in [(0, 15_000), (1, 15_001), (45_000, 60_000), (45_001, 15_000)] {
            assert_eq!(pause_while_paused(chance), Duration::from_millis(millis));
        }
    }

    #[test]
    fn a_decision_ends_the_attempts_and_a_mistake_slows_them() {
        let why = || "why".to_owned();
        for (reply, pause) in [
            (Reply::Accepted(Fields::new()), None),
            (Reply::Refused(why()), None),
            (Reply::Undone, None),
            (Reply::Later, Some(SLOW)),
            (Reply::Misbound { why: why() }, Some(SLOW)),
            (Reply::BadOutput { why: why() }, Some(SLOW)),
            (
                Reply::Again {
                    after: Some(7 * SECOND),
                    why: why(),
                },
                Some(7 * SECOND),
            ),
        ] {
            assert_eq!(pause_after(&reply, 1, 0), pause, "{reply:?}");
        }
    }
}
