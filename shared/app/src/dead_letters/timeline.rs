//! What the timeline of a saga says of its dead letters, and which of them it shows as parked.

use saga_core::mark::{Caller, Mark};
use saga_core::origin::Note;
use saga_core::{EventId, Saga, Timestamp};
use saga_wire::dead_letter::{DeadLetter, DeadLetterId};

use super::command::Act;

/// The line for the timeline of the dead letter's saga that says who did what with it. The message is no longer parked.
pub(super) fn note(letter: &DeadLetter, act: Act, mark: &Mark, caller: Option<&Caller>) -> Note {
    let kind = letter.facts.kind.as_deref().unwrap_or("a message");
    Note {
        id: line_id(mark.at, act, &letter.id),
        at: mark.at,
        verb: act.as_str(),
        step: letter.facts.step.unwrap_or(0),
        cloud: letter.id.source.cloud(),
        text: format!("{}: {} ({kind}, from {})", mark.by, mark.reason, letter.id.source),
        caller: caller.cloned(),
        unparks: letter.facts.event.clone(),
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
