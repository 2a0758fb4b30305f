//! Who asked for something, when and why.

use crate::ids::{EventId, Timestamp};
use crate::text::shown;

/// Who asked for something, when and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// When.
    pub at: Timestamp,
    /// Who, as far as the edge knows.
    pub by: String,
    /// Why.
    pub reason: String,
}

impl Mark {
    /// A mark, as it is to be shown: others write it, and it is stored with every write.
    #[must_use]
    pub fn new(at: Timestamp, by: &str, reason: &str) -> Self {
        Self {
            at,
            by: shown(by),
            reason: shown(reason),
        }
    }
}

/// The identity of a caller that the edge has proven, such as an ARN of AWS. What a caller only says of itself is never
/// one: that is a [`Mark`]'s `by`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller(String);

impl Caller {
    /// Longer than an ARN is: a path of 512 characters, a name of 64, and what stands before them
    /// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>).
    pub const MAX_CHARS: usize = 640;

    /// The identity; `None` when it is empty. One that is too long is cut, since it is stored with every write.
    #[must_use]
    pub fn new(identity: &str) -> Option<Self> {
        let kept = identity.chars().take(Self::MAX_CHARS).collect::<String>();
        (!kept.is_empty()).then_some(Self(kept))
    }

    /// As it was proven.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Who asks for something, and why.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// As they call themselves: anybody may write any name here.
    pub by: &'a str,
    /// Who they are, where the edge proves it.
    pub caller: Option<&'a Caller>,
    /// Why.
    pub why: &'a str,
}

/// A message of a saga that lies in a dead-letter store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedMessage {
    /// The message.
    pub event: EventId,
    /// Since when.
    pub at: Timestamp,
    /// Where it lies, and why.
    pub reason: String,
}

impl ParkedMessage {
    /// With the reason as it is to be shown: others write it.
    #[must_use]
    pub fn new(event: EventId, at: Timestamp, reason: &str) -> Self {
        let reason = shown(reason);
        Self { event, at, reason }
    }
}
