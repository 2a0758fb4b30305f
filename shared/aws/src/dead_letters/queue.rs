//! Dead letters on an SQS queue.
//!
//! SQS shows a message only by hiding it, so a walk hides what it gives and puts it back at its end. That raises the
//! messages' receive counts; these queues have no redrive policy, so nothing follows from it.

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message,
    MessageSystemAttributeName as System, QueueAttributeName,
};
use futures_util::future::{join_all, try_join_all};
use saga_app::dead_letters::ports::{Answer, Answers, Depth, Held, LetterSource, Receipt, Removal, Walk};
use saga_app::ports::{PortError, causes};
use saga_core::Timestamp;
use saga_wire::dead_letter::Received;
use saga_wire::dead_letter::{DeadLetter, Source};

use crate::failure::failure;

/// The most that one request receives, or puts back.
const BATCH: usize = 10;
/// So many requests at a time when letters are put back.
const SIDE_BY_SIDE: usize = 8;
/// So many requests at a time once the queue has shown that it holds more than one gives.
const RECEIVED_SIDE_BY_SIDE: usize = 4;
/// Waiting a moment makes SQS ask all its servers, not a sample of them: an empty answer is then an empty queue.
const WAIT_SECONDS: i32 = 1;

/// A queue of dead letters.
#[derive(Debug, Clone)]
pub struct DeadQueue {
    client: Client,
    url: String,
    source: Source,
    read: fn(&Received) -> DeadLetter,
}

impl DeadQueue {
    /// The queue at this URL, whose messages `read` understands.
    #[must_use]
    pub fn new(config: &SdkConfig, url: String, source: Source, read: fn(&Received) -> DeadLetter) -> Self {
        Self {
            client: Client::new(config),
            url,
            source,
            read,
        }
    }

    fn held(&self, message: Message) -> Option<Held> {
        let system = |name: System| message.attributes.as_ref().and_then(|all| all.get(&name));
        let sent = system(System::SentTimestamp).and_then(|text| text.parse().ok());
        let attributes = message.message_attributes.iter().flatten();
        let texts = attributes.filter_map(|(name, value)| Some((name.clone(), value.string_value.clone()?)));
        let id = message.message_id.as_deref()?;
        let received = Received {
            // The list is in the order of arrival.
            key: format!("{:013}-{id}", sent.unwrap_or(0_i64)),
            attributes: texts.collect(),
            sent: sent.map(Timestamp::from_millis),
            moved_from: system(System::DeadLetterQueueSourceArn).cloned(),
            body: message.body.clone().unwrap_or_default(),
        };
        Some(Held {
            letter: (self.read)(&received),
            receipt: Receipt(message.receipt_handle?),
        })
    }

    async fn receive(&self, lease_seconds: i32) -> Result<Vec<Held>, PortError> {
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(i32::try_from(BATCH).unwrap_or(10))
            .visibility_timeout(lease_seconds)
            .wait_time_seconds(WAIT_SECONDS)
            .message_attribute_names("All")
            .message_system_attribute_names(System::All)
            .send()
            .await
            .map_err(|error| failure("reading the letters of a queue", error))?;
        let messages = answer.messages.unwrap_or_default().into_iter();
        Ok(messages.filter_map(|message| self.held(message)).collect())
    }

    async fn show(&self, receipts: &[Receipt]) -> Result<(), PortError> {
        const WHAT: &str = "showing letters again on their queue";
        let mut entries = Vec::with_capacity(receipts.len());
        for (index, receipt) in receipts.iter().enumerate() {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(&receipt.0)
                .visibility_timeout(0)
                .build();
            entries.push(entry.map_err(|error| PortError::unavailable(WHAT, error))?);
        }
        // An entry that fails is a letter that is gone, or that somebody else holds by now.
        let sent = self
            .client
            .change_message_visibility_batch()
            .queue_url(&self.url)
            .set_entries(Some(entries))
            .send()
            .await;
        sent.map(|_| ()).map_err(|error| failure(WHAT, error))
    }

