//! The statuses with which every command ends.

use std::process::ExitCode;

/// How a command ended, for scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All that was asked for is done; of a trial, every promise that was tried is kept.
    Done,
    /// Not all of it is; of a trial, a promise is broken.
    Partly,
    /// The arguments, or the files that they name, do not fit what was asked for.
    Usage,
    /// The other side could not be reached at all.
    Unreachable,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Partly => 1,
            Exit::Usage => 2,
            Exit::Unreachable => 3,
        })
    }
}

/// What is wrong with what was asked, and how to ask instead.
#[derive(Debug, PartialEq, Eq)]
pub struct WrongUsage(pub String);
