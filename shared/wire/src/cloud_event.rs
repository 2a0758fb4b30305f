//! CloudEvents 1.0, structured JSON, with our extension attributes
//! (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>).
//!
//! One form everywhere: it is the outbox row's body, the `detail` of the EventBridge entry, the body that the
//! API destination posts, what the Event Grid topic takes, and what a queue message or a webhook brings.

use saga_core::definition::{Cloud, DefinitionRef};
use saga_core::document::{Document, Fields};
use saga_core::event::{Address, Event, MAX_HOPS};
use saga_core::ids::{SagaId, Timestamp, TraceParent};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::incoming::{Incoming, Outside};
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
    traceparent: &'a str,
    data: Box<RawValue>,
}

/// Writes an event.
#[must_use]
pub fn write(event: &Event) -> String {
    let mut data = event.data.clone();
    data.insert("saga_id".into(), Document::Text(event.saga.to_string()));
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
        traceparent: event.trace.as_str(),
        data: json::raw_object(&data),
    };
    serde_json::to_string(&out).unwrap_or_default()
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
    data: Box<RawValue>,
}

/// Writes another publisher's event so that our rules route it: with the one attribute that says for whom it is.
#[must_use]
pub fn write_outside(event: &Outside, target: Cloud, now: Timestamp) -> String {
    let mut data = event.data.clone();
    data.insert("saga_id".into(), Document::Text(event.saga.to_string()));
    let out = OutsideOut {
        specversion: "1.0",
        id: event.id.as_str(),
        source: &event.source,
        r#type: &event.kind,
        time: time::format(now),
        datacontenttype: "application/json",
        sagatarget: target.as_str(),
        data: json::raw_object(&data),
    };
    serde_json::to_string(&out).unwrap_or_default()
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

#[derive(Deserialize)]
struct In<'a> {
    specversion: String,
    id: String,
    source: String,
    r#type: String,
    #[serde(default)]
    subject: Option<String>,
    #[serde(default)]
    time: Option<String>,
    #[serde(default)]
    sagaid: Option<String>,
    #[serde(default)]
    sagadef: Option<String>,
    #[serde(default, deserialize_with = "integer")]
    sagaver: Option<i64>,
    #[serde(default, deserialize_with = "integer")]
    sagastep: Option<i64>,
    #[serde(default)]
    sagaverb: Option<String>,
    #[serde(default)]
    sagatarget: Option<String>,
    #[serde(default)]
    sagaorigin: Option<String>,
    #[serde(default, deserialize_with = "integer")]
    sagahop: Option<i64>,
    #[serde(default)]
    traceparent: Option<String>,
    #[serde(default, borrow)]
    data: Option<&'a RawValue>,
}

/// Some carriers turn an attribute's integer into text; both are read.
fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Integer(i64),
        Text(String),
    }
    Ok(match Option::<Either>::deserialize(deserializer)? {
        None => None,
        Some(Either::Integer(value)) => Some(value),
        Some(Either::Text(text)) => Some(text.parse().map_err(serde::de::Error::custom)?),
    })
}

/// Reads an event: ours when it carries our attributes, somebody else's when it carries none.
///
/// # Errors
/// [`Malformed`] says which attribute is missing or wrong.
pub fn parse(text: &str) -> Result<Incoming, Malformed> {
    let fields: In<'_> = json::from_str(text)?;
    if fields.specversion != "1.0" {
        return Err(Malformed(format!(
            "specversion is `{}`, not `1.0`",
            fields.specversion
        )));
    }
    for (name, value) in [
        ("id", &fields.id),
        ("source", &fields.source),
        ("type", &fields.r#type),
    ] {
        if value.is_empty() || value.len() > 256 {
            return Err(Malformed(format!("`{name}` must have 1 to 256 bytes")));
        }
    }
    let mut data = match fields.data {
        Some(raw) if raw.get() != "null" => json::parse_object(raw.get())?,
        _ => Fields::new(),
    };
    let ours = fields.sagaid.is_some()
        || fields.sagadef.is_some()
        || fields.sagaverb.is_some()
        || fields.sagaver.is_some()
        || fields.sagastep.is_some();
    if !ours {
        return Outside::new(fields.id, fields.source, fields.r#type, fields.subject, data)
            .map(Incoming::Outside);
    }

    let missing = |name: &'static str| move || Malformed(format!("attribute `{name}` is missing"));
    let wrong = |name: &str, why: String| Malformed(format!("attribute `{name}`: {why}"));
    let cloud = |name: &'static str, value: Option<String>| {
        let value = value.ok_or_else(missing(name))?;
        value
            .parse::<Cloud>()
            .map_err(|error| wrong(name, error.to_string()))
    };
    let saga: SagaId = fields
        .sagaid
        .ok_or_else(missing("sagaid"))?
        .parse()
        .map_err(|error: saga_core::ids::InvalidId| wrong("sagaid", error.to_string()))?;
    if let Some(named) = data.remove("saga_id")
        && named.as_text() != Some(saga.to_string().as_str())
    {
        return Err(Malformed(
            "`data.saga_id` and attribute `sagaid` name two sagas".to_owned(),
        ));
    }
    let verb = fields.sagaverb.ok_or_else(missing("sagaverb"))?;
    let number = fields.sagastep.ok_or_else(missing("sagastep"))?;
    let step_number = i32::try_from(number).map_err(|_| wrong("sagastep", "is out of range".into()))?;
    let address = Address::parse(&verb, step_number).ok_or_else(|| {
        wrong(
            "sagaverb",
            format!("`{verb}` of step {step_number} is no message"),
        )
    })?;
    let version = u32::try_from(fields.sagaver.ok_or_else(missing("sagaver"))?)
        .map_err(|_| wrong("sagaver", "is out of range".into()))?;
    let hop = u16::try_from(fields.sagahop.unwrap_or(0)).unwrap_or(u16::MAX);
    if hop > MAX_HOPS {
        return Err(wrong(
            "sagahop",
            format!("{hop} hops are more than any saga needs ({MAX_HOPS})"),
        ));
    }
    let trace = match fields.traceparent {
        Some(text) => text.parse().unwrap_or_else(|_| TraceParent::for_saga(saga)),
        None => TraceParent::for_saga(saga),
    };
    Ok(Incoming::Ours(Event {
        id: fields
            .id
            .parse()
            .map_err(|error: saga_core::ids::InvalidId| wrong("id", error.to_string()))?,
        kind: fields.r#type,
        time: match fields.time {
            Some(text) => time::parse(&text)?,
            None => Timestamp::from_millis(0),
        },
        saga,
        definition: DefinitionRef {
            name: fields.sagadef.ok_or_else(missing("sagadef"))?,
            version,
        },
        address,
        step_number,
        target: cloud("sagatarget", fields.sagatarget)?,
        sender: cloud("sagaorigin", fields.sagaorigin)?,
        hop,
        trace,
        data,
    }))
}
