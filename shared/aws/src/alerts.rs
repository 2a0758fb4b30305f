//! [`Alerts`] on SNS.

use aws_config::SdkConfig;
use aws_sdk_sns::Client;
use saga_app::ports::{Alert, Alerts, PortError};
use saga_core::text::shown_lines;

use crate::failure::failure;

/// A subject is printable ASCII, at most 100 characters
/// (<https://docs.aws.amazon.com/sns/latest/api/API_Publish.html>).
const MAX_SUBJECT: usize = 100;

/// The alerts topic.
#[derive(Debug, Clone)]
pub struct AlertsTopic {
    client: Client,
    arn: String,
}

impl AlertsTopic {
    /// The topic with this ARN.
    #[must_use]
    pub fn new(config: &SdkConfig, arn: String) -> Self {
        Self {
            client: Client::new(config),
            arn,
        }
    }
}

impl Alerts for AlertsTopic {
    async fn raise(&self, alert: Alert) -> Result<(), PortError> {
        // It begins with a letter, a number or a punctuation mark.
        let printable = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
        let subject = alert.subject.trim_start().chars().map(printable);
        let subject: String = subject.take(MAX_SUBJECT).collect();
        let sent = self
            .client
            .publish()
            .topic_arn(&self.arn)
            .subject(subject)
            .message(shown_lines(&alert.text))
            .send()
            .await;
        sent.map(|_| ())
            .map_err(|error| failure("publishing an alert", error))
    }
}
