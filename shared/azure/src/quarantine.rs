//! Keeps messages that cannot be understood on a Storage queue, for ever, as base64 of JSON. A queue message holds 64 KiB
//! of base64 (<https://learn.microsoft.com/rest/api/storageservices/put-message>).

use saga_app::ports::{PortError, Quarantine, Quarantined};
use saga_wire::quarantine;

use crate::client::{Queue, StorageAccount};
use crate::config::{Config, InvalidConfig};

const WHAT: &str = "the quarantine queue";
/// What 64 KiB of base64 hold.
const MAX_JSON: usize = 48 * 1024;

/// The queue.
#[derive(Debug)]
pub struct QuarantineQueue {
    queue: Queue,
}

impl QuarantineQueue {
    pub(crate) fn new(account: &StorageAccount<'_>, config: &Config) -> Result<Self, InvalidConfig> {
        let queue = Queue::new(account, &config.queue_endpoint, &config.quarantine_queue, WHAT)?;
        Ok(Self { queue })
    }
}

impl Quarantine for QuarantineQueue {
    async fn keep(&self, message: Quarantined<'_>) -> Result<(), PortError> {
        for json in quarantine::write(&message, MAX_JSON) {
            // A message that is kept twice is better than one that is lost.
            let kept = self.queue.put(json.as_bytes()).await?;
            kept.map_err(|refusal| refusal.into_error(WHAT))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use saga_core::Timestamp;

    use super::*;
    use crate::support::{Reply, TestServer, azure};

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
        let queue = azure(&server, ()).quarantine;
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
        let queue = azure(&server, ()).quarantine;
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
