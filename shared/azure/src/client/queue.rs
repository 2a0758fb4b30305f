//! The client of a Storage queue
//! (<https://learn.microsoft.com/rest/api/storageservices/operations-on-messages>).

use azure_core::http::Method;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use saga_app::dead_letters::ports::Receipt;
use saga_app::ports::{PortError, Published, Refusal};
use saga_core::Timestamp;

use super::Written;
use super::connection::{STORAGE_VERSION, StorageAccount};
use super::service::{Call, Service};
use super::shared_key::Dialect;
use super::url::percent;
use super::xml;
use crate::config::{InvalidConfig, queue_name};

/// The most messages that one request gets.
const BATCH: usize = 32;

/// A queue.
#[derive(Debug)]
pub(crate) struct Queue {
    service: Service,
    name: String,
}

/// A message that was taken.
#[derive(Debug)]
pub(crate) struct Message {
    /// It is valid until the visibility timeout ends.
    pub(crate) receipt: Receipt,
    /// As it is on the queue: base64, if its writer encoded it.
    pub(crate) text: String,
    pub(crate) inserted: Option<Timestamp>,
}

impl Queue {
    /// `what` names the queue in errors.
    pub(crate) fn new(
        account: &StorageAccount<'_>,
        queue_endpoint: &str,
        name: &str,
        what: &'static str,
    ) -> Result<Self, InvalidConfig> {
        Ok(Self {
            service: account.service(what, "queue", queue_endpoint, Dialect::Queue)?,
            name: queue_name(name)?.to_owned(),
        })
    }

    /// Adds a message in base64 that never expires; adding it twice must be harmless. `Ok(Err(_))`: it will never be
    /// taken.
    pub(crate) async fn put(&self, content: &[u8]) -> Result<Published, PortError> {
        let text = STANDARD.encode(content);
        let body = format!("<QueueMessage><MessageText>{text}</MessageText></QueueMessage>");
        // A message lives seven days unless its time to live says otherwise.
        let call = self.call(Method::Post, "/messages?messagettl=-1");
        let answer = self.service.send(&call.body("application/xml", body)).await?;
        match answer.status {
            200..300 => Ok(Ok(())),
            status @ (400 | 413) => Ok(Err(Refusal::Never(format!("{status} {}", answer.code())))),
            _ => Err(self.service.refused(&answer)),
        }
    }

    /// Takes up to 32 messages, which hides them for `seconds`. A lost answer hides them for as long.
    pub(crate) async fn take(&self, seconds: u32) -> Result<Vec<Message>, PortError> {
        let path = format!("/messages?numofmessages={BATCH}&visibilitytimeout={seconds}");
        let answer = self.service.expect(self.call(Method::Get, &path)).await?;
        let messages = xml::elements(&answer.body, "QueueMessage").into_iter();
        let read = messages.filter_map(|message| {
            let text = |name| xml::text(message, name);
            Some(Message {
                receipt: Receipt {
                    message: text("MessageId")?,
                    handle: text("PopReceipt")?,
                },
                text: text("MessageText").unwrap_or_default(),
                inserted: xml::time(message, "InsertionTime"),
            })
        });
        Ok(read.collect())
    }

    /// Shows a message again.
    pub(crate) async fn show(&self, receipt: &Receipt) -> Result<Written, PortError> {
        let path = format!("{}&visibilitytimeout=0", message_path(receipt));
        self.change(self.call(Method::Put, &path)).await
    }

    /// Removes a message.
    pub(crate) async fn delete(&self, receipt: &Receipt) -> Result<Written, PortError> {
        let call = self.call(Method::Delete, &message_path(receipt));
        self.change(call).await
    }

    /// How many messages there are, hidden ones included.
    pub(crate) async fn count(&self) -> Result<usize, PortError> {
        let answer = self
            .service
            .expect(self.call(Method::Get, "?comp=metadata"))
            .await?;
        let count = answer.header("x-ms-approximate-messages-count");
        Ok(count.and_then(|count| count.parse().ok()).unwrap_or(0))
    }

    fn call(&self, method: Method, path: &str) -> Call {
        Call::new(method, format!("/{}{path}", self.name)).header("x-ms-version", STORAGE_VERSION)
    }

    async fn change(&self, call: Call) -> Result<Written, PortError> {
        let answer = self.service.send(&call).await?;
        match (answer.status, answer.code().as_str()) {
            (200..300, _) => Ok(Written::Applied),
            (404, "QueueNotFound") => Err(self.service.refused(&answer)),
            // The message is gone, or somebody else has taken it since.
            (404, _) | (400, "PopReceiptMismatch") => Ok(Written::Missing),
            _ => Err(self.service.refused(&answer)),
        }
    }
}

fn message_path(receipt: &Receipt) -> String {
    let (id, handle) = (percent(&receipt.message), percent(&receipt.handle));
    format!("/messages/{id}?popreceipt={handle}")
}
