//! How far a step has come that is answered from outside: since when, how many attempts, and whether a person is needed.

use std::fmt::Write;

use crate::ids::Timestamp;
use crate::text::shown;

/// The member of a report's data that is its [`Progress`].
pub(crate) const PROGRESS: &str = "saga_progress";

/// How far the calls of a step, or its wait, have come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// When the intent was committed.
    pub since: Timestamp,
    /// Attempts without a decision.
    pub attempts: u32,
    /// When the next attempt is made.
    pub next: Option<Timestamp>,
    /// Since when a person is needed; the reason is `error`.
    pub held: Option<Timestamp>,
    /// Why there is no decision yet.
    pub error: Option<String>,
}

impl Progress {
    /// Of an intent that is committed now.
    #[must_use]
    pub fn since(since: Timestamp) -> Self {
        Self {
            since,
            attempts: 0,
            next: None,
            held: None,
            error: None,
        }
    }

    /// The one text that stores and events keep it as: `<since> <attempts> <next or -> <held or -> <error>`, times in
    /// milliseconds.
    #[must_use]
    pub fn to_text(&self) -> String {
        let time = |at: Option<Timestamp>| at.map_or("-".to_owned(), |at| at.millis().to_string());
        let (next, held) = (time(self.next), time(self.held));
        let mut text = format!("{} {} {next} {held}", self.since.millis(), self.attempts);
        if let Some(error) = &self.error {
            let _ = write!(text, " {error}");
        }
        text
    }

    /// Reads [`Progress::to_text`]; `None` for any other text.
    #[must_use]
    pub fn of_text(text: &str) -> Option<Self> {
        let mut parts = text.splitn(5, ' ');
        let time = |part: &str| part.parse().ok().map(Timestamp::from_millis);
        let or_none = |part: &str| match part {
            "-" => Some(None),
            _ => time(part).map(Some),
        };
        Some(Self {
            since: time(parts.next()?)?,
            attempts: parts.next()?.parse().ok()?,
            next: or_none(parts.next()?)?,
            held: or_none(parts.next()?)?,
            error: parts.next().map(shown),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back() {
        let at = Timestamp::from_millis;
        for (next, held, error) in [
            (None, None, None),
            (Some(at(7)), None, Some("no answer in 10 s")),
            (None, Some(at(9)), Some("404 - not found")),
        ] {
            let progress = Progress {
                since: at(5),
                attempts: 3,
                next,
                held,
                error: error.map(str::to_owned),
            };
            assert_eq!(Progress::of_text(&progress.to_text()), Some(progress));
        }
        for wrong in ["", "5", "5 3", "5 3 -", "x 3 - -", "5 3 x -", "5 -1 - -"] {
            assert_eq!(Progress::of_text(wrong), None, "{wrong:?}");
        }
    }
}
