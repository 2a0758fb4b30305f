//! The few XML elements that the answers of queues and blobs hold. Their texts have no markup inside, so an element ends at
//! its first end tag.

use azure_core::time::parse_rfc7231;
use saga_core::Timestamp;

/// The contents of all elements of this name.
pub(super) fn elements<'a>(xml: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{name}"), format!("</{name}>"));
    let (mut found, mut rest) = (Vec::new(), xml);
    while let Some(start) = rest.find(&open) {
        rest = &rest[start + open.len()..];
        // Another element's name may begin with this one.
        if !rest.starts_with(['>', ' ', '/']) {
            continue;
        }
        let Some(content) = rest.find('>').map(|end| &rest[end + 1..]) else {
            break;
        };
        let Some(end) = content.find(&close) else {
            continue;
        };
        found.push(&content[..end]);
        rest = &content[end + close.len()..];
    }
    found
}

/// The text of the first element of this name.
pub(super) fn text(xml: &str, name: &str) -> Option<String> {
    elements(xml, name).first().map(|content| unescape(content))
}

/// The time in the first element of this name.
pub(super) fn time(xml: &str, name: &str) -> Option<Timestamp> {
    rfc7231(&text(xml, name)?)
}

/// A time as HTTP writes it.
pub(super) fn rfc7231(text: &str) -> Option<Timestamp> {
    let at = parse_rfc7231(text).ok()?;
    let millis = at.unix_timestamp_nanos() / 1_000_000;
    i64::try_from(millis).ok().map(Timestamp::from_millis)
}

fn unescape(text: &str) -> String {
    let mut parts = text.split('&');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let known = part
            .split_once(';')
            .and_then(|(entity, rest)| Some((character(entity)?, rest)));
        match known {
            Some((character, rest)) => {
                out.push(character);
                out.push_str(rest);
            }
            None => {
                out.push('&');
                out.push_str(part);
            }
        }
    }
    out
}

fn character(entity: &str) -> Option<char> {
    match entity {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let code = entity.strip_prefix('#')?;
            let code = match code.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => code.parse(),
            };
            char::from_u32(code.ok()?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_and_names_are_whole() {
        let xml = "<?xml version=\"1.0\"?><List><Names>no</Names><Name>a&amp;b</Name><Name Encoded=\"true\">c</Name><Name/></List>";
        assert_eq!(elements(xml, "Name"), ["a&amp;b", "c"]);
        assert_eq!(text(xml, "Name").unwrap(), "a&b");
        assert_eq!(unescape("&lt;&#x41;&#66;&odd;&"), "<AB&odd;&");
        let at = time("<T>Sat, 21 Nov 2026 02:00:00 GMT</T>", "T").unwrap();
        assert_eq!(at.millis(), 1_795_226_400_000);
    }
}
