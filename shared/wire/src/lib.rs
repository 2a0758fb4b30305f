//! Formats of the outside world, and fallible conversions from each to the types of the core.
//!
//! Decode leniently, decide strictly: whatever a cloud or another team's software may send is read; what it
//! means is then checked once, here, and a core type that exists is valid. Architecture invariant: the core's
//! types are not serialisable, so no change of a format can change the protocol, or the other way round.

pub mod cloud_event;
pub mod contract;
pub mod custom_handler;
pub mod dead_letter;
pub mod definitions;
pub mod event_bridge;
pub mod event_grid;
pub mod http;
pub mod inbound;
pub mod json;
pub mod notice;
pub mod problem;
pub mod quarantine;
pub mod saga_event;
pub mod service_view;
pub mod services;
pub mod time;
mod words;

/// The largest event that goes out, in bytes: what a Storage queue message takes in base64
/// (<https://learn.microsoft.com/azure/storage/queues/storage-queues-introduction>: 64 KiB).
pub const MAX_EVENT_BYTES: usize = 47 * 1024;

/// Bytes that cannot be understood, and why. They are quarantined, never retried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);
