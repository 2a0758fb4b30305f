//! Why the stand-in does not start.

use std::fmt::Display;
use std::path::Path;

use serde::de::DeserializeOwned;

/// Why the stand-in did not start, for the person who configured it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(pub(crate) String);

impl StartError {
    /// A value of the configuration is outside what the real services accept.
    pub(crate) fn invalid(why: impl Display) -> Self {
        Self(format!("configuration: {why}"))
    }

    pub(crate) fn unreadable(file: &Path, why: impl Display) -> Self {
        Self(format!("cannot read {}: {why}", file.display()))
    }

    pub(crate) fn malformed(file: &Path, why: impl Display) -> Self {
        Self(format!("{} is not understood: {why}", file.display()))
    }
}

pub(crate) fn read_json<T: DeserializeOwned>(file: &Path) -> Result<T, StartError> {
    let text = std::fs::read(file).map_err(|why| StartError::unreadable(file, why))?;
    serde_json::from_slice(&text).map_err(|why| StartError::malformed(file, why))
}
