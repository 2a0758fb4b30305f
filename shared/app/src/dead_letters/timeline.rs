//! What the timeline of a saga says of its dead letters, and which of them it shows as parked.

use saga_core::mark::{Caller, Mark};
use saga_core::origin::Note;
use saga_core::{EventId, Saga, Timestamp};
use saga_wire::dead_letter::{DeadLetter, DeadLetterId};

use super::command::Act;

/// The line for the timeline of the dead letter's saga that says who did what with it. The message is no longer parked.
pub(super) fn note(dead_letter: &DeadLetter, act: Act, mark: &Mark, caller: Option<&Caller>) -> Note {
    let kind = dead_letter.facts.kind.as_deref().unwrap_or("a message");
    Note {
        id: line_id(mark.at, act, &dead_letter.id),
        at: mark.at,
        verb: act.as_str(),
        step: dead_letter.facts.step.unwrap_or(0),
        cloud: dead_letter.id.source.cloud(),
        text: format!(
            "{}: {} ({kind}, from {})",
            mark.by, mark.reason, dead_letter.id.source
        ),
        caller: caller.cloned(),
        unparks: dead_letter.facts.event.clone(),
    }
}

/// The dead letter is part of the id: a run replays many in one millisecond.
fn line_id(at: Timestamp, act: Act, dead_letter: &DeadLetterId) -> EventId {
    let head = format!("{:013}-{}-", at.millis(), act.as_str());
    let dead_letter = dead_letter.to_string();
    // A dead letter's id is ASCII, and what tells two apart stands at its end.
    let tail = dead_letter.len().saturating_sub(EventId::MAX_BYTES - head.len());
    EventId::stored(head + &dead_letter[tail..])
}

/// Whether the saga's timeline says that this dead letter, which came at `arrived`, was replayed or discarded since: whoever
/// watches may have seen it just before.
#[must_use]
pub fn is_dealt_with(saga: &Saga, dead_letter: &DeadLetterId, arrived: Timestamp) -> bool {
    let since = saga.timeline.entries.iter().filter(|line| line.at >= arrived);
    since.into_iter().any(|line| {
        [Act::Replay, Act::Discard]
            .into_iter()
            .any(|act| line.event == line_id(line.at, act, dead_letter))
    })
}

#[cfg(test)]
mod tests {
    use saga_wire::dead_letter::Source;

    use super::*;

    #[test]
    fn the_id_of_a_line_keeps_the_end_of_a_long_dead_letters_id_and_its_own_bound() {
        let at = Timestamp::from_millis(1_790_000_000_000);
        for length in [1, 200, 226, 227, 228, 400] {
            let dead_letter = DeadLetterId {
                source: Source::Quarantine,
                key: format!("{}-end", "x".repeat(length)),
            };
            let line = line_id(at, Act::Replay, &dead_letter).to_string();
            let (head, dead_letter) = ("1790000000000-replay-", dead_letter.to_string());
            let kept = dead_letter.len().min(256 - head.len());
            assert_eq!(
                line,
                format!("{head}{}", &dead_letter[dead_letter.len() - kept..])
            );
        }
    }
}
