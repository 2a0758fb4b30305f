//! Dead letters on a Storage queue.
//!
//! Peeking shows only the first 32 messages, so a walk gets them, which hides them, and puts them back at its end. That
//! raises their dequeue counts; nothing is triggered by these queues, so nothing follows from it
//! (<https://learn.microsoft.com/rest/api/storageservices/operations-on-messages>).

use azure_core::http::Method;
use futures_util::future::try_join_all;
use saga_app::dead_letters::ports::{Answer, Depth, Held, LetterSource, Receipt, Removal, Walk};
use saga_app::ports::PortError;
use saga_core::Timestamp;
use saga_wire::dead_letter::{DeadLetter, Source};

use super::access::Access;
use super::xml;
use crate::config::{InvalidConfig, queue_name};
use crate::keys::percent;
use crate::service::{Answer as Answered, Call, Http, Repeat, Service};
use crate::shared_key::Dialect;

const WHAT: &str = "a queue of dead letters";
pub(super) const VERSION: &str = "2020-12-06";
/// The most that one request gets.
const BATCH: usize = 32;
/// So many requests at a time when letters are put back.
const SIDE_BY_SIDE: usize = 16;

/// How the messages of a queue are read: from key, text and time of arrival.
pub(super) type Read = fn(&str, &str, Option<Timestamp>) -> DeadLetter;

/// A queue of dead letters.
#[derive(Debug)]
pub struct DeadQueue {
    service: Service,
    queue: String,
    source: Source,
    read: Read,
}

impl DeadQueue {
    pub(super) fn on(
        http: &Http,
        access: &Access,
        name: &str,
        source: Source,
        read: Read,
    ) -> Result<Self, InvalidConfig> {
        Ok(Self {
            service: access.storage(http, "queue", &access.queue_endpoint, Dialect::Queue)?,
            queue: queue_name(name)?.to_owned(),
            source,
            read,
        })
    }

    async fn call(&self, method: Method, path: String) -> Result<Answered, PortError> {
        let call = Call {
            what: WHAT,
            method,
            path: format!("/{}{path}", self.queue),
            headers: vec![("x-ms-version", VERSION.to_owned())],
            body: String::new(),
            // What a lost answer has hidden comes back by itself.
            repeat: Repeat::Freely,
        };
        self.service.send(&call).await
    }

    fn held(&self, message: &str) -> Option<Held> {
        let id = xml::text(message, "MessageId")?;
        let inserted = xml::time(message, "InsertionTime");
        let key = format!("{:013}-{id}", inserted.map_or(0, Timestamp::millis));
        let text = xml::text(message, "MessageText").unwrap_or_default();
        Some(Held {
            letter: (self.read)(&key, &text, inserted),
            receipt: Receipt(format!("{id} {}", xml::text(message, "PopReceipt")?)),
        })
    }
}

/// The path of a message, with the receipt as a parameter.
fn message_path(receipt: &Receipt) -> String {
    let (id, pop) = receipt.0.split_once(' ').unwrap_or((&receipt.0, ""));
    format!("/messages/{}?popreceipt={}", percent(id), percent(pop))
}

/// The message is gone, or hidden by somebody else since.
fn is_not_ours(answer: &Answered) -> bool {
    let code = answer.code();
    answer.status == 404 && code != "QueueNotFound" || answer.status == 400 && code == "PopReceiptMismatch"
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
            let answer = self.call(Method::Get, "?comp=metadata".to_owned()).await?;
            if !answer.succeeded() {
                return Err(answer.refused(WHAT));
            }
            let count = answer.header("x-ms-approximate-messages-count");
            Ok(Depth {
                visible: count.and_then(|count| count.parse().ok()).unwrap_or(0),
                hidden: 0,
            })
        })
    }

    fn next<'a>(&'a self, walk: &'a mut Walk) -> Answer<'a, Vec<Held>> {
        Box::pin(async move {
            let lease = walk.lease_seconds.max(1);
            let path = format!("/messages?numofmessages={BATCH}&visibilitytimeout={lease}");
            let answer = self.call(Method::Get, path).await?;
            if !answer.succeeded() {
                return Err(answer.refused(WHAT));
            }
            let messages = xml::elements(&answer.body, "QueueMessage");
            Ok(messages
                .into_iter()
                .filter_map(|message| self.held(message))
                .collect())
        })
    }

    fn put_back(&self, receipts: Vec<Receipt>) -> Answer<'_, ()> {
        Box::pin(async move {
            for some in receipts.chunks(SIDE_BY_SIDE) {
                let each = some.iter().map(|receipt| async move {
                    let path = format!("{}&visibilitytimeout=0", message_path(receipt));
                    let answer = self.call(Method::Put, path).await?;
                    if answer.succeeded() || is_not_ours(&answer) {
                        Ok(())
                    } else {
                        Err(answer.refused(WHAT))
                    }
                });
                try_join_all(each).await?;
            }
            Ok(())
        })
    }

    fn remove<'a>(&'a self, held: &'a Held) -> Answer<'a, Removal> {
        Box::pin(async move {
            let answer = self.call(Method::Delete, message_path(&held.receipt)).await?;
            match () {
                () if answer.succeeded() => Ok(Removal::Removed),
                () if is_not_ours(&answer) => Ok(Removal::NotOurs),
                () => Err(answer.refused(WHAT)),
            }
        })
    }

    fn requeue<'a>(&'a self, _: &'a Held, _: Timestamp) -> Answer<'a, Removal> {
        Box::pin(async move {
            Err(PortError::unavailable(
                WHAT,
                "its letters are no rows of an outbox",
            ))
        })
    }
}
