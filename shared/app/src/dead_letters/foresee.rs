//! What a replay would come to: the receiver's own checks, made beforehand.

use saga_core::origin::{Command, Origin};
use saga_core::participant::Entities;
use saga_core::saga::Status;
use saga_core::{Cloud, Saga, SagaId};
use saga_wire::dead_letter::{DeadLetter, Destination, Forward, Source};
use saga_wire::inbound::{self, Inbound};
use saga_wire::saga_event::SagaEvent;

use super::{Disposition, Ports};
use crate::definitions;
use crate::ports::{PortError, SagaStore, Time};

/// What a replay would come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prospect {
    /// Whether it is worth it: [`Disposition::Tried`], [`Disposition::Ignored`] or [`Disposition::Left`].
    pub disposition: Disposition,
    /// In a sentence.
    pub text: String,
}

/// What is known of a dead letter before anything is done with it.
pub(super) struct Foreseen {
    pub(super) prospect: Prospect,
    /// Whether its saga is there, and readable: then it gets a line in its timeline.
    pub(super) has_saga: bool,
}

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
) -> Result<Foreseen, PortError> {
    let sendable = matches!(dead_letter.forward, Forward::Send { .. });
    let inbound = inbound::text(&dead_letter.event());
    if sendable && matches!(inbound, Inbound::Alert(_) | Inbound::Parked(_)) {
        let text = "would be told on the alerts topic, or be shown on its saga".to_owned();
        let disposition = Disposition::Tried;
        return Ok(Foreseen {
            prospect: Prospect { disposition, text },
            has_saga: false,
        });
    }
    let refused = refused(ports, dead_letter, inbound, saga).await?;
    Ok(Foreseen {
        prospect: prospect(dead_letter, refused.as_deref(), saga.map_or(Known::No, Known::of)),
        has_saga: saga.is_some(),
    })
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
    let event = match event {
        SagaEvent::Ours(event) => event,
        SagaEvent::Outside(outside) => {
            if to == Some(Destination::ParticipantQueue) {
                return Ok(Some(format!(
                    "`{}` came without the attributes that address a step",
                    outside.kind
                )));
            }
            let Some(saga) = saga else { return Ok(None) };
            let Some(definition) = definitions::find(deployment, store, time, &saga.definition).await? else {
                return Ok(Some(definitions::unknown(&saga.definition)));
            };
            return Ok(
                match outside.addressed(saga, &definition, Cloud::Azure, time.now()) {
                    Err(error) => Some(error.0),
                    Ok(event) => {
                        let origin = Origin {
                            saga,
                            definition: Some(&definition),
                            participants: &deployment.participants,
                            patience: deployment.patience,
                            now: time.now(),
                        };
                        let command = Command::Event {
                            event: Box::new(event),
                            publisher: Some(&outside.source),
                        };
                        let refused = origin.apply(&command, &Entities::new()).err();
                        refused.map(|error| error.to_string())
                    }
                },
            );
        }
    };
    if let Err(reason) = definitions::check(deployment, store, time, &event).await? {
        return Ok(Some(reason));
    }
    if let Some(saga) = saga.filter(|saga| saga.definition != event.definition) {
        return Ok(Some(format!(
            "the event says {}, the saga is {}",
            event.definition, saga.definition
        )));
    }
    let wrong_place = match to {
        Some(Destination::EventsQueue) => event.target != Cloud::ORIGIN,
        Some(Destination::ParticipantQueue) => event.target == Cloud::ORIGIN,
        // What the webhook quarantined goes past it now, and has to keep its rule.
        Some(Destination::Bus) if dead_letter.id.source == Source::Quarantine => !event.comes_in(),
        _ => false,
    };
    Ok(wrong_place.then(|| {
        format!(
            "an event from {} for {} does not come in there",
            event.sender, event.target
        )
    }))
}

/// What is known of the saga that a dead letter names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It names none, or none that is known here.
    No,
    /// It stands here.
    Saga {
        /// Its status.
        status: Status,
        /// An override has not been followed everywhere yet.
        closing: bool,
    },
}

impl Known {
    /// What is known of this saga.
    #[must_use]
    pub fn of(saga: &Saga) -> Self {
        Known::Saga {
            status: saga.shown,
            closing: saga.lifecycle.closing,
        }
    }
}

/// Says what a replay of the dead letter would come to. `refused`: why its receiver would not understand it.
#[must_use]
pub fn prospect(dead_letter: &DeadLetter, refused: Option<&str>, saga: Known) -> Prospect {
    let as_is = |disposition, text: String| Prospect { disposition, text };
    if let Forward::Nothing(why) = &dead_letter.forward {
        return as_is(Disposition::Left, format!("cannot be replayed: {why}"));
    }
    if let Some(why) = refused {
        return as_is(Disposition::Left, format!("would be quarantined again: {why}"));
    }
    match saga {
        Known::No if dead_letter.facts.target == Some(Cloud::Azure) => {
            let text = "would be tried again; the saga is not known here, it may have expired";
            as_is(Disposition::Tried, text.to_owned())
        }
        Known::No => {
            let text = match dead_letter.facts.saga {
                Some(saga) => format!("would be quarantined again: there is no saga {saga}"),
                None => "would be quarantined again: it names no saga".to_owned(),
            };
            as_is(Disposition::Left, text)
        }
        Known::Saga {
            status,
            closing: true,
        } => as_is(
            Disposition::Tried,
            format!("would be tried again: saga is {status} and closing"),
        ),
        Known::Saga { status, .. } if status.is_terminal() => as_is(
            Disposition::Ignored,
            format!("would be ignored: saga is {status}"),
        ),
        Known::Saga { status, .. } => as_is(
            Disposition::Tried,
            format!("would be tried again: saga is {status}"),
        ),
    }
}
