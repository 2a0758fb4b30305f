//! Which events a subscription wants: included types and advanced filters.
//!
//! Semantics are Event Grid's: every filter must pass, any of a filter's values may match, comparisons
//! ignore case, and a key that is missing (or is not a string) fails a positive operator and passes a
//! negative one.

use serde_json::{Map, Value};

use crate::config::{Filter, FilterOperator, Subscription};

/// Whether `subscription` is to get the event with these members.
pub(crate) fn matches(subscription: &Subscription, event: &Map<String, Value>) -> bool {
    let types = &subscription.included_event_types;
    let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
    let is_wanted = |wanted: &String| wanted.to_lowercase() == kind.to_lowercase();
    (types.is_empty() || types.iter().any(is_wanted))
        && subscription.filters.iter().all(|filter| passes(filter, event))
}

fn passes(filter: &Filter, event: &Map<String, Value>) -> bool {
    use FilterOperator as Op;
    let actual = lookup(event, &filter.key).map(str::to_lowercase);
    let any = |test: fn(&str, &str) -> bool| {
        actual
            .as_deref()
            .is_some_and(|actual| filter.values.iter().any(|v| test(actual, &v.to_lowercase())))
    };
    match filter.operator {
        Op::StringIn => any(|actual, value| actual == value),
        Op::StringNotIn => !any(|actual, value| actual == value),
        Op::StringBeginsWith => any(|actual, value| actual.starts_with(value)),
        Op::StringNotBeginsWith => !any(|actual, value| actual.starts_with(value)),
        Op::StringEndsWith => any(|actual, value| actual.ends_with(value)),
        Op::StringNotEndsWith => !any(|actual, value| actual.ends_with(value)),
        Op::StringContains => any(|actual, value| actual.contains(value)),
        Op::StringNotContains => !any(|actual, value| actual.contains(value)),
    }
}

fn lookup<'e>(event: &'e Map<String, Value>, key: &str) -> Option<&'e str> {
    let mut parts = key.split('.');
    let mut value = event.get(parts.next()?)?;
    for part in parts {
        value = value.as_object()?.get(part)?;
    }
    value.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(operator: &str, key: &str, values: &[&str], expected: bool) {
        let event = serde_json::json!({
            "type": "PaymentReserved", "sagatarget": "azure", "sagastep": 1,
            "data": {"order": {"region": "EU-West"}},
        });
        let subscription: Subscription = serde_json::from_value(serde_json::json!({
            "name": "any", "storage_queue": "q",
            "filters": [{"operator": operator, "key": key, "values": values}],
        }))
        .unwrap();
        let Value::Object(event) = event else {
            unreachable!()
        };
        assert_eq!(
            matches(&subscription, &event),
            expected,
            "{operator} {key} {values:?}"
        );
    }

    #[test]
    fn an_attribute_is_compared_with_every_value_ignoring_case() {
        check("StringIn", "sagatarget", &["aws", "AZURE"], true);
        check("StringIn", "sagatarget", &["aws"], false);
        check("StringNotIn", "sagatarget", &["azure"], false);
        check("StringNotIn", "sagatarget", &["aws"], true);
        check("StringBeginsWith", "type", &["payment"], true);
        check("StringNotBeginsWith", "type", &["payment"], false);
        check("StringEndsWith", "type", &["Reserved"], true);
        check("StringContains", "type", &["mentRes"], true);
        check("StringNotContains", "type", &["Refund"], true);
    }

    #[test]
    fn keys_reach_into_data() {
        check("StringIn", "data.order.region", &["eu-west"], true);
        check("StringIn", "data.order", &["eu-west"], false);
    }

    #[test]
    fn a_missing_key_fails_in_and_passes_not_in() {
        check("StringIn", "absent", &["azure"], false);
        check("StringNotIn", "absent", &["azure"], true);
        check("StringNotIn", "data.order.absent", &["azure"], true);
        check("StringIn", "sagastep", &["1"], false);
    }

    #[test]
    fn included_event_types_are_a_condition_of_their_own() {
        let subscription: Subscription = serde_json::from_value(serde_json::json!({
            "name": "any", "storage_queue": "q", "included_event_types": ["Other"],
        }))
        .unwrap();
        let event = serde_json::json!({"type": "PaymentReserved"});
        assert!(!matches(&subscription, event.as_object().unwrap()));
    }
}
