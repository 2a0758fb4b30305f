//! The places on AWS where dead letters lie, where they go to, and where discarded ones are kept.

pub mod archive;
pub mod outlet;
pub mod queue;
pub mod rows;
pub mod services;
