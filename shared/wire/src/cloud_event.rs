//! CloudEvents 1.0, structured JSON, with our extension attributes
//! (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>).
//!
//! One form everywhere: it is the outbox row's body, the `detail` of the EventBridge entry, the body that the
//! API destination posts, what the Event Grid topic takes, and what a queue message or a webhook brings.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use saga_core::address::Address;
use saga_core::definition::{Cloud, DefinitionRef};
use saga_core::document::{Document, Fields, Number};
use saga_core::event::{Event, MAX_HOPS};
use saga_core::ids::{InvalidId, SagaId, Timestamp, TraceParent};
use saga_core::reports::Reports;
use saga_core::text::id_breaks;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::incoming::{self, Incoming, MAX_WORD, Outside};
use crate::{Malformed, json, time};

/// The EventBridge source, and the CloudEvents source, of what the origin sends.
pub const ORIGIN_SOURCE: &str = "saga.orchestrator";

/// The content type of one event.
pub const CONTENT_TYPE: &str = "application/cloudevents+json";

/// The CloudEvents source of a cloud's events.
#[must_use]
pub fn source_of(cloud: Cloud) -> &'static str {
    match cloud {
        Cloud::Aws => ORIGIN_SOURCE,
        Cloud::Azure => "saga.participant.azure",
    }
}

/// Who an event says it is from, if it says so at all: for whoever looks before it is read.
///
/// # Errors
/// [`Malformed`]: it is no JSON object, or says so twice.
pub fn source(text: &str) -> Result<Option<String>, Malformed> {
    let members = json::members(text)?;
    Ok(members
        .get("source")
        .and_then(|source| json::from_str(source.get()).ok()))
}

/// What an event carries, under the name that says how.
#[derive(Serialize)]
enum Payload {
    #[serde(rename = "data")]
    Json(Box<RawValue>),
    /// Where a queue on the way refuses the text, however it is escaped.
    #[serde(rename = "data_base64")]
    Base64(String),
}

impl Payload {
    fn of(data: &Fields, saga: SagaId) -> Self {
        let mut data = data.clone();
        data.insert("saga_id".into(), Document::Text(saga.to_string()));
        let json = json::write_object(&data);
        if json::holds_what_sqs_refuses(&json) {
            return Self::Base64(BASE64.encode(json));
        }
        Self::Json(json::raw(json))
    }
}

#[derive(Serialize)]
struct Out<'a> {
    specversion: &'static str,
    id: &'a str,
    source: &'a str,
    r#type: &'a str,
    subject: String,
    time: String,
    datacontenttype: &'static str,
    sagaid: String,
    sagadef: &'a str,
    sagaver: u32,
    sagastep: i32,
    sagaverb: &'static str,
    sagatarget: &'static str,
    sagaorigin: &'static str,
    sagahop: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    sagasum: Option<String>,
    traceparent: &'a str,
    #[serde(flatten)]
    payload: Payload,
}

/// The longest name of a definition in an event.
const MAX_DEFINITION_NAME: usize = 200;

/// Writes an event. One that came without a checksum gets none: nobody vouches for it.
#[must_use]
pub fn write(event: &Event) -> String {
    let out = Out {
        specversion: "1.0",
        id: event.id.as_str(),
        source: source_of(event.sender),
        r#type: &event.kind,
        subject: subject(event.saga, event.address),
        time: time::format(event.time),
        datacontenttype: "application/json",
        sagaid: event.saga.to_string(),
        sagadef: &event.definition.name,
        sagaver: event.definition.version,
        sagastep: event.step_number,
        sagaverb: event.address.verb(),
        sagatarget: event.target.as_str(),
        sagaorigin: event.sender.as_str(),
        sagahop: event.hop,
        sagasum: (!event.unverified).then(|| event.checksum()),
        traceparent: event.trace.as_str(),
        payload: Payload::of(&event.payload(), event.saga),
    };
    json::to_string(&out)
}

#[derive(Serialize)]
struct OutsideOut<'a> {
    specversion: &'static str,
    id: &'a str,
    source: &'a str,
    r#type: &'a str,
    time: String,
    datacontenttype: &'static str,
    sagatarget: &'static str,
    #[serde(flatten)]
    payload: Payload,
}

/// Writes another publisher's event so that our rules route it: with the one attribute that says for whom it is.
#[must_use]
pub fn write_outside(event: &Outside, target: Cloud, now: Timestamp) -> String {
    let out = OutsideOut {
        specversion: "1.0",
        id: event.id.as_str(),
        source: &event.source,
        r#type: &event.kind,
        time: time::format(now),
        datacontenttype: "application/json",
        sagatarget: target.as_str(),
        payload: Payload::of(&event.data, event.saga),
    };
    json::to_string(&out)
}

