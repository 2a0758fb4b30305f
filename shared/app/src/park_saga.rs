//! A saga shows that a message of it came to rest in a dead-letter store.

use saga_core::mark::Mark;
use saga_core::sweep::park;
use saga_core::{EventId, Saga, SagaId};
use saga_wire::dead_letter::DeadLetterId;

use crate::dead_letters::is_dealt_with;
use crate::log::About;
use crate::ports::{Alert, Committed, Parked, Parking, PortError, SagaStore, Snapshot, Time, back_off};
use crate::{MAX_CONFLICTS, about};

/// Marks the saga as parked, whether or not its definition is known here, until an operator replays or discards the
/// message. The alert that is due when no message of it was parked before; none when one was, or the saga has ended, or
/// does not exist.
///
/// # Errors
/// [`PortError`] when the store fails.
pub async fn park_saga(
    store: &impl SagaStore,
    time: &impl Time,
    parked: &Parked,
) -> Result<Option<Alert>, PortError> {
    park_unless(store, time, parked, |_| false).await
}

/// The same for a letter that was seen lying there, unless somebody has dealt with it since.
///
/// # Errors
/// [`PortError`] when the store fails.
pub async fn park_letter(
    store: &impl SagaStore,
    time: &impl Time,
    letter: &DeadLetterId,
    parked: &Parked,
) -> Result<Option<Alert>, PortError> {
    let dealt_with = |saga: &Saga| is_dealt_with(saga, letter, parked.at);
    park_unless(store, time, parked, dealt_with).await
}

async fn park_unless(
    store: &impl SagaStore,
    time: &impl Time,
    parked: &Parked,
    unless: impl Fn(&Saga) -> bool + Send + Sync,
) -> Result<Option<Alert>, PortError> {
    for attempt in 1..=MAX_CONFLICTS {
        let Some(saga) = store.load(parked.saga).await? else {
            return Ok(None);
        };
        if unless(&saga.value) {
            return Ok(None);
        }
        let mark = Mark::new(parked.at, parked.event.as_str(), &parked.reason);
        let Some(decision) = park(&saga.value, mark) else {
            return Ok(None);
        };
        if store
            .commit(&decision, &saga.version, &Snapshot::default(), None)
            .await?
            == Committed::Conflict
        {
            back_off(time, attempt).await;
            continue;
        }
        about!(
            warn,
            &About::named(parked.saga, &parked.event).within(&decision.saga),
            flag = "parked",
            outcome = "flagged",
            "saga flagged"
        );
        return Ok(decision.alert.map(|text| Alert {
            subject: format!("saga-bridge: saga {} is parked", parked.saga),
            text,
        }));
    }
    Err(PortError::Contended {
        what: "the saga",
        attempts: MAX_CONFLICTS,
    })
}

/// Parks at the store of the sagas, for whoever runs beside it and tells the monitoring channel itself.
pub struct AtOrigin<'a, S, T> {
    store: &'a S,
    time: &'a T,
}

impl<'a, S, T> AtOrigin<'a, S, T> {
    /// Parks at this store.
    #[must_use]
    pub fn new(store: &'a S, time: &'a T) -> Self {
        Self { store, time }
    }
}

impl<S: SagaStore, T: Time> Parking for AtOrigin<'_, S, T> {
    async fn is_parked(&self, saga: SagaId, event: &EventId) -> Result<bool, PortError> {
        let found = self.store.load(saga).await?;
        Ok(found.is_some_and(|found| found.value.is_parked(event.as_str())))
    }

    async fn park(&self, parked: &Parked) -> Result<(), PortError> {
        park_saga(self.store, self.time, parked).await.map(drop)
    }
}
