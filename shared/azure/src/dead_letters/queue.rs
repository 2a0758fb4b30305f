//! Dead letters on a Storage queue.
//!
//! Peeking shows only the first 32 messages, so a walk gets them, which hides them, and puts them back at its end. That
//! raises their dequeue counts; nothing is triggered by these queues, so nothing follows from it
//! (<https://learn.microsoft.com/rest/api/storageservices/operations-on-messages>).

use futures_util::future::{join_all, try_join_all};
use saga_app::dead_letters::ports::{Answer, Answers, DeadLetterQueue, Depth, Leased, Receipt, Removal};
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

impl From<MessageHandle> for Receipt {
    fn from(handle: MessageHandle) -> Self {
        Self {
            message: handle.id,
            handle: handle.pop_receipt,
        }
    }
}

impl From<&Receipt> for MessageHandle {
    fn from(receipt: &Receipt) -> Self {
        Self {
            id: receipt.message.clone(),
            pop_receipt: receipt.handle.clone(),
        }
    }
}

impl DeadLetterQueue for DeadQueue {
    fn source(&self) -> Source {
        self.source
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

    fn lease(&self, seconds: u32, _: usize) -> Answer<'_, Vec<Leased>> {
        Box::pin(async move {
            let messages = self.queue.take(seconds).await?;
            let leased = messages.into_iter().map(|message| {
                let at = message.inserted.map_or(0, Timestamp::millis);
                let key = format!("{at:013}-{}", message.handle.id);
                Leased {
                    dead_letter: (self.read)(&key, &message.text, message.inserted),
                    receipt: message.handle.into(),
                }
            });
            Ok(leased.collect())
        })
    }

    fn put_back(&self, receipts: Vec<Receipt>) -> Answer<'_, ()> {
        Box::pin(async move {
            for some in receipts.chunks(SIDE_BY_SIDE) {
                let each = some
                    .iter()
                    .map(|receipt| async move { self.queue.show(&receipt.into()).await });
                try_join_all(each).await?;
            }
            Ok(())
        })
    }

    fn remove<'a>(&'a self, receipts: Vec<&'a Receipt>) -> Answers<'a, Removal> {
        let each = receipts.into_iter().map(move |receipt| async move {
            Ok(match self.queue.delete(&receipt.into()).await? {
                Written::Applied => Removal::Removed,
                Written::Missing | Written::ConditionFailed => Removal::NotOurs,
            })
        });
        Box::pin(join_all(each))
    }
}
