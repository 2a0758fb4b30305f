//! The protocol, and nothing else: which message moves which step of which saga, and what leaves.
//!
//! Everything in here is a pure function of its arguments. Architecture invariant: this crate imports
//! no other crate of ours, no serde, no async runtime, no clock and no I/O; time, ids and stored state come
//! in as values, and decisions go out as values. The adapters carry them out and decide nothing.
//!
//! Where to look: [`step`] is the table of the protocol, [`ends`] the two ends at the origin,
//! [`participate`] turns a row of the table into a step record and an outgoing event, [`origin`] does the
//! same for the cloud that keeps the saga.

pub mod dead_letter;
pub mod dead_letter_run;
pub mod definition;
pub mod document;
pub mod emit;
pub mod ends;
pub mod event;
pub mod ids;
pub mod money;
pub mod observed;
pub mod origin;
pub mod participant;
pub mod participate;
pub mod saga;
pub mod step;
pub mod sweep;
pub mod text;
pub mod timeline;

pub use definition::{Catalogue, Cloud, Definition, DefinitionRef, StepDefinition};
pub use document::{Document, Number};
pub use event::{Address, Event};
pub use ids::{EventId, IdempotencyKey, SagaId, StepIndex, Timestamp, TraceParent};
pub use saga::{Saga, Status};

/// What became of a message or a command. A condition that failed is an outcome, never an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It moved something.
    Applied,
    /// It had been applied before; the answer was given again.
    Repeated,
    /// It came after the end and changes nothing but the timeline.
    Late,
    /// It contradicts an end that an operator decided; an operator must look.
    Contradicted,
}

impl Outcome {
    /// The word used in logs and timelines.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Applied => "applied",
            Outcome::Repeated => "repeated",
            Outcome::Late => "late",
            Outcome::Contradicted => "contradicted",
        }
    }
}
