//! What a replay would come to: the receiver's own checks, made beforehand.

use saga_core::dead_letter::{DeadLetter, Destination, Forward, Known, Prospect, Source, Verdict, prospect};
use saga_core::origin::Misaddressed;
use saga_core::{Address, Cloud, Saga, SagaId};
use saga_wire::dead_letter::event_in;
use saga_wire::incoming::{Incoming, check};
use saga_wire::{alert_event, event_grid, parked_event};

use super::Ports;
use crate::Deployment;
use crate::ports::{PortError, SagaStore, Time};

/// What is known of a letter before anything is done with it.
pub(super) struct Foreseen {
    pub(super) prospect: Prospect,
    /// Whether its saga is there, and readable: then it gets a line in its timeline.
    pub(super) has_saga: bool,
}

/// The saga of a letter, if there is one that this version can read.
///
/// # Errors
/// [`PortError`] when the store fails.
pub(super) async fn saga_of<S: SagaStore, T>(
    ports: &Ports<'_, S, T>,
    saga: SagaId,
) -> Result<Option<Saga>, PortError> {
    match ports.store.load(saga).await {
        Ok(found) => Ok(found.map(|found| found.value)),
        // What this version cannot read must not keep an operator from its letters.
        Err(PortError::Corrupt { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Says what a replay of a letter of this saga would come to.
pub(super) fn foresee<S, T: Time>(
    ports: &Ports<'_, S, T>,
    letter: &DeadLetter,
    saga: Option<&Saga>,
) -> Foreseen {
    let sendable = matches!(letter.forward, Forward::Send { .. });
    let text = event_in(letter);
    if sendable && (alert_event::parse(&text).is_some() || parked_event::parse(&text).is_some()) {
        let text = "would be told on the alerts topic, or be shown on its saga".to_owned();
        let verdict = Verdict::Tried;
        return Foreseen {
            prospect: Prospect { verdict, text },
            has_saga: false,
        };
    }
    let definition = saga.and_then(|saga| ports.deployment.catalogue.get(&saga.definition));
    let known = match (saga, definition) {
        (Some(saga), Some(definition)) => Known::of(saga, definition),
        _ => Known::No,
    };
    let refused = refused(ports.deployment, letter, saga, ports.time);
    Foreseen {
        prospect: prospect(letter, refused.as_deref(), known),
        has_saga: definition.is_some(),
    }
}

/// Why the letter's receiver would not understand it, if it would not.
fn refused(
    deployment: &Deployment,
    letter: &DeadLetter,
    saga: Option<&Saga>,
    time: &impl Time,
) -> Option<String> {
    if letter.facts.unreadable.is_some() {
        return letter.facts.unreadable.clone();
    }
    let to = match &letter.forward {
        Forward::Send { to, .. } => Some(*to),
        _ => None,
    };
    let event = match event_grid::event(&event_in(letter)) {
        Err(error) => return Some(error.0),
        Ok(Incoming::Ours(event)) => event,
        Ok(Incoming::Outside(outside)) => {
            if to == Some(Destination::ParticipantQueue) {
                return Some(format!(
                    "`{}` came without the attributes that address a step",
                    outside.kind
                ));
            }
            let saga = saga?;
            let definition = deployment.catalogue.get(&saga.definition)?;
            return match outside.addressed(saga, definition, Cloud::Azure, time.now()) {
                Err(error) => Some(error.0),
                Ok(event) if matches!(event.address, Address::Advance(_)) => {
                    Some(Misaddressed::OutOfTurn.to_string())
                }
                Ok(_) => None,
            };
        }
    };
    if let Err(error) = check(&event, &deployment.catalogue) {
        return Some(error.0);
    }
    if let Some(saga) = saga.filter(|saga| saga.definition != event.definition) {
        return Some(format!(
            "the event says {}, the saga is {}",
            event.definition, saga.definition
        ));
    }
    let wrong_place = match to {
        Some(Destination::EventsQueue) => event.target != Cloud::ORIGIN,
        Some(Destination::ParticipantQueue) => event.target == Cloud::ORIGIN,
        // What the webhook quarantined goes past it now, and has to keep its rule.
        Some(Destination::Bus) if letter.id.source == Source::Quarantine => {
            event.sender == Cloud::ORIGIN || event.target != Cloud::ORIGIN
        }
        _ => false,
    };
    wrong_place.then(|| {
        format!(
            "an event from {} for {} does not come in there",
            event.sender, event.target
        )
    })
}
