//! The form in which an event leaves the topic.
//!
//! The service delivers a CloudEvents topic's events as CloudEvents only. Delivery in Event Grid's own
//! schema is here so that a receiver's handshake and parser for that schema can be tried too; extension
//! attributes have no place in it.

use std::collections::BTreeMap;

use serde_json::value::{RawValue, to_raw_value};

use crate::config::DeliverySchema;

pub(crate) fn in_schema(
    topic: &str,
    schema: DeliverySchema,
    event: &RawValue,
) -> serde_json::Result<Box<RawValue>> {
    match schema {
        DeliverySchema::CloudEvents => Ok(event.to_owned()),
        DeliverySchema::EventGrid => {
            let mut cloud: BTreeMap<String, Box<RawValue>> = serde_json::from_str(event.get())?;
            let mut own: BTreeMap<&str, Box<RawValue>> = BTreeMap::new();
            for (from, to) in [
                ("id", "id"),
                ("subject", "subject"),
                ("type", "eventType"),
                ("time", "eventTime"),
                ("data", "data"),
            ] {
                let value = cloud.remove(from).map_or_else(|| to_raw_value(""), Ok)?;
                own.insert(to, value);
            }
            own.insert("topic", to_raw_value(topic)?);
            own.insert("dataVersion", to_raw_value("")?);
            own.insert("metadataVersion", to_raw_value("1")?);
            to_raw_value(&own)
        }
    }
}
