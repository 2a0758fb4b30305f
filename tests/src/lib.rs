//! What the workspace's tests share. The tests themselves are in `tests/`, one file a subject.
//!
//! [`world`] runs both clouds in one process. [`accounts`] reads their stores when all is over,
//! and [`invariants`] are the rules that are held against both the model and the simulator. [`laws`] is what every
//! participant keeps, [`sagas`] are the definitions that the tests run, [`saga_api`] asks the API for them and
//! [`saga_runs`] for many at once, [`calls`] and [`one_call`] bring requests to the callers of services, [`contract`] is what
//! every adapter must do. [`arbitrary`] makes values of every type that is stored or
//! sent. [`architecture`] knows which crate may use which, [`modules`] what a file may be, [`purity`] what the source of a
//! pure crate may say, and [`tree`] reads the files of the repository.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "this crate is linked by tests only, where a panic is the message"
)]

pub mod accounts;
pub mod arbitrary;
pub mod architecture;
pub mod calls;
pub mod contract;
pub mod dead_letters;
pub mod every_step;
pub mod example;
pub mod function_url;
pub mod invariants;
pub mod laws;
pub mod model;
pub mod modules;
pub mod one_call;
pub mod openapi;
pub mod played;
pub mod property;
pub mod purity;
pub mod saga_api;
pub mod saga_runs;
pub mod sagas;
pub mod shown;
pub mod sim;
#[cfg(feature = "stack")]
pub mod stack;
pub mod tree;
pub mod world;
