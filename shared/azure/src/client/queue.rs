//! The client of a Storage queue
//! (<https://learn.microsoft.com/rest/api/storageservices/operations-on-messages>).

use azure_core::http::Method;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use saga_app::dead_letters::ports::Receipt;
use saga_app::ports::{PortError, Published, Refusal};
use saga_core::Timestamp;
use serde::Deserialize;

use super::Written;
use super::answer::rfc7231;
use super::connection::{STORAGE_VERSION, StorageAccount};
use super::service::{Call, Service};
use super::shared_key::Dialect;
use super::url::percent;
use crate::config::{InvalidConfig, queue_name};

const BATCH: usize = 32;

#[derive(Debug)]
pub(crate) struct Queue {
    service: Service,
    name: String,
}

#[derive(Debug)]
pub(crate) struct Message {
    /// It is valid until the visibility timeout ends.
    pub(crate) receipt: Receipt,
    /// As it is on the queue: base64, if its writer encoded it.
    pub(crate) text: String,
    pub(crate) inserted: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "QueueMessage", default)]
    messages: Vec<ListedMessage>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedMessage {
    message_id: String,
    pop_receipt: String,
    #[serde(default)]
    message_text: String,
    insertion_time: Option<String>,
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
        self.put_later(content, 0).await
    }

    /// The same, and nobody sees it for `seconds`.
    pub(crate) async fn put_later(&self, content: &[u8], seconds: u64) -> Result<Published, PortError> {
        let text = STANDARD.encode(content);
        let body = format!("<QueueMessage><MessageText>{text}</MessageText></QueueMessage>");
        // A message lives seven days unless its time to live says otherwise.
        let later = match seconds {
            0 => String::new(),
            seconds => format!("&visibilitytimeout={seconds}"),
        };
        let call = self.call(Method::Post, &format!("/messages?messagettl=-1{later}"));
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
        let listed: Listed = answer.xml().map_err(|failure| self.service.failed(failure))?;
        let read = listed.messages.into_iter().map(|message| Message {
            inserted: message.insertion_time.as_deref().and_then(rfc7231),
            receipt: Receipt {
                message: message.message_id,
                handle: message.pop_receipt,
            },
            text: message.message_text,
        });
        Ok(read.collect())
    }

    pub(crate) async fn show(&self, receipt: &Receipt) -> Result<Written, PortError> {
        let path = format!("{}&visibilitytimeout=0", message_path(receipt));
        self.change(self.call(Method::Put, &path)).await
    }

    pub(crate) async fn delete(&self, receipt: &Receipt) -> Result<Written, PortError> {
        let call = self.call(Method::Delete, &message_path(receipt));
        self.change(call).await
    }

    /// How many messages there are, hidden ones included.
    pub(crate) async fn count(&self) -> Result<usize, PortError> {
        let call = self.call(Method::Get, "?comp=metadata");
        let answer = self.service.expect(call).await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_as_it_is_on_the_queue() {
        let xml = "<?xml version=\"1.0\"?><QueueMessagesList><QueueMessage><MessageId>m</MessageId>\
            <InsertionTime>Sat, 21 Nov 2026 02:00:00 GMT</InsertionTime><PopReceipt>Ag=</PopReceipt>\
            <DequeueCount>2</DequeueCount><MessageText> a&lt;b&amp;&#x41;&#66;&quot;\n </MessageText></QueueMessage>\
            <QueueMessage><MessageId>n</MessageId><PopReceipt>p</PopReceipt><MessageText/></QueueMessage></QueueMessagesList>";
        let listed: Listed = quick_xml::de::from_str(xml).unwrap();
        let texts: Vec<&str> = listed
            .messages
            .iter()
            .map(|one| one.message_text.as_str())
            .collect();
        assert_eq!(texts, [" a<b&AB\"\n ", ""]);
        for empty in ["<QueueMessagesList/>", "<QueueMessagesList></QueueMessagesList>"] {
            assert!(
                quick_xml::de::from_str::<Listed>(empty)
                    .unwrap()
                    .messages
                    .is_empty()
            );
        }
    }
}
