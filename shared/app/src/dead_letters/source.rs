//! A source of dead letters, whichever kind it is, and one pass over it.

use std::collections::BTreeSet;

use futures_util::StreamExt;
use futures_util::future::{join_all, try_join_all};
use saga_core::Timestamp;
use saga_wire::dead_letter::{DeadLetter, Source};

use super::ports::{DeadLetterContainer, DeadLetterQueue, DeadOutbox, Leased, Pages, Receipt, Removal};
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

/// One pass over a source.
pub(super) enum Walk<'a> {
    Queue(&'a dyn DeadLetterQueue, usize),
    Keys(&'a dyn DeadLetterContainer, BTreeSet<String>),
    Pages(Pages<'a>),
}

impl DeadLetterSource {
    /// Which it is.
    #[must_use]
    pub fn source(&self) -> Source {
        match self {
            Self::Queue(queue) => queue.source(),
            Self::Container(container) => container.source(),
            Self::Outbox(outbox) => outbox.source(),
        }
    }

    /// The queue that it is, if it is one.
    pub(super) fn queue(&self) -> Option<&dyn DeadLetterQueue> {
        match self {
            Self::Queue(queue) => Some(queue.as_ref()),
            Self::Container(_) | Self::Outbox(_) => None,
        }
    }

    /// Begins a pass.
    pub(super) fn walk(&self, wanted: Wanted) -> Walk<'_> {
        let container: &dyn DeadLetterContainer = match self {
            Self::Queue(queue) => return Walk::Queue(queue.as_ref(), 0),
            Self::Container(container) => container.as_ref(),
            Self::Outbox(outbox) => outbox.as_ref(),
        };
        match wanted.keys {
            Some(keys) => Walk::Keys(container, keys),
            None => Walk::Pages(container.pages(wanted.after, wanted.since)),
        }
    }

    /// Shows what a queue hid.
    pub(super) async fn put_back(&self, receipts: Vec<Receipt>) -> Result<(), PortError> {
        match self {
            Self::Queue(queue) if !receipts.is_empty() => queue.put_back(receipts).await,
            _ => Ok(()),
        }
    }

    /// Removes some; what became of each, in their order.
    pub(super) async fn remove(&self, held: &[&Held]) -> Vec<Result<Removal, PortError>> {
        let keys = held.iter().map(|one| one.dead_letter.id.key.as_str());
        match self {
            Self::Queue(queue) => {
                let receipts = held.iter().filter_map(|one| one.receipt.as_ref());
                queue.remove(receipts.collect()).await
            }
            Self::Container(container) => join_all(keys.map(|key| container.remove(key))).await,
            Self::Outbox(outbox) => join_all(keys.map(|key| outbox.remove(key))).await,
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

impl From<Leased> for Held {
    fn from(leased: Leased) -> Self {
        Self {
            dead_letter: leased.dead_letter,
            receipt: Some(leased.receipt),
        }
    }
}

impl From<DeadLetter> for Held {
    fn from(dead_letter: DeadLetter) -> Self {
        Self {
            dead_letter,
            receipt: None,
        }
    }
}

impl Walk<'_> {
    /// The next dead letters; none when it has come to the end.
    pub(super) async fn next(&mut self) -> Result<Vec<Held>, PortError> {
        match self {
            Walk::Queue(queue, before) => {
                let leased = queue.lease(LEASE_SECONDS, *before).await?;
                *before = leased.len();
                Ok(leased.into_iter().map(Held::from).collect())
            }
            Walk::Keys(container, keys) => {
                while !keys.is_empty() {
                    let some: Vec<String> = (0..LOOK_UPS).map_while(|_| keys.pop_first()).collect();
                    let found = try_join_all(some.iter().map(|key| container.find(key))).await?;
                    let found: Vec<Held> = found.into_iter().flatten().map(Held::from).collect();
                    if !found.is_empty() {
                        return Ok(found);
                    }
                }
                Ok(Vec::new())
            }
            Walk::Pages(pages) => {
                while let Some(page) = pages.next().await {
                    let page: Vec<Held> = page?.into_iter().map(Held::from).collect();
                    if !page.is_empty() {
                        return Ok(page);
                    }
                }
                Ok(Vec::new())
            }
        }
    }
}
