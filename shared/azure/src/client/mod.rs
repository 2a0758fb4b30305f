//! Every request to Azure. There is one client for each service of an account: [`Table`], [`Queue`], [`Container`] and
//! [`Topic`].
//!
//! Invariants: each attempt has a time limit; retries are bounded and jittered; a request whose outcome is unknown is
//! repeated only where doing it twice is the same as doing it once; a failed condition is an answer and never an
//! error; no `Debug` shows a key.

mod answer;
mod batch;
mod blob;
mod connection;
mod error;
mod federation;
mod queue;
mod retry;
mod service;
mod shared_key;
mod table;
mod topic;
mod url;
pub(crate) mod vault;

pub use federation::Assertion;

use saga_app::ports::PortError;

pub(crate) use batch::{Batch, Change, MAX_CHANGES, Verb};
pub(crate) use blob::{BlobName, Container};
pub(crate) use connection::{Connection, Identity, StorageAccount};
pub(crate) use error::Failure;
pub(crate) use queue::Queue;
#[cfg(test)]
pub(crate) use retry::Limits;
pub(crate) use retry::Repeat;
pub(crate) use table::Table;
pub(crate) use topic::Topic;
pub(crate) use url::quoted;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    Applied,
    /// Nothing was done: the row or blob is there and should not be, or was changed since it was read.
    ConditionFailed,
    /// Nothing was done: the row, blob or message is not there.
    Missing,
}

impl Written {
    /// Whether a write without a condition was done; `false` when what it is about is not there.
    ///
    /// # Errors
    /// [`PortError::Unavailable`] when the service says that a condition failed, although none was made.
    pub(crate) fn unless_missing(self, what: &'static str) -> Result<bool, PortError> {
        match self {
            Self::Applied => Ok(true),
            Self::Missing => Ok(false),
            Self::ConditionFailed => Err(PortError::unavailable(what, "it was changed at the same time")),
        }
    }
}
