//! The lines in the timeline of a saga's letters: who did what, and when; and with them what it shows as parked.

use saga_core::mark::{Caller, Mark};
use saga_core::origin::OriginDecision;
use saga_core::{Saga, SagaId, Timestamp};
use saga_wire::dead_letter::DeadLetter;

use super::Ports;
use super::command::Act;
use super::timeline::{recorded, unparked};
use crate::ports::{Committed, PortError, SagaStore, Snapshot, Time, back_off};

/// What was replayed of a saga just before is being written to it at the same time.
const ATTEMPTS: u32 = 24;

/// Writes the lines of some letters of one saga, all at once. A saga that is gone by now, or that this version cannot
/// read, has none.
pub(super) async fn record<S: SagaStore, T: Time>(
    ports: &Ports<'_, S, T>,
    saga: SagaId,
    letters: &[&DeadLetter],
    act: Act,
    mark: &Mark,
    caller: Option<&Caller>,
) -> Result<(), PortError> {
    write(ports, saga, |saga| {
        Some(recorded(saga, letters, act, mark, caller))
    })
    .await
}

/// Writes to a saga of which no letter was left anywhere at `looked` that it is not parked.
pub(super) async fn record_none_left<S: SagaStore, T: Time>(
    ports: &Ports<'_, S, T>,
    saga: SagaId,
    looked: Timestamp,
    mark: &Mark,
    caller: Option<&Caller>,
) -> Result<(), PortError> {
    write(ports, saga, |saga| unparked(saga, looked, mark, caller)).await
}

async fn write<S: SagaStore, T: Time>(
    ports: &Ports<'_, S, T>,
    saga: SagaId,
    decide: impl Fn(&Saga) -> Option<OriginDecision> + Send + Sync,
) -> Result<(), PortError> {
    for attempt in 1..=ATTEMPTS {
        let found = match ports.store.load(saga).await {
            Ok(Some(found)) => found,
            Ok(None) | Err(PortError::Corrupt { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let Some(decision) = decide(&found.value) else {
            return Ok(());
        };
        let committed = ports
            .store
            .commit(&decision, &found.version, &Snapshot::default(), None)
            .await?;
        if committed == Committed::Yes {
            return Ok(());
        }
        back_off(ports.time, attempt).await;
    }
    Err(PortError::Contended {
        what: "the saga",
        attempts: ATTEMPTS,
    })
}
