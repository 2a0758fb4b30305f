//! The members of an event as they came, and what it carries.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use saga_core::definition::Cloud;
use saga_core::document::Number;
use saga_core::text::id_breaks;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::saga_event::MAX_WORD;
use crate::{Malformed, json};

/// Padding or not: the length says the same.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The members of an event, each as its own text, so that one of the wrong type is named.
pub(crate) struct Attributes<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Attributes<'a> {
    pub(crate) fn of(text: &'a str) -> Result<Self, Malformed> {
        json::members(text).map(Self)
    }

    /// Whether it has this member, be it `null`.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whether this member says something: `null` does not.
    pub(crate) fn says(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|raw| raw.get() != "null")
    }

    /// What the event carries, see [`payload`].
    pub(crate) fn payload(&self) -> Result<Option<Cow<'a, str>>, Malformed> {
        payload(&self.0)
    }

    fn read<T: DeserializeOwned>(&self, name: &str, what: &str) -> Result<Option<T>, Malformed> {
        match self.0.get(name) {
            None => Ok(None),
            Some(raw) => serde_json::from_str::<Option<T>>(raw.get())
                .map_err(|_| Malformed(format!("attribute `{name}` must be {what}"))),
        }
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, Malformed> {
        self.read(name, "a text")
    }

    /// Some carriers turn an attribute's integer into text, others into a float; all are read.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, Malformed> {
        let text = match self.text(name) {
            Ok(text) => text,
            Err(_) => self.0.get(name).map(|raw| raw.get().to_owned()),
        };
        let whole = |text: String| {
            let number = Number::from_json(&text).ok().and_then(|number| number.as_i64());
            number.ok_or_else(|| Malformed(format!("attribute `{name}` must be an integer")))
        };
        text.map(whole).transpose()
    }

    /// A text of 1 to 256 bytes that every event has, and that shows all that it is.
    pub(crate) fn required(&self, name: &'static str) -> Result<String, Malformed> {
        let value = self.text(name)?.ok_or_else(missing(name))?;
        if value.is_empty() || value.len() > MAX_WORD {
            return Err(wrong(name, "must have 1 to 256 bytes"));
        }
        id_breaks(&value).map_or(Ok(value), |rule| Err(wrong(name, rule)))
    }

    /// The cloud that an event is for, and its mailbox.
    pub(crate) fn target(&self) -> Result<(Cloud, Option<String>), Malformed> {
        let name = "sagatarget";
        let text = self.text(name)?.ok_or_else(missing(name))?;
        let (cloud, mailbox) = match text.split_once('.') {
            Some((cloud, mailbox)) => (cloud, Some(mailbox.to_owned())),
            None => (text.as_str(), None),
        };
        let cloud = cloud.parse::<Cloud>().map_err(|error| wrong(name, error))?;
        Ok((cloud, mailbox))
    }

    pub(crate) fn cloud(&self, name: &'static str) -> Result<Cloud, Malformed> {
        let text = self.text(name)?.ok_or_else(missing(name))?;
        text.parse::<Cloud>().map_err(|error| wrong(name, error))
    }
}

pub(crate) fn missing(name: &'static str) -> impl FnOnce() -> Malformed {
    move || Malformed(format!("attribute `{name}` is missing"))
}

pub(crate) fn wrong(name: &str, why: impl fmt::Display) -> Malformed {
    Malformed(format!("attribute `{name}`: {why}"))
}

/// What an event carries, as JSON text: its `data`, or what `data_base64` encodes, which clients write that are given bytes
/// (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md#31-handling-of-data>). `null` is
/// as good as nothing.
///
/// # Errors
/// [`Malformed`]: both are there, or the second is not base64 of a text.
pub(crate) fn payload<'a>(
    members: &BTreeMap<String, &'a RawValue>,
) -> Result<Option<Cow<'a, str>>, Malformed> {
    let given = |name: &str| {
        let text = members.get(name).map(|raw| raw.get());
        text.filter(|text| *text != "null")
    };
    let base64 = match (given("data"), given("data_base64")) {
        (Some(_), Some(_)) => {
            let why = "`data` and `data_base64` exclude each other";
            return Err(Malformed(why.to_owned()));
        }
        (data, None) => return Ok(data.map(Cow::Borrowed)),
        (None, Some(base64)) => base64,
    };
    let text: String = json::from_str(base64).map_err(|_| wrong("data_base64", "must be a text"))?;
    // Encoders for mail break it into lines, those for URLs write two characters otherwise.
    let text = text.replace(['\r', '\n'], "").replace('-', "+").replace('_', "/");
    let bytes = BASE64.decode(text);
    let bytes = bytes.map_err(|_| wrong("data_base64", "is not base64"))?;
    let text = String::from_utf8(bytes).map_err(|_| wrong("data_base64", "holds no text in UTF-8"))?;
    // A byte order mark may stand before a text; it is no part of it (RFC 8259, 8.1).
    Ok(Some(match text.strip_prefix('\u{feff}') {
        Some(text) => Cow::Owned(text.to_owned()),
        None => Cow::Owned(text),
    }))
}
