//! Every port in memory: for tests that take milliseconds, and for simulations that must be repeatable.
//!
//! A [`Cloud`] is all that one side of the bridge keeps, behind one lock, so a commit is atomic because nothing
//! else can happen meanwhile. [`OriginCloud`] keeps the sagas, [`StepCloud`] keeps steps. Versions are a
//! counter, time is a [`Clock`] that the test sets, and every call asks a [`Faults`] what is to go wrong.
//!
//! Architecture invariant: nothing here waits for anything outside the process, reads the real clock or draws real
//! chance; only tests depend on this crate.

mod carriers;
mod clock;
mod cloud;
mod dead_letters;
mod definitions;
mod entities;
mod faults;
mod outbox;
mod sagas;
mod services;
mod state;
mod steps;

pub use clock::Clock;
pub use cloud::Cloud;
pub use dead_letters::DeadLetters;
pub use entities::Written;
pub use faults::{Fault, Faults};
pub use sagas::{OriginCloud, Sagas};
pub use state::Kept;
pub use steps::{StepCloud, Steps};
