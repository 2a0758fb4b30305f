//! A saga shows that a message of it came to rest in a dead-letter store.

use saga_core::mark::ParkedMessage;
use saga_core::origin::Command;
use saga_core::{Definition, EventId, Saga, SagaId};
use saga_wire::dead_letter::DeadLetterId;

use crate::about;
use crate::dead_letters::is_dealt_with;
use crate::log::About;
use crate::ports::{Alert, Parked, Parking, PortError, SagaStore, Time};
use crate::transact::{Sagas, transact};

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

/// The same for a dead letter that was seen, unless somebody has dealt with it since.
///
/// # Errors
/// [`PortError`] when the store fails.
pub async fn park_dead_letter(
    store: &impl SagaStore,
    time: &impl Time,
    dead_letter: &DeadLetterId,
    parked: &Parked,
) -> Result<Option<Alert>, PortError> {
    let dealt_with = |saga: &Saga| is_dealt_with(saga, dead_letter, parked.at);
    park_unless(store, time, parked, dealt_with).await
}

async fn park_unless(
    store: &impl SagaStore,
    time: &impl Time,
    parked: &Parked,
    unless: impl Fn(&Saga) -> bool,
) -> Result<Option<Alert>, PortError> {
    let message = ParkedMessage::new(parked.event.clone(), parked.at, &parked.reason);
    let command = |saga: &Saga, _: Option<&Definition>, _| {
        let park = || Command::Park(message.clone());
        Ok::<_, PortError>((!unless(saga)).then(park))
    };
    let sagas = Sagas::without_definitions(store, time);
    let done = transact(&sagas, parked.saga, command).await?;
    let Some(decision) = done.and_then(|done| done.decided.decision()) else {
        return Ok(None);
    };
    about!(
        warn,
        &About::named(parked.saga, &parked.event).within(&decision.saga),
        flag = "parked",
        outcome = "flagged",
        "saga flagged"
    );
    Ok(decision.alert.map(|text| Alert {
        subject: format!("saga-bridge: saga {} is parked", parked.saga),
        text,
    }))
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
        Ok(found.is_some_and(|found| found.value.is_parked(event)))
    }

    async fn park(&self, parked: &Parked) -> Result<(), PortError> {
        park_saga(self.store, self.time, parked).await.map(drop)
    }
}
