//! What Event Grid's webhook brings: a batch or a single event, in the CloudEvents schema or in Event Grid's own,
//! and the two handshakes
//! (<https://learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema>).

use std::collections::BTreeMap;

use saga_core::document::Fields;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::incoming::{Incoming, Outside};
use crate::{Malformed, cloud_event, json};

/// The type of the event that asks whether the endpoint is ours.
const VALIDATION: &str = "Microsoft.EventGrid.SubscriptionValidationEvent";

/// What a request of Event Grid carries.
#[derive(Debug, PartialEq, Eq)]
pub enum Delivery {
    /// "Is this endpoint yours? Then say this code."
    Validation(String),
    /// Events, each as its own text: one that cannot be read does not hide its neighbours.
    Events(Vec<String>),
}

#[derive(Deserialize)]
struct OwnSchema<'a> {
    id: String,
    #[serde(default)]
    subject: Option<String>,
    #[serde(rename = "eventType")]
    kind: String,
    #[serde(default)]
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
pub fn delivery(body: &str) -> Result<Delivery, Malformed> {
    let parts: Vec<&RawValue> = match body.trim_start().as_bytes().first() {
        Some(b'[') => json::from_str(body)?,
        _ => vec![json::from_str(body)?],
    };
    if let [only] = parts[..]
        && let Ok(event) = serde_json::from_str::<OwnSchema<'_>>(only.get())
        && event.kind == VALIDATION
    {
        let data = event.data.map_or("null", RawValue::get);
        let data: ValidationData = json::from_str(data)?;
        return Ok(Delivery::Validation(data.code));
    }
    Ok(Delivery::Events(
        parts.into_iter().map(|part| part.get().to_owned()).collect(),
    ))
}

/// Reads one event in either schema.
///
/// # Errors
/// [`Malformed`] says what is missing or wrong.
pub fn event(text: &str) -> Result<Incoming, Malformed> {
    let which: BTreeMap<String, &RawValue> = json::from_str(text)?;
    if which.contains_key("specversion") || !which.contains_key("eventType") {
        return cloud_event::parse(text);
    }
    let own: OwnSchema<'_> = json::from_str(text)?;
    let data = match own.data {
        Some(raw) if raw.get() != "null" => {
            json::parse_object(raw.get()).map_err(|error| Malformed(format!("`data`: {error}")))?
        }
        _ => Fields::new(),
    };
    let source = own
        .topic
        .filter(|topic| !topic.is_empty())
        .unwrap_or_else(|| "event-grid".to_owned());
    Outside::new(own.id, source, own.kind, own.subject, data).map(Incoming::Outside)
}
