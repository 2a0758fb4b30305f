//! Some dead letters side by side: replayed or discarded.
//!
//! The order is the invariant. First what takes a dead letter's place, then the record of it, and the removal last: a
//! crash between any two leaves the dead letter where it is, and a second replay does no harm.

use std::collections::BTreeMap;

use futures_util::future::{join, join_all};
use saga_core::mark::{Asked, Caller};
use saga_core::{SagaId, Timestamp};
use saga_wire::dead_letter::{DeadLetter, Forward};

use super::command::Act;
use super::ports::Removal;
use super::source::{DeadLetterSource, Held};
use super::timeline::record;
use super::{Disposition, Ports};
use crate::about;
use crate::log::About;
use crate::ports::{PortError, SagaStore, Time, causes};

const STAYS: &str = "the dead letter stays, and a second replay does no harm";

/// Replays or discards each in its time; what became of it, in a word and in a sentence.
pub(super) async fn carry_out<S: SagaStore, T: Time>(
    ports: &Ports<'_, S, T>,
    source: &DeadLetterSource,
    act: Act,
    asked: Asked<'_>,
    begun: Vec<(Held, Timestamp)>,
) -> Vec<(Held, Disposition, String)> {
    let placed = begun.iter().map(async |(held, at)| {
        let early = at.millis() - ports.time.now().millis();
        ports.time.sleep(u64::try_from(early).unwrap_or(0)).await;
        place(ports, &held.dead_letter, act, asked).await
    });
    let mut placed: Vec<Result<String, String>> = join_all(placed).await;
    let mut of_sagas = BTreeMap::<SagaId, Vec<usize>>::new();
    for (index, (held, _)) in begun
        .iter()
        .enumerate()
        .filter(|(index, _)| placed[*index].is_ok())
    {
        if let Some(saga) = held.dead_letter.facts.saga {
            of_sagas.entry(saga).or_default().push(index);
        }
    }
    let recorded = of_sagas.iter().map(async |(saga, which)| {
        let which: Vec<_> = which.iter().map(|index| &begun[*index].0.dead_letter).collect();
        record(ports, *saga, &which, act, asked).await
    });
    let recorded = join_all(recorded).await;
    for (recorded, which) in recorded.into_iter().zip(of_sagas.into_values()) {
        if let Err(error) = recorded {
            for index in which {
                placed[index] = Err(failed("its saga's timeline could not be written", &error, STAYS));
            }
        }
    }
    let is_requeued = |held: &Held| act == Act::Replay && held.dead_letter.forward == Forward::Requeue;
    let may_go = (0..begun.len()).filter(|index| placed[*index].is_ok());
    let (pending, gone): (Vec<usize>, Vec<usize>) = may_go.partition(|index| is_requeued(&begun[*index].0));
    let now = ports.time.now();
    let requeued = pending.iter().map(|index| source.requeue(&begun[*index].0, now));
    let remove: Vec<&Held> = gone.iter().map(|index| &begun[*index].0).collect();
    let (requeued, removed) = join(join_all(requeued), source.remove(&remove)).await;
    let removed = pending
        .into_iter()
        .zip(requeued)
        .chain(gone.into_iter().zip(removed));
    let mut removed: BTreeMap<usize, _> = removed.collect();
    let all = begun.into_iter().zip(placed).enumerate();
    all.map(|(index, ((held, _), placed))| {
        let (disposition, text) = match (placed, removed.remove(&index)) {
            (Err(why), _) => (Disposition::Failed, why),
            (Ok(what), Some(Ok(Removal::Removed))) => (Disposition::after(act), what),
            (Ok(what), Some(Err(error))) => {
                let text = failed(&format!("{what}, but could not be removed"), &error, STAYS);
                (Disposition::Failed, text)
            }
            (Ok(_), _) if is_requeued(&held) => {
                let text = "another operator took it, or it was removed; nothing was done";
                (Disposition::Taken, text.to_owned())
            }
            (Ok(what), _) => {
                let meanwhile =
                    "meanwhile another operator took it, or its receipt expired; that does no harm";
                (Disposition::Taken, format!("{what}, but {meanwhile}"))
            }
        };
        about!(
            info,
            &About::facts(&held.dead_letter.facts),
            dead_letter = %held.dead_letter.id,
            caller = asked.caller.map(Caller::as_str),
            outcome = if disposition == Disposition::after(act) { act.as_str() } else { disposition.as_str() },
            text,
            "dead letter"
        );
        (held, disposition, text)
    })
    .collect()
}

/// Puts something in the dead letter's place, and says what, or why not.
async fn place<S, T: Time>(
    ports: &Ports<'_, S, T>,
    dead_letter: &DeadLetter,
    act: Act,
    asked: Asked<'_>,
) -> Result<String, String> {
    match (act, &dead_letter.forward) {
        (Act::Discard, _) => {
            let kept = ports.archive.keep(dead_letter, ports.time.now(), asked).await;
            kept.map(|()| "archived".to_owned())
                .map_err(|error| failed("could not be archived", &error, "nothing was done"))
        }
        (Act::Replay, Forward::Send { to, message }) => {
            let (sent, to) = (ports.outlet.send(*to, dead_letter, message).await, to.as_str());
            match sent {
                Ok(Ok(())) => Ok(format!("sent to the {to}")),
                Ok(Err(reason)) => Err(format!("the {to} refuses it: {reason}; it stays")),
                Err(error) => {
                    let so = "it stays; whether it was sent is not known";
                    Err(failed("could not be sent", &error, so))
                }
            }
        }
        (Act::Replay, Forward::Requeue) => Ok("made pending again".to_owned()),
        (Act::Replay, Forward::Nothing(why)) => Err(format!("cannot be replayed: {why}")),
    }
}

fn failed(what: &str, error: &PortError, so: &str) -> String {
    format!("{what}: {}; {so}", causes(error))
}
