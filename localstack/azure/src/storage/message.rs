//! A message as Get Messages returns it; whatever lacks one of its elements is not taken for a message.

use serde::Deserialize;

/// A message that was taken from a queue and is hidden for a while.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct QueueMessage {
    #[serde(rename = "MessageId")]
    pub(crate) id: String,
    /// As the service writes it, RFC 1123.
    pub(crate) insertion_time: String,
    pub(crate) expiration_time: String,
    pub(crate) pop_receipt: String,
    #[serde(rename = "TimeNextVisible")]
    pub(crate) next_visible_time: String,
    /// How often it was taken, this time included.
    pub(crate) dequeue_count: u32,
    /// As stored.
    #[serde(rename = "MessageText")]
    pub(crate) text: String,
}

/// The answer, by its root element.
#[derive(Deserialize)]
enum Answer {
    QueueMessagesList {
        #[serde(rename = "QueueMessage", default)]
        messages: Vec<QueueMessage>,
    },
}

impl QueueMessage {
    /// The messages of a `QueueMessagesList`, or nothing when that is not what the text is.
    pub(crate) fn parse_list(xml: &str) -> Option<Vec<Self>> {
        let Answer::QueueMessagesList { messages } = quick_xml::de::from_str(xml).ok()?;
        Some(messages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_and_unescaped() {
        let xml = "<?xml version=\"1.0\"?><QueueMessagesList><QueueMessage><MessageId>m1</MessageId>\
            <InsertionTime>Fri, 20 Nov 2026 10:00:00 GMT</InsertionTime>\
            <ExpirationTime>Fri, 27 Nov 2026 10:00:00 GMT</ExpirationTime><PopReceipt>Ag=</PopReceipt>\
            <TimeNextVisible>Fri, 20 Nov 2026 10:00:30 GMT</TimeNextVisible><DequeueCount>2</DequeueCount>\
            <MessageText>a&lt;b&amp;&#x41;&#66;&quot;</MessageText></QueueMessage></QueueMessagesList>";
        let messages = QueueMessage::parse_list(xml).unwrap();
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0].text, "a<b&AB\"");
        assert_eq!(messages[0].dequeue_count, 2);
    }

    #[test]
    fn an_empty_queue_has_no_messages() {
        for xml in [
            "<QueueMessagesList/>",
            "<QueueMessagesList></QueueMessagesList>",
            "<QueueMessagesList />",
        ] {
            assert_eq!(QueueMessage::parse_list(xml), Some(vec![]));
        }
    }

    #[test]
    fn anything_else_is_not_taken_for_an_empty_queue() {
        assert_eq!(QueueMessage::parse_list("<Error/>"), None);
        assert_eq!(
            QueueMessage::parse_list("<QueueMessagesList><QueueMessage><MessageId>1"),
            None
        );
    }
}
