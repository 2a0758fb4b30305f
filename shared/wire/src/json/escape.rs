//! Characters that some carrier, store or reader does not take as they are, escaped.

use std::borrow::Cow;

use saga_core::text::is_unseen;

/// JSON text with the same values in which every character that some carrier or store refuses, drops or rewrites is
/// escaped. Valid JSON holds such characters in strings only, where `\uXXXX` stands for them.
///
/// SQS refuses U+FFFE and U+FFFF
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>), Azurite a batch with
/// U+2028 or U+2029; the control characters, the byte order mark and the other noncharacters are what XML and text
/// libraries stumble over next.
#[must_use]
pub fn portable(json: &str) -> Cow<'_, str> {
    escaped(json, is_awkward)
}

/// JSON text with the same values in which every character is escaped that a person cannot see, or that would move or
/// reorder what a terminal shows.
#[must_use]
pub fn legible(json: &str) -> Cow<'_, str> {
    escaped(json, |c| {
        !c.is_ascii() && (c.is_whitespace() || is_unseen(c)) || c == '\u{7f}'
    })
}

fn escaped(json: &str, which: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !json.chars().any(&which) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + json.len() / 4);
    for character in json.chars() {
        if which(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(character);
        }
    }
    Cow::Owned(out)
}

fn is_awkward(character: char) -> bool {
    let is_noncharacter = |c: char| matches!(c, '\u{fdd0}'..='\u{fdef}') || u32::from(c) & 0xfffe == 0xfffe;
    matches!(
        character,
        '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}'
    ) || is_noncharacter(character)
}

/// Whether a text in this JSON holds U+FFFE or U+FFFF, escaped or not. SQS refuses them, and what reads JSON and writes it
/// anew on the way there, as EventBridge does, does not keep an escape. Now and then it says so of another text.
#[must_use]
pub fn holds_what_sqs_refuses(json: &str) -> bool {
    let json = portable(json).to_ascii_lowercase();
    json.contains("\\ufffe") || json.contains("\\uffff")
}

/// How many bytes a character takes in a string of JSON that [`portable`] made.
pub(crate) fn width(character: char) -> usize {
    match character {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        _ if is_awkward(character) => 6 * character.len_utf16(),
        _ => character.len_utf8(),
    }
}