/// An event that came in, as it goes onto the bus. Ours keeps its own text, as far as every carrier takes that; another
/// publisher's is written anew, with the one attribute that routes it.
#[must_use]
pub fn admitted(incoming: &Incoming, text: &str, now: Timestamp) -> String {
    match incoming {
        Incoming::Ours(event) if json::holds_what_sqs_refuses(text) => write(event),
        Incoming::Ours(_) => json::portable(text.trim()).into_owned(),
        Incoming::Outside(event) => write_outside(event, Cloud::ORIGIN, now),
    }
}

/// `saga/<saga_id>/compensation`, and likewise for the other messages.
#[must_use]
pub fn subject(saga: SagaId, address: Address) -> String {
    let what = match address {
        Address::Advance(_) => "advance",
        Address::Compensate(_) => "compensation",
        Address::Cancel(_) => "cancellation",
        Address::Complete => "completion",
        Address::Cancelled => "cancelled",
    };
    format!("saga/{saga}/{what}")
}

/// The attributes of an event that is read, each as its own text, so that one of the wrong type is named.
struct Attributes<'a>(BTreeMap<String, &'a RawValue>);

impl Attributes<'_> {
    fn read<T: DeserializeOwned>(&self, name: &str, what: &str) -> Result<Option<T>, Malformed> {
        match self.0.get(name) {
            None => Ok(None),
            Some(raw) => serde_json::from_str::<Option<T>>(raw.get())
                .map_err(|_| Malformed(format!("attribute `{name}` must be {what}"))),
        }
    }

    fn text(&self, name: &str) -> Result<Option<String>, Malformed> {
        self.read(name, "a text")
    }

    /// Some carriers turn an attribute's integer into text, others into a float; all are read.
    fn integer(&self, name: &str) -> Result<Option<i64>, Malformed> {
        let text = match self.text(name) {
            Ok(text) => text,
            Err(_) => self.0.get(name).map(|raw| raw.get().to_owned()),
        };
        let whole = |text: String| Number::from_json(&text).ok()?.as_i64();
        text.map(|text| {
            whole(text).ok_or_else(|| Malformed(format!("attribute `{name}` must be an integer")))
        })
        .transpose()
    }

    /// A text of 1 to 256 bytes that every event has, and that shows all that it is.
    fn required(&self, name: &'static str) -> Result<String, Malformed> {
        let value = self.text(name)?.ok_or_else(missing(name))?;
        if value.is_empty() || value.len() > MAX_WORD {
            return Err(wrong(name, "must have 1 to 256 bytes"));
        }
        id_breaks(&value).map_or(Ok(value), |rule| Err(wrong(name, rule)))
    }

    fn cloud(&self, name: &'static str) -> Result<Cloud, Malformed> {
        let text = self.text(name)?.ok_or_else(missing(name))?;
        text.parse::<Cloud>().map_err(|error| wrong(name, error))
    }
}

fn missing(name: &'static str) -> impl FnOnce() -> Malformed {
    move || Malformed(format!("attribute `{name}` is missing"))
}

/// It becomes a part of keys in both clouds, before anybody knows whether there is such a definition.
fn definition_name(name: String) -> Result<String, Malformed> {
    if name.len() > MAX_DEFINITION_NAME {
        return Err(wrong(
            "sagadef",
            format!("must have at most {MAX_DEFINITION_NAME} bytes"),
        ));
    }
    id_breaks(&name).map_or(Ok(name), |why| Err(wrong("sagadef", why)))
}

fn wrong(name: &str, why: impl fmt::Display) -> Malformed {
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
        members
            .get(name)
            .map(|raw| raw.get())
            .filter(|raw| *raw != "null")
    };
    let base64 = match (given("data"), given("data_base64")) {
        (Some(_), Some(_)) => {
            return Err(Malformed(
                "`data` and `data_base64` exclude each other".to_owned(),
            ));
        }
        (data, None) => return Ok(data.map(Cow::Borrowed)),
        (None, Some(base64)) => base64,
    };
    let text: String = json::from_str(base64).map_err(|_| wrong("data_base64", "must be a text"))?;
    // Encoders for mail break it into lines, those for URLs write two characters otherwise.
    let text = text.replace(['\r', '\n'], "").replace('-', "+").replace('_', "/");
    let bytes = BASE64
        .decode(text)
        .map_err(|_| wrong("data_base64", "is not base64"))?;
    let text = String::from_utf8(bytes).map_err(|_| wrong("data_base64", "holds no text in UTF-8"))?;
    // A byte order mark may stand before a text; it is no part of it (RFC 8259, 8.1).
    Ok(Some(match text.strip_prefix('\u{feff}') {
        Some(text) => Cow::Owned(text.to_owned()),
        None => Cow::Owned(text),
    }))
}

