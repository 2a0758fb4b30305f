//! What the timeline of a saga says of its dead letters, and which of them it shows as parked.

use saga_core::mark::{Asked, Mark};
use saga_core::origin::{Command, Note};
use saga_core::{EventId, Saga, SagaId, Timestamp};
use saga_wire::dead_letter::{DeadLetter, DeadLetterId};

use super::Ports;
use super::command::Act;
use crate::ports::{PortError, SagaStore, Time};
use crate::transact::{Sagas, transact};

/// What was replayed of a saga just before is being written to it at the same time.
const ATTEMPTS: u32 = 24;

/// Writes who did what with some dead letters of one saga; their messages are no longer parked.
pub(super) async fn record<S: SagaStore, T: Time>(
    ports: &Ports<'_, S, T>,
    saga: SagaId,
    dead_letters: &[&DeadLetter],
    act: Act,
    asked: Asked<'_>,
) -> Result<(), PortError> {
    let mark = Mark::new(ports.time.now(), asked.by, asked.why);
    let notes = dead_letters.iter().map(|DeadLetter { id, facts, .. }| Note {
        id: line_id(mark.at, act, id),
        at: mark.at,
        verb: act.as_str(),
        step: facts.step.unwrap_or(0),
        cloud: id.source.cloud(),
        text: format!(
            "{}: {} ({}, from {})",
            mark.by,
            mark.reason,
            facts.kind.as_deref().unwrap_or("a message"),
            id.source
        ),
        caller: asked.caller.cloned(),
        unparks: facts.event.clone(),
    });
    write(ports, saga, Command::Annotate(notes.collect())).await
}

/// Writes to a saga of which no dead letter was left anywhere at `looked` that it is not parked.
pub(super) async fn record_none_left<S: SagaStore, T: Time>(
    ports: &Ports<'_, S, T>,
    saga: SagaId,
    looked: Timestamp,
    asked: Asked<'_>,
) -> Result<(), PortError> {
    write(ports, saga, Command::Unpark { looked, asked }).await
}

/// A saga that is gone by now, or that this version cannot read, has no lines.
async fn write<S: SagaStore, T: Time>(
    ports: &Ports<'_, S, T>,
    saga: SagaId,
    command: Command<'_>,
) -> Result<(), PortError> {
    let sagas = Sagas::without_definitions(ports.store, ports.time).attempts(ATTEMPTS);
    match transact(&sagas, saga, |_, _, _| Ok::<_, PortError>(Some(command.clone()))).await {
        Ok(_) | Err(PortError::Corrupt { .. }) => Ok(()),
        Err(error) => Err(error),
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
    let mut since = saga.timeline.entries.iter().filter(|line| line.at >= arrived);
    since.any(|line| {
        let mut acts = Act::ALL.into_iter();
        acts.any(|act| line.event == line_id(line.at, act, dead_letter))
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
