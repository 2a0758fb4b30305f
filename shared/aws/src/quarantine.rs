//! [`Quarantine`] on SQS.

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use saga_app::ports::{PortError, Quarantine, Quarantined};
use saga_wire::quarantine;

use crate::failure::failure;

/// What one SQS message takes in all regions, less what the message's own frame takes.
const MAX_BYTES: usize = 250 * 1024;

/// The quarantine queue.
#[derive(Debug, Clone)]
pub struct QuarantineQueue {
    client: Client,
    url: String,
}

impl QuarantineQueue {
    /// The queue at this URL.
    #[must_use]
    pub fn new(config: &SdkConfig, url: String) -> Self {
        Self {
            client: Client::new(config),
            url,
        }
    }
}

impl Quarantine for QuarantineQueue {
    async fn keep(&self, message: Quarantined<'_>) -> Result<(), PortError> {
        for body in quarantine::write(&message, MAX_BYTES) {
            let sent = self
                .client
                .send_message()
                .queue_url(&self.url)
                .message_body(body)
                .send()
                .await;
            sent.map_err(|error| failure("putting a message into the quarantine", error))?;
        }
        Ok(())
    }
}