/// What an event of this type carries with which Azure's functions tell the origin something; `None` when it is another.
pub(crate) fn told_by_azure<'a>(text: &'a str, kind: &str) -> Option<Cow<'a, str>> {
    let attributes = Attributes(json::members(text).ok()?);
    let says = |name, value: &str| attributes.required(name).is_ok_and(|said| said == value);
    let is_theirs = says("specversion", "1.0")
        && says("type", kind)
        && says("source", source_of(Cloud::Azure))
        && says("sagatarget", Cloud::ORIGIN.as_str())
        && attributes.required("id").is_ok();
    is_theirs.then(|| payload(&attributes.0).ok().flatten())?
}

/// Padding or not: the length says the same.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Reads an event: ours when it carries our attributes, somebody else's when it carries none.
///
/// # Errors
/// [`Malformed`] says which attribute is missing or wrong.
pub fn parse(text: &str) -> Result<Incoming, Malformed> {
    let attributes = Attributes(json::members(text)?);
    let version = attributes.required("specversion")?;
    if version != "1.0" {
        return Err(wrong("specversion", format!("is `{version}`, not `1.0`")));
    }
    let id = attributes.required("id")?;
    let source = attributes.required("source")?;
    let kind = attributes.required("type")?;
    let mut data = match payload(&attributes.0)? {
        Some(text) => json::parse_stored(&text).map_err(|error| wrong("data", error))?,
        None => Fields::new(),
    };
    let ours = ["sagaid", "sagadef", "sagaverb", "sagaver", "sagastep"]
        .iter()
        .any(|name| attributes.0.get(*name).is_some_and(|raw| raw.get() != "null"));
    if !ours {
        let subject = attributes.text("subject")?;
        return Outside::new(id, source, kind, subject, data).map(Incoming::Outside);
    }

    let saga: SagaId = attributes
        .text("sagaid")?
        .ok_or_else(missing("sagaid"))?
        .parse()
        .map_err(|error: InvalidId| wrong("sagaid", error))?;
    if incoming::named_saga(&mut data)?.is_some_and(|named| named != saga) {
        return Err(Malformed(
            "`data.saga_id` and attribute `sagaid` name two sagas".to_owned(),
        ));
    }
    let verb = attributes.text("sagaverb")?.ok_or_else(missing("sagaverb"))?;
    let number = attributes.integer("sagastep")?.ok_or_else(missing("sagastep"))?;
    let step_number = i32::try_from(number).map_err(|_| wrong("sagastep", "is out of range"))?;
    let address = Address::parse(&verb, step_number).ok_or_else(|| {
        wrong(
            "sagaverb",
            format!("`{verb}` of step {step_number} is no message"),
        )
    })?;
    let version = attributes.integer("sagaver")?.ok_or_else(missing("sagaver"))?;
    let version = u32::try_from(version).map_err(|_| wrong("sagaver", "is out of range"))?;
    let hop = u16::try_from(attributes.integer("sagahop")?.unwrap_or(0)).unwrap_or(u16::MAX);
    if hop > MAX_HOPS {
        return Err(wrong(
            "sagahop",
            format!("{hop} hops are more than any saga needs ({MAX_HOPS})"),
        ));
    }
    let sum = attributes.text("sagasum")?;
    // The trace is for people who search; an odd one must not stop a saga.
    let trace = attributes.text("traceparent").ok().flatten();
    let trace = trace.and_then(|text| text.parse().ok());
    let event = Event {
        id: id.parse().map_err(|error: InvalidId| wrong("id", error))?,
        kind,
        time: match attributes.text("time")? {
            Some(text) => time::parse(&text).map_err(|error| wrong("time", error))?,
            None => Timestamp::from_millis(0),
        },
        saga,
        definition: DefinitionRef {
            name: definition_name(attributes.text("sagadef")?.ok_or_else(missing("sagadef"))?)?,
            version,
        },
        address,
        step_number,
        target: attributes.cloud("sagatarget")?,
        sender: attributes.cloud("sagaorigin")?,
        hop,
        trace: trace.unwrap_or_else(|| TraceParent::for_saga(saga)),
        reports: reports(&mut data),
        data,
        unverified: sum.is_none(),
    };
    let other = [Cloud::Aws, Cloud::Azure]
        .into_iter()
        .find(|cloud| *cloud != event.sender);
    if other.is_some_and(|other| source_of(other) == source) {
        return Err(wrong(
            "source",
            format!("{} does not speak as `{source}`", event.sender),
        ));
    }
    // Other people's tools need not write one.
    if sum.is_some_and(|sum| !sum.eq_ignore_ascii_case(&event.checksum())) {
        return Err(wrong("sagasum", "the event was changed on its way"));
    }
    Ok(Incoming::Ours(event))
}

/// What steps have said of themselves, out of an event's data. What is no text is data like any other.
fn reports(data: &mut Fields) -> Reports {
    let text = data.get(Reports::MEMBER).and_then(Document::as_text);
    match text.map(Reports::new) {
        Some(reports) if !reports.is_empty() => {
            data.remove(Reports::MEMBER);
            reports
        }
        _ => Reports::default(),
    }
}
