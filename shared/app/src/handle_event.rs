//! An event reaches the cloud that keeps the saga: one conditional transaction decides it.

use saga_core::origin::{Command, Decided, Misaddressed};
use saga_core::text::shown;
use saga_core::{Cloud, Definition, Outcome, Saga, Status, Timestamp};
use saga_wire::inbound::{self, Inbound};
use saga_wire::quarantine::{Headers, NO_HEADERS};
use saga_wire::saga_event::SagaEvent;

use crate::about;
use crate::alerts::{needs_a_look, send};
use crate::definitions;
use crate::log::About;
use crate::park_saga::park_saga;
use crate::ports::{Alerts, Parked, PortError, Quarantine, Quarantined, SagaStore, Time};
use crate::transact::{Refused, Sagas, Transacted, transact};
use crate::{Deployment, Handled};

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
    send(ports.alerts, alert, &About::named(parked.saga, &parked.event)).await;
    Ok(Handled::Decided(Outcome::Applied))
}

/// How many milliseconds a saga took, where this is what ended it.
fn took(done: &Transacted<'_>, after: Status) -> Option<i64> {
    let before = done.before.status_with(done.definition.as_deref());
    let ended = !before.is_terminal() && after.is_terminal();
    ended.then(|| done.now.millis() - done.before.created.millis())
}

async fn decide<S: SagaStore, Q, A: Alerts, T: Time>(
    deployment: &Deployment,
    ports: &Ports<'_, S, Q, A, T>,
    incoming: &SagaEvent,
) -> Result<Handled, PortError> {
    let sagas = Sagas::new(deployment, ports.store, ports.time);
    let command =
        |saga: &Saga, definition: Option<&Definition>, now| command(incoming, saga, definition, now);
    let done = match transact(&sagas, incoming.saga(), command).await {
        Ok(Some(done)) => done,
        Ok(None) => {
            let reason = format!("there is no saga {}", incoming.saga());
            return Ok(Handled::Quarantined(reason));
        }
        Err(NotDecided::Misunderstood(reason)) => return Ok(Handled::Quarantined(reason)),
        Err(NotDecided::Port(error)) => return Err(error),
    };
    let outcome = done.decided.outcome();
    if let (Command::Event { event, .. }, Decided::Commit(decision)) = (&done.command, &done.decided) {
        about!(
            info,
            &About::event(event).within(&decision.saga),
            outcome = outcome.as_str(),
            status = decision.status.as_str(),
            took_ms = took(&done, decision.status),
            "event"
        );
        if let Some(text) = &decision.alert {
            alert(ports.alerts, event, text, outcome).await;
        }
    }
    Ok(Handled::Decided(outcome))
}

/// Why an event was not decided.
enum NotDecided {
    Port(PortError),
    /// The reason for the quarantine.
    Misunderstood(String),
}

impl From<PortError> for NotDecided {
    fn from(error: PortError) -> Self {
        Self::Port(error)
    }
}

impl From<Refused> for NotDecided {
    fn from(refused: Refused) -> Self {
        Self::Misunderstood(match refused.why {
            Misaddressed::NoDefinition(reference) => definitions::unknown(&reference),
            why => why.to_string(),
        })
    }
}

/// The event as a command for the saga that it names.
fn command<'a>(
    incoming: &'a SagaEvent,
    saga: &Saga,
    definition: Option<&Definition>,
    now: Timestamp,
) -> Result<Option<Command<'a>>, NotDecided> {
    let (event, publisher) = match incoming {
        SagaEvent::Ours(event) => (event.clone(), None),
        SagaEvent::Outside(outside) => {
            let unknown = || NotDecided::Misunderstood(definitions::unknown(&saga.definition));
            let event = outside.addressed(saga, definition.ok_or_else(unknown)?, Cloud::Azure, now);
            let event = event.map_err(|error| NotDecided::Misunderstood(error.to_string()))?;
            (event, Some(outside.source.as_str()))
        }
    };
    let event = Box::new(event);
    Ok(Some(Command::Event { event, publisher }))
}

async fn alert(alerts: &impl Alerts, event: &saga_core::Event, text: &str, outcome: Outcome) {
    let (id, kind, outcome) = (&event.id, &event.kind, outcome.as_str());
    let text = format!("{text}\n\nevent {id} ({kind}), outcome {outcome}");
    send(alerts, needs_a_look(event.saga, text), &About::event(event)).await;
}
