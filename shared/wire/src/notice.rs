//! Two events that Azure's functions send to the origin and that are no messages of the protocol: a message of a saga was
//! parked, and an alert for the one monitoring channel. They travel the same way as every event.

use std::borrow::Cow;

use saga_core::text::{shown, shown_lines};
use saga_core::{Cloud, EventId, SagaId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::cloud_event::attributes::Attributes;
use crate::cloud_event::{self, Payload, source_of};
use crate::{json, time};

/// The type of the event of an [`Alert`].
pub const ALERT: &str = "SagaAlertRaised";
/// The type of the event of a [`Parked`].
pub const PARKED: &str = "SagaMessageParked";

/// Something that an operator must know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// What happened, in a few words.
    pub subject: String,
    /// What it means and what to do.
    pub text: String,
}

/// A message of a saga that nobody works on any more: it failed at every try, or is in a dead-letter store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// The saga.
    pub saga: SagaId,
    /// The message.
    pub event: EventId,
    /// Where it is, and why.
    pub reason: String,
    /// Since when. An event carries it as its time.
    pub at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct ParkedData<'a> {
    saga_id: Cow<'a, str>,
    event_id: Cow<'a, str>,
    reason: Cow<'a, str>,
}

/// Writes the event of an alert.
#[must_use]
pub fn write_alert(id: &str, alert: &Alert, now: Timestamp) -> String {
    write(id, ALERT, now, alert)
}

/// Writes the event of a parked message. The same message that is parked again is the same event.
#[must_use]
pub fn write_parked(parked: &Parked) -> String {
    let data = ParkedData {
        saga_id: parked.saga.to_string().into(),
        event_id: parked.event.as_str().into(),
        reason: shown(&parked.reason).into(),
    };
    write(&format!("{}-parked", parked.event), PARKED, parked.at, data)
}

fn write(id: &str, kind: &str, at: Timestamp, data: impl Serialize) -> String {
    let data = Payload::Json(json::raw(json::to_string(&data)));
    cloud_event::routed(id, source_of(Cloud::Azure), kind, at, Cloud::ORIGIN, data)
}

/// The alert in an event; `None` when it is another event.
pub(crate) fn alert(attributes: &Attributes<'_>) -> Option<Alert> {
    let alert: Alert = serde_json::from_str(&data(attributes, ALERT)?).ok()?;
    let alert = Alert {
        subject: shown(alert.subject.trim()),
        text: shown_lines(alert.text.trim()),
    };
    // A monitoring channel takes no empty ones.
    Some(alert).filter(|alert| !alert.subject.is_empty() && !alert.text.is_empty())
}

/// The parked message in an event; `None` when it is another event.
pub(crate) fn parked(attributes: &Attributes<'_>) -> Option<Parked> {
    let data = data(attributes, PARKED)?;
    let data: ParkedData<'_> = serde_json::from_str(&data).ok()?;
    let at = attributes.text("time").ok().flatten();
    let at = at.and_then(|at| time::parse(&at).ok());
    Some(Parked {
        saga: data.saga_id.parse().ok()?,
        event: data.event_id.parse().ok()?,
        reason: shown(&data.reason),
        at: at.unwrap_or(Timestamp::from_millis(0)),
    })
}

/// What an event of this type carries that Azure's functions sent to the origin; `None` when it is another event.
fn data<'a>(attributes: &Attributes<'a>, kind: &str) -> Option<Cow<'a, str>> {
    let says = |name, value: &str| attributes.required(name).is_ok_and(|said| said == value);
    let is_theirs = says("type", kind)
        && says("specversion", "1.0")
        && says("source", source_of(Cloud::Azure))
        && says("sagatarget", Cloud::ORIGIN.as_str())
        && attributes.required("id").is_ok();
    is_theirs.then(|| attributes.payload().ok().flatten())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Parked> {
        parked(&Attributes::of(text).unwrap())
    }

    #[test]
    fn a_parked_message_comes_back_and_is_bounded() {
        let parked = Parked {
            saga: "0193e0b1-0000-8000-8000-000000000001".parse().unwrap(),
            event: "1795226400123-x-compensate1".parse().unwrap(),
            reason: "the \"table\" is gone".to_owned(),
            at: Timestamp::from_millis(1_795_226_400_123),
        };
        let text = write_parked(&parked);
        assert_eq!(read(&text), Some(parked.clone()));
        let long = Parked {
            reason: "ä".repeat(5_000),
            ..parked
        };
        let long = read(&write_parked(&long)).unwrap();
        assert_eq!(long.reason.chars().count(), 256);
        assert_eq!(read(r#"{"type":"SagaAlertRaised","data":{}}"#), None);
        assert_eq!(read(&text.replace("0193e0b1", "xx")), None);
    }
}
