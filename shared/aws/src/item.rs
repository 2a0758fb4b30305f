//! Documents ↔ DynamoDB attributes. Numbers go as `N`, which keeps 38 digits exactly.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use saga_app::ports::PortError;
use saga_core::Timestamp;
use saga_core::document::{Document, Fields};

pub(crate) type Item = HashMap<String, AttributeValue>;

pub(crate) const STORE: &str = "DynamoDB";

pub(crate) fn corrupt(why: impl Into<String>) -> PortError {
    PortError::corrupt(STORE, why)
}

pub(crate) fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

pub(crate) fn n(number: impl std::fmt::Display) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// Sets an attribute that may be absent.
pub(crate) fn put_some(item: &mut Item, name: &str, value: Option<AttributeValue>) {
    item.extend(value.map(|value| (name.to_owned(), value)));
}

pub(crate) fn time(item: &Item, name: &str) -> Result<Timestamp, PortError> {
    number(item, name).map(Timestamp::from_millis)
}

pub(crate) fn text<'a>(item: &'a Item, name: &str) -> Result<&'a str, PortError> {
    let value = item.get(name).and_then(|value| value.as_s().ok());
    value
        .map(String::as_str)
        .ok_or_else(|| corrupt(format!("attribute {name} is missing or no text")))
}

pub(crate) fn number<T: std::str::FromStr>(item: &Item, name: &str) -> Result<T, PortError> {
    let text = item.get(name).and_then(|value| value.as_n().ok());
    let value = text.and_then(|text| text.parse().ok());
    value.ok_or_else(|| corrupt(format!("attribute {name} is missing or no number")))
}

/// Reads an attribute that may be absent.
pub(crate) fn optional<'a, T>(
    item: &'a Item,
    name: &str,
    read: impl FnOnce(&'a Item, &str) -> Result<T, PortError>,
) -> Result<Option<T>, PortError> {
    item.contains_key(name).then(|| read(item, name)).transpose()
}

/// A text that this version parses.
pub(crate) fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    item: &Item,
    name: &str,
) -> Result<T, PortError> {
    text(item, name)?
        .parse()
        .map_err(|error| corrupt(format!("attribute {name}: {error}")))
}

pub(crate) fn from_document(document: &Document) -> AttributeValue {
    match document {
        Document::Null => AttributeValue::Null(true),
        Document::Bool(value) => AttributeValue::Bool(*value),
        Document::Number(number) => n(number),
        Document::Text(text) => s(text),
        Document::List(list) => AttributeValue::L(list.iter().map(from_document).collect()),
        Document::Map(fields) => AttributeValue::M(from_fields(fields)),
    }
}

pub(crate) fn from_fields(fields: &Fields) -> Item {
    let attributes = fields.iter();
    attributes
        .map(|(name, value)| (name.clone(), from_document(value)))
        .collect()
}

pub(crate) fn to_document(value: &AttributeValue) -> Result<Document, PortError> {
    Ok(match value {
        AttributeValue::Null(_) => Document::Null,
        AttributeValue::Bool(value) => Document::Bool(*value),
        AttributeValue::N(text) => {
            let number = text.parse();
            Document::Number(number.map_err(|_| corrupt(format!("`{text}` is no number of ours")))?)
        }
        AttributeValue::S(text) => Document::Text(text.clone()),
        AttributeValue::L(list) => Document::List(list.iter().map(to_document).collect::<Result<_, _>>()?),
        AttributeValue::M(item) => Document::Map(to_fields(item.iter())?),
        _ => return Err(corrupt("an attribute has a type that entities do not have")),
    })
}

pub(crate) fn to_fields<'a>(
    attributes: impl Iterator<Item = (&'a String, &'a AttributeValue)>,
) -> Result<Fields, PortError> {
    attributes
        .map(|(name, value)| Ok((name.clone(), to_document(value)?)))
        .collect()
}
