//! The use cases: one file each, each a function of ports. Between the adapters, which decide nothing, and the
//! core, which does no I/O, this is the shell that loads, lets the core decide, and commits.

pub mod admit_events;
mod alerts;
pub mod answer_step;
pub mod call_service;
pub mod dead_letters;
pub mod definitions;
mod deployment;
pub mod handle_event;
pub mod keep_definitions;
mod learnt;
pub mod list_sagas;
pub mod log;
pub mod outbox;
pub mod override_saga;
pub mod park_saga;
pub mod participate;
pub mod pause_service;
pub mod ports;
pub mod runs;
pub mod saga_runs;
pub mod start_saga;
pub mod step_transact;
pub mod sweep_sagas;
pub mod transact;
mod walk_sagas;

pub use deployment::Deployment;
pub use learnt::Learnt;
pub use saga_participants::Settings;

/// What became of a message. Both are acknowledged; only a port's failure leaves a message on its queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handled {
    /// It was decided and committed.
    Decided(saga_core::Outcome),
    /// It cannot be understood here: it is kept whole, with this reason.
    Quarantined(String),
}
