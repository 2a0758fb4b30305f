//! What the topic accepts: CloudEvents 1.0 in structured JSON, one or a batch.
//!
//! Invariant: a [`CloudEvent`] that exists is one Event Grid would have taken. Its text is kept as it
//! was sent, so a decimal in `data` never passes through a float on its way.

use jiff::Timestamp;
use serde_json::{Map, Value, value::RawValue};

#[derive(Debug)]
pub(crate) struct CloudEvent {
    pub(crate) text: Box<RawValue>,
    pub(crate) members: Map<String, Value>,
}

/// Why a request is refused with 400.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub(crate) struct Refused(String);

/// Parses a request body by its content type.
///
/// Event Grid documents 400 for what does not fit the topic's input schema and no 415: a wrong content
/// type is such a misfit.
pub(crate) fn parse(content_type: &str, body: &[u8]) -> Result<Vec<CloudEvent>, Refused> {
    let media = content_type.split(';').next().unwrap_or_default();
    let media = media.trim().to_ascii_lowercase();
    let malformed = |error: serde_json::Error| Refused(format!("the body is not JSON of that form: {error}"));
    let texts: Vec<Box<RawValue>> = match media.as_str() {
        "application/cloudevents+json" => vec![serde_json::from_slice(body).map_err(malformed)?],
        "application/cloudevents-batch+json" => serde_json::from_slice(body).map_err(malformed)?,
        _ => {
            return refused(format!(
                "content type '{media}' is not accepted by a CloudEvents topic: send \
                 application/cloudevents+json or application/cloudevents-batch+json"
            ));
        }
    };
    texts.into_iter().map(check).collect()
}

fn check(text: Box<RawValue>) -> Result<CloudEvent, Refused> {
    let Ok(Value::Object(members)) = serde_json::from_str(text.get()) else {
        return refused("an event must be a JSON object");
    };
    let has = |name| members.contains_key(name);
    if has("detail-type") || has("detail") {
        return refused("this is an EventBridge envelope, not a CloudEvent: send what is in its 'detail'");
    }
    for required in ["specversion", "id", "source", "type"] {
        match members.get(required) {
            Some(Value::String(text)) if !text.is_empty() => {}
            Some(_) => return empty(required),
            None => return refused(format!("attribute '{required}' is missing")),
        }
    }
    if members.get("specversion").and_then(Value::as_str) != Some("1.0") {
        return refused("attribute 'specversion' must be \"1.0\"");
    }
    for (name, value) in &members {
        check_member(name, value)?;
    }
    if has("data") && has("data_base64") {
        return refused("an event has 'data' or 'data_base64', not both");
    }
    Ok(CloudEvent { text, members })
}

fn refused<T>(why: impl Into<String>) -> Result<T, Refused> {
    Err(Refused(why.into()))
}

fn empty<T>(attribute: &str) -> Result<T, Refused> {
    refused(format!(
        "attribute '{attribute}' must be a string that is not empty"
    ))
}

fn check_member(name: &str, value: &Value) -> Result<(), Refused> {
    match (name, value) {
        ("data", _) | (_, Value::Null) => return Ok(()),
        ("data_base64", Value::String(_)) => return Ok(()),
        ("time", Value::String(time)) if time.parse::<Timestamp>().is_err() => {
            return refused("attribute 'time' must be an RFC 3339 time");
        }
        ("subject" | "datacontenttype" | "dataschema" | "time", Value::String(text)) if !text.is_empty() => {}
        ("subject" | "datacontenttype" | "dataschema" | "time", _) => return empty(name),
        (_, Value::String(_) | Value::Bool(_)) => {}
        // CloudEvents has one number type: a signed integer of 32 bits.
        (_, Value::Number(number)) if number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => {}
        _ => {
            return refused(format!(
                "attribute '{name}' must be a string, a boolean or an integer"
            ));
        }
    }
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
        return refused(format!(
            "attribute name '{name}' may only have lower-case letters and digits"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "application/cloudevents+json";

    fn good() -> Value {
        serde_json::json!({
            "specversion": "1.0", "id": "1", "source": "s", "type": "t", "time": "2026-11-20T10:00:00Z",
            "sagahop": 3, "sagafinal": true, "sagaid": "x", "data": {"Amount": 10.50},
        })
    }

    fn refusal(change: impl FnOnce(&mut Map<String, Value>)) -> String {
        let mut event = good();
        change(event.as_object_mut().unwrap());
        parse(ONE, event.to_string().as_bytes()).unwrap_err().0
    }

    #[test]
    fn one_event_and_a_batch_are_accepted_and_kept_as_sent() {
        let sent = r#"{"specversion":"1.0","id":"1","source":"s","type":"t","data":{"amount":10.5000}}"#;
        let events = parse("application/cloudevents+json; charset=utf-8", sent.as_bytes()).unwrap();
        assert_eq!(events[0].text.get(), sent);
        let batch = format!("[{sent},{sent}]");
        assert_eq!(
            parse("Application/CloudEvents-Batch+JSON", batch.as_bytes())
                .unwrap()
                .len(),
            2
        );
        assert_eq!(parse(ONE, good().to_string().as_bytes()).unwrap().len(), 1);
    }

    #[test]
    fn the_form_must_be_that_of_the_content_type() {
        let event = good().to_string();
        for (content_type, body) in [
            ("application/json", event.clone()),
            ("", event.clone()),
            (ONE, format!("[{event}]")),
            ("application/cloudevents-batch+json", event),
            (ONE, "nonsense".to_owned()),
        ] {
            assert!(
                parse(content_type, body.as_bytes()).is_err(),
                "{content_type} {body}"
            );
        }
    }

    #[test]
    fn each_required_attribute_is_required() {
        for name in ["specversion", "id", "source", "type"] {
            assert!(refusal(|event| drop(event.remove(name))).contains("is missing"));
            assert!(refusal(|event| drop(event.insert(name.into(), "".into()))).contains("not empty"));
            assert!(refusal(|event| drop(event.insert(name.into(), 1.into()))).contains("not empty"));
        }
        assert!(refusal(|event| drop(event.insert("specversion".into(), "0.3".into()))).contains("\"1.0\""));
    }

    #[test]
    fn attributes_have_plain_names_and_plain_values() {
        for (name, value) in [
            ("sagaId", Value::from("x")),
            ("saga_id", Value::from("x")),
            ("trace", serde_json::json!({})),
            ("trace", serde_json::json!(1.5)),
            ("trace", serde_json::json!(4_294_967_296_u64)),
            ("time", Value::from("yesterday")),
            ("subject", Value::from("")),
            ("data_base64", Value::from("AA==")),
        ] {
            assert!(
                !refusal(|event| drop(event.insert(name.into(), value.clone()))).is_empty(),
                "{name} {value}"
            );
        }
    }

    #[test]
    fn an_eventbridge_envelope_is_refused_with_advice() {
        let body = serde_json::json!({"version": "0", "id": "1", "detail-type": "t", "source": "s", "detail": good()});
        let refused = parse(ONE, body.to_string().as_bytes()).unwrap_err();
        assert!(refused.0.contains("EventBridge envelope"), "{refused}");
    }
}