    /// At most [`BATCH`] of them, one by one what became of each.
    async fn delete(&self, batch: &[&Held]) -> Vec<Result<Removal, PortError>> {
        const WHAT: &str = "removing letters from their queue";
        let entries = batch.iter().enumerate().map(|(index, held)| {
            let entry = DeleteMessageBatchRequestEntry::builder();
            entry
                .id(index.to_string())
                .receipt_handle(&held.receipt.0)
                .build()
        });
        let sent = async {
            let entries: Vec<_> = entries
                .collect::<Result<_, _>>()
                .map_err(|error| PortError::unavailable(WHAT, error))?;
            let request = self.client.delete_message_batch().queue_url(&self.url);
            let sent = request.set_entries(Some(entries)).send().await;
            sent.map_err(|error| failure(WHAT, error))
        };
        let answer = match sent.await {
            Ok(answer) => answer,
            Err(error) => {
                let each = |_| Err(PortError::unavailable(WHAT, causes(&error)));
                return batch.iter().map(each).collect();
            }
        };
        let of = |index: usize| {
            let id = index.to_string();
            let refused = answer.failed().iter().find(|one| one.id() == id);
            match refused {
                Some(refused) if is_not_ours(refused.code()) => Ok(Removal::NotOurs),
                Some(refused) => {
                    let why = refused.message().unwrap_or(refused.code()).to_owned();
                    Err(PortError::unavailable(WHAT, why))
                }
                None => Ok(Removal::Removed),
            }
        };
        (0..batch.len()).map(of).collect()
    }
}

/// How SQS says that a receipt is not valid any more.
fn is_not_ours(code: &str) -> bool {
    [
        "ReceiptHandleIsInvalid",
        "InvalidParameterValue",
        "InvalidParameterValueException",
    ]
    .contains(&code)
}

impl LetterSource for DeadQueue {
    fn source(&self) -> Source {
        self.source
    }

    fn is_queue(&self) -> bool {
        true
    }

    fn depth(&self) -> Answer<'_, Depth> {
        Box::pin(async move {
            let (visible, hidden) = (
                QueueAttributeName::ApproximateNumberOfMessages,
                QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            );
            let answer = self
                .client
                .get_queue_attributes()
                .queue_url(&self.url)
                .attribute_names(visible.clone())
                .attribute_names(hidden.clone())
                .send()
                .await
                .map_err(|error| failure("counting the letters of a queue", error))?;
            let count = |name| {
                let text = answer.attributes().and_then(|all| all.get(name));
                text.and_then(|text| text.parse().ok()).unwrap_or(0)
            };
            Ok(Depth {
                visible: count(&visible),
                hidden: count(&hidden),
            })
        })
    }

    fn next<'a>(&'a self, walk: &'a mut Walk) -> Answer<'a, Vec<Held>> {
        Box::pin(async move {
            let many = walk.position.is_some();
            let count = if many { RECEIVED_SIDE_BY_SIDE } else { 1 };
            let lease = i32::try_from(walk.lease_seconds).unwrap_or(75);
            let mut held = Vec::new();
            let mut failed = None;
            for received in join_all((0..count).map(|_| self.receive(lease))).await {
                match received {
                    Ok(some) => held.extend(some),
                    Err(error) => failed = Some(error),
                }
            }
            walk.position = (held.len() >= BATCH).then(String::new);
            match failed {
                // What the others gave is hidden now, and must be known to be put back.
                Some(error) if held.is_empty() => Err(error),
                _ => Ok(held),
            }
        })
    }

    fn put_back(&self, receipts: Vec<Receipt>) -> Answer<'_, ()> {
        Box::pin(async move {
            for some in receipts.chunks(BATCH * SIDE_BY_SIDE) {
                try_join_all(some.chunks(BATCH).map(|batch| self.show(batch))).await?;
            }
            Ok(())
        })
    }

    fn remove<'a>(&'a self, held: &'a Held) -> Answer<'a, Removal> {
        Box::pin(async move { self.delete(&[held]).await.pop().unwrap_or(Ok(Removal::NotOurs)) })
    }

    fn remove_all<'a>(&'a self, held: Vec<&'a Held>) -> Answers<'a, Removal> {
        Box::pin(async move {
            let batches = held.chunks(BATCH).map(|batch| self.delete(batch));
            join_all(batches).await.into_iter().flatten().collect()
        })
    }

    fn requeue<'a>(&'a self, _: &'a Held, _: Timestamp) -> Answer<'a, Removal> {
        Box::pin(async move {
            Err(PortError::unavailable(
                "an SQS queue",
                "its letters are no rows of an outbox",
            ))
        })
    }
}
