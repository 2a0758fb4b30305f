//! The protocol, and nothing else: which message moves which step of which saga, and what leaves.
//!
//! Everything in here is a pure function of its arguments. Architecture invariant: this crate imports
//! no other crate of ours, no serde, no async runtime, no clock and no I/O; time, ids and stored state come
//! in as values, and decisions go out as values. The adapters carry them out and decide nothing.
//!
//! Where to look: [`step`] is the table of the protocol, [`lifecycle`] its counterpart for the saga,
//! [`participate`] turns a row of the table into a step record and an outgoing event, [`origin`] does the
//! same for the cloud that keeps the saga.

pub mod address;
pub mod call;
pub mod definition;
pub mod document;
mod emission;
pub mod event;
pub mod ids;
pub mod lifecycle;
pub mod mark;
mod message;
pub mod money;
pub mod observe;
pub mod origin;
pub mod outcome;
pub mod participant;
pub mod participate;
pub mod patience;
pub mod progress;
mod record;
pub mod reports;
pub mod saga;
pub mod service;
pub mod step;
pub mod text;
pub mod timeline;

pub use address::Address;
pub use definition::{Catalogue, Cloud, Definition, DefinitionRef, StepDefinition};
pub use document::{Document, Number};
pub use event::Event;
pub use ids::{EventId, IdempotencyKey, SagaId, StepIndex, Timestamp, TraceParent};
pub use outcome::Outcome;
pub use saga::{Saga, Status};
pub use service::ServiceState;
