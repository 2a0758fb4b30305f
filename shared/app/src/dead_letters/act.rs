//! One letter: replayed or discarded.
//!
//! The order is the invariant. First what takes the letter's place, then the record of it, and the removal last: a
//! crash between any two leaves the letter where it is, and a second replay does no harm.

use saga_core::dead_letter::{Act, Forward};
use saga_core::saga::{Asked, Caller, Mark};
use saga_wire::dead_letter::http::Item;

use super::Ports;
use super::ports::{Discarded, Held, LetterSource, Removal};
use super::record::record;
use crate::ports::{PortError, SagaStore, Time, causes};

/// What became of a letter.
pub(super) enum Done {
    /// What was asked for.
    Yes(String),
    /// It was not ours any more when it was to go.
    Taken(String),
    /// It stays as it is.
    Failed(String),
}

const STAYS: &str = "the letter stays, and a second replay does no harm";

/// Does it. `has_saga`: its saga is there and gets a line.
pub(super) async fn act<S: SagaStore, T: Time>(
    ports: &Ports<'_, S, T>,
    source: &dyn LetterSource,
    held: &Held,
    what: Act,
    asked: Asked<'_>,
    has_saga: bool,
) -> Done {
    let done = attempt(ports, source, held, what, asked, has_saga).await;
    let (outcome, text) = match &done {
        Done::Yes(text) => (what.as_str(), text),
        Done::Taken(text) => ("taken", text),
        Done::Failed(text) => ("failed", text),
    };
    let facts = &held.letter.facts;
    let saga_id = facts.saga.map(|saga| saga.to_string());
    let event_id = facts.event.as_ref().map(|event| event.as_str());
    let caller = asked.caller.map(Caller::as_str);
    tracing::info!(letter = %held.letter.id, saga_id, event_id, by = asked.by, caller, outcome, text, "dead letter");
    done
}

async fn attempt<S: SagaStore, T: Time>(
    ports: &Ports<'_, S, T>,
    source: &dyn LetterSource,
    held: &Held,
    what: Act,
    asked: Asked<'_>,
    has_saga: bool,
) -> Done {
    let letter = &held.letter;
    let now = ports.time.now();
    let placed = match (what, &letter.forward) {
        (Act::Discard, _) => {
            let discarded = Discarded {
                letter,
                at: now,
                asked,
            };
            match ports.archive.keep(discarded).await {
                Ok(()) => "archived".to_owned(),
                Err(error) => return failed("could not be archived", &error, "nothing was done"),
            }
        }
        (Act::Replay, Forward::Send { to, message }) => match ports.outlet.send(*to, letter, message).await {
            Ok(Ok(())) => format!("sent to the {}", to.as_str()),
            Ok(Err(reason)) => {
                return Done::Failed(format!("the {} refuses it: {reason}; it stays", to.as_str()));
            }
            Err(error) => {
                return failed(
                    "could not be sent",
                    &error,
                    "it stays; whether it was sent is not known",
                );
            }
        },
        (Act::Replay, Forward::Requeue) => "made pending again".to_owned(),
        (Act::Replay, Forward::Nothing(why)) => return Done::Failed(format!("cannot be replayed: {why}")),
    };
    if let (Some(saga), true) = (letter.facts.saga, has_saga) {
        let mark = Mark::new(now, asked.by, asked.why);
        if let Err(error) = record(ports, saga, letter, what, &mark, asked.caller).await {
            return failed("its saga's timeline could not be written", &error, STAYS);
        }
    }
    let removed = match (what, &letter.forward) {
        (Act::Replay, Forward::Requeue) => source.requeue(held, now).await,
        _ => source.remove(held).await,
    };
    match removed {
        Ok(Removal::Removed) => Done::Yes(placed),
        Ok(Removal::NotOurs) if letter.forward == Forward::Requeue && what == Act::Replay => {
            Done::Taken("another operator took it, or it was removed; nothing was done".to_owned())
        }
        Ok(Removal::NotOurs) => {
            let meanwhile =
                "but meanwhile another operator took it, or its receipt expired; that does no harm";
            Done::Taken(format!("{placed}, {meanwhile}"))
        }
        Err(error) => failed(&format!("{placed}, but could not be removed"), &error, STAYS),
    }
}

fn failed(what: &str, error: &PortError, so: &str) -> Done {
    tracing::warn!(error = causes(error), "dead letter");
    Done::Failed(format!("{what}: {}; {so}", causes(error)))
}

/// The line of a report.
pub(super) fn item(held: &Held, outcome: &'static str, text: String) -> Item {
    Item {
        id: held.letter.id.to_string(),
        saga_id: held.letter.facts.saga.map(|saga| saga.to_string()),
        outcome,
        text,
    }
}
