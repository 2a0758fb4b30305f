//! What earlier releases stored and sent, and what they can read.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "this crate is linked by tests only, where a panic is the message"
)]

pub mod recorded;
pub mod release_04d03cd;
