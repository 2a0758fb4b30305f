//! An event reaches the cloud that keeps the saga: one conditional transaction decides it.

use saga_core::origin::Origin;
use saga_core::text::shown;
use saga_core::{Cloud, Definition, Outcome, Saga, Timestamp};
use saga_wire::inbound::{self, Inbound};
use saga_wire::quarantine::{Headers, NO_HEADERS};
use saga_wire::saga_event::SagaEvent;

use crate::about;
use crate::definitions;
use crate::log::About;
use crate::park_saga::park_saga;
use crate::ports::{
    Alert, Alerts, Committed, Parked, PortError, Quarantine, Quarantined, SagaStore, Time, back_off, causes,
};
use crate::{Deployment, Handled, MAX_CONFLICTS};

/// The ports that handling an event needs.
pub struct Ports<'a, S, Q, A, T> {
    /// The sagas.
    pub store: &'a S,
    /// Where what cannot be understood is kept.
    pub quarantine: &'a Q,
    /// The monitoring channel.
    pub alerts: &'a A,
    /// Time and chance.
    pub time: &'a T,
}

/// Handles one message of the events queue.
///
/// # Errors
/// [`PortError`]: the message stays on its queue and comes again.
pub async fn handle_event<S: SagaStore, Q: Quarantine, A: Alerts, T: Time>(
    deployment: &Deployment,
    ports: &Ports<'_, S, Q, A, T>,
    body: &str,
) -> Result<Handled, PortError> {
    let handled = match inbound::events_queue(body) {
        Inbound::Event(event) => take(deployment, ports, &event).await?,
        Inbound::Parked(parked) => park(ports, parked).await?,
        Inbound::NotUnderstood(reason) => Handled::Quarantined(reason),
        other => Handled::Quarantined(format!("`{}` is no event of a saga", other.kind())),
    };
    if let Handled::Quarantined(reason) = &handled {
        quarantine(
            ports.quarantine,
            ports.time,
            "saga-events",
            reason,
            &NO_HEADERS,
            body.as_bytes(),
        )
        .await?;
    }
    Ok(handled)
}

/// Keeps a message that cannot be understood. The watch of dead letters raises one alert for all that came in a minute, so
/// that a thousand of them are not a thousand alerts.
pub(crate) async fn quarantine(
    quarantine: &impl Quarantine,
    time: &impl Time,
    entrance: &'static str,
    reason: &str,
    headers: &Headers,
    body: &[u8],
) -> Result<(), PortError> {
    // A reason may quote what others wrote: it is kept and is part of the alert, and not logged.
    let reason = shown(reason);
    let text = String::from_utf8_lossy(body);
    about!(
        warn,
        &About::message(&text),
        entrance,
        outcome = "quarantined",
        "event"
    );
    let message = Quarantined {
        entrance,
        reason: &reason,
        headers,
        body,
        at: time.now(),
    };
    quarantine.keep(message).await
}

/// Decides an event that this cloud can understand.
async fn take<S: SagaStore, Q, A: Alerts, T: Time>(
    deployment: &Deployment,
    ports: &Ports<'_, S, Q, A, T>,
    event: &SagaEvent,
) -> Result<Handled, PortError> {
    if let SagaEvent::Ours(event) = event {
        let checked = definitions::check(deployment, ports.store, ports.time, event).await?;
        if let Err(reason) = checked {
            return Ok(Handled::Quarantined(reason));
        }
        if event.target != Cloud::ORIGIN {
            return Ok(Handled::Quarantined(format!(
                "the event is for {}, and this is {}",
                event.target,
                Cloud::ORIGIN
            )));
        }
    }
    decide(deployment, ports, event).await
}

/// A message was parked on the other cloud: the saga shows it, and one alert is raised.
async fn park<S: SagaStore, Q, A: Alerts, T: Time>(
    ports: &Ports<'_, S, Q, A, T>,
    parked: Parked,
) -> Result<Handled, PortError> {
    let parked = Parked {
        at: ports.time.now(),
        ..parked
    };
    let alert = park_saga(ports.store, ports.time, &parked).await?;
    let Some(alert) = alert else {
        return Ok(Handled::Decided(Outcome::Repeated));
    };
    if let Err(error) = ports.alerts.raise(alert).await {
        about!(
            error,
            &About::named(parked.saga, &parked.event),
            error = causes(&error),
            outcome = "not told",
            "alert not sent"
        );
    }
    Ok(Handled::Decided(Outcome::Applied))
}

