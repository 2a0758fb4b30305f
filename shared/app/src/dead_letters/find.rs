//! Looks at letters without taking them: one walk over a source, after which everything is as it was.

use saga_core::Timestamp;
use saga_wire::dead_letter::{DeadLetter, DeadLetterId, join};

use super::foresee::{Prospect, foresee, saga_of};
use super::ports::{Depth, LetterSource, Receipt, Walk};
use super::{COURTESY_MILLIS, LEASE_SECONDS, LOOK_MILLIS, MAX_HELD, Notice, Ports, WAIT_MILLIS};
use crate::ports::{PortError, SagaStore, Time};

/// What a look came to.
pub(super) struct Looked {
    /// The last letter that a source without a queue was asked about, when there may be more.
    pub(super) last: Option<String>,
    /// What kept it from seeing everything.
    pub(super) incomplete: Option<String>,
}

/// Waits, and holds nothing meanwhile, until nobody else is seen to hold letters of a queue, or for a while: a walk begun
/// now would not come to them, and would hide from an operator what they are about to take. A queue of Azure does not
/// tell how many are held, and is not waited for.
async fn quiet(source: &dyn LetterSource, time: &impl Time) -> Result<(), PortError> {
    let until = time.now().plus_millis(COURTESY_MILLIS);
    while source.depth().await?.hidden > 0 && time.now() < until {
        time.sleep(WAIT_MILLIS).await;
    }
    Ok(())
}

/// Shows each letter of the walk to `see`, which says whether to go on; then puts everything back. Begins when nobody else
/// is seen to hold letters, or a little later.
pub(super) async fn look(
    source: &dyn LetterSource,
    time: &impl Time,
    mut walk: Walk,
    mut see: impl FnMut(DeadLetter) -> bool + Send,
) -> Result<Looked, PortError> {
    if source.is_queue() {
        quiet(source, time).await?;
    }
    walk.lease_seconds = LEASE_SECONDS;
    let until = time.now().plus_millis(LOOK_MILLIS);
    let mut held: Vec<Receipt> = Vec::new();
    let (mut seen, mut last) = (0, None);
    let walked = loop {
        let letters = match source.next(&mut walk).await {
            Ok(letters) if letters.is_empty() => break Ok(None),
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
    // Whoever looks at the same time hides some from us: what we did not come to is said, not passed over.
    let unseen = match &walked {
        Ok(None) if source.is_queue() => {
            // What was seen is put back, whatever comes of the count.
            source.depth().await.map_or(0, Depth::all).saturating_sub(seen)
        }
        _ => 0,
    };
    // Also after a failure: what is not put back now comes back when the lease ends.
    source.put_back(held).await?;
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

/// Finds one letter; a part of a body with the whole body, where all of it is there.
///
/// # Errors
/// [`PortError`] when its source or the saga store fails.
pub async fn find<S: SagaStore, T: Time>(
    ports: &Ports<'_, S, T>,
    id: &DeadLetterId,
) -> Result<Found, PortError> {
    let (sources, mut notices) = ports.chosen(|source| source == id.source);
    let Some(source) = sources.first() else {
        return Ok(notices.pop().map_or(Found::No(String::new()), Found::Absent));
    };
    let walk = Walk {
        only: Some([id.key.clone()].into()),
        ..Walk::default()
    };
    let mut found = None;
    let looked = look(*source, ports.time, walk, |letter| {
        if letter.id == *id {
            found = Some(letter);
        }
        found.is_none()
    })
    .await?;
    if let Some(letter) = &mut found
        && let Some(part) = letter.facts.part.clone()
    {
        let mut others = Vec::new();
        look(*source, ports.time, Walk::default(), |other| {
            let is_of_it = other
                .facts
                .part
                .as_ref()
                .is_some_and(|of| of.sha256 == part.sha256);
            if is_of_it {
                others.push(other);
            }
            true
        })
        .await?;
        // What is not whole is shown as the part that it is.
        if let Some(whole) = join(letter, &others) {
            *letter = whole;
        }
    }
    match found {
        Some(letter) => {
            let saga = match letter.facts.saga {
                Some(id) => saga_of(ports, id).await?,
                None => None,
            };
            let prospect = foresee(ports, &letter, saga.as_ref()).await?.prospect;
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
