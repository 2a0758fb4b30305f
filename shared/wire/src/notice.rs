//! Events that are no messages of the protocol and travel the same way. Azure's functions say to the origin that a message of a
//! saga was parked, or give it an alert for the one monitoring channel. The origin says to Azure that a service is paused, or is
//! not any more.

use std::borrow::Cow;

use saga_core::mark::Mark;
use saga_core::text::{shown, shown_lines};
use saga_core::{Cloud, EventId, SagaId, ServiceState, Timestamp};
use serde::{Deserialize, Serialize};

use crate::cloud_event::attributes::Attributes;
use crate::cloud_event::{self, Payload, source_of};
use crate::{json, time};

/// The type of the event of an [`Alert`].
pub const ALERT: &str = "SagaAlertRaised";
/// The type of the event of a [`Parked`].
pub const PARKED: &str = "SagaMessageParked";
/// The type of the event of a service that is paused from now on.
pub const SERVICE_PAUSED: &str = "SagaServicePaused";
/// The type of the event of a service that is asked again.
pub const SERVICE_RESUMED: &str = "SagaServiceResumed";

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

/// Who calls is not in it: that is for the API to show, which keeps it.
#[derive(Serialize, Deserialize)]
struct ServiceData<'a> {
    service: Cow<'a, str>,
    number: u64,
    since: Cow<'a, str>,
    by: Cow<'a, str>,
    reason: Cow<'a, str>,
}

/// The type of the event of this state.
#[must_use]
pub fn type_of_service(state: &ServiceState) -> &'static str {
    if state.paused {
        SERVICE_PAUSED
    } else {
        SERVICE_RESUMED
    }
}

/// Writes the event of a service's state, sent at `now`.
#[must_use]
pub fn write_service(state: &ServiceState, now: Timestamp) -> String {
    let data = ServiceData {
        service: state.service.as_str().into(),
        number: state.number,
        since: time::format(state.mark.at).into(),
        by: state.mark.by.as_str().into(),
        reason: state.mark.reason.as_str().into(),
    };
    let data = Payload::Json(json::raw(json::to_string(&data)));
    let (id, kind) = (state.event_id(now), type_of_service(state));
    let source = source_of(Cloud::ORIGIN);
    cloud_event::routed(id.as_str(), source, kind, now, Cloud::Azure, data)
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
    let alert: Alert = serde_json::from_str(&to_origin(attributes, ALERT)?).ok()?;
    let alert = Alert {
        subject: shown(alert.subject.trim()),
        text: shown_lines(alert.text.trim()),
    };
    // A monitoring channel takes no empty ones.
    Some(alert).filter(|alert| !alert.subject.is_empty() && !alert.text.is_empty())
}

/// The parked message in an event; `None` when it is another event.
pub(crate) fn parked(attributes: &Attributes<'_>) -> Option<Parked> {
    let data = to_origin(attributes, PARKED)?;
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

/// The service's state in an event; `None` when it is another event.
pub(crate) fn service(attributes: &Attributes<'_>) -> Option<ServiceState> {
    let (from, to) = (Cloud::ORIGIN, Cloud::Azure);
    let of = |kind| Some((kind == SERVICE_PAUSED, data(attributes, kind, from, to)?));
    let (paused, data) = of(SERVICE_PAUSED).or_else(|| of(SERVICE_RESUMED))?;
    let data: ServiceData<'_> = serde_json::from_str(&data).ok()?;
    let since = time::parse(&data.since).ok()?;
    Some(ServiceState {
        service: data.service.into_owned(),
        number: data.number,
        paused,
        mark: Mark::new(since, &data.by, &data.reason),
        caller: None,
    })
}

/// Whether the text is the event of a service's state.
pub(crate) fn tells_of_a_service(text: &str) -> bool {
    Attributes::of(text).is_ok_and(|attributes| service(&attributes).is_some())
}

/// What an event of this type carries that Azure's functions sent to the origin; `None` when it is another event.
fn to_origin<'a>(attributes: &Attributes<'a>, kind: &str) -> Option<Cow<'a, str>> {
    data(attributes, kind, Cloud::Azure, Cloud::ORIGIN)
}

/// What an event of this type carries that one cloud's functions sent to the other; `None` when it is another event.
fn data<'a>(attributes: &Attributes<'a>, kind: &str, from: Cloud, to: Cloud) -> Option<Cow<'a, str>> {
    let says = |name, value: &str| attributes.required(name).is_ok_and(|said| said == value);
    let is_theirs = says("type", kind)
        && says("specversion", "1.0")
        && says("source", source_of(from))
        && says("sagatarget", to.as_str())
        && attributes.required("id").is_ok();
    is_theirs.then(|| attributes.payload().ok().flatten())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_a_service_comes_back_and_nobody_else_says_it() {
        let at = Timestamp::from_millis(1_795_226_400_123);
        let asked = saga_core::mark::Asked {
            by: "ops",
            caller: None,
            why: "the \"bank\" is \u{1}down",
        };
        let paused = ServiceState::changed("bank", None, true, asked, at);
        let resumed = ServiceState::changed("bank", Some(&paused), false, asked, at.plus_millis(5));
        for state in [&paused, &resumed, &paused.again(at.plus_millis(1))] {
            let text = write_service(state, at.plus_millis(7));
            let read = |text: &str| service(&Attributes::of(text).unwrap());
            assert_eq!(read(&text).as_ref(), Some(state), "{text}");
            for (right, wrong) in [
                ("saga.orchestrator", "saga.participant.azure"),
                (r#""sagatarget":"azure""#, r#""sagatarget":"aws""#),
                ("SagaService", "SagaServices"),
                (r#""number":"#, r#""no":"#),
            ] {
                assert!(text.contains(right), "{text}");
                assert_eq!(read(&text.replace(right, wrong)), None, "{wrong}");
            }
        }
    }

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