/// How many milliseconds a saga took, where this is what ended it.
fn took(before: &Saga, after: &Saga, definition: &Definition, now: Timestamp) -> Option<i64> {
    let ended = |saga: &Saga| saga.status(definition).is_terminal();
    (!ended(before) && ended(after)).then(|| now.millis() - after.created.millis())
}

async fn decide<S: SagaStore, Q, A: Alerts, T: Time>(
    deployment: &Deployment,
    ports: &Ports<'_, S, Q, A, T>,
    incoming: &SagaEvent,
) -> Result<Handled, PortError> {
    for attempt in 1..=MAX_CONFLICTS {
        let Some(saga) = ports.store.load(incoming.saga()).await? else {
            return Ok(Handled::Quarantined(format!(
                "there is no saga {}",
                incoming.saga()
            )));
        };
        let reference = &saga.value.definition;
        let Some(definition) = definitions::find(deployment, ports.store, ports.time, reference).await?
        else {
            return Ok(Handled::Quarantined(definitions::unknown(reference)));
        };
        let definition = definition.as_ref();
        let now = ports.time.now();
        let (event, outsider) = match incoming {
            SagaEvent::Ours(event) if event.definition != saga.value.definition => {
                let (said, is) = (&event.definition, &saga.value.definition);
                return Ok(Handled::Quarantined(format!(
                    "the event says {said}, the saga is {is}"
                )));
            }
            SagaEvent::Ours(event) => (event.clone(), None),
            SagaEvent::Outside(outside) => {
                match outside.addressed(&saga.value, definition, Cloud::Azure, now) {
                    Ok(event) => (event, Some(outside.source.as_str())),
                    Err(error) => return Ok(Handled::Quarantined(error.to_string())),
                }
            }
        };
        let origin = Origin {
            saga: &saga.value,
            definition,
            participants: &deployment.participants,
            patience: deployment.patience,
            now,
        };
        let keys = match origin.reads(&event, outsider) {
            Ok(keys) => keys,
            Err(error) => return Ok(Handled::Quarantined(error.to_string())),
        };
        let read = if keys.is_empty() {
            Default::default()
        } else {
            ports.store.entities(&keys).await?
        };
        let decision = match origin.receive(&event, outsider, &read.entities) {
            Ok(decision) => decision,
            Err(error) => return Ok(Handled::Quarantined(error.to_string())),
        };
        let row = decision
            .emit
            .as_ref()
            .map(|event| deployment.row(event, definition, now));
        if ports
            .store
            .commit(&decision, &saga.version, &read, row.as_ref())
            .await?
            == Committed::Conflict
        {
            back_off(ports.time, attempt).await;
            continue;
        }
        about!(
            info,
            &About::event(&event).within(&decision.saga),
            outcome = decision.outcome.as_str(),
            status = decision.saga.status(definition).as_str(),
            took_ms = took(&saga.value, &decision.saga, definition, now),
            "event"
        );
        if let Some(text) = &decision.alert {
            alert(ports.alerts, &event, text, decision.outcome).await;
        }
        return Ok(Handled::Decided(decision.outcome));
    }
    Err(PortError::Contended {
        what: "the saga",
        attempts: MAX_CONFLICTS,
    })
}

async fn alert(alerts: &impl Alerts, event: &saga_core::Event, text: &str, outcome: Outcome) {
    let alert = Alert {
        subject: format!("saga-bridge: saga {} needs a look", event.saga),
        text: format!(
            "{text}\n\nevent {} ({}), outcome {}",
            event.id,
            event.kind,
            outcome.as_str()
        ),
    };
    if let Err(error) = alerts.raise(alert).await {
        about!(
            error,
            &About::event(event),
            error = causes(&error),
            outcome = "not told",
            "alert not sent"
        );
    }
}
