//! Text in URLs and filters.

/// A table key between quotes in a URL: quotes doubled, everything else percent-encoded.
pub(super) fn key(key: &str) -> String {
    percent(&quoted(key))
}

/// A table key between quotes in a filter.
pub(crate) fn quoted(key: &str) -> String {
    key.replace('\'', "''")
}

/// Percent-encodes all but RFC 3986's unreserved characters.
pub(super) fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stands_between_quotes() {
        assert_eq!(key("entity|it's"), "entity%7Cit%27%27s");
    }
}
