//! Keeps messages that cannot be understood on a Storage queue, for ever, as base64 of JSON.
//!
//! Invariant: the body is kept whole. A queue message holds 64 KiB of base64
//! (<https://learn.microsoft.com/rest/api/storageservices/put-message>), so a body that does not fit goes in
//! several, each with its number, their count, and the length and SHA-256 of the whole: who joins them knows that
//! nothing is missing, and a delivery that was repeated half way leaves parts that are equal.

use std::sync::Arc;

use azure_core::http::Method;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use saga_app::ports::{PortError, Quarantine, Quarantined};
use saga_wire::time;
use serde::Serialize;

use crate::config::{Config, InvalidConfig, endpoint, queue_name};
use crate::service::{Answer, Call, Http, Repeat, Service};
use crate::shared_key::{Dialect, SharedKey};
use crate::table_store::SCOPE;

const WHAT: &str = "the quarantine queue";
const VERSION: &str = "2020-12-06";
/// What 64 KiB of base64 hold.
const MAX_JSON: usize = 48 * 1024;
/// Room for everything but the body; the reason is cut to its own share of it.
const ENVELOPE: usize = 8 * 1024;
const MAX_REASON: usize = 4 * 1024;

/// The queue.
#[derive(Debug)]
pub struct QuarantineQueue {
    service: Service,
    queue: String,
}

/// A message of the queue.
#[derive(Debug, Serialize)]
struct Message<'a> {
    entrance: &'a str,
    reason: &'a str,
    at: String,
    body: &'a str,
    #[serde(flatten)]
    part: Option<Part<'a>>,
}

#[derive(Debug, Clone, Serialize)]
struct Part<'a> {
    part: usize,
    parts: usize,
    body_bytes: usize,
    body_sha256: &'a str,
}

impl QuarantineQueue {
    /// A queue on a connection of its own.
    ///
    /// # Errors
    /// [`InvalidConfig`] names the setting that is wrong.
    pub fn new(config: &Config) -> Result<Self, InvalidConfig> {
        Self::on(&Http::new(config)?, config)
    }

    pub(crate) fn on(http: &Http, config: &Config) -> Result<Self, InvalidConfig> {
        let base = endpoint("queue", &config.queue_endpoint)?;
        let service = match &config.key {
            Some(key) => {
                let policy = SharedKey::new(Dialect::Queue, &config.account, key)?;
                Service::new(http, base, Arc::new(policy))
            }
            None => Service::new(http, base, http.bearer(SCOPE)?),
        };
        Ok(Self {
            service,
            queue: queue_name(&config.quarantine_queue)?.to_owned(),
        })
    }

    /// Creates the queue if it is not there. For tests: a deployment has it before the function starts.
    ///
    /// # Errors
    /// [`PortError`] when the service fails or refuses.
    pub async fn create_queue(&self) -> Result<(), PortError> {
        let answer = self
            .send(Method::Put, format!("/{}", self.queue), String::new())
            .await?;
        if answer.succeeded() {
            Ok(())
        } else {
            Err(answer.refused(WHAT))
        }
    }

    async fn send(&self, method: Method, path: String, body: String) -> Result<Answer, PortError> {
        let call = Call {
            what: WHAT,
            method,
            path,
            headers: vec![
                ("x-ms-version", VERSION.to_owned()),
                ("content-type", "application/xml".to_owned()),
            ],
            body,
            // A message that is kept twice is better than one that is lost.
            repeat: Repeat::Freely,
        };
        self.service.send(&call).await
    }
}

impl Quarantine for QuarantineQueue {
    async fn keep(&self, message: Quarantined<'_>) -> Result<(), PortError> {
        // A message lives seven days unless it is told to stay.
        let path = format!("/{}/messages?messagettl=-1", self.queue);
        for json in messages(&message) {
            let text = STANDARD.encode(json);
            let body = format!("<QueueMessage><MessageText>{text}</MessageText></QueueMessage>");
            let answer = self.send(Method::Post, path.clone(), body).await?;
            if !answer.succeeded() {
                return Err(answer.refused(WHAT));
            }
        }
        Ok(())
    }
}

