//! What a relay did, for the log and for who called it.

/// What a relay did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Events taken by the other side, and deleted here.
    pub published: usize,
    /// Events that were seen and stay for the next time: refused for now, held back behind one that was, or not due.
    pub left: usize,
    /// Events that moved to the dead rows.
    pub set_aside: usize,
    /// Calls to the publisher.
    pub calls: usize,
    /// Shards that other workers were at.
    pub busy: usize,
    /// Shards that were not looked at, or not to their end.
    pub unseen: usize,
    /// The age of the oldest event that was left, in milliseconds.
    pub oldest_millis: i64,
    /// Why it stopped before everything was seen.
    pub stopped: Option<Stopped>,
}

/// Why a relay stopped early. What it did not see is there for the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Its time was up.
    OutOfTime,
    /// The other side takes nothing.
    Down,
}

impl Stopped {
    /// The word used in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OutOfTime => "out of time",
            Self::Down => "the other side is down",
        }
    }
}

impl Report {
    /// Writes the line of a sweep, unless there was nothing to do. An alarm counts its `buried`.
    pub(super) fn log(&self) {
        if *self == Self::default() {
            return;
        }
        tracing::info!(
            published = self.published,
            left = self.left,
            buried = self.set_aside,
            calls = self.calls,
            busy = self.busy,
            unseen = self.unseen,
            oldest_ms = self.oldest_millis,
            stopped = self.stopped.map(Stopped::as_str),
            "outbox swept"
        );
    }
}
