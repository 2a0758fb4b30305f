//! Time, ids and chance come from here and nowhere else in this crate.
//!
//! The workspace bans the system's clock and random numbers in its code, because the sagas must be
//! replayable. A stand-in for two cloud services really does live in time, so it needs them; this file
//! is the one place that asks for them.

#![allow(
    clippy::disallowed_methods,
    reason = "this is the port through which the crate reads the system"
)]

use std::time::Duration;

use jiff::Timestamp;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::time::Instant;

/// The time of day, for what is written down.
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// The monotonic clock, for what is waited for.
pub(crate) fn instant() -> Instant {
    Instant::now()
}

/// A random (version 4) GUID in its usual spelling.
pub(crate) fn guid() -> String {
    uuid::Builder::from_random_bytes(random()).into_uuid().to_string()
}

/// `delay` plus up to a tenth of it, so that what failed together is not retried together.
pub(crate) fn jittered(delay: Duration) -> Duration {
    let [byte]: [u8; 1] = random();
    delay + delay / 10 * u32::from(byte) / 255
}

/// The value of the `PATH` this program was started with.
pub(crate) fn search_path() -> Option<std::ffi::OsString> {
    std::env::var_os("PATH")
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // The system's generator fails only before it is seeded at boot; zeros then still make a valid id.
    if SystemRandom::new().fill(&mut bytes).is_err() {
        tracing::error!("the system's random numbers are not available");
    }
    bytes
}
