//! The lines in the timeline of a saga's letters: who did what, and when.

use saga_core::SagaId;
use saga_core::dead_letter::{Act, DeadLetter, recorded};
use saga_core::saga::{Caller, Mark};

use super::Ports;
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
    for attempt in 1..=ATTEMPTS {
        let found = match ports.store.load(saga).await {
            Ok(Some(found)) => found,
            Ok(None) | Err(PortError::Corrupt { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let Some(definition) = ports.deployment.catalogue.get(&found.value.definition) else {
            return Ok(());
        };
        let decision = recorded(&found.value, definition, letters, act, mark, caller);
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
