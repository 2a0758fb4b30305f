//! Dead letters on a Storage queue.
//!
//! Peeking shows only the first 32 messages, so a walk gets them, which hides them, and puts them back at its end. That
//! raises their dequeue counts; nothing is triggered by these queues, so nothing follows from it
//! (<https://learn.microsoft.com/rest/api/storageservices/operations-on-messages>).

use futures_util::future::{join_all, try_join_all};
use saga_app::dead_letters::ports::{Answer, Answers, DeadLetterQueue, Depth, Leased, Receipt, Removal};
use saga_core::Timestamp;
use saga_wire::dead_letter::{DeadLetter, Source};

use crate::client::{Queue, Written};

/// So many requests at a time when messages are put back.
const SIDE_BY_SIDE: usize = 16;

/// A queue of dead letters.
#[derive(Debug)]
pub struct DeadQueue {
    pub(super) queue: Queue,
    pub(super) source: Source,
    /// How its messages are read: from key, text and time of arrival.
    pub(super) read: fn(&str, &str, Option<Timestamp>) -> DeadLetter,
}

impl DeadLetterQueue for DeadQueue {
    fn source(&self) -> Source {
        self.source
    }

    /// The count is of all messages, hidden ones among them.
    fn depth(&self) -> Answer<'_, Depth> {
        Box::pin(async move {
            let (visible, hidden) = (self.queue.count().await?, 0);
            Ok(Depth { visible, hidden })
        })
    }

    fn lease(&self, seconds: u32, _: usize) -> Answer<'_, Vec<Leased>> {
        Box::pin(async move {
            let messages = self.queue.take(seconds).await?.into_iter();
            let leased = messages.map(|message| {
                let at = message.inserted.map_or(0, Timestamp::millis);
                let key = format!("{at:013}-{}", message.receipt.message);
                Leased {
                    dead_letter: (self.read)(&key, &message.text, message.inserted),
                    receipt: message.receipt,
                }
            });
            Ok(leased.collect())
        })
    }

    fn put_back(&self, receipts: Vec<Receipt>) -> Answer<'_, ()> {
        Box::pin(async move {
            for some in receipts.chunks(SIDE_BY_SIDE) {
                try_join_all(some.iter().map(|receipt| self.queue.show(receipt))).await?;
            }
            Ok(())
        })
    }

    fn remove<'a>(&'a self, receipts: Vec<&'a Receipt>) -> Answers<'a, Removal> {
        let each = receipts.into_iter().map(async move |receipt| {
            Ok(match self.queue.delete(receipt).await? {
                Written::Applied => Removal::Removed,
                Written::Missing | Written::ConditionFailed => Removal::NotOurs,
            })
        });
        Box::pin(join_all(each))
    }
}
