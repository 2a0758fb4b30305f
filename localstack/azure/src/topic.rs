//! An Event Grid custom topic with the CloudEvents input schema.
//!
//! Publishing ([`publish`]) validates, writes to the [`journal`] and answers; each [`subscription`] then
//! delivers on its own, so neither the publisher nor another subscription waits for a slow destination.

mod cloud_event;
mod dead_letter;
pub(crate) mod destination;
mod envelope;
mod filter;
mod handshake;
pub(crate) mod journal;
pub(crate) mod publish;
mod retry;
mod sas;
pub(crate) mod subscription;