/// The queue messages that keep `message`, as JSON.
fn messages(message: &Quarantined<'_>) -> Vec<String> {
    let pieces = pieces(message.body, MAX_JSON - ENVELOPE);
    let sha256 = digest(&SHA256, message.body.as_bytes());
    let sha256: String = sha256.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = pieces.len();
    let reason = cut(message.reason, MAX_REASON);
    let written = pieces.into_iter().enumerate().map(|(index, body)| Message {
        entrance: message.entrance,
        reason,
        at: time::format(message.at),
        body,
        part: (parts > 1).then_some(Part {
            part: index + 1,
            parts,
            body_bytes: message.body.len(),
            body_sha256: &sha256,
        }),
    });
    // A struct of texts and numbers is always JSON.
    written
        .map(|message| serde_json::to_string(&message).unwrap_or_default())
        .collect()
}

/// How many bytes a character takes in JSON.
fn width(character: char) -> usize {
    match character {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        _ => character.len_utf8(),
    }
}

/// Cuts a text into pieces of at most `limit` bytes of JSON; at least one.
fn pieces(text: &str, limit: usize) -> Vec<&str> {
    let (mut out, mut start, mut size) = (Vec::new(), 0, 0);
    for (at, character) in text.char_indices() {
        if size + width(character) > limit {
            out.push(&text[start..at]);
            (start, size) = (at, 0);
        }
        size += width(character);
    }
    out.push(&text[start..]);
    out
}

fn cut(text: &str, limit: usize) -> &str {
    pieces(text, limit).first().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use saga_core::Timestamp;

    use super::*;
    use crate::test_server::{Reply, TestServer, config, quick};

    fn quarantined<'a>(reason: &'a str, body: &'a str) -> Quarantined<'a> {
        Quarantined {
            entrance: "azure-participant",
            reason,
            body,
            at: Timestamp::from_millis(1_795_226_400_123),
        }
    }

    #[test]
    fn a_message_says_where_when_and_why() {
        let expected = r#"{"entrance":"azure-participant","reason":"no JSON","at":"2026-11-21T02:00:00.123Z","body":"\"x"}"#;
        assert_eq!(messages(&quarantined("no JSON", "\"x")), [expected]);
    }

    #[test]
    fn a_body_of_any_size_is_kept_whole_in_messages_that_fit() {
        for body in [
            "",
            "\u{1}\"ä𝄞".repeat(40_000).as_str(),
            "x".repeat(40_960).as_str(),
        ] {
            let reason = "\u{1}".repeat(10_000);
            let messages = messages(&quarantined(&reason, body));
            let mut joined = String::new();
            for (index, message) in messages.iter().enumerate() {
                assert!(STANDARD.encode(message).len() <= 64 * 1024, "{}", message.len());
                let read: serde_json::Value = serde_json::from_str(message).unwrap();
                joined.push_str(read["body"].as_str().unwrap());
                if messages.len() > 1 {
                    assert_eq!(read["part"], index + 1);
                    assert_eq!(read["parts"], messages.len());
                    assert_eq!(read["body_bytes"], body.len());
                }
            }
            assert_eq!(joined, body);
        }
    }

    #[tokio::test]
    async fn it_is_kept_for_ever_and_a_refusal_is_an_error() {
        let server = TestServer::start(vec![Reply::status(201), Reply::status(403)]).await;
        let config = config(&server);
        let queue = QuarantineQueue::on(&quick(&config), &config).unwrap();
        queue.keep(quarantined("r", "b")).await.unwrap();
        assert!(queue.keep(quarantined("r", "b")).await.is_err());
        let first = server.requests().remove(0);
        assert!(
            first.starts_with("POST /acc/quarantine/messages?messagettl=-1 HTTP/1.1"),
            "{first}"
        );
        assert!(first.contains("authorization: SharedKey acc:"), "{first}");
        assert!(first.contains("<QueueMessage><MessageText>eyJ"), "{first}");
    }
}
