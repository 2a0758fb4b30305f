//! Looks at letters without taking them: one walk over a source, after which everything is as it was.

use saga_core::Timestamp;
use saga_core::dead_letter::{DeadLetter, LetterId, Prospect};
use saga_wire::dead_letter::http::Notice;

use super::foresee::{foresee, saga_of};
use super::ports::{LetterSource, Receipt, Walk};
use super::{LEASE_SECONDS, LOOK_MILLIS, MAX_HELD, PATIENCE_MILLIS, Ports, WAIT_MILLIS};
use crate::ports::{PortError, SagaStore, Time};

/// What a look came to.
pub(super) struct Looked {
    /// The last letter that a source without a queue was asked about, when there may be more.
    pub(super) last: Option<String>,
    /// What kept it from seeing everything.
    pub(super) incomplete: Option<String>,
}

/// The letters of a queue that somebody else holds while we walk it: another operator, or the watch of the minute.
pub(super) struct Others<'a, T> {
    source: &'a dyn LetterSource,
    time: &'a T,
    /// So many letters there were in the queue when the walk began.
    there: usize,
    until: Timestamp,
}

impl<'a, T: Time> Others<'a, T> {
    /// At the beginning of a walk that waits for them at most until `until`.
    pub(super) async fn at_first(
        source: &'a dyn LetterSource,
        time: &'a T,
        until: Timestamp,
    ) -> Result<Self, PortError> {
        let there = if source.is_queue() {
            source.depth().await?.all()
        } else {
            0
        };
        Ok(Self {
            source,
            time,
            there,
            until,
        })
    }

    /// At the end of a walk that saw `seen` letters and still holds `ours`: how many it did not come to, and whether
    /// to go on, because a moment has been waited for them.
    pub(super) async fn hold(&self, seen: usize, ours: usize) -> Result<(usize, bool), PortError> {
        let unseen = self.there.saturating_sub(seen);
        if unseen == 0 {
            return Ok((0, false));
        }
        // Some of them may have been removed meanwhile.
        let others = unseen.min(self.source.depth().await?.all().saturating_sub(ours));
        let waits = others > 0 && self.time.now() < self.until;
        if waits {
            self.time.sleep(WAIT_MILLIS).await;
        }
        Ok((others, waits))
    }
}

/// Until when a walk waits for what others hold. By chance: of two that hold what the other waits for, one gives up first.
pub(super) fn patience(time: &impl Time) -> Timestamp {
    let millis = PATIENCE_MILLIS / 2 + time.below(PATIENCE_MILLIS / 2);
    time.now().plus_millis(i64::try_from(millis).unwrap_or(0))
}

/// Shows each letter of the walk to `see`, which says whether to go on; then puts everything back. Waits at most until
/// `patience` for what others hold.
pub(super) async fn look(
    source: &dyn LetterSource,
    time: &impl Time,
    patience: Timestamp,
    mut walk: Walk,
    mut see: impl FnMut(DeadLetter) -> bool + Send,
) -> Result<Looked, PortError> {
    walk.lease_seconds = LEASE_SECONDS;
    let until = time.now().plus_millis(LOOK_MILLIS);
    let others = Others::at_first(source, time, patience).await?;
    let mut unseen = 0;
    let mut held: Vec<Receipt> = Vec::new();
    let (mut seen, mut last) = (0, None);
    let walked = loop {
        let letters = match source.next(&mut walk).await {
            Ok(letters) if letters.is_empty() => match others.hold(seen, held.len()).await {
                Ok((_, true)) => continue,
                Ok((left, false)) => {
                    unseen = left;
                    break Ok(None);
                }
                Err(error) => break Err(error),
            },
            Ok(letters) => letters,
            Err(error) => break Err(error),
        };
        let mut more = true;
        for one in letters {
            seen += 1;
            if source.is_queue() {
                held.push(one.receipt);
            } else {
                last = Some(one.letter.id.key.clone());
            }
            more = more && see(one.letter);
        }
        if !more {
            break Ok(Some(None));
        }
        if held.len() >= MAX_HELD || time.now() >= until {
            break Ok(Some(Some(format!(
                "there are more letters than one look takes; {seen} were looked at"
            ))));
        }
    };
    // Also after a failure: what is not put back now comes back when the lease ends.
    if !held.is_empty() {
        source.put_back(held).await?;
    }
    // What we did not come to is said, not passed over.
    let hidden = (unseen > 0)
        .then(|| format!("{unseen} letters are held by somebody else at the moment; ask again in a minute"));
    let stopped = walked?.flatten();
    Ok(Looked {
        last: last.filter(|_| stopped.is_some()),
        incomplete: stopped.or(hidden),
    })
}

/// What a search for one letter came to.
#[derive(Debug)]
pub enum Found {
    /// The letter, and what a replay would come to.
    Letter(Box<DeadLetter>, Prospect),
    /// It is not there, or not now.
    No(String),
    /// Its source is not part of this deployment.
    Absent(Notice),
}

/// Finds one letter.
///
/// # Errors
/// [`PortError`] when its source or the saga store fails.
pub async fn find<S: SagaStore, T: Time>(ports: &Ports<'_, S, T>, id: &LetterId) -> Result<Found, PortError> {
    let (sources, mut notices) = ports.chosen(|source| source == id.source);
    let Some(source) = sources.first() else {
        return Ok(notices.pop().map_or(Found::No(String::new()), Found::Absent));
    };
    let walk = Walk {
        only: Some([id.key.clone()].into()),
        ..Walk::default()
    };
    let mut found = None;
    let looked = look(*source, ports.time, patience(ports.time), walk, |letter| {
        if letter.id == *id {
            found = Some(letter);
        }
        found.is_none()
    })
    .await?;
    match found {
        Some(letter) => {
            let saga = match letter.facts.saga {
                Some(id) => saga_of(ports, id).await?,
                None => None,
            };
            let prospect = foresee(ports, &letter, saga.as_ref()).prospect;
            Ok(Found::Letter(Box::new(letter), prospect))
        }
        None => {
            let gone = format!("there is no dead letter {id}: it was replayed or discarded, or has expired");
            Ok(Found::No(looked.incomplete.unwrap_or(gone)))
        }
    }
}

/// The time up to which a walk of a run may go on: what it holds comes back a while after.
pub(super) fn lease_ends(now: Timestamp) -> Timestamp {
    now.plus_millis((i64::from(LEASE_SECONDS) - 20) * 1_000)
}
