//! What happened to a saga, in the order in which the origin learned of it. Bounded: it is read at three in the
//! morning and stored with every write.

use std::collections::BTreeMap;

use crate::Outcome;
use crate::address::Address;
use crate::definition::Cloud;
use crate::event::Event;
use crate::ids::{EventId, StepIndex, Timestamp};
use crate::mark::{Asked, Caller};
use crate::reports::Observed;
use crate::text::shown;

/// One line of the timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When the origin learned of it.
    pub at: Timestamp,
    /// The event, or the id of the command.
    pub event: EventId,
    /// `advance`, `compensate`, …, or a command such as `resolve`.
    pub verb: String,
    /// The step's number, as in events.
    pub step: i32,
    /// The cloud it came from.
    pub cloud: Cloud,
    /// What became of it.
    pub outcome: Outcome,
    /// A reason, or who asked for it.
    pub note: Option<String>,
    /// How often it came, when more than once.
    pub times: u32,
    /// Who asked for it, where the edge proves who calls.
    pub caller: Option<Caller>,
    /// It came without a checksum, at least once.
    pub unverified: bool,
}

/// Verbs of lines that moved nothing: what became of a message that lay in a dead-letter store, how far the calls of a step
/// have come, and what was sent again. Their outcome is [`Outcome::Noted`].
pub const NOTES: [&str; 7] = [
    "parked",
    "replay",
    "discard",
    "unpark",
    "report",
    "held",
    "retransmit",
];

impl Entry {
    pub(crate) fn of_event(event: &Event, at: Timestamp, outcome: Outcome, note: Option<&str>) -> Self {
        Self {
            at,
            event: event.id.clone(),
            verb: event.address.verb().to_owned(),
            step: event.step_number,
            cloud: event.sender,
            outcome,
            note: note.map(shown),
            times: 1,
            caller: None,
            unverified: event.unverified,
        }
    }

    /// A line for a command, which has no event. Its id names the command and its time.
    pub(crate) fn of_command(command: &str, at: Timestamp, asked: Asked<'_>, outcome: Outcome) -> Self {
        Self {
            at,
            event: EventId::of_command(at, command),
            verb: command.to_owned(),
            step: 0,
            cloud: Cloud::ORIGIN,
            outcome,
            note: Some(shown(&format!("{}: {}", asked.by, asked.why))),
            times: 1,
            caller: asked.caller.cloned(),
            unverified: false,
        }
    }

    /// A line for an answer from outside, or for an attempt at one.
    pub(crate) fn of_step(
        verb: &'static str,
        step: StepIndex,
        at: Timestamp,
        outcome: Outcome,
        note: Option<String>,
    ) -> Self {
        let step = i32::from(step.get());
        Self {
            at,
            event: Self::id_of_step(verb, step, at),
            verb: verb.to_owned(),
            step,
            cloud: Cloud::ORIGIN,
            outcome,
            note: note.as_deref().map(shown),
            times: 1,
            caller: None,
            unverified: false,
        }
    }

    fn id_of_step(verb: &str, step: i32, at: Timestamp) -> EventId {
        EventId::of_command(at, &format!("{verb}{step}"))
    }

    /// The step that the event or the answer is for. None for `complete` and `cancelled`, whose numbers are no step's, and none
    /// for a command, whose number says nothing.
    #[must_use]
    pub fn addressed(&self) -> Option<StepIndex> {
        if self.event == Self::id_of_step(&self.verb, self.step, self.at) {
            return u8::try_from(self.step).ok().map(StepIndex::new);
        }
        let is_command = self.event == EventId::of_command(self.at, &self.verb);
        Address::parse(&self.verb, self.step)
            .filter(|_| !is_command)
            .and_then(Address::step)
    }
}

/// The lines, oldest first. The first and the last are always kept; what had to go from the middle is counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Timeline {
    /// The lines kept.
    pub entries: Vec<Entry>,
    /// How many lines were dropped between the first ones and the last ones.
    pub dropped: u32,
    /// The last report of each step of another cloud, also where the line with it was dropped.
    pub observed: BTreeMap<StepIndex, Observed>,
}

impl Timeline {
    /// At most so many lines are kept.
    pub const MAX_ENTRIES: usize = 24;
    /// The oldest lines, which tell how it began, are never dropped.
    const OLDEST_KEPT: usize = 8;

    /// When something last moved the saga.
    #[must_use]
    pub fn last_moved(&self) -> Option<Timestamp> {
        let moved = self
            .entries
            .iter()
            .filter(|entry| entry.outcome == Outcome::Applied);
        moved.map(|entry| entry.at).max()
    }

    /// Adds a line, or counts it on the line that tells of the same event with the same outcome.
    pub fn record(&mut self, entry: Entry) {
        let same = |known: &&mut Entry| known.event == entry.event && known.outcome == entry.outcome;
        if let Some(known) = self.entries.iter_mut().find(same) {
            known.times = known.times.saturating_add(1);
            known.unverified |= entry.unverified;
            return;
        }
        self.entries.push(entry);
        if self.entries.len() > Self::MAX_ENTRIES {
            self.entries.remove(Self::OLDEST_KEPT);
            self.dropped = self.dropped.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: usize, outcome: Outcome) -> Entry {
        Entry {
            at: Timestamp::from_millis(number as i64),
            event: EventId::stored(format!("e-{number}")),
            verb: "advance".to_owned(),
            step: 1,
            cloud: Cloud::Azure,
            outcome,
            note: None,
            times: 1,
            caller: None,
            unverified: false,
        }
    }

    #[test]
    fn what_comes_again_is_counted_and_what_became_of_it_otherwise_is_a_line_of_its_own() {
        let mut timeline = Timeline::default();
        for outcome in [
            Outcome::Applied,
            Outcome::Applied,
            Outcome::Late,
            Outcome::Applied,
        ] {
            timeline.record(line(1, outcome));
        }
        timeline.record(line(2, Outcome::Applied));
        let lines = timeline
            .entries
            .iter()
            .map(|entry| (entry.at.millis(), entry.outcome, entry.times));
        let expected = [
            (1, Outcome::Applied, 3),
            (1, Outcome::Late, 1),
            (2, Outcome::Applied, 1),
        ];
        assert_eq!(lines.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_first_lines_and_the_last_ones_are_kept() {
        let mut timeline = Timeline::default();
        for number in 0..Timeline::MAX_ENTRIES {
            timeline.record(line(number, Outcome::Applied));
        }
        assert_eq!((timeline.entries.len(), timeline.dropped), (24, 0));
        for number in 24..30 {
            timeline.record(line(number, Outcome::Applied));
        }
        assert_eq!((timeline.entries.len(), timeline.dropped), (24, 6));
        let kept: Vec<i64> = timeline.entries.iter().map(|entry| entry.at.millis()).collect();
        assert_eq!(kept, (0..8).chain(14..30).collect::<Vec<_>>());
    }
}
