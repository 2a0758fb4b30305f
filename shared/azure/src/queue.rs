//! Keeps messages that cannot be understood on a Storage queue, for ever, as base64 of JSON. A queue message holds 64 KiB
//! of base64 (<https://learn.microsoft.com/rest/api/storageservices/put-message>).

use std::sync::Arc;

use azure_core::http::Method;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use saga_app::ports::{PortError, Quarantine, Quarantined};
use saga_wire::quarantine;

use crate::config::{Config, InvalidConfig, endpoint, queue_name};
use crate::service::{Answer, Call, Http, Repeat, Service};
use crate::shared_key::{Dialect, SharedKey};
use crate::table_store::SCOPE;

const WHAT: &str = "the quarantine queue";
const VERSION: &str = "2020-12-06";
/// What 64 KiB of base64 hold.
const MAX_JSON: usize = 48 * 1024;

/// The queue.
#[derive(Debug)]
pub struct QuarantineQueue {
    service: Service,
    queue: String,
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
        for json in quarantine::write(&message, MAX_JSON) {
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

#[cfg(test)]
mod tests {
    use saga_core::Timestamp;

    use super::*;
    use crate::test_server::{Reply, TestServer, config, quick};

    fn quarantined<'a>(reason: &'a str, body: &'a [u8]) -> Quarantined<'a> {
        Quarantined {
            entrance: "azure-participant",
            reason,
            headers: &quarantine::NO_HEADERS,
            body,
            at: Timestamp::from_millis(1_795_226_400_123),
        }
    }

    #[tokio::test]
    async fn a_body_that_one_message_does_not_hold_goes_in_several_that_the_service_takes() {
        let server = TestServer::start(vec![Reply::status(201); 4]).await;
        let config = config(&server);
        let queue = QuarantineQueue::on(&quick(&config), &config).unwrap();
        queue.keep(quarantined("r", &[0xff; 100_000])).await.unwrap();
        let requests = server.requests();
        assert_eq!(requests.len(), 3);
        for request in requests {
            let text = request.split_once("<MessageText>").unwrap().1;
            let text = text.split_once("</MessageText>").unwrap().0;
            assert!(text.len() <= 64 * 1024, "{}", text.len());
        }
    }

    #[tokio::test]
    async fn it_is_kept_for_ever_and_a_refusal_is_an_error() {
        let server = TestServer::start(vec![Reply::status(201), Reply::status(403)]).await;
        let config = config(&server);
        let queue = QuarantineQueue::on(&quick(&config), &config).unwrap();
        queue.keep(quarantined("r", b"b")).await.unwrap();
        assert!(queue.keep(quarantined("r", b"b")).await.is_err());
        let first = server.requests().remove(0);
        assert!(
            first.starts_with("POST /acc/quarantine/messages?messagettl=-1 HTTP/1.1"),
            "{first}"
        );
        assert!(first.contains("authorization: SharedKey acc:"), "{first}");
        assert!(first.contains("<QueueMessage><MessageText>eyJ"), "{first}");
    }
}
