//! The workspace test crate.
