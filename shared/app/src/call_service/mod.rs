//! The use case of a step that an outside service does.

pub mod schedule;
