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
use saga_app::dead_letters::ports::{Answer, Answers, DeadLetterQueue, Depth, Leased, Receipt, Removal};
use saga_app::ports::{PortError, causes};
use saga_core::Timestamp;
use saga_wire::dead_letter::Received;
use saga_wire::dead_letter::{DeadLetter, Source};

use crate::failure::failure;

/// The most that one request receives, or puts back.
const BATCH: usize = 10;
/// So many requests at a time when dead letters are put back.
const SIDE_BY_SIDE: usize = 8;
/// So many requests at a time once the queue has shown that it holds more than one gives.
const RECEIVED_SIDE_BY_SIDE: usize = 4;
/// Waiting a moment makes SQS ask all its servers, not a sample of them: an empty answer is then an empty queue.
const WAIT_SECONDS: i32 = 1;

/// How SQS says that a receipt is not valid any more.
const NOT_OURS: [&str; 3] = [
    "ReceiptHandleIsInvalid",
    "InvalidParameterValue",
    "InvalidParameterValueException",
];

/// A queue of dead letters.
#[derive(Debug, Clone)]
pub struct DeadQueue {
    client: Client,
    url: String,
    source: Source,
    read: fn(&Received) -> DeadLetter,
    /// What its keys and receipts begin with, so that those of several queues are told apart.
    prefix: String,
}

impl DeadQueue {
    /// The queue at this URL, whose messages `read` understands.
    #[must_use]
    pub fn new(config: &SdkConfig, url: String, source: Source, read: fn(&Received) -> DeadLetter) -> Self {
        let client = Client::new(config);
        Self {
            client,
            url,
            source,
            read,
            prefix: String::new(),
        }
    }

    /// The same queue, whose keys and receipts begin with this.
    #[must_use]
    pub fn prefixed(self, prefix: String) -> Self {
        Self { prefix, ..self }
    }

    fn leased(&self, message: Message) -> Option<Leased> {
        let system = |name: System| message.attributes.as_ref().and_then(|all| all.get(&name));
        let sent = system(System::SentTimestamp).and_then(|text| text.parse().ok());
        let attributes = message.message_attributes.iter().flatten();
        let texts = attributes.filter_map(|(name, value)| Some((name.clone(), value.string_value.clone()?)));
        let id = message.message_id?;
        let received = Received {
            // The list is in the order of arrival.
            key: format!("{}{:013}-{id}", self.prefix, sent.unwrap_or(0_i64)),
            attributes: texts.collect(),
            sent: sent.map(Timestamp::from_millis),
            body: message.body.clone().unwrap_or_default(),
        };
        Some(Leased {
            dead_letter: (self.read)(&received),
            receipt: Receipt {
                message: format!("{}{id}", self.prefix),
                handle: message.receipt_handle?,
            },
        })
    }

    async fn receive(&self, lease_seconds: i32) -> Result<Vec<Leased>, PortError> {
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(i32::try_from(BATCH).unwrap_or(10))
            .visibility_timeout(lease_seconds)
            .wait_time_seconds(WAIT_SECONDS)
            .message_attribute_names("All")
            .message_system_attribute_names(System::SentTimestamp)
            .send()
            .await
            .map_err(|error| failure("reading the dead letters of a queue", error))?;
        let messages = answer.messages.unwrap_or_default().into_iter();
        Ok(messages.filter_map(|message| self.leased(message)).collect())
    }

    async fn show(&self, receipts: &[Receipt]) -> Result<(), PortError> {
        let entries = receipts.iter().enumerate().map(|(index, receipt)| {
            ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(&receipt.handle)
                .visibility_timeout(0)
                .build()
        });
        // An entry that fails is a message that is gone, or that somebody else holds by now.
        self.client
            .change_message_visibility_batch()
            .queue_url(&self.url)
            .set_entries(Some(entries.flatten().collect()))
            .send()
            .await
            .map(drop)
            .map_err(|error| failure("showing dead letters again on their queue", error))
    }

    /// At most [`BATCH`] of them, one by one what became of each.
    async fn delete(&self, batch: &[&Receipt]) -> Vec<Result<Removal, PortError>> {
        const WHAT: &str = "removing dead letters from their queue";
        let entries = batch.iter().enumerate().map(|(index, receipt)| {
            DeleteMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(&receipt.handle)
                .build()
        });
        let answer = self
            .client
            .delete_message_batch()
            .queue_url(&self.url)
            .set_entries(Some(entries.flatten().collect()))
            .send()
            .await
            .map_err(|error| causes(&failure(WHAT, error)));
        let of = |index: usize| {
            let answer = answer
                .as_ref()
                .map_err(|why| PortError::unavailable(WHAT, why.clone()))?;
            let done = |id: &str| id == index.to_string();
            match answer.failed().iter().find(|one| done(one.id())) {
                Some(refused) if NOT_OURS.contains(&refused.code()) => Ok(Removal::NotOurs),
                None if answer.successful().iter().any(|one| done(one.id())) => Ok(Removal::Removed),
                refused => {
                    let why = refused.map_or("it is not in the answer", |one| {
                        one.message().unwrap_or(one.code())
                    });
                    Err(PortError::unavailable(WHAT, why.to_owned()))
                }
            }
        };
        (0..batch.len()).map(of).collect()
    }
}

impl DeadLetterQueue for DeadQueue {
    fn source(&self) -> Source {
        self.source
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
                .map_err(|error| failure("counting the dead letters of a queue", error))?;
            let count = |name| {
                let text = answer.attributes()?.get(name)?;
                text.parse().ok()
            };
            Ok(Depth {
                visible: count(&visible).unwrap_or(0),
                hidden: count(&hidden).unwrap_or(0),
            })
        })
    }

    fn lease(&self, seconds: u32, before: usize) -> Answer<'_, Vec<Leased>> {
        Box::pin(async move {
            let count = if before >= BATCH { RECEIVED_SIDE_BY_SIDE } else { 1 };
            let seconds = i32::try_from(seconds).unwrap_or(i32::MAX);
            let (mut leased, mut failed) = (Vec::new(), None);
            for received in join_all((0..count).map(|_| self.receive(seconds))).await {
                match received {
                    Ok(some) => leased.extend(some),
                    Err(error) => failed = Some(error),
                }
            }
            match failed {
                // What the others gave is hidden now, and must be known to be put back.
                Some(error) if leased.is_empty() => Err(error),
                _ => Ok(leased),
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

    fn remove<'a>(&'a self, receipts: Vec<&'a Receipt>) -> Answers<'a, Removal> {
        Box::pin(async move {
            let batches = receipts.chunks(BATCH).map(|batch| self.delete(batch));
            join_all(batches).await.into_iter().flatten().collect()
        })
    }
}
