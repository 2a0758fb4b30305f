//! A message as Get Messages returns it.
//!
//! The answer is a flat, fixed XML form, so its elements are found by name; whatever does not have all of
//! them is not taken for a message.

/// A message that was taken from a queue and is hidden for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QueueMessage {
    pub(crate) id: String,
    /// As the service writes it, RFC 1123.
    pub(crate) insertion_time: String,
    pub(crate) expiration_time: String,
    pub(crate) pop_receipt: String,
    pub(crate) next_visible_time: String,
    /// How often it was taken, this time included.
    pub(crate) dequeue_count: u32,
    /// The text as stored.
    pub(crate) text: String,
}

impl QueueMessage {
    /// The messages of a `QueueMessagesList`, or nothing when that is not what the text is.
    pub(crate) fn parse_list(xml: &str) -> Option<Vec<Self>> {
        if !xml.contains("<QueueMessagesList") {
            return None;
        }
        xml.split("<QueueMessage>").skip(1).map(Self::parse).collect()
    }

    fn parse(xml: &str) -> Option<Self> {
        Some(Self {
            id: element(xml, "MessageId")?,
            insertion_time: element(xml, "InsertionTime")?,
            expiration_time: element(xml, "ExpirationTime")?,
            pop_receipt: element(xml, "PopReceipt")?,
            next_visible_time: element(xml, "TimeNextVisible")?,
            dequeue_count: element(xml, "DequeueCount")?.parse().ok()?,
            text: element(xml, "MessageText")?,
        })
    }
}

fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}"))?;
    if rest.starts_with("/>") || rest.starts_with(" />") {
        return Some(String::new());
    }
    let (content, _) = rest.strip_prefix('>')?.split_once(&format!("</{name}>"))?;
    Some(unescape(content))
}

/// Resolves XML's predefined entities and character references.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let Some((name, remainder)) = after.split_once(';') else {
            plain.push('&');
            rest = after;
            continue;
        };
        match entity(name) {
            Some(character) => plain.push(character),
            None => {
                plain.push('&');
                rest = after;
                continue;
            }
        }
        rest = remainder;
    }
    plain.push_str(rest);
    plain
}

fn entity(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let digits = name.strip_prefix('#')?;
            let code = match digits.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => digits.parse(),
            };
            char::from_u32(code.ok()?)
        }
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
