//! What Event Grid's webhook brings: a batch or a single event, in the CloudEvents schema or in Event Grid's own,
//! and the two handshakes
//! (<https://learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema>).

use saga_core::document::Fields;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::cloud_event::attributes::Attributes;
use crate::saga_event::{Outside, SagaEvent};
use crate::{Malformed, cloud_event, json};

/// The type of the event that asks whether the endpoint is ours.
const VALIDATION: &str = "Microsoft.EventGrid.SubscriptionValidationEvent";
/// The type of the last event of a subscription
/// (<https://learn.microsoft.com/azure/event-grid/event-schema-subscriptions>).
pub(crate) const DELETED: &str = "Microsoft.EventGrid.SubscriptionDeletedEvent";

/// What a request of Event Grid carries.
#[derive(Debug, PartialEq, Eq)]
pub enum Delivery {
    /// "Is this endpoint yours? Then say this code."
    Validation(String),
    /// Events, each as the bytes that came: one that cannot be read does not hide its neighbours.
    Events(Vec<Vec<u8>>),
}

#[derive(Deserialize)]
struct OwnSchema<'a> {
    id: String,
    subject: Option<String>,
    #[serde(rename = "eventType")]
    kind: String,
    topic: Option<String>,
    #[serde(default, borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ValidationData {
    #[serde(rename = "validationCode")]
    code: String,
}

/// The answer to a [`Delivery::Validation`].
#[derive(Serialize)]
pub struct ValidationAnswer<'a> {
    /// The code that was asked for.
    #[serde(rename = "validationResponse")]
    pub code: &'a str,
}

/// Reads the body of a webhook request.
///
/// # Errors
/// [`Malformed`] when it is no JSON at all.
pub fn delivery(body: &(impl AsRef<[u8]> + ?Sized)) -> Result<Delivery, Malformed> {
    let Ok(text) = std::str::from_utf8(body.as_ref()) else {
        return elements(body.as_ref()).map(Delivery::Events).ok_or_else(no_text);
    };
    if text.trim_start().starts_with('[') {
        let events: Vec<&RawValue> = json::from_str(text)?;
        if let [only] = events[..]
            && let Some(code) = validation(only.get())?
        {
            return Ok(Delivery::Validation(code));
        }
        let events = events.into_iter().map(|event| event.get().into());
        return Ok(Delivery::Events(events.collect()));
    }
    let _: &RawValue = json::from_str(text)?;
    Ok(match validation(text)? {
        Some(code) => Delivery::Validation(code),
        None => Delivery::Events(vec![text.into()]),
    })
}

/// What to say of bytes that are no UTF-8.
#[must_use]
pub fn no_text() -> Malformed {
    Malformed("is no UTF-8, as JSON has to be".to_owned())
}

/// The elements of a list in which some are no UTF-8: its others must not be lost with them. What JSON is made of is ASCII, so
/// it can be taken apart with each byte read as the character of the same number.
fn elements(body: &[u8]) -> Option<Vec<Vec<u8>>> {
    let characters: String = body.iter().map(|byte| char::from(*byte)).collect();
    let list: Vec<&RawValue> = json::from_str(&characters).ok()?;
    let bytes = |element: &RawValue| element.get().chars().map(|c| c as u8).collect();
    Some(list.into_iter().map(bytes).collect())
}

/// The code, when this is the event that asks for it.
fn validation(text: &str) -> Result<Option<String>, Malformed> {
    let event = serde_json::from_str::<OwnSchema<'_>>(text).ok();
    let Some(event) = event.filter(|event| event.kind == VALIDATION) else {
        return Ok(None);
    };
    let data: ValidationData = json::from_str(event.data.map_or("null", RawValue::get))?;
    Ok(Some(data.code))
}

/// Whether the event says that the subscription was deleted, in either schema. It is about no saga.
pub(crate) fn is_deletion(attributes: &Attributes<'_>) -> bool {
    let is_cloud_event = attributes.has("specversion");
    let name = if is_cloud_event { "type" } else { "eventType" };
    matches!(attributes.text(name), Ok(Some(kind)) if kind == DELETED)
}

/// Reads one event about a saga in either schema.
///
/// # Errors
/// [`Malformed`] says what is missing or wrong.
pub fn event(text: &str) -> Result<SagaEvent, Malformed> {
    read(&Attributes::of(text)?, text)
}

pub(crate) fn read(attributes: &Attributes<'_>, text: &str) -> Result<SagaEvent, Malformed> {
    if attributes.has("specversion") || !attributes.has("eventType") {
        return cloud_event::read(attributes);
    }
    // What it holds would be passed over, and with it the cross-check of the event against its subject.
    if attributes.says("data_base64") {
        let why = "`data_base64` is no member of Event Grid's schema: put the object into `data`";
        return Err(Malformed(why.to_owned()));
    }
    let own: OwnSchema<'_> = json::from_str(text)?;
    let data = match own.data {
        Some(raw) if raw.get() != "null" => {
            json::parse_stored(raw.get()).map_err(|error| Malformed(format!("`data`: {error}")))?
        }
        _ => Fields::new(),
    };
    let topic = own.topic.filter(|topic| !topic.is_empty());
    let source = topic.unwrap_or_else(|| "event-grid".to_owned());
    Outside::new(own.id, source, own.kind, own.subject, data).map(SagaEvent::Outside)
}
