//! What the timeline of a saga says of its dead letters, and which of them it shows as parked.

use saga_core::mark::{Caller, Mark};
use saga_core::origin::{OriginDecision, command_entry};
use saga_core::text::shown;
use saga_core::timeline::Entry;
use saga_core::{EventId, Outcome, Saga, Timestamp};
use saga_wire::dead_letter::{DeadLetter, DeadLetterId};

use super::command::Act;

/// The saga with a line in its timeline for each of these letters of its, which says who did what with it. It shows these
/// messages as parked no more, and nothing else changed.
#[must_use]
pub fn recorded(
    saga: &Saga,
    letters: &[&DeadLetter],
    act: Act,
    mark: &Mark,
    caller: Option<&Caller>,
) -> OriginDecision {
    let mut saga = saga.clone();
    for letter in letters {
        saga.timeline.record(line(letter, act, mark, caller));
        let event = letter.facts.event.as_ref();
        saga.parked
            .retain(|parked| event.is_none_or(|event| event.as_str() != parked.by));
    }
    OriginDecision::marking(saga)
}

/// The saga once no letter of it lies anywhere: what it shows as parked since before `looked` has expired, or never came to
/// lie. `None` when it shows nothing of the kind.
#[must_use]
pub fn unparked(
    saga: &Saga,
    looked: Timestamp,
    mark: &Mark,
    caller: Option<&Caller>,
) -> Option<OriginDecision> {
    let mut saga = saga.clone();
    let before = saga.parked.len();
    saga.parked.retain(|parked| parked.at > looked);
    if saga.parked.len() == before {
        return None;
    }
    saga.timeline.record(Entry {
        caller: caller.cloned(),
        ..command_entry("unpark", mark, Outcome::Late)
    });
    Some(OriginDecision::marking(saga))
}

fn line(letter: &DeadLetter, act: Act, mark: &Mark, caller: Option<&Caller>) -> Entry {
    let note = format!(
        "{}: {} ({}, from {})",
        mark.by,
        mark.reason,
        what(letter),
        letter.id.source
    );
    Entry {
        at: mark.at,
        event: line_id(mark.at, act, &letter.id),
        verb: act.as_str().to_owned(),
        step: letter.facts.step.unwrap_or(0),
        cloud: letter.id.source.cloud(),
        // No move of the saga: that is what the event may bring.
        outcome: Outcome::Late,
        note: Some(shown(&note)),
        times: 1,
        caller: caller.cloned(),
        unverified: false,
    }
}

/// The letter is part of the id: a run replays many in one millisecond.
fn line_id(at: Timestamp, act: Act, letter: &DeadLetterId) -> EventId {
    let head = format!("{:013}-{}-", at.millis(), act.as_str());
    let letter = letter.to_string();
    // A letter's id is ASCII, and what tells two apart stands at its end.
    let tail = letter.len().saturating_sub(EventId::MAX_BYTES - head.len());
    EventId::stored(head + &letter[tail..])
}

/// Whether the saga's timeline says that this letter, which came at `arrived`, was replayed or discarded since: whoever
/// watches may have seen it just before.
#[must_use]
pub fn is_dealt_with(saga: &Saga, letter: &DeadLetterId, arrived: Timestamp) -> bool {
    let since = saga.timeline.entries.iter().filter(|line| line.at >= arrived);
    since.into_iter().any(|line| {
        [Act::Replay, Act::Discard]
            .into_iter()
            .any(|act| line.event == line_id(line.at, act, letter))
    })
}

fn what(letter: &DeadLetter) -> &str {
    letter.facts.kind.as_deref().unwrap_or("a message")
}

#[cfg(test)]
mod tests {
    use saga_wire::dead_letter::Source;

    use super::*;

    #[test]
    fn the_id_of_a_line_keeps_the_end_of_a_long_letters_id_and_its_own_bound() {
        let at = Timestamp::from_millis(1_790_000_000_000);
        for length in [1, 200, 226, 227, 228, 400] {
            let letter = DeadLetterId {
                source: Source::Quarantine,
                key: format!("{}-end", "x".repeat(length)),
            };
            let line = line_id(at, Act::Replay, &letter).to_string();
            let (head, letter) = ("1790000000000-replay-", letter.to_string());
            let kept = letter.len().min(256 - head.len());
            assert_eq!(line, format!("{head}{}", &letter[letter.len() - kept..]));
        }
    }
}
