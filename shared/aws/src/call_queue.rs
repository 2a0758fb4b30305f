//! The SQS queue of one service's requests, as its caller writes to it.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use saga_app::ports::{CallQueue, PortError};

use crate::failure::failure;

/// SQS delays a message by at most 15 minutes
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>).
const LONGEST_SECONDS: u64 = 900;

/// The queue of one service's requests.
#[derive(Debug, Clone)]
pub struct ServiceQueue {
    client: Client,
    url: String,
}

impl ServiceQueue {
    /// The queue at this URL.
    #[must_use]
    pub fn new(config: &SdkConfig, url: String) -> Self {
        let client = Client::new(config);
        Self { client, url }
    }
}

impl CallQueue for ServiceQueue {
    async fn put(&self, body: &[u8], delay: Duration) -> Result<(), PortError> {
        // It delays by whole seconds; a message that comes early is not sent.
        let seconds = delay.as_millis().div_ceil(1_000);
        let seconds = u64::try_from(seconds)
            .unwrap_or(LONGEST_SECONDS)
            .min(LONGEST_SECONDS);
        let sent = self
            .client
            .send_message()
            .queue_url(&self.url)
            .message_body(String::from_utf8_lossy(body))
            .delay_seconds(i32::try_from(seconds).unwrap_or_default())
            .send()
            .await;
        sent.map_err(|error| failure("putting a request back on its queue", error))?;
        Ok(())
    }
}
