//! Why a port failed.

use std::error::Error;
use std::future::Future;

/// Why an outside call failed. All of them may be tried again; a condition that did not hold is not among them.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// It asks us to slow down. Nothing was done.
    #[error("{what} is throttled; nothing was lost, try again later")]
    Throttled {
        /// Which outside service, and what was asked of it.
        what: &'static str,
    },
    /// It failed, or did not answer in time; what was asked may or may not have been done.
    #[error("{what} failed or did not answer; nothing is lost, it will be tried again")]
    Unavailable {
        /// Which outside service, and what was asked of it.
        what: &'static str,
        /// The adapter's own error.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// It holds something that this version cannot read. It is left as it is.
    #[error("{what} holds a record that this version cannot read ({why}); it is left as it is")]
    Corrupt {
        /// Which outside service.
        what: &'static str,
        /// What is wrong with the record.
        why: String,
    },
    /// Other decisions were committed first, again and again. Nothing was done.
    #[error("{what} changed under every one of {attempts} attempts; nothing was done, try again")]
    Contended {
        /// What changed.
        what: &'static str,
        /// How often it was tried.
        attempts: u32,
    },
}

impl PortError {
    /// An [`PortError::Unavailable`].
    pub fn unavailable(what: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable {
            what,
            source: source.into(),
        }
    }

    /// A [`PortError::Corrupt`].
    pub fn corrupt(what: &'static str, why: impl Into<String>) -> Self {
        let why = why.into();
        Self::Corrupt { what, why }
    }
}

/// What a port will answer.
pub trait PortFuture<T>: Future<Output = Result<T, PortError>> + Send {}

impl<T, F: Future<Output = Result<T, PortError>> + Send> PortFuture<T> for F {}

/// An error and what caused it, in one line for a log: "what failed: why: why that".
#[must_use]
pub fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
