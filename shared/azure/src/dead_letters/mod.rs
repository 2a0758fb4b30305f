//! The places on Azure where dead letters lie, and the ways back from there.

mod access;
mod blobs;
mod outlet;
mod queue;
mod rows;

pub use access::{Access, Sources};
pub use blobs::DeadBlobs;
pub use outlet::AzureOutlet;
pub use queue::DeadQueue;
pub use rows::DeadRows;
