//! JSON ↔ [`Document`], with exact numbers: a number's digits are taken as they are written, never through a
//! float.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use saga_core::document::{Document, Fields, InvalidNumber, Number};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::Malformed;

mod escape;

pub(crate) use escape::width;
pub use escape::{holds_what_sqs_refuses, legible, portable};

/// Deeper JSON than any input of a saga needs; each level costs one more reading of what is inside.
const MAX_DEPTH: usize = 16;

/// Why a text is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is not JSON, is nested too deeply, or a name stands twice.
    #[error("{0}")]
    Json(String),
    /// It is JSON, and the number at this place is none that every store on the way keeps exactly.
    #[error("`{field}` {why}")]
    Number {
        /// Where, such as `items[2].quantity`.
        field: String,
        /// What to change.
        why: InvalidNumber,
    },
}

impl From<Unreadable> for Malformed {
    fn from(error: Unreadable) -> Self {
        Self(error.to_string())
    }
}

impl From<Malformed> for Unreadable {
    fn from(error: Malformed) -> Self {
        Self::Json(error.0)
    }
}

/// Reads a JSON object into fields.
///
/// # Errors
/// [`Unreadable`] when it is no JSON object, is nested too deeply, or holds a number of over 38 digits.
pub fn parse_object(text: &str) -> Result<Fields, Unreadable> {
    match parse(text)? {
        Document::Map(fields) => Ok(fields),
        _ => Err(Unreadable::Json("must be a JSON object".to_owned())),
    }
}

/// Reads any JSON value.
///
/// # Errors
/// [`Unreadable`], as for [`parse_object`].
pub fn parse(text: &str) -> Result<Document, Unreadable> {
    let raw: &RawValue = from_str(text)?;
    let refused = |_: &str, field: &str, why| {
        let field = field.to_owned();
        Err(Unreadable::Number { field, why })
    };
    document(raw, "", MAX_DEPTH, &refused)
}

/// Reads the JSON object that a store answers with. A number past our bounds, which somebody else wrote there, comes as its text:
/// one column must not hide the rows beside it.
///
/// # Errors
/// [`Malformed`] when it is no JSON object, or is nested too deeply.
pub fn parse_stored(text: &str) -> Result<Fields, Malformed> {
    let raw: &RawValue = from_str(text)?;
    match document(raw, "", MAX_DEPTH, &|number, _, _| {
        Ok(Document::Text(number.to_owned()))
    })? {
        Document::Map(fields) => Ok(fields),
        _ => Err(Malformed("must be a JSON object".to_owned())),
    }
}

/// What becomes of the text of a number that is past our bounds, at this place.
type PastBounds<'a> = &'a dyn Fn(&str, &str, InvalidNumber) -> Result<Document, Unreadable>;

pub(crate) fn from_str<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Malformed> {
    // What serde says of a value of the wrong type quotes it, and reasons end in logs and alerts.
    serde_json::from_str(text).map_err(|error| {
        let said = error.to_string();
        let quotes = error.is_data() && !said.starts_with("missing field");
        let why = if quotes {
            format!("another shape at line {} column {}", error.line(), error.column())
        } else {
            said
        };
        Malformed(format!("is not the JSON that is expected: {why}"))
    })
}

fn document(raw: &RawValue, path: &str, depth: usize, past: PastBounds<'_>) -> Result<Document, Unreadable> {
    let text = raw.get();
    if depth == 0 {
        return Err(Unreadable::Json(format!(
            "`{path}` is nested more than {MAX_DEPTH} deep"
        )));
    }
    Ok(match text.as_bytes().first() {
        Some(b'{') => {
            let mut fields = Fields::new();
            for (name, value) in members(text)? {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                fields.insert(name, document(value, &path, depth - 1, past)?);
            }
            Document::Map(fields)
        }
        Some(b'[') => {
            let inner: Vec<&RawValue> = from_str(text)?;
            let list = inner.into_iter().enumerate();
            let list =
                list.map(|(index, value)| document(value, &format!("{path}[{index}]"), depth - 1, past));
            Document::List(list.collect::<Result<_, _>>()?)
        }
        Some(b'"') => Document::Text(from_str(text)?),
        Some(b't') => Document::Bool(true),
        Some(b'f') => Document::Bool(false),
        Some(b'n') => Document::Null,
        _ => match Number::from_json(text) {
            Ok(number) => Document::Number(number),
            Err(why) => past(text, path, why)?,
        },
    })
}

/// The members of a JSON object. One name twice is refused: of two readers, each could take another.
pub(crate) fn members(text: &str) -> Result<BTreeMap<String, &RawValue>, Malformed> {
    let Members(list) = from_str(text)?;
    let mut all = BTreeMap::new();
    for (name, value) in list {
        if all.contains_key(&name) {
            return Err(Malformed(format!("`{name}` stands twice in one object")));
        }
        all.insert(name, value);
    }
    Ok(all)
}

