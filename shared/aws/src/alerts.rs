//! [`Alerts`] on SNS.

use aws_config::SdkConfig;
use aws_sdk_sns::Client;
use saga_app::ports::{Alert, Alerts, PortError};

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
        let subject: String = alert
            .subject
            .trim_start()
            .chars()
            .map(printable)
            .take(MAX_SUBJECT)
            .collect();
        let sent = self
            .client
            .publish()
            .topic_arn(&self.arn)
            .subject(subject)
            .message(readable(&alert.text))
            .send()
            .await;
        sent.map(|_| ())
            .map_err(|error| failure("publishing an alert", error))
    }
}

/// A text quotes what others wrote, and subscribers are queues, mails and chats: what XML does not hold is replaced.
fn readable(text: &str) -> String {
    let is_xml = |c: char| {
        matches!(c, '\t' | '\n' | '\r') || !(c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}'))
    };
    text.chars()
        .map(|c| if is_xml(c) { c } else { char::REPLACEMENT_CHARACTER })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_holds_nothing_that_a_subscriber_refuses() {
        let said = "a\tb\r\nü 𝄞\u{0}\u{1b}[2J\u{fffe}\u{ffff}";
        assert_eq!(readable(said), "a\tb\r\nü 𝄞\u{fffd}\u{fffd}[2J\u{fffd}\u{fffd}");
    }
}
