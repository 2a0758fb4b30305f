//! A stand-in for the two Azure services that have no emulator: an Event Grid custom topic and the Functions
//! host of a custom handler; with an OIDC issuer that signs what Event Grid signs.
//!
//! It exists so that everything that will meet those services can be run on one machine, and it is as strict
//! as they are: what they refuse is refused, what they lose is lost. It is a development tool; nothing
//! that is deployed depends on it.

pub mod config;
mod error;
mod functions;
mod oidc;
mod stand_in;
mod storage;
mod system;
mod topic;

pub use error::StartError;
pub use stand_in::StandIn;
