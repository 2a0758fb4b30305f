//! Events of sagas → CloudEvents.

use std::borrow::Cow;

use base64::Engine;
use saga_core::address::Address;
use saga_core::definition::Cloud;
use saga_core::document::{Document, Fields};
use saga_core::event::Event;
use saga_core::ids::{SagaId, Timestamp};
use serde::Serialize;
use serde_json::value::RawValue;

use super::attributes::BASE64;
use crate::saga_event::{Outside, SagaEvent};
use crate::{json, time};

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

/// What an event carries, under the name that says how.
#[derive(Serialize)]
pub(crate) enum Payload {
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
    sagatarget: Cow<'a, str>,
    sagaorigin: &'static str,
    sagahop: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    sagasum: Option<String>,
    traceparent: &'a str,
    #[serde(flatten)]
    payload: Payload,
}

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
        sagatarget: target(event),
        sagaorigin: event.sender.as_str(),
        sagahop: event.hop,
        sagasum: (!event.unverified).then(|| event.checksum()),
        traceparent: event.trace.as_str(),
        payload: Payload::of(&event.payload(), event.saga),
    };
    json::to_string(&out)
}

/// The cloud, and behind a dot the mailbox where that is not its steps': rules and filters route by it.
fn target(event: &Event) -> Cow<'static, str> {
    match &event.mailbox {
        None => event.target.as_str().into(),
        Some(mailbox) => format!("{}.{mailbox}", event.target).into(),
    }
}

#[derive(Serialize)]
struct Routed<'a> {
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

/// An event that is none of our messages, with the one attribute by which our rules route it.
pub(crate) fn routed(
    id: &str,
    source: &str,
    kind: &str,
    at: Timestamp,
    target: Cloud,
    payload: Payload,
) -> String {
    json::to_string(&Routed {
        specversion: "1.0",
        id,
        source,
        r#type: kind,
        time: time::format(at),
        datacontenttype: "application/json",
        sagatarget: target.as_str(),
        payload,
    })
}

/// Writes another publisher's event so that our rules route it.
#[must_use]
pub fn write_outside(event: &Outside, target: Cloud, now: Timestamp) -> String {
    let payload = Payload::of(&event.data, event.saga);
    routed(
        event.id.as_str(),
        &event.source,
        &event.kind,
        now,
        target,
        payload,
    )
}

/// An event that came in, as it goes onto the bus. Ours keeps its own text, as far as every carrier takes that; another
/// publisher's is written anew, with the one attribute that routes it.
#[must_use]
pub fn admitted(event: &SagaEvent, text: &str, now: Timestamp) -> String {
    match event {
        SagaEvent::Ours(event) if json::holds_what_sqs_refuses(text) => write(event),
        SagaEvent::Ours(_) => json::portable(text.trim()).into_owned(),
        SagaEvent::Outside(event) => write_outside(event, Cloud::ORIGIN, now),
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
        Address::Act(_) => "act",
        Address::Undo(_) => "undo",
        Address::Answer(_) => "answer",
        Address::Report(_) => "report",
        Address::Contradiction(_) => "contradiction",
        Address::Waiting(_) => "waiting",
    };
    format!("saga/{saga}/{what}")
}
