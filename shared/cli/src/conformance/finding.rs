//! What came of a check.

use std::fmt;

/// How a promise was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was sent.
    pub sent: String,
    /// What came of it.
    pub came: String,
    /// Why that breaks the promise.
    pub why: String,
}

/// Why a check did not come to its good end.
#[derive(Debug)]
pub enum Stop {
    /// Its promise is broken.
    Broken(Finding),
    /// Another promise is, by the id of its check; this one could not be tried.
    Elsewhere(&'static str, Finding),
    /// It was not asked for, or cannot be tried with what was given: why, and what to give.
    Skipped(String),
    /// The service decided otherwise than the inputs were said to be decided, and has a right to.
    Unfit(String),
    /// Nothing answers.
    Silent(Finding),
}

impl Stop {
    /// The same in a part of a check that only prepares it: what is broken there is the promise of `check`.
    pub fn of(self, check: &'static str) -> Self {
        match self {
            Stop::Broken(finding) => Stop::Elsewhere(check, finding),
            other => other,
        }
    }
}

/// What the requests of a check come to.
pub type Tried = Result<(), Stop>;

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Kept,
    Broken(Finding),
    /// Not tried, and why.
    Skipped(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::Kept => "kept",
            Verdict::Broken(_) => "broken",
            Verdict::Skipped(_) => "skipped",
        })
    }
}
