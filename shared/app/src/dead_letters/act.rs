//! Some letters side by side: replayed or discarded.
//!
//! The order is the invariant. First what takes a letter's place, then the record of it, and the removal last: a
//! crash between any two leaves the letter where it is, and a second replay does no harm.

use std::collections::BTreeMap;

use futures_util::future::{join, join_all};
use saga_core::mark::{Asked, Caller, Mark};
use saga_core::{SagaId, Timestamp};
use saga_wire::dead_letter::{DeadLetter, DeadLetterId, Forward};

use super::command::Act;
use super::ports::{Discarded, Held, LetterSource, Removal};
use super::record::record;
use super::{Disposition, Item, Ports};
use crate::about;
use crate::log::About;
use crate::ports::{PortError, SagaStore, Time, causes};

/// A letter that is to be replayed or discarded.
pub(super) struct Begun {
    /// The letter.
    pub(super) held: Held,
    /// Its saga is there, and gets a line.
    pub(super) has_saga: bool,
    /// Not before this time.
    pub(super) at: Timestamp,
}

impl Begun {
    fn saga(&self) -> Option<SagaId> {
        self.held.letter.facts.saga.filter(|_| self.has_saga)
    }
}

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

/// A letter whose place is taken, and by what.
pub(super) struct Placed {
    letter: Begun,
    by_what: String,
}

/// Puts something in the place of each letter, in its time; and the letters for which that failed.
pub(super) async fn place_all<S, T: Time>(
    ports: &Ports<'_, S, T>,
    what: Act,
    asked: Asked<'_>,
    letters: Vec<Begun>,
) -> (Vec<Placed>, Vec<(Held, Done)>) {
    let tried = join_all(letters.iter().map(|one| place(ports, one, what, asked))).await;
    let (mut placed, mut failed) = (Vec::new(), Vec::new());
    for (letter, tried) in letters.into_iter().zip(tried) {
        match tried {
            Ok(by_what) => placed.push(Placed { letter, by_what }),
            Err(done) => {
                log(&letter.held.letter, what, asked, &done);
                failed.push((letter.held, done));
            }
        }
    }
    (placed, failed)
}

/// Writes the record of it, saga by saga, and removes the letters.
pub(super) async fn settle<S: SagaStore, T: Time>(
    ports: &Ports<'_, S, T>,
    source: &dyn LetterSource,
    what: Act,
    asked: Asked<'_>,
    letters: Vec<Placed>,
) -> Vec<(Held, Done)> {
    let mut of_sagas = BTreeMap::<SagaId, Vec<&DeadLetter>>::new();
    for Placed { letter, .. } in &letters {
        if let Some(saga) = letter.saga() {
            of_sagas.entry(saga).or_default().push(&letter.held.letter);
        }
    }
    let mark = Mark::new(ports.time.now(), asked.by, asked.why);
    let lines = of_sagas.iter().map(async |(saga, letters)| {
        let error = record(ports, *saga, letters, what, &mark, asked.caller)
            .await
            .err();
        error.map(|error| (*saga, error))
    });
    let unwritten: BTreeMap<SagaId, PortError> = join_all(lines).await.into_iter().flatten().collect();
    let unwritten = |letter: &Begun| letter.saga().and_then(|saga| unwritten.get(&saga));
    let may_go = letters.iter().filter(|one| unwritten(&one.letter).is_none());
    let (pending, gone): (Vec<_>, Vec<_>) = may_go
        .map(|one| &one.letter.held)
        .partition(|held| what == Act::Replay && held.letter.forward == Forward::Requeue);
    let now = ports.time.now();
    let requeue = pending
        .iter()
        .map(async |held| (&held.letter.id, source.requeue(held, now).await));
    let (pending, removed) = join(join_all(requeue), source.remove_all(gone.clone())).await;
    let removed = gone.iter().map(|held| &held.letter.id).zip(removed);
    let mut removed: BTreeMap<DeadLetterId, _> = removed
        .chain(pending)
        .map(|(id, removed)| (id.clone(), removed))
        .collect();
    let done = letters.into_iter().map(|Placed { letter, by_what }| {
        let done = match (unwritten(&letter), removed.remove(&letter.held.letter.id)) {
            (Some(error), _) => failed("its saga's timeline could not be written", error, STAYS),
            (None, Some(Err(error))) => {
                failed(&format!("{by_what}, but could not be removed"), &error, STAYS)
            }
            (None, Some(Ok(Removal::Removed))) => Done::Yes(by_what),
            (None, _) => taken(&letter.held.letter, what, &by_what),
        };
        log(&letter.held.letter, what, asked, &done);
        (letter.held, done)
    });
    done.collect()
}

fn taken(letter: &DeadLetter, what: Act, by_what: &str) -> Done {
    Done::Taken(if what == Act::Replay && letter.forward == Forward::Requeue {
        "another operator took it, or it was removed; nothing was done".to_owned()
    } else {
        let meanwhile = "but meanwhile another operator took it, or its receipt expired; that does no harm";
        format!("{by_what}, {meanwhile}")
    })
}

fn log(letter: &DeadLetter, act: Act, asked: Asked<'_>, done: &Done) {
    let (outcome, text) = match done {
        Done::Yes(text) => (act.as_str(), text),
        Done::Taken(text) => ("taken", text),
        Done::Failed(text) => ("failed", text),
    };
    let caller = asked.caller.map(Caller::as_str);
    about!(
        info,
        &About::facts(&letter.facts),
        letter = %letter.id,
        caller,
        outcome,
        text,
        "dead letter"
    );
}

/// Puts something in the letter's place, in its time, and says what.
async fn place<S, T: Time>(
    ports: &Ports<'_, S, T>,
    one: &Begun,
    what: Act,
    asked: Asked<'_>,
) -> Result<String, Done> {
    let early = one.at.millis() - ports.time.now().millis();
    ports.time.sleep(u64::try_from(early).unwrap_or(0)).await;
    let letter = &one.held.letter;
    match (what, &letter.forward) {
        (Act::Discard, _) => {
            let discarded = Discarded {
                letter,
                at: ports.time.now(),
                asked,
            };
            match ports.archive.keep(discarded).await {
                Ok(()) => Ok("archived".to_owned()),
                Err(error) => Err(failed("could not be archived", &error, "nothing was done")),
            }
        }
        (Act::Replay, Forward::Send { to, message }) => match ports.outlet.send(*to, letter, message).await {
            Ok(Ok(())) => Ok(format!("sent to the {}", to.as_str())),
            Ok(Err(reason)) => Err(Done::Failed(format!(
                "the {} refuses it: {reason}; it stays",
                to.as_str()
            ))),
            Err(error) => {
                let so = "it stays; whether it was sent is not known";
                Err(failed("could not be sent", &error, so))
            }
        },
        (Act::Replay, Forward::Requeue) => Ok("made pending again".to_owned()),
        (Act::Replay, Forward::Nothing(why)) => Err(Done::Failed(format!("cannot be replayed: {why}"))),
    }
}

fn failed(what: &str, error: &PortError, so: &str) -> Done {
    Done::Failed(format!("{what}: {}; {so}", causes(error)))
}

/// The line of a report.
pub(super) fn item(held: &Held, disposition: Disposition, text: String) -> Item {
    Item {
        id: held.letter.id.clone(),
        saga: held.letter.facts.saga,
        disposition,
        text,
    }
}