/// The members as they stand.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;

        impl<'de> Visitor<'de> for Each {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

/// Writes fields as a JSON object.
#[must_use]
pub fn write_object(fields: &Fields) -> String {
    let mut out = String::new();
    write_map(fields, &mut out);
    out
}

/// Writes any value as JSON.
#[must_use]
pub fn write(document: &Document) -> String {
    let mut out = String::new();
    write_into(document, &mut out);
    out
}

/// The fields as a raw JSON value, to be put into a larger one.
pub(crate) fn raw_object(fields: &Fields) -> Box<RawValue> {
    raw(write_object(fields))
}

/// JSON that this module wrote, as a raw value.
pub(crate) fn raw(json: String) -> Box<RawValue> {
    // Should it ever not be JSON, `null` is seen by every reader.
    RawValue::from_string(json).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

fn write_map(fields: &Fields, out: &mut String) {
    out.push('{');
    for (index, (name, value)) in fields.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_text(name, out);
        out.push(':');
        write_into(value, out);
    }
    out.push('}');
}

fn write_into(document: &Document, out: &mut String) {
    match document {
        Document::Null => out.push_str("null"),
        Document::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Document::Number(number) => out.push_str(&number.to_string()),
        Document::Text(text) => write_text(text, out),
        Document::List(list) => {
            out.push('[');
            for (index, value) in list.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_into(value, out);
            }
            out.push(']');
        }
        Document::Map(fields) => write_map(fields, out),
    }
}

fn write_text(text: &str, out: &mut String) {
    let written = serde_json::Value::from(text).to_string();
    out.push_str(&portable(&written));
}

/// Writes what goes onto a bus or a queue, or into a store: JSON as [`portable`] makes it.
pub(crate) fn to_string(value: &impl Serialize) -> String {
    // The types here are texts and numbers under names that are texts: they are always JSON.
    let json = serde_json::to_string(value).unwrap_or_default();
    match portable(&json) {
        Cow::Borrowed(_) => json,
        Cow::Owned(escaped) => escaped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_every_digit() {
        let text = r#"{"a":12345678901234567890123456789012345.678,"b":[0.10,-1],"c":{"d":null,"e":true,"f":"ü\n"}}"#;
        assert_eq!(write_object(&parse_object(text).unwrap()), text);
    }

    #[test]
    fn a_number_that_no_store_keeps_is_refused_by_its_place() {
        for (number, why) in [
            ("1e400", InvalidNumber::TooLong),
            ("1E-99999999999999999999", InvalidNumber::TooLong),
            ("123456789012345678901234567890123456789", InvalidNumber::TooLong),
        ] {
            let error = parse_object(&format!(r#"{{"a":[{{"b":{number}}}]}}"#)).unwrap_err();
            let field = "a[0].b".to_owned();
            assert_eq!(error, Unreadable::Number { field, why }, "{number}");
        }
    }

    #[test]
    fn a_number_with_an_exponent_is_the_number_that_it_stands_for() {
        for (written, is) in [
            ("1e5", "100000"),
            ("1.299e2", "129.9"),
            ("1E-05", "0.00001"),
            ("-12.50e+1", "-125.0"),
            ("0e999999", "0"),
            ("1e37", "10000000000000000000000000000000000000"),
        ] {
            let fields = parse_object(&format!(r#"{{"a":{written}}}"#)).unwrap();
            assert_eq!(fields["a"], Document::Number(is.parse().unwrap()), "{written}");
        }
    }

    /// What SQS takes: the characters of XML 1.0.
    fn is_taken_by_sqs(c: char) -> bool {
        matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
    }

    #[test]
    fn every_character_is_written_so_that_every_carrier_takes_it() {
        let all: String = ('\0'..=char::MAX).collect();
        let fields = Fields::from([(all.clone(), Document::Text(all.clone()))]);
        let written = write_object(&fields);
        for json in [&written, &to_string(&all)] {
            let refused = json.chars().find(|c| !is_taken_by_sqs(*c));
            assert_eq!(refused, None);
            assert!(!json.contains(['\u{2028}', '\u{2029}']));
        }
        assert_eq!(parse_object(&written), Ok(fields));
        let widths: usize = all.chars().map(width).sum();
        assert_eq!(to_string(&all).len(), widths + 2);
    }

    #[test]
    fn what_a_person_cannot_see_is_escaped_and_stays_the_same() {
        let json = "{\"a\u{202e}\":\n \"\u{200b}ü\u{9b}\u{e0041}\u{7f}\u{a0}\"}";
        let written = legible(json);
        assert_eq!(
            written,
            "{\"a\\u202e\":\n \"\\u200bü\\u009b\\udb40\\udc41\\u007f\\u00a0\"}"
        );
        assert_eq!(parse_object(&written), parse_object(json));
    }

    #[test]
    fn what_every_carrier_takes_stays_as_it_is() {
        let json = "{\"ü\": \"\\ufffe 𝄞 \\\\ \\u0001\"}";
        assert!(matches!(portable(json), Cow::Borrowed(same) if same == json));
        assert_eq!(
            portable("[\"\u{ffff}a\u{1fffe}\"]"),
            "[\"\\uffffa\\ud83f\\udffe\"]"
        );
    }

    #[test]
    fn what_sqs_refuses_is_seen_in_every_spelling() {
        for json in [
            "\"\u{fffe}\"",
            "\"\u{ffff}\"",
            r#""\ufffe""#,
            r#"{"\uFFFF":1}"#,
            r#""\uFffE""#,
        ] {
            assert!(holds_what_sqs_refuses(json), "{json}");
        }
        for json in ["\"\u{fffd}\"", r#""\ufffd \u2028 fffe""#, "\"\u{1fffe}\""] {
            assert!(!holds_what_sqs_refuses(json), "{json}");
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100), "]".repeat(100));
        assert!(parse_object(&deep).unwrap_err().to_string().contains("nested"));
    }
}
