//! The lines in the timeline of a saga's dead letters: who did what, and when; and with them what it shows as parked.

use saga_core::mark::{Asked, Caller, Mark};
use saga_core::origin::Command;
use saga_core::{SagaId, Timestamp};
use saga_wire::dead_letter::DeadLetter;

use super::Ports;
use super::command::Act;
use super::timeline::note;
use crate::ports::{PortError, SagaStore, Time};
use crate::transact::{Sagas, transact};

/// What was replayed of a saga just before is being written to it at the same time.
const ATTEMPTS: u32 = 24;

/// Writes the lines of some dead letters of one saga, all at once. A saga that is gone by now, or that this version cannot
/// read, has none.
pub(super) async fn record<S: SagaStore, T: Time>(
    ports: &Ports<'_, S, T>,
    saga: SagaId,
    dead_letters: &[&DeadLetter],
    act: Act,
    mark: &Mark,
    caller: Option<&Caller>,
) -> Result<(), PortError> {
    let notes = dead_letters
        .iter()
        .map(|dead_letter| note(dead_letter, act, mark, caller));
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
