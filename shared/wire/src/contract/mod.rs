//! What is said between a caller and an outside service: the requests `act` and `undo`, and the replies. `contract.openapi.json`
//! beside this crate's manifest says the same in OpenAPI, for whoever writes a service.
//!
//! Invariant: only a reply that plainly decides is a decision. Whatever else comes back leaves the outcome unknown, or says that
//! the service is bound wrongly; it is never guessed.

pub mod lambda;
pub mod output;
pub mod reply;
pub mod request;
pub mod signature;

pub use output::MAX_OUTPUT_BYTES;
pub use reply::{Answer, MAX_BODY_BYTES, Reply};
pub use request::{Request, RequestParts, Verb};

/// The contract as OpenAPI 3.1.
pub const DOCUMENT: &str = include_str!("../../contract.openapi.json");
