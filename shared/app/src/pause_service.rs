//! An operator pauses an outside service, or resumes it.
//!
//! Invariants: once a pause is committed on the cloud that calls the service, no request to it begins; of two changes the later
//! one holds, in whatever order they arrive. The cloud that keeps the sagas keeps each service's state. For a service that the
//! other cloud calls, an event tells of it, committed in the same transaction.

use futures_util::future::try_join_all;
use saga_core::mark::Asked;
use saga_core::{Cloud, Outcome, ServiceState};
use saga_wire::notice;
use saga_wire::services::Service;

use crate::Deployment;
use crate::ports::outbox::{OutboxRow, Tries};
use crate::ports::{Committed, Envelope, PortError, ServiceChanges, ServiceStates, Time};
use crate::transact::{Conflicts, MAX_CONFLICTS};

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum NotChanged {
    /// No service of this name is bound.
    #[error("no service `{name}` is bound in this deployment; {}", bound(known))]
    Unknown {
        /// As it was asked for.
        name: String,
        /// Those that are bound.
        known: Vec<String>,
    },
    /// The store failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

fn bound(known: &[String]) -> String {
    match known {
        [] => "none is".to_owned(),
        known => format!("these are: {}", known.join(", ")),
    }
}

/// A service and its state.
pub struct Changed<'d> {
    /// The service.
    pub service: &'d Service,
    /// Its state now.
    pub state: ServiceState,
    /// The other cloud calls it, and has yet to hear of it.
    pub forwarded: bool,
}

/// Pauses or resumes a service. What holds already is left as it is; its event is sent to the other cloud once more.
///
/// # Errors
/// [`NotChanged`].
pub async fn change_service<'d, S: ServiceChanges, T: Time>(
    deployment: &'d Deployment,
    store: &S,
    time: &T,
    name: &str,
    paused: bool,
    asked: Asked<'_>,
) -> Result<Changed<'d>, NotChanged> {
    let services = deployment.services.as_ref();
    let Some(service) = services.and_then(|services| services.get(name)) else {
        let known = services.into_iter().flat_map(|services| services.iter());
        return Err(NotChanged::Unknown {
            name: name.chars().take(64).collect(),
            known: known.map(|service| service.name.clone()).collect(),
        });
    };
    let forwarded = service.cloud != Cloud::ORIGIN;
    let mut conflicts = Conflicts::new(time, "the service's state", MAX_CONFLICTS);
    loop {
        let known = store.service_state(name).await?;
        let now = time.now();
        let state = match known.as_ref().filter(|known| known.paused == paused) {
            Some(holds) if forwarded => holds.again(now),
            Some(holds) => {
                let state = holds.clone();
                return Ok(Changed {
                    service,
                    state,
                    forwarded,
                });
            }
            None => ServiceState::changed(name, known.as_ref(), paused, asked, now),
        };
        let row = forwarded.then(|| OutboxRow {
            shard: state.stand_in().bucket(deployment.shards),
            event: Envelope {
                id: state.event_id(now),
                saga: state.stand_in(),
                kind: notice::type_of_service(&state).to_owned(),
                body: notice::write_service(&state, now),
            },
            at: now,
            queued: now,
            follows: true,
            tries: Tries::default(),
        });
        let committed = match &row {
            Some(row) => store.keep_and_send_service_state(&state, row).await?,
            None => store.keep_service_state(&state).await?,
        };
        if committed == Committed::Yes {
            log(&state, Outcome::Applied);
            return Ok(Changed {
                service,
                state,
                forwarded,
            });
        }
        conflicts.one_more().await?;
    }
}

/// Every service that is bound, with its last change if there was one, by name.
///
/// # Errors
/// [`PortError`] of the store.
pub async fn list_services<'d>(
    deployment: &'d Deployment,
    store: &impl ServiceStates,
) -> Result<Vec<(&'d Service, Option<ServiceState>)>, PortError> {
    let services = deployment.services.iter().flat_map(|services| services.iter());
    let each = services.map(async |service| Ok((service, store.service_state(&service.name).await?)));
    try_join_all(each).await
}

/// Keeps what the origin says of a service. An event that comes late or again changes nothing.
///
/// # Errors
/// [`PortError`]: the event stays on its queue and comes again.
pub async fn hear_of_service<S: ServiceStates, T: Time>(
    store: &S,
    time: &T,
    state: &ServiceState,
) -> Result<Outcome, PortError> {
    let mut conflicts = Conflicts::new(time, "the service's state", MAX_CONFLICTS);
    loop {
        if store.keep_service_state(state).await? == Committed::Yes {
            log(state, Outcome::Applied);
            return Ok(Outcome::Applied);
        }
        let kept = store.service_state(&state.service).await?;
        if let Some(kept) = kept.filter(|kept| kept.number >= state.number) {
            let outcome = if kept.number == state.number {
                Outcome::Repeated
            } else {
                Outcome::Late
            };
            log(state, outcome);
            return Ok(outcome);
        }
        conflicts.one_more().await?;
    }
}

fn log(state: &ServiceState, outcome: Outcome) {
    let (service, number, paused) = (&state.service, state.number, state.paused);
    tracing::info!(
        service,
        number,
        paused,
        outcome = outcome.as_str(),
        "service state"
    );
}
