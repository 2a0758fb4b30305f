//! What a definition is called, and the clouds that its steps are on.

use std::fmt;
use std::str::FromStr;

/// A forward and a backward chain of so many steps stay within the hop bound of an event.
pub(super) const MAX_STEPS: usize = 16;

/// A cloud that owns steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cloud {
    /// Amazon Web Services.
    Aws,
    /// Microsoft Azure.
    Azure,
}

impl Cloud {
    /// The cloud that keeps the saga item: the origin of every saga.
    pub const ORIGIN: Cloud = Cloud::Aws;

    /// The word used in events and definition files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Cloud::Aws => "aws",
            Cloud::Azure => "azure",
        }
    }
}

impl fmt::Display for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Cloud {
    type Err = InvalidDefinition;

    fn from_str(text: &str) -> Result<Self, InvalidDefinition> {
        match text {
            "aws" => Ok(Cloud::Aws),
            "azure" => Ok(Cloud::Azure),
            other => Err(InvalidDefinition(format!(
                "unknown cloud `{other}`: use `aws` or `azure`"
            ))),
        }
    }
}

/// The first rule that a definition breaks, and the part of it that does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidDefinition(pub String);

/// A definition by name and version. A running saga keeps the version it started with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DefinitionRef {
    /// Its name.
    pub name: String,
    /// Its version, from 1.
    pub version: u32,
}

impl fmt::Display for DefinitionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} version {}", self.name, self.version)
    }
}
