//! One walk over a source that leaves everything as it was.

use saga_wire::dead_letter::DeadLetter;

use super::ports::Depth;
use super::source::{DeadLetterSource, MAX_HELD, Wanted, next};
use crate::ports::{PortError, Time};

/// A look ends after so long, well before what it holds comes back.
const LOOK_MILLIS: i64 = 45_000;
/// A look begins at most so much later because somebody else holds dead letters.
const COURTESY_MILLIS: i64 = 10_000;
/// After so long it is asked again whether somebody else holds dead letters.
pub(super) const WAIT_MILLIS: u64 = 500;

/// The end of a look.
pub(super) struct Looked {
    /// The last key that a container showed, when there may be more.
    pub(super) last: Option<String>,
    /// Why it did not see everything.
    pub(super) incomplete: Option<String>,
}

/// Shows each dead letter of a walk to `see`, which says whether to go on; then puts everything back.
///
/// It waits for a while until nobody else is seen to hold dead letters of a queue: a walk begun before would not come to
/// them, and would hide from an operator what they are about to take. A queue of Azure does not say how many are held.
pub(super) async fn look(
    source: &DeadLetterSource,
    time: &impl Time,
    wanted: Wanted,
    mut see: impl FnMut(DeadLetter) -> bool + Send,
) -> Result<Looked, PortError> {
    if let Some(queue) = source.queue() {
        let until = time.now().plus_millis(COURTESY_MILLIS);
        while queue.depth().await?.hidden > 0 && time.now() < until {
            time.sleep(WAIT_MILLIS).await;
        }
    }
    let until = time.now().plus_millis(LOOK_MILLIS);
    let mut walk = source.walk(wanted);
    let (mut receipts, mut seen, mut last) = (Vec::new(), 0, None);
    let walked = loop {
        let held = match next(&mut walk).await {
            Ok(held) if held.is_empty() => break Ok(None),
            Ok(held) => held,
            Err(error) => break Err(error),
        };
        let mut more = true;
        for one in held {
            seen += 1;
            match one.receipt {
                Some(receipt) => receipts.push(receipt),
                None => last = Some(one.dead_letter.id.key.clone()),
            }
            more = more && see(one.dead_letter);
        }
        if !more {
            break Ok(Some(None));
        }
        if receipts.len() >= MAX_HELD || time.now() >= until {
            break Ok(Some(Some(format!(
                "there are more dead letters than one look takes; {seen} were looked at"
            ))));
        }
    };
    // Whoever looks at the same time hides some from this walk: those are counted and named.
    let unseen = match (&walked, source.queue()) {
        // What was seen is put back, whether or not the count succeeds.
        (Ok(None), Some(queue)) => queue.depth().await.map_or(0, Depth::all).saturating_sub(seen),
        _ => 0,
    };
    // Also after a failure: what is not put back now comes back when the lease ends.
    source.put_back(receipts).await?;
    let hidden = (unseen > 0).then(|| {
        format!("{unseen} dead letters are held by somebody else at the moment; ask again in a minute")
    });
    let stopped = walked?.flatten();
    Ok(Looked {
        last: last.filter(|_| stopped.is_some()),
        incomplete: stopped.or(hidden),
    })
}
