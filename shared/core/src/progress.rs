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
    /// Since when it waits only because its service is paused.
    pub paused: Option<Timestamp>,
    /// How long it waited for that before, in milliseconds.
    pub idle_millis: i64,
}

/// Stands before the pauses in the text. A release that knows of none takes them for the beginning of the error.
const PAUSES: char = '~';

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
            paused: None,
            idle_millis: 0,
        }
    }

    /// When the patience of so many milliseconds is over that began at `begun`. A pause uses up none of it, as long as the caller
    /// looks again when it said that it would.
    pub(crate) fn patience_ends(&self, begun: Timestamp, millis: i64) -> Timestamp {
        let looks_until = |since: Timestamp| self.next.unwrap_or(since).millis() - since.millis();
        let pausing = self.paused.map_or(0, looks_until).max(0);
        begun
            .plus_millis(millis)
            .plus_millis(self.idle_millis)
            .plus_millis(pausing)
    }

    /// It waits for its service's pause.
    pub(crate) fn pauses(&mut self, now: Timestamp) {
        self.paused = self.paused.or(Some(now));
    }

    /// It waits for no pause any more.
    pub(crate) fn goes_on(&mut self, now: Timestamp) {
        if let Some(since) = self.paused.take() {
            let idle = (now.millis() - since.millis()).max(0);
            self.idle_millis = self.idle_millis.saturating_add(idle);
        }
    }

    /// The one text that stores and events keep it as: `<since> <attempts> <next or -> <held or -> <error>`, times in
    /// milliseconds; the error may be missing.
    ///
    /// Where there is or was a pause, `~<since or -> <idle>` stands before the error: since when it lasts (`-`: it is over), and how
    /// many milliseconds the pauses before it took. So does `~- 0` before an error that begins with `~` itself. They stand there
    /// and not in a place of their own because an earlier release, which may run beside this one and reads four parts and a
    /// rest, takes the rest for the error. It shows the numbers in front of the error and loses nothing else; with a fifth part
    /// it would read each record without a pause wrongly, too.
    ///
    /// ```
    /// use saga_core::progress::Progress;
    ///
    /// let paused = "5 0 65 - ~20 0 service `bank` is paused: maintenance";
    /// let later = "5 1 90 - ~- 40 no answer in 10 s";
    /// let never = "5 1 90 - no answer in 10 s";
    /// for text in [paused, later, never] {
    ///     assert_eq!(Progress::of_text(text).unwrap().to_text(), text);
    /// }
    /// ```
    #[must_use]
    pub fn to_text(&self) -> String {
        let time = |at: Option<Timestamp>| at.map_or("-".to_owned(), |at| at.millis().to_string());
        let (next, held) = (time(self.next), time(self.held));
        let mut text = format!("{} {} {next} {held}", self.since.millis(), self.attempts);
        let looks_like_pauses = self
            .error
            .as_deref()
            .is_some_and(|error| error.starts_with(PAUSES));
        if self.paused.is_some() || self.idle_millis != 0 || looks_like_pauses {
            let _ = write!(text, " {PAUSES}{} {}", time(self.paused), self.idle_millis);
        }
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
        let progress = Self {
            since: time(parts.next()?)?,
            attempts: parts.next()?.parse().ok()?,
            next: or_none(parts.next()?)?,
            held: or_none(parts.next()?)?,
            error: None,
            paused: None,
            idle_millis: 0,
        };
        let rest = parts.next();
        let pauses = rest.and_then(|rest| {
            let mut parts = rest.strip_prefix(PAUSES)?.splitn(3, ' ');
            Some((or_none(parts.next()?)?, parts.next()?.parse().ok()?, parts.next()))
        });
        let (paused, idle_millis, error) = pauses.unwrap_or((None, 0, rest));
        Some(Self {
            error: error.map(shown),
            paused,
            idle_millis,
            ..progress
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_uses_up_no_patience_while_the_caller_looks_again() {
        let at = Timestamp::from_millis;
        let over = |progress: &Progress| progress.patience_ends(progress.since, 100).millis();
        let mut progress = Progress::since(at(10));
        assert_eq!(over(&progress), 110);
        progress.pauses(at(20));
        assert_eq!(over(&progress), 110, "nobody said that it would look again");
        progress.next = Some(at(50));
        assert_eq!(over(&progress), 140);
        progress.pauses(at(50));
        progress.next = Some(at(90));
        assert_eq!((progress.paused, over(&progress)), (Some(at(20)), 180));
        progress.goes_on(at(95));
        assert_eq!(
            (progress.paused, progress.idle_millis, over(&progress)),
            (None, 75, 185)
        );
        progress.goes_on(at(500));
        progress.pauses(at(200));
        progress.next = None;
        progress.goes_on(at(190));
        assert_eq!(progress.idle_millis, 75, "a clock that went back");
    }

    #[test]
    fn what_is_kept_comes_back() {
        let at = Timestamp::from_millis;
        for (next, held, error) in [
            (None, None, None),
            (Some(at(7)), None, Some("no answer in 10 s")),
            (None, Some(at(9)), Some("404 - not found")),
            (None, None, Some("~")),
            (None, None, Some("~5 7 it says")),
        ] {
            let progress = Progress {
                attempts: 3,
                next,
                held,
                error: error.map(str::to_owned),
                ..Progress::since(at(5))
            };
            for (paused, idle_millis) in [(None, 0), (Some(at(6)), 0), (Some(at(6)), 70), (None, 70)] {
                let progress = Progress {
                    paused,
                    idle_millis,
                    ..progress.clone()
                };
                assert_eq!(Progress::of_text(&progress.to_text()), Some(progress));
            }
        }
        // What an earlier release wrote, of which nothing is lost.
        let before = Progress::of_text("5 3 - - ~ it says");
        assert_eq!(before.unwrap().error.as_deref(), Some("~ it says"));
        for wrong in ["", "5", "5 3", "5 3 -", "x 3 - -", "5 3 x -", "5 -1 - -"] {
            assert_eq!(Progress::of_text(wrong), None, "{wrong:?}");
        }
    }
}
