//! The outbox is emptied: the plan says which rows go next, the rules what becomes of one that was refused, the pace how
//! many calls run side by side, and the relay carries it out and fills a report.

mod dead;
mod lease;
mod pace;
mod plan;
mod relay;
mod report;
mod rules;

pub use relay::Relay;
pub use report::{Report, Stopped};
pub use rules::{Disposition, Rules};
