//! What a replay would come to: the receiver's own checks, made beforehand.

use saga_core::origin::{Command, Origin};
use saga_core::participant::Entities;
use saga_core::text::shown;
use saga_core::{Address, Cloud, Saga, SagaId};
use saga_wire::dead_letter::{DeadLetter, Destination, Forward, Source};
use saga_wire::inbound::{self, Inbound};
use saga_wire::saga_event::SagaEvent;

use super::request::foresee_request;
use super::{Disposition, Ports, Prospect};
use crate::definitions;
use crate::ports::{PortError, SagaStore, Time};

/// The saga of a dead letter, if there is one that this version can read.
///
/// # Errors
/// [`PortError`] when the store fails.
pub(super) async fn saga_of<S: SagaStore, T>(
    ports: &Ports<'_, S, T>,
    saga: SagaId,
) -> Result<Option<Saga>, PortError> {
    match ports.store.load(saga).await {
        Ok(found) => Ok(found.map(|found| found.value)),
        // What this version cannot read must not keep an operator from its dead letters.
        Err(PortError::Corrupt { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Says what a replay of a dead letter of this saga would come to.
///
/// # Errors
/// [`PortError`] when a definition has to be looked up and the store fails.
pub(super) async fn foresee<S: SagaStore, T: Time>(
    ports: &Ports<'_, S, T>,
    dead_letter: &DeadLetter,
    saga: Option<&Saga>,
) -> Result<Prospect, PortError> {
    let inbound = inbound::text(&dead_letter.event());
    let is_notice = matches!(inbound, Inbound::Alert(_) | Inbound::Parked(_));
    if is_notice && matches!(dead_letter.forward, Forward::Send { .. }) {
        return Ok(Prospect {
            disposition: Disposition::Tried,
            text: "would be sent to the alerts topic, or be shown on its saga".to_owned(),
        });
    }
    if let Inbound::Service(state) = &inbound
        && !matches!(dead_letter.forward, Forward::Nothing(_))
    {
        let service = shown(&state.service);
        return Ok(Prospect {
            disposition: Disposition::Tried,
            text: format!(
                "would be tried again: it is about service `{service}`, and changes nothing if it is late"
            ),
        });
    }
    let ours = match &inbound {
        Inbound::Event(event) => match event.as_ref() {
            SagaEvent::Ours(event) => Some(event.clone()),
            SagaEvent::Outside(_) => None,
        },
        _ => None,
    };
    let refused = refused(ports, dead_letter, inbound, saga).await?;
    let is_sent = refused.is_none() && !matches!(dead_letter.forward, Forward::Nothing(_));
    if let Some(event) = ours.filter(|_| is_sent)
        && let Some(prospect) = foresee_request(ports, &event, saga).await?
    {
        return Ok(prospect);
    }
    Ok(prospect(dead_letter, refused.as_deref(), saga))
}

/// Why the dead letter's receiver would not understand it, if it would not.
async fn refused<S: SagaStore, T: Time>(
    ports: &Ports<'_, S, T>,
    dead_letter: &DeadLetter,
    inbound: Inbound,
    saga: Option<&Saga>,
) -> Result<Option<String>, PortError> {
    if dead_letter.facts.unreadable.is_some() {
        return Ok(dead_letter.facts.unreadable.clone());
    }
    let (deployment, store, time) = (ports.deployment, ports.store, ports.time);
    let to = match &dead_letter.forward {
        Forward::Send { to, .. } => Some(*to),
        _ => None,
    };
    let event = match inbound {
        Inbound::Event(event) => *event,
        Inbound::NotUnderstood(reason) => return Ok(Some(reason)),
        other => return Ok(Some(format!("`{}` is no event of a saga", other.kind()))),
    };
    let event = match (event, saga) {
        (SagaEvent::Ours(event), _) => event,
        (SagaEvent::Outside(outside), _) if to.is_some_and(takes_requests) => {
            return Ok(Some(format!("`{}` asks nothing of a service", outside.kind)));
        }
        (SagaEvent::Outside(outside), _) if to == Some(Destination::ParticipantQueue) => {
            let kind = outside.kind;
            let why = format!("`{kind}` came without the attributes that address a step");
            return Ok(Some(why));
        }
        (SagaEvent::Outside(_), None) => return Ok(None),
        (SagaEvent::Outside(outside), Some(saga)) => {
            let Some(definition) = definitions::find(deployment, store, time, &saga.definition).await? else {
                return Ok(Some(definitions::unknown(&saga.definition)));
            };
            let now = time.now();
            let event = match outside.addressed(saga, &definition, Cloud::Azure, now) {
                Ok(event) => Box::new(event),
                Err(error) => return Ok(Some(error.0)),
            };
            let origin = Origin {
                saga,
                definition: Some(&definition),
                participants: &deployment.participants,
                patience: deployment.patience,
                now,
            };
            let publisher = Some(outside.source.as_str());
            let refused = origin.apply(&Command::Event { event, publisher }, &Entities::new());
            return Ok(refused.err().map(|error| error.to_string()));
        }
    };
    if let Err(reason) = definitions::check(deployment, store, time, &event).await? {
        return Ok(Some(reason));
    }
    if let Some(saga) = saga.filter(|saga| saga.definition != event.definition) {
        let (event, saga) = (&event.definition, &saga.definition);
        return Ok(Some(format!("the event says {event}, the saga is {saga}")));
    }
    let at_origin = event.target == Cloud::ORIGIN;
    let is_request = matches!(event.address, Address::Act(_) | Address::Undo(_));
    let wrong_place = match to {
        Some(Destination::EventsQueue) => !at_origin || event.mailbox.is_some(),
        Some(Destination::ParticipantQueue) => at_origin || event.mailbox.is_some(),
        Some(Destination::ServiceQueue) => !at_origin || !is_request,
        Some(Destination::AzureServiceQueue) => at_origin || !is_request,
        // What the webhook quarantined goes past it now, and has to keep its rule.
        Some(Destination::Bus) if dead_letter.id.source == Source::Quarantine => !event.comes_in(),
        _ => false,
    };
    let (sender, target) = (event.sender, event.target);
    let why = || format!("an event from {sender} for {target} does not come in there");
    Ok(wrong_place.then(why))
}

/// Whether only requests to outside services come in there.
fn takes_requests(to: Destination) -> bool {
    matches!(to, Destination::ServiceQueue | Destination::AzureServiceQueue)
}

/// Says what a replay of the dead letter would come to. `refused`: why its receiver would not understand it. `saga`: the
/// one that it names, if it is known here.
#[must_use]
pub fn prospect(dead_letter: &DeadLetter, refused: Option<&str>, saga: Option<&Saga>) -> Prospect {
    let facts = &dead_letter.facts;
    let (disposition, text) = match (&dead_letter.forward, refused, saga) {
        (Forward::Nothing(why), _, _) => (Disposition::Left, format!("cannot be replayed: {why}")),
        (_, Some(why), _) => (Disposition::Left, format!("would be quarantined again: {why}")),
        (_, _, None) if facts.target == Some(Cloud::Azure) => (
            Disposition::Tried,
            "would be tried again; the saga is not known here, it may have expired".to_owned(),
        ),
        (_, _, None) => {
            let none = facts.saga.map(|saga| format!("there is no saga {saga}"));
            let why = none.unwrap_or_else(|| "it names no saga".to_owned());
            (Disposition::Left, format!("would be quarantined again: {why}"))
        }
        (_, _, Some(saga)) => {
            let (status, closing) = (saga.shown, saga.lifecycle.closing);
            match (closing, status.is_terminal()) {
                (true, _) => (
                    Disposition::Tried,
                    format!("would be tried again: saga is {status} and closing"),
                ),
                (_, true) => (
                    Disposition::Ignored,
                    format!("would be ignored: saga is {status}"),
                ),
                _ => (
                    Disposition::Tried,
                    format!("would be tried again: saga is {status}"),
                ),
            }
        }
    };
    Prospect { disposition, text }
}
