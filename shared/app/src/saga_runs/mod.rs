//! Runs over many sagas: cancelled, resolved, answered or sent again by a filter or by their ids.
//!
//! Invariant: a run has no rule of its own. What would become of a saga is what the command for one saga decides without
//! committing it, and what becomes of it is what that command commits. Each is a transaction of its own, so a run may end
//! anywhere, and one that is repeated changes nothing twice.

mod act;
pub mod command;
mod filter;
mod report;
mod run;

pub use command::{Act, Command};
pub use filter::Filter;
pub use report::{Disposition, Item, Report};
pub use run::run;
