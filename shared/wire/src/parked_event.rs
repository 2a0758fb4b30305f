//! The event by which the other cloud tells the origin that a message of a saga came to rest where nobody works on
//! it. It travels the same way as every event and is no message of the protocol: it changes what the saga shows.

use saga_core::text::shown;
use saga_core::{EventId, SagaId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{cloud_event, json, time};

/// Its type.
pub const TYPE: &str = "SagaMessageParked";

/// What it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// The saga.
    pub saga: SagaId,
    /// The message.
    pub event: EventId,
    /// Where it lies, and why.
    pub reason: String,
}

#[derive(Serialize)]
struct Out<'a> {
    specversion: &'static str,
    id: String,
    source: &'static str,
    r#type: &'static str,
    time: String,
    datacontenttype: &'static str,
    sagatarget: &'static str,
    data: Data<'a>,
}

#[derive(Serialize, Deserialize)]
struct Data<'a> {
    saga_id: std::borrow::Cow<'a, str>,
    event_id: std::borrow::Cow<'a, str>,
    reason: std::borrow::Cow<'a, str>,
}

/// Writes the event. The same message that comes to rest again is the same event.
#[must_use]
pub fn write(parked: &Parked, now: Timestamp) -> String {
    let out = Out {
        specversion: "1.0",
        id: format!("{}-parked", parked.event),
        source: "saga.participant.azure",
        r#type: TYPE,
        time: time::format(now),
        datacontenttype: "application/json",
        sagatarget: "aws",
        data: Data {
            saga_id: parked.saga.to_string().into(),
            event_id: parked.event.as_str().into(),
            reason: shown(&parked.reason).into(),
        },
    };
    json::to_string(&out)
}

/// Reads it; `None` when this is another event.
#[must_use]
pub fn parse(text: &str) -> Option<Parked> {
    let said = cloud_event::told_by_azure(text, TYPE)?;
    let said: Data<'_> = serde_json::from_str(&said).ok()?;
    Some(Parked {
        saga: said.saga_id.parse().ok()?,
        event: said.event_id.parse().ok()?,
        reason: shown(&said.reason),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_and_is_bounded() {
        let parked = Parked {
            saga: "0193e0b1-0000-8000-8000-000000000001".parse().unwrap(),
            event: "1795226400123-x-compensate1".parse().unwrap(),
            reason: "the \"table\" is gone".to_owned(),
        };
        let text = write(&parked, Timestamp::from_millis(1_795_226_400_123));
        assert_eq!(parse(&text), Some(parked.clone()));
        let long = Parked {
            reason: "ä".repeat(5_000),
            ..parked
        };
        let read = parse(&write(&long, Timestamp::from_millis(0))).unwrap();
        assert_eq!(read.reason.chars().count(), 256);
        assert_eq!(parse(r#"{"type":"SagaAlertRaised","data":{}}"#), None);
        assert_eq!(parse(&text.replace("0193e0b1", "xx")), None);
    }
}
