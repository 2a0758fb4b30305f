//! What an event looks like once it was given up, and where it lies.
//!
//! Both are what operators' replay tools parse, so they follow the documentation to the last character
//! (<https://learn.microsoft.com/azure/event-grid/delivery-and-retry#delivery-event-formats>): the
//! subscription's name in capitals, a date that is not padded, a JSON array, the added members spelled in
//! the manner of the delivery schema, times with seven digits of a second. A CloudEvent does not say when
//! it was tried last.

use std::collections::BTreeMap;

use jiff::{Timestamp, tz::TimeZone};
use serde_json::value::{RawValue, to_raw_value};

use super::{envelope, journal::Delivery};
use crate::config::DeliverySchema;

pub(crate) fn path(subscription: &str, at: Timestamp, guid: &str) -> String {
    let at = at.to_zoned(TimeZone::UTC);
    let name = subscription.to_uppercase();
    let (year, month, day, hour) = (at.year(), at.month(), at.day(), at.hour());
    format!("{name}/{year}/{month}/{day}/{hour}/{guid}.json")
}

/// The blob's content: an array of the one event with what is known of its end.
pub(crate) fn content(
    topic: &str,
    schema: DeliverySchema,
    delivery: &Delivery,
    reason: &str,
) -> serde_json::Result<String> {
    let text = envelope::in_schema(topic, schema, &delivery.event)?;
    let mut members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(text.get())?;
    let mut add = |name: &str, value: Box<RawValue>| {
        let name = match schema {
            DeliverySchema::CloudEvents => name.to_ascii_lowercase(),
            DeliverySchema::EventGrid => name.to_owned(),
        };
        members.insert(name, value);
    };
    let last = delivery.last_attempt.as_ref();
    let outcome = last.map_or("NoAttempt", |attempt| attempt.outcome.as_str());
    add("deadLetterReason", to_raw_value(reason)?);
    add("deliveryAttempts", to_raw_value(&delivery.attempts)?);
    add("lastDeliveryOutcome", to_raw_value(outcome)?);
    add("publishTime", to_raw_value(&time(delivery.published))?);
    if let (DeliverySchema::EventGrid, Some(attempt)) = (schema, last) {
        add("lastDeliveryAttemptTime", to_raw_value(&time(attempt.at))?);
    }
    serde_json::to_string(&[members])
}

/// As .NET writes a time: always seven digits of a second.
fn time(at: Timestamp) -> String {
    let tenths_of_microseconds = at.subsec_nanosecond() / 100;
    let seconds = at.strftime("%Y-%m-%dT%H:%M:%S");
    format!("{seconds}.{tenths_of_microseconds:07}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::journal::Attempt;

    fn given_up() -> Delivery {
        let event = r#"{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"u","sagaid":"x","time":"2026-11-20T09:59:00Z","data":{"amount":10.500}}"#;
        let mut delivery = Delivery::new(
            RawValue::from_string(event.to_owned()).unwrap(),
            "2026-11-20T10:00:00.123456789Z".parse().unwrap(),
        );
        delivery.attempts = 2;
        delivery.last_attempt = Some(Attempt {
            at: "2026-11-20T10:00:10Z".parse().unwrap(),
            outcome: "NotFound".to_owned(),
        });
        delivery
    }

    #[test]
    fn the_path_has_capitals_and_no_padding() {
        let at = "2026-03-04T05:06:07Z".parse().unwrap();
        assert_eq!(
            path("to-aws-Ingress", at, "g"),
            "TO-AWS-INGRESS/2026/3/4/5/g.json"
        );
    }

    #[test]
    fn a_cloud_event_gets_lower_case_members() {
        let text = content(
            "topic",
            DeliverySchema::CloudEvents,
            &given_up(),
            "TimeToLiveExceeded",
        )
        .unwrap();
        assert_eq!(
            text,
            r#"[{"data":{"amount":10.500},"deadletterreason":"TimeToLiveExceeded","deliveryattempts":2,"id":"1","lastdeliveryoutcome":"NotFound","publishtime":"2026-11-20T10:00:00.1234567Z","sagaid":"x","source":"s","specversion":"1.0","subject":"u","time":"2026-11-20T09:59:00Z","type":"t"}]"#
        );
    }

    #[test]
    fn an_event_grid_event_gets_camel_case_members() {
        let text = content(
            "topic",
            DeliverySchema::EventGrid,
            &given_up(),
            "TimeToLiveExceeded",
        )
        .unwrap();
        assert_eq!(
            text,
            r#"[{"data":{"amount":10.500},"dataVersion":"","deadLetterReason":"TimeToLiveExceeded","deliveryAttempts":2,"eventTime":"2026-11-20T09:59:00Z","eventType":"t","id":"1","lastDeliveryAttemptTime":"2026-11-20T10:00:10.0000000Z","lastDeliveryOutcome":"NotFound","metadataVersion":"1","publishTime":"2026-11-20T10:00:00.1234567Z","subject":"u","topic":"topic"}]"#
        );
    }
}
