//! A source of dead letters, whichever kind it is, and one pass over it.

use std::collections::BTreeSet;
use std::future::ready;
use std::pin::Pin;

use futures_util::future::join_all;
use futures_util::stream::{self, Stream, StreamExt, TryStreamExt};
use saga_core::Timestamp;
use saga_wire::dead_letter::{DeadLetter, Source};

use super::ports::{DeadLetterContainer, DeadLetterQueue, DeadOutbox, Pages, Receipt, Removal};
use crate::ports::PortError;

/// For so long a walk may hold what a queue gave it.
pub(super) const LEASE_SECONDS: u32 = 75;
/// A walk holds at most so many dead letters of a queue. It bounds the memory, whatever the queue's depth.
pub(super) const MAX_HELD: usize = 20_000;
/// So many keys are looked up side by side.
const LOOK_UPS: usize = 10;

/// The port of a source.
pub enum DeadLetterSource {
    /// A queue.
    Queue(Box<dyn DeadLetterQueue>),
    /// A container.
    Container(Box<dyn DeadLetterContainer>),
    /// The dead rows of an outbox.
    Outbox(Box<dyn DeadOutbox>),
}

/// A dead letter that a walk came to.
pub(super) struct Held {
    pub(super) dead_letter: DeadLetter,
    /// By which a queue puts it back or removes it.
    pub(super) receipt: Option<Receipt>,
}

/// Which dead letters are wanted. A queue, which cannot look for them, gives others, too.
#[derive(Default)]
pub(super) struct Wanted {
    /// Only these keys.
    pub(super) keys: Option<BTreeSet<String>>,
    /// Only greater keys.
    pub(super) after: Option<String>,
    /// Only those that came then or later.
    pub(super) since: Option<Timestamp>,
}

/// One pass over a source. That over a queue gives an empty page when it is at its end, and may go on later.
pub(super) type Walk<'a> = Pin<Box<dyn Stream<Item = Result<Vec<Held>, PortError>> + Send + 'a>>;

/// The next dead letters of a pass; none when it has come to the end.
pub(super) async fn next(walk: &mut Walk<'_>) -> Result<Vec<Held>, PortError> {
    walk.next().await.unwrap_or_else(|| Ok(Vec::new()))
}

impl DeadLetterSource {
    /// Which it is.
    #[must_use]
    pub fn source(&self) -> Source {
        match self.container() {
            Ok(container) => container.source(),
            Err(queue) => queue.source(),
        }
    }

    /// The queue that it is, if it is one.
    pub(super) fn queue(&self) -> Option<&dyn DeadLetterQueue> {
        self.container().err()
    }

    /// The container that it is, or the queue.
    fn container(&self) -> Result<&dyn DeadLetterContainer, &dyn DeadLetterQueue> {
        match self {
            Self::Queue(queue) => Err(queue.as_ref()),
            Self::Container(container) => Ok(container.as_ref()),
            Self::Outbox(outbox) => Ok(outbox.as_ref()),
        }
    }

    /// Begins a pass.
    pub(super) fn walk(&self, wanted: Wanted) -> Walk<'_> {
        let queue = match self.container() {
            Ok(container) => return walk(container, wanted),
            Err(queue) => queue,
        };
        Box::pin(stream::try_unfold(0, move |before| async move {
            let leased = queue.lease(LEASE_SECONDS, before).await?;
            let (count, leased) = (leased.len(), leased.into_iter());
            let held = leased.map(|leased| Held {
                dead_letter: leased.dead_letter,
                receipt: Some(leased.receipt),
            });
            Ok(Some((held.collect(), count)))
        }))
    }

    /// Shows what a queue hid.
    pub(super) async fn put_back(&self, receipts: Vec<Receipt>) -> Result<(), PortError> {
        match self.queue() {
            Some(queue) if !receipts.is_empty() => queue.put_back(receipts).await,
            _ => Ok(()),
        }
    }

    /// Removes some; what became of each, in their order.
    pub(super) async fn remove(&self, held: &[&Held]) -> Vec<Result<Removal, PortError>> {
        match self.container() {
            Ok(container) => {
                let keys = held.iter().map(|one| one.dead_letter.id.key.as_str());
                join_all(keys.map(|key| container.remove(key))).await
            }
            Err(queue) => {
                let receipts = held.iter().filter_map(|one| one.receipt.as_ref());
                queue.remove(receipts.collect()).await
            }
        }
    }

    /// Makes a dead row pending again. What is no row is not ours to requeue.
    pub(super) async fn requeue(&self, held: &Held, now: Timestamp) -> Result<Removal, PortError> {
        match self {
            Self::Outbox(outbox) => outbox.requeue(&held.dead_letter.id.key, now).await,
            Self::Queue(_) | Self::Container(_) => Ok(Removal::NotOurs),
        }
    }
}

fn walk(container: &dyn DeadLetterContainer, wanted: Wanted) -> Walk<'_> {
    let pages: Pages<'_> = match wanted.keys {
        Some(keys) => {
            let found = stream::iter(keys).map(async move |key| container.find(&key).await);
            let found = found.buffered(LOOK_UPS).chunks(LOOK_UPS);
            Box::pin(found.map(|some| some.into_iter().filter_map(Result::transpose).collect()))
        }
        None => container.pages(wanted.after, wanted.since),
    };
    let pages = pages.try_filter(|page| ready(!page.is_empty()));
    Box::pin(pages.map_ok(|page| {
        let held = page.into_iter().map(|dead_letter| Held {
            dead_letter,
            receipt: None,
        });
        held.collect()
    }))
}
