//! What runs over many dead letters and runs over many sagas have in common: how they are asked for, and their bounds.

mod pace;
pub mod request;

pub use pace::{Bounds, End, Run};
pub use request::{Terms, terms};

/// At most so many in one run; a longer one is several, one after the other.
pub const MAX_RUN: usize = 2_000;
/// The fastest run, in dead letters or sagas a second.
pub const MAX_RATE: u32 = 1_000;

/// The run that nobody said otherwise.
pub const DEFAULT_BOUNDS: Bounds = Bounds {
    limit: 100,
    per_second: 20,
    stop_after: 10,
};
