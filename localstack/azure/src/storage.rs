//! The few requests of Storage queues and blobs that the two services make, signed with the shared key.
//!
//! Written out rather than taken from an SDK because the SDK refuses plain HTTP with a credential. The
//! signature follows "Authorize with Shared Key" of the Storage REST documentation (2009-09-19 and later).

mod message;

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::{Method, Url};
use ring::hmac;

pub(crate) use message::QueueMessage;

use crate::{StartError, config, system};

const API_VERSION: &str = "2021-12-02";

pub(crate) struct StorageAccount {
    http: reqwest::Client,
    account: String,
    key: hmac::Key,
    blob: Url,
    queue: Url,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum StorageError {
    #[error("storage answered {operation} with {status} {code}")]
    Refused {
        operation: &'static str,
        status: u16,
        code: String,
    },
    #[error("storage did not answer {operation}")]
    Silent {
        operation: &'static str,
        source: reqwest::Error,
    },
    #[error("storage answered {operation} with something else than its documented XML")]
    NotUnderstood { operation: &'static str },
}

impl StorageError {
    /// The HTTP status, when there was an answer.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::Silent { .. } | Self::NotUnderstood { .. } => None,
        }
    }
}

struct Request<'r> {
    operation: &'static str,
    method: Method,
    url: Url,
    body: String,
    content_type: &'r str,
    extra: &'r [(&'static str, &'static str)],
}

impl Request<'_> {
    fn new(operation: &'static str, method: Method, url: Url) -> Self {
        Self {
            operation,
            method,
            url,
            body: String::new(),
            content_type: "",
            extra: &[],
        }
    }
}

impl StorageAccount {
    pub(crate) fn new(http: reqwest::Client, storage: &config::Storage) -> Result<Self, StartError> {
        let invalid = |field: &str| StartError::invalid(format!("storage.{field} is not valid"));
        let key = STANDARD.decode(&storage.key).map_err(|_| invalid("key"))?;
        Ok(Self {
            http,
            account: storage.account.clone(),
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            blob: Url::parse(&storage.blob).map_err(|_| invalid("blob"))?,
            queue: Url::parse(&storage.queue).map_err(|_| invalid("queue"))?,
        })
    }

    /// Put Message. `text` goes into the XML as it is, so it must be base64 or escaped already.
    pub(crate) async fn put_message(&self, queue: &str, text: &str) -> Result<(), StorageError> {
        let url = extend(&self.queue, &[queue, "messages"]);
        let body = format!("<QueueMessage><MessageText>{text}</MessageText></QueueMessage>");
        let request = Request {
            body,
            content_type: "application/xml",
            ..Request::new("Put Message", Method::POST, url)
        };
        self.send(request).await.map(drop)
    }

    /// Get Messages: takes up to `count` messages and hides them for `visibility`.
    pub(crate) async fn get_messages(
        &self,
        queue: &str,
        count: usize,
        visibility: Duration,
    ) -> Result<Vec<QueueMessage>, StorageError> {
        let mut url = extend(&self.queue, &[queue, "messages"]);
        url.query_pairs_mut()
            .append_pair("numofmessages", &count.to_string())
            .append_pair("visibilitytimeout", &visibility.as_secs().to_string());
        let operation = "Get Messages";
        let xml = self.send(Request::new(operation, Method::GET, url)).await?;
        QueueMessage::parse_list(&xml).ok_or(StorageError::NotUnderstood { operation })
    }

    pub(crate) async fn delete_message(
        &self,
        queue: &str,
        message: &QueueMessage,
    ) -> Result<(), StorageError> {
        let url = self.of_message(queue, message);
        let request = Request::new("Delete Message", Method::DELETE, url);
        self.send(request).await.map(drop)
    }

    /// Update Message without a body: the text stays, the message shows again after `visibility`.
    pub(crate) async fn show_message_after(
        &self,
        queue: &str,
        message: &QueueMessage,
        visibility: Duration,
    ) -> Result<(), StorageError> {
        let mut url = self.of_message(queue, message);
        url.query_pairs_mut()
            .append_pair("visibilitytimeout", &visibility.as_secs().to_string());
        let request = Request::new("Update Message", Method::PUT, url);
        self.send(request).await.map(drop)
    }

    fn of_message(&self, queue: &str, message: &QueueMessage) -> Url {
        let mut url = extend(&self.queue, &[queue, "messages", &message.id]);
        url.query_pairs_mut()
            .append_pair("popreceipt", &message.pop_receipt);
        url
    }

