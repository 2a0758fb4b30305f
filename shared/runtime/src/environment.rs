//! The environment, read once at start. A setting that is missing or wrong ends the process with its name.

use std::str::FromStr;

/// A setting that is missing or cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Misconfigured {
    /// It is not set.
    #[error("environment variable {0} is not set; the function cannot start without it")]
    Missing(&'static str),
    /// It is set to what cannot be read.
    #[error("environment variable {name} cannot be read: {why}")]
    Invalid {
        /// Its name.
        name: &'static str,
        /// What is wrong with its value.
        why: String,
    },
}

impl Misconfigured {
    /// A value that cannot be used, and why.
    pub fn invalid(name: &'static str, why: impl ToString) -> Self {
        let why = why.to_string();
        Self::Invalid { name, why }
    }
}

/// A setting that must be there.
///
/// # Errors
/// [`Misconfigured::Missing`].
pub fn required(name: &'static str) -> Result<String, Misconfigured> {
    optional(name).ok_or(Misconfigured::Missing(name))
}

/// A setting that may be there; empty is the same as absent.
#[must_use]
#[allow(
    clippy::disallowed_methods,
    reason = "the one place where the environment is read"
)]
pub fn optional(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A setting of some type, or its default.
///
/// # Errors
/// [`Misconfigured::Invalid`] when it is there and cannot be read.
pub fn parsed<T: FromStr<Err: std::fmt::Display>>(
    name: &'static str,
    default: T,
) -> Result<T, Misconfigured> {
    match optional(name) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|why| Misconfigured::invalid(name, why)),
    }
}
