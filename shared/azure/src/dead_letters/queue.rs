//! Dead letters on a Storage queue.
//!
//! Peeking shows only the first 32 messages, so a walk gets them, which hides them, and puts them back at its end. That
//! raises their dequeue counts; nothing is triggered by these queues, so nothing follows from it
//! (<https://learn.microsoft.com/rest/api/storageservices/operations-on-messages>).

use futures_util::future::try_join_all;
use saga_app::dead_letters::ports::{Answer, Depth, Held, LetterSource, Receipt, Removal, Walk};
use saga_app::ports::PortError;
use saga_core::Timestamp;
use saga_wire::dead_letter::{DeadLetter, Source};

use crate::client::{MessageHandle, Queue, Written};

pub(super) const WHAT: &str = "a queue of dead letters";
/// So many requests at a time when messages are put back.
const SIDE_BY_SIDE: usize = 16;

/// How the messages of a queue are read: from key, text and time of arrival.
pub(super) type Read = fn(&str, &str, Option<Timestamp>) -> DeadLetter;

/// A queue of dead letters.
#[derive(Debug)]
pub struct DeadQueue {
    queue: Queue,
    source: Source,
    read: Read,
}

impl DeadQueue {
    pub(super) fn new(queue: Queue, source: Source, read: Read) -> Self {
        Self { queue, source, read }
    }
}

fn receipt(handle: &MessageHandle) -> Receipt {
    Receipt(format!("{} {}", handle.id, handle.pop_receipt))
}

fn handle(receipt: &Receipt) -> MessageHandle {
    let (id, pop_receipt) = receipt.0.split_once(' ').unwrap_or((&receipt.0, ""));
    MessageHandle {
        id: id.to_owned(),
        pop_receipt: pop_receipt.to_owned(),
    }
}

impl LetterSource for DeadQueue {
    fn source(&self) -> Source {
        self.source
    }

    fn is_queue(&self) -> bool {
        true
    }

    /// The count is of all messages, hidden ones among them.
    fn depth(&self) -> Answer<'_, Depth> {
        Box::pin(async move {
            Ok(Depth {
                visible: self.queue.count().await?,
                hidden: 0,
            })
        })
    }

    fn next<'a>(&'a self, walk: &'a mut Walk) -> Answer<'a, Vec<Held>> {
        Box::pin(async move {
            let messages = self.queue.take(walk.lease_seconds.max(1)).await?;
            let held = messages.into_iter().map(|message| {
                let at = message.inserted.map_or(0, Timestamp::millis);
                let key = format!("{at:013}-{}", message.handle.id);
                Held {
                    letter: (self.read)(&key, &message.text, message.inserted),
                    receipt: receipt(&message.handle),
                }
            });
            Ok(held.collect())
        })
    }

    fn put_back(&self, receipts: Vec<Receipt>) -> Answer<'_, ()> {
        Box::pin(async move {
            for some in receipts.chunks(SIDE_BY_SIDE) {
                let each = some
                    .iter()
                    .map(|receipt| async move { self.queue.show(&handle(receipt)).await });
                try_join_all(each).await?;
            }
            Ok(())
        })
    }

    fn remove<'a>(&'a self, held: &'a Held) -> Answer<'a, Removal> {
        Box::pin(async move {
            Ok(match self.queue.delete(&handle(&held.receipt)).await? {
                Written::Applied => Removal::Removed,
                Written::ConditionFailed => Removal::NotOurs,
            })
        })
    }

    fn requeue<'a>(&'a self, _: &'a Held, _: Timestamp) -> Answer<'a, Removal> {
        Box::pin(async move {
            Err(PortError::unavailable(
                WHAT,
                "its dead letters are no rows of an outbox",
            ))
        })
    }
}