    /// Create Queue; a queue that is there already is fine.
    pub(crate) async fn create_queue(&self, queue: &str) -> Result<(), StorageError> {
        let url = extend(&self.queue, &[queue]);
        match self.send(Request::new("Create Queue", Method::PUT, url)).await {
            Err(StorageError::Refused { status: 409, .. }) | Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Put Blob, as a block blob of JSON. `path` is below the container, parted by slashes.
    pub(crate) async fn put_blob(
        &self,
        container: &str,
        path: &str,
        body: String,
    ) -> Result<(), StorageError> {
        let mut segments = vec![container];
        segments.extend(path.split('/'));
        let request = Request {
            body,
            content_type: "application/json",
            extra: &[("x-ms-blob-type", "BlockBlob")],
            ..Request::new("Put Blob", Method::PUT, extend(&self.blob, &segments))
        };
        self.send(request).await.map(drop)
    }

    async fn send(&self, request: Request<'_>) -> Result<String, StorageError> {
        let operation = request.operation;
        let date = system::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let authorization = self.authorization(&request, &date);
        let mut builder = self
            .http
            .request(request.method, request.url)
            .header("x-ms-date", date)
            .header("x-ms-version", API_VERSION)
            .header("authorization", authorization);
        for (name, value) in request.extra {
            builder = builder.header(*name, *value);
        }
        if !request.content_type.is_empty() {
            builder = builder.header("content-type", request.content_type);
        }
        let silent = |source: reqwest::Error| StorageError::Silent {
            operation,
            source: source.without_url(),
        };
        let answer = builder.body(request.body).send().await.map_err(silent)?;
        let status = answer.status();
        let code = answer.headers().get("x-ms-error-code");
        let code = code.and_then(|code| code.to_str().ok()).map(str::to_owned);
        let body = answer.text().await.map_err(silent)?;
        if status.is_success() {
            return Ok(body);
        }
        Err(StorageError::Refused {
            operation,
            status: status.as_u16(),
            code: code.unwrap_or_default(),
        })
    }

    fn authorization(&self, request: &Request<'_>, date: &str) -> String {
        let to_sign = string_to_sign(&self.account, request, date);
        let signature = STANDARD.encode(hmac::sign(&self.key, to_sign.as_bytes()));
        format!("SharedKey {}:{signature}", self.account)
    }
}

fn string_to_sign(account: &str, request: &Request<'_>, date: &str) -> String {
    let length = match request.body.len() {
        0 => String::new(),
        length => length.to_string(),
    };
    let mut headers: BTreeMap<&str, &str> = request.extra.iter().copied().collect();
    headers.insert("x-ms-date", date);
    headers.insert("x-ms-version", API_VERSION);
    let headers = headers.iter().map(|(name, value)| format!("{name}:{value}\n"));
    let headers: String = headers.collect();
    let parameters: BTreeMap<String, String> = request.url.query_pairs().into_owned().collect();
    let parameters = parameters.iter().map(|(name, value)| format!("\n{name}:{value}"));
    let parameters: String = parameters.collect();
    format!(
        "{}\n\n\n{length}\n\n{}\n\n\n\n\n\n\n{headers}/{account}{}{parameters}",
        request.method,
        request.content_type,
        request.url.path(),
    )
}

fn extend(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_string_to_sign_has_the_documented_fields_in_order() {
        let mut url = extend(
            &Url::parse("http://127.0.0.1:10001/acct").unwrap(),
            &["q", "messages", "id"],
        );
        url.query_pairs_mut()
            .append_pair("visibilitytimeout", "0")
            .append_pair("popreceipt", "AgAA+/=");
        let request = Request {
            operation: "Update Message",
            method: Method::PUT,
            url,
            body: "12345".to_owned(),
            content_type: "application/xml",
            extra: &[("x-ms-blob-type", "BlockBlob")],
        };
        let expected = "PUT\n\n\n5\n\napplication/xml\n\n\n\n\n\n\nx-ms-blob-type:BlockBlob\nx-ms-date:D\n\
                        x-ms-version:2021-12-02\n/acct/acct/q/messages/id\npopreceipt:AgAA+/=\nvisibilitytimeout:0";
        assert_eq!(string_to_sign("acct", &request, "D"), expected);
    }
}
