//! The texts that the clouds bring, as their documentation shows them (`fixtures/`), and what is made of them.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use saga_core::address::Address;
use saga_core::definition::Cloud;
use saga_core::event::{Event, MAX_HOPS};
use saga_core::{StepIndex, Timestamp};
use saga_tests::{arbitrary, sagas};
use saga_wire::event_grid::{Delivery, delivery};
use saga_wire::inbound::{self, Inbound};
use saga_wire::notice::{Alert, write_alert};
use saga_wire::saga_event::{Outside, SagaEvent, check};
use saga_wire::{cloud_event, custom_handler, definitions, event_bridge, event_grid, json, time};
use serde_json::{Value, json};

const RESERVED: &str = include_str!("fixtures/cloud_event_payment_reserved.json");
const SAGA: &str = "3b0c5d5e-0a52-8a3c-9d6b-6a1f0e6f7c11";

fn ours(text: &str) -> Event {
    match event_grid::event(text).unwrap() {
        SagaEvent::Ours(event) => event,
        SagaEvent::Outside(event) => panic!("taken for another publisher's: {event:?}"),
    }
}

/// The same, as the fixtures of queue messages have it.
fn without_a_checksum() -> Event {
    Event {
        unverified: true,
        ..ours(RESERVED)
    }
}

fn outside(text: &str) -> Outside {
    match event_grid::event(text).unwrap() {
        SagaEvent::Outside(event) => event,
        SagaEvent::Ours(event) => panic!("taken for ours: {event:?}"),
    }
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn events(body: &str) -> Vec<String> {
    match delivery(body).unwrap() {
        Delivery::Events(events) => events
            .into_iter()
            .map(|event| String::from_utf8(event).unwrap())
            .collect(),
        Delivery::Validation(code) => panic!("taken for a handshake: {code}"),
    }
}

#[test]
fn our_event_is_read_and_written_as_documented() {
    let event = ours(RESERVED);
    assert_eq!(event.kind, "PaymentReserved");
    assert_eq!(event.saga.to_string(), SAGA);
    assert_eq!(event.address, Address::Advance(StepIndex::new(1)));
    assert_eq!((event.sender, event.target), (Cloud::Aws, Cloud::Azure));
    assert_eq!((event.step_number, event.hop), (1, 1));
    assert_eq!(event.time, Timestamp::from_millis(1_790_000_000_123));
    assert_eq!(
        event.data["reserved_amount"].as_number().unwrap().to_string(),
        "129.90"
    );
    assert!(
        !event.data.contains_key("saga_id"),
        "the saga is named once inside"
    );
    assert_eq!(value(&cloud_event::write(&event)), value(RESERVED));
}

#[test]
fn the_documented_event_is_true_of_its_definition() {
    let catalogue = sagas::catalogue();
    let event = ours(RESERVED);
    assert_eq!(check(&event, catalogue.get(&event.definition).unwrap()), Ok(()));
}

#[test]
fn a_rules_envelope_holds_the_event_and_a_bare_event_is_taken_too() {
    let envelope = include_str!("fixtures/event_bridge_to_sqs.json");
    let event = ours(event_bridge::event_in(envelope).unwrap());
    assert_eq!(event.address, Address::Complete);
    assert_eq!(ours(event_bridge::event_in(RESERVED).unwrap()), ours(RESERVED));
    for body in ["", "not JSON", "[1]", "7", "{"] {
        assert!(event_bridge::event_in(body).is_err(), "{body:?}");
    }
}

#[test]
fn event_grid_brings_cloud_events_one_by_one_or_in_batches() {
    let one = events(include_str!("fixtures/event_grid_cloud_events_one.json"));
    assert_eq!(one.len(), 1);
    let batch = events(include_str!("fixtures/event_grid_cloud_events_batch.json"));
    assert_eq!(batch.len(), 2);
    assert_eq!(ours(&batch[0]), ours(&one[0]));
    let theirs = outside(&batch[1]);
    assert_eq!(
        (theirs.id.as_str(), theirs.kind.as_str()),
        ("their-1", "PaymentCompensationRequested")
    );
    assert_eq!(theirs.saga.to_string(), SAGA);
    assert_eq!(theirs.data["reason"].as_text(), Some("the card was stolen"));
}

#[test]
fn event_grids_own_schema_is_understood_by_type_and_saga() {
    let batch = events(include_str!("fixtures/event_grid_schema_batch.json"));
    let [named, by_subject] = &batch[..] else {
        panic!("{} events", batch.len())
    };
    let (named, by_subject) = (outside(named), outside(by_subject));
    assert_eq!(named.saga.to_string(), SAGA);
    assert_eq!(named.kind, "PaymentCompensationRequested");
    assert!(named.source.ends_with("/topics/enterprise-saga-choreography"));
    assert_eq!(by_subject.saga, named.saga);
    assert_eq!(
        by_subject.data["reason"].as_text(),
        Some("named by the subject only")
    );
}

#[test]
fn one_event_that_cannot_be_read_does_not_hide_its_neighbours() {
    let batch = format!("[{RESERVED}, 7, {{\"id\":1}}, null]");
    let events = events(&batch);
    assert_eq!(events.len(), 4);
    assert!(event_grid::event(&events[0]).is_ok());
    assert!(events[1..].iter().all(|text| event_grid::event(text).is_err()));
}

#[test]
fn the_handshake_is_answered_with_its_code() {
    let body = include_str!("fixtures/event_grid_validation.json");
    let Delivery::Validation(code) = delivery(body).unwrap() else {
        panic!("not taken for a handshake");
    };
    assert_eq!(code, "512d38b6-c7b8-40c8-89fe-f46f9e9622b6");
    let answer = serde_json::to_value(event_grid::ValidationAnswer { code: &code }).unwrap();
    assert_eq!(answer, json!({ "validationResponse": code }));
}

#[test]
fn a_delivery_that_is_no_json_is_refused_and_an_empty_batch_is_empty() {
    for body in ["", " ", "not JSON", "[{]", "{\"id\":"] {
        assert!(delivery(body).is_err(), "{body:?}");
    }
    assert_eq!(events("[]").len(), 0);
}

#[test]
fn the_functions_host_brings_the_queue_message_encoded_twice_or_in_base64() {
    for body in [
        include_str!("fixtures/custom_handler_queue_trigger.json"),
        include_str!("fixtures/custom_handler_queue_trigger_base64.json"),
    ] {
        let message = custom_handler::message(body, "event").unwrap();
        assert_eq!(ours(&custom_handler::event_in(&message)), without_a_checksum());
        assert!(
            custom_handler::message(body, "queueItem")
                .unwrap_err()
                .0
                .contains("`queueItem`")
        );
    }
}

#[test]
fn a_storage_queue_message_is_base64_of_one_event() {
    let message = include_str!("fixtures/storage_queue_message.txt").trim();
    let body = json!({ "Data": { "event": message } }).to_string();
    assert_eq!(
        ours(&custom_handler::event_in(
            &custom_handler::message(&body, "event").unwrap()
        )),
        without_a_checksum()
    );
    let largest = STANDARD.encode(vec![b'x'; saga_wire::MAX_EVENT_BYTES]);
    assert!(largest.len() <= 64 * 1024);
}

#[test]
fn a_timers_invocation_is_an_object() {
    let body = include_str!("fixtures/custom_handler_timer_trigger.json");
    let timer = value(&custom_handler::message(body, "sweep").unwrap());
    assert_eq!(timer["IsPastDue"], false);
}

#[test]
fn the_host_is_answered_with_an_object() {
    let answer = serde_json::to_value(custom_handler::Answer::with_logs(vec!["done".to_owned()])).unwrap();
    assert_eq!(
        answer,
        json!({ "Outputs": {}, "Logs": ["done"], "ReturnValue": null })
    );
}

#[test]
fn an_event_that_was_changed_on_its_way_is_noticed() {
    let refused = |change: &dyn Fn(&mut Value), part: &str| {
        let mut event = value(RESERVED);
        change(&mut event);
        let error = event_grid::event(&event.to_string()).unwrap_err();
        assert!(error.0.contains(part), "{error}");
    };
    for (attribute, to) in [
        ("sagadef", json!("order")),
        ("sagaver", json!(2)),
        ("sagastep", json!(2)),
        ("sagaverb", json!("cancel")),
        ("sagahop", json!(2)),
        ("sagatarget", json!("aws")),
        ("type", json!("PaymentCancelRequested")),
        ("sagasum", json!("")),
    ] {
        refused(&|event| event[attribute] = to.clone(), "changed on its way");
    }
    for (field, to) in [
        ("order_id", json!("order-2")),
        ("reserved_amount", json!("0.01")),
        ("more", json!(false)),
    ] {
        refused(&|event| event["data"][field] = to.clone(), "changed on its way");
    }
    refused(
        &|event| event["data"]["saga_id"] = json!(SAGA.replace('3', "4")),
        "two sagas",
    );
    refused(&|event| event["sagaorigin"] = json!("azure"), "does not speak as");
    refused(
        &|event| event["source"] = json!("saga.participant.azure"),
        "does not speak as",
    );
}

#[test]
fn what_carriers_make_of_numbers_is_no_change() {
    let mut event = ours(RESERVED);
    event.data =
        json::parse_object(r#"{"amount":129.90,"large":12345678901234567890123456,"list":[1.50,{"a":2}]}"#)
            .unwrap();
    let text = cloud_event::write(&event);
    let carried = text
        .replace("129.90", "129.9")
        .replace("1.50", "1.5")
        .replace("\"sagahop\":1", "\"sagahop\":\"1\"");
    assert_ne!(carried, text);
    assert!(event_grid::event(&carried).is_ok(), "{carried}");
    assert!(event_grid::event(&carried.replace("1.5", "1.6")).is_err());
}

#[test]
fn texts_that_look_like_numbers_are_texts() {
    let mut event = ours(RESERVED);
    for (one, other) in [("1e5", "10e4"), ("1e400", "9e999"), ("007", "7"), ("1.50", "1.5")] {
        event.data = json::parse_object(&format!(r#"{{"order_id":"{one}"}}"#)).unwrap();
        let text = cloud_event::write(&event);
        assert!(event_grid::event(&text).is_ok(), "{text}");
        let changed = text.replace(&format!("\"{one}\""), &format!("\"{other}\""));
        assert!(event_grid::event(&changed).is_err(), "{changed}");
    }
}

#[test]
fn what_is_wrong_with_a_text_is_said_without_quoting_it() {
    for text in [
        r#"{"specversion":{"a":"secret"}}"#,
        r#"["secret"]"#,
        r#""secret""#,
        r#"{"specversion":"1.0","id":"1","source":"s","type":"t","sagaid":"secret"}"#,
        r#"{"eventType":["secret"],"id":"1"}"#,
    ] {
        let error = event_grid::event(text).unwrap_err();
        assert!(!error.0.contains("secret"), "{error}");
    }
}

#[test]
fn one_attribute_twice_is_refused() {
    let twice = RESERVED.replacen('{', "{\"sagatarget\": \"aws\",", 1);
    assert!(event_grid::event(&twice).unwrap_err().0.contains("stands twice"));
}

proptest! {
    #[test]
    fn every_event_survives_the_way((definition, event) in arbitrary::event()) {
        let text = cloud_event::write(&event);
        prop_assert_eq!(cloud_event::parse(&text).unwrap(), SagaEvent::Ours(event.clone()));
        prop_assert_eq!(ours(&text), event.clone());

        prop_assert!(check(&event, &definition).is_ok());
        prop_assert_eq!(definitions::read(&definitions::write(&definition)), Ok(definition));

        let envelope = format!(r#"{{"detail-type":"x","detail":{text}}}"#);
        prop_assert_eq!(ours(event_bridge::event_in(&envelope).unwrap()), event.clone());

        let queued = json!({ "Data": { "event": STANDARD.encode(&text) } }).to_string();
        prop_assert_eq!(ours(&custom_handler::event_in(&custom_handler::message(&queued, "event").unwrap())), event.clone());
        let twice = Value::from(Value::from(text.as_str()).to_string()).to_string();
        let queued = format!(r#"{{"Data":{{"event":{twice}}}}}"#);
        prop_assert_eq!(ours(&custom_handler::event_in(&custom_handler::message(&queued, "event").unwrap())), event);
    }

    #[test]
    fn another_publishers_event_survives_being_passed_on(
        id in arbitrary::event_id(), saga in arbitrary::saga_id(), data in arbitrary::fields(), source in "[!-~]{1,64}",
    ) {
        prop_assume!(id.as_str().len() <= 256);
        let event = Outside { id, source, kind: "PaymentCompensationRequested".to_owned(), saga, data };
        let text = cloud_event::write_outside(&event, Cloud::Aws, Timestamp::from_millis(0));
        prop_assert_eq!(outside(&text), event);
    }

    #[test]
    fn documents_survive_json(fields in arbitrary::fields()) {
        prop_assert_eq!(json::parse_object(&json::write_object(&fields)).unwrap(), fields);
    }

    #[test]
    fn what_we_write_is_what_others_read(fields in arbitrary::fields()) {
        let text = json::write_object(&fields);
        let read: Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(read.as_object().unwrap().len(), fields.len());
    }

    #[test]
    fn any_text_is_read_or_refused_and_never_panics(text in ".{0,200}") {
        let _ = (event_grid::event(&text), delivery(&text), custom_handler::message(&text, "event"));
    }

    #[test]
    fn times_survive(millis in any::<i64>()) {
        let at = Timestamp::from_millis(millis);
        prop_assert_eq!(time::parse(&time::format(at)).unwrap(), at);
    }

    #[test]
    fn definitions_know_their_own_events((definition, event) in arbitrary::event()) {
        let parsed = Address::parse(event.address.verb(), event.step_number);
        prop_assert_eq!(parsed, Some(event.address));
        // By its type alone, where no other message has it (the origin's own events are not among them).
        if let Some(address) = definition.address_of(&event.kind) {
            prop_assert_eq!(definition.type_of(address), Some(event.kind.as_str()));
        }
    }
}

#[test]
fn the_last_times_that_there_are_survive() {
    for millis in [
        i64::MAX,
        253_402_300_799_999,
        253_402_214_400_000,
        0,
        -1,
        i64::MIN,
    ] {
        let at = Timestamp::from_millis(millis);
        assert_eq!(time::parse(&time::format(at)).unwrap(), at, "{millis}");
    }
}

#[test]
fn times_are_read_in_every_zone_and_precision() {
    let expected = Timestamp::from_millis(1_790_000_000_123);
    for text in [
        "2026-09-21T14:13:20.123Z",
        "2026-09-21T14:13:20.1234567Z",
        "2026-09-21T14:13:20.123999999999999999999Z",
        "2026-09-21t14:13:20.123z",
        "2026-09-21 14:13:20.123Z",
        "2026-09-21T16:13:20.123+02:00",
        "2026-09-21T14:13:20.123-00:00",
        "2026-09-22T14:12:20.123+23:59",
        "2026-09-20T14:14:20.123-23:59",
    ] {
        assert_eq!(time::parse(text).unwrap(), expected, "{text}");
    }
    for (text, millis) in [
        ("2026-09-21T14:13:20Z", 1_790_000_000_000),
        ("2026-09-21T14:13:20.1Z", 1_790_000_000_100),
        ("2026-09-21T14:13:20.0009Z", 1_790_000_000_000),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000),
        // Leap seconds, here and where the clock shows another day.
        ("2016-12-31T23:59:60Z", 1_483_228_799_000),
        ("2016-12-31T15:59:60.5-08:00", 1_483_228_799_500),
        ("2015-07-01T01:59:60+02:00", 1_435_708_799_000),
        // Outside of what is kept: the nearest that is.
        ("1969-12-31T23:59:59Z", 0),
        ("0000-01-01T00:00:00Z", 0),
        ("0000-02-29T00:00:00+23:59", 0),
        ("9999-12-30T22:00:00.001Z", 253_402_207_200_000),
        ("9999-12-31T23:59:59Z", 253_402_207_200_000),
        ("9999-12-31T23:59:59.999999999999-23:59", 253_402_207_200_000),
    ] {
        assert_eq!(time::parse(text).map(Timestamp::millis), Ok(millis), "{text}");
    }
    for text in [
        "",
        "2026-09-21",
        "2026-09-21T14:13:20",
        "yesterday",
        "1790000000",
        "2026-09-21T14:13Z",
        "2026-09-21T14Z",
        "20260921T141320Z",
        "2026-09-21T14:13:20.Z",
        "2026-09-21T14:13:20,5Z",
        "2026-09-21T14:13:20 Z",
        "2026-09-21T14:13:20+25:59",
        "2026-09-21T14:13:20+24:00",
        "2026-09-21T14:13:20-24:00",
        "2026-09-21T14:13:20+00:60",
        "2026-09-21T14:13:20+02",
        "2026-09-21T14:13:20+0200",
        "2026-09-21T14:13:20+02:00:00",
        "2026-09-21T14:13:20Z[UTC]",
        "2026-09-21T14:13:20+02:00[Europe/Berlin]",
        "2026-09-21T14:13:20UTC",
        "2026-09-21T24:00:00Z",
        "2026-09-21T14:60:00Z",
        "2026-09-21T14:13:60Z",
        "2026-09-30T23:59:61Z",
        "2026-09-21T23:59:60Z",
        "2016-12-31T23:59:60+01:00",
        "2026-02-29T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-04-00T00:00:00Z",
        "+002026-09-21T14:13:20Z",
        "-2026-09-21T14:13:20Z",
        "12026-09-21T14:13:20Z",
        " 2026-09-21T14:13:20Z",
        "2026-09-21T14:13:20Z ",
        "２０２６-09-21T14:13:20Z",
        "2026-09-21T14:13:+0Z",
        "2026-09-21T14:13:20−02:00",
        "2026-W39-1T14:13:20Z",
    ] {
        assert!(time::parse(text).is_err(), "{text}");
    }
}

#[test]
fn what_is_said_of_a_bad_time_can_be_shown() {
    let error = time::parse(&format!("\u{1b}[2J{}", "x".repeat(1_000))).unwrap_err();
    assert!(
        error.0.contains("\\u{1b}[2J") && error.0.chars().count() < 300,
        "{error}"
    );
}

/// The documented event with this attribute set to a value, or removed.
fn with(attribute: &str, to: Option<Value>) -> String {
    let mut event = value(RESERVED);
    let fields = event.as_object_mut().unwrap();
    match to {
        Some(to) => fields.insert(attribute.to_owned(), to),
        None => fields.remove(attribute),
    };
    event.to_string()
}

#[test]
fn each_attribute_that_is_missing_is_named() {
    for attribute in [
        "specversion",
        "id",
        "source",
        "type",
        "sagaid",
        "sagadef",
        "sagaver",
        "sagastep",
        "sagaverb",
        "sagatarget",
        "sagaorigin",
    ] {
        let error = event_grid::event(&with(attribute, None)).unwrap_err();
        assert!(
            error.0.contains(attribute) && error.0.contains("missing"),
            "{attribute}: {error}"
        );
    }
}

#[test]
fn each_attribute_that_is_wrong_is_named() {
    let long = "x".repeat(257);
    let deep = value(&format!("{}{}", "[".repeat(17), "]".repeat(17)));
    for (attribute, wrong) in [
        ("specversion", json!("0.3")),
        ("specversion", json!(1.0)),
        ("id", json!("")),
        ("id", json!(long)),
        ("id", json!("a\nb")),
        ("id", json!(7)),
        ("source", json!("")),
        ("source", json!(["a"])),
        ("type", json!("")),
        ("type", json!(long)),
        ("type", json!(false)),
        ("time", json!("yesterday")),
        ("time", json!(1_790_000_000)),
        ("sagaid", json!("not-a-uuid")),
        ("sagaid", json!("3b0c5d5e0a528a3c9d6b6a1f0e6f7c1")),
        ("sagaid", json!("{3b0c5d5e-0a52-8a3c-9d6b-6a1f0e6f7c11")),
        ("sagaid", json!(5)),
        ("sagadef", json!(5)),
        ("sagaver", json!(-1)),
        ("sagaver", json!(4_294_967_296_i64)),
        ("sagaver", json!("one")),
        ("sagaver", json!(1.5)),
        ("sagaver", json!(true)),
        ("sagastep", json!(4_294_967_296_i64)),
        ("sagastep", json!("first")),
        ("sagaverb", json!("retreat")),
        ("sagaverb", json!(1)),
        ("sagatarget", json!("gcp")),
        ("sagatarget", json!(1)),
        ("sagaorigin", json!("")),
        ("sagahop", json!(MAX_HOPS + 1)),
        ("sagahop", json!(-1)),
        ("sagahop", json!(1_000_000)),
        ("sagahop", json!("many")),
        ("data", json!("text")),
        ("data", json!([1])),
        (
            "data",
            json!({ "saga_id": "0b0c5d5e-0a52-8a3c-9d6b-6a1f0e6f7c11" }),
        ),
        ("data", json!({ "saga_id": 5 })),
        ("data", json!({ "deep": deep })),
    ] {
        let text = with(attribute, Some(wrong.clone()));
        match event_grid::event(&text) {
            Err(error) => assert!(error.0.contains(attribute), "{attribute} = {wrong}: {error}"),
            Ok(_) => panic!("{attribute} = {wrong} was taken"),
        }
    }
}

#[test]
fn integers_that_a_carrier_made_texts_are_read() {
    let mut text = RESERVED.to_owned();
    for attribute in ["sagaver", "sagastep", "sagahop"] {
        text = text.replace(&format!("\"{attribute}\": 1"), &format!("\"{attribute}\": \"1\""));
    }
    assert!(text.contains(r#""sagahop": "1""#));
    assert_eq!(ours(&text), ours(RESERVED));
}

#[test]
fn what_is_only_for_tracing_or_for_people_may_be_missing_or_odd() {
    for (attribute, to) in [
        ("time", None),
        ("subject", None),
        ("traceparent", None),
        ("traceparent", Some(json!("00-0-0-00"))),
        ("datacontenttype", None),
        ("sagahop", None),
        ("data", None),
        ("data", Some(Value::Null)),
        ("unheard", Some(json!({ "of": 1 }))),
        ("sagasum", None),
    ] {
        let mut event = value(&with(attribute, to.clone()));
        if ["sagahop", "data"].contains(&attribute) {
            event.as_object_mut().unwrap().remove("sagasum");
        }
        let event = ours(&event.to_string());
        assert_eq!(event.id, ours(RESERVED).id, "{attribute} = {to:?}");
        let has_none = ["sagahop", "data", "sagasum"].contains(&attribute);
        assert_eq!(event.unverified, has_none, "{attribute} = {to:?}");
    }
}

#[test]
fn an_event_that_says_what_is_not_true_of_its_definition_is_refused() {
    let catalogue = sagas::catalogue();
    let refused = |changes: &[(&str, Value)], part: &str| {
        let mut event = value(RESERVED);
        for (attribute, to) in changes {
            event[*attribute] = to.clone();
        }
        // As somebody writes it who knows our attributes, and no better.
        event.as_object_mut().unwrap().remove("sagasum");
        event["source"] = json!("a publisher");
        let error = check(&ours(&event.to_string()), catalogue.latest("payment").unwrap()).unwrap_err();
        assert!(error.0.contains(part), "{changes:?}: {error}");
    };
    refused(
        &[("type", json!("PaymentCancelRequested"))],
        "is not the type of advance 1",
    );
    refused(&[("sagastep", json!(7))], "is not the type of advance 7");
    refused(&[("sagatarget", json!("aws"))], "is not for aws");
    refused(
        &[("sagaorigin", json!("azure"))],
        "azure cannot send `PaymentReserved`",
    );
    let complete = [
        ("type", json!("InventoryReserved")),
        ("sagaverb", json!("complete")),
        ("sagatarget", json!("aws")),
    ];
    refused(
        &[&complete[..], &[("sagastep", json!(2))]].concat(),
        "aws cannot send",
    );
    refused(
        &[
            &complete[..],
            &[("sagastep", json!(3)), ("sagaorigin", json!("azure"))],
        ]
        .concat(),
        "no step 3",
    );
}

#[test]
fn another_publishers_event_must_name_its_saga() {
    let base = r#"{"specversion":"1.0","id":"1","source":"s","type":"PaymentCompensationRequested""#;
    for (rest, part) in [
        ("", "`data.saga_id` is missing"),
        (r#","data":{}"#, "`data.saga_id` is missing"),
        (r#","data":{"saga_id":7}"#, "`data.saga_id` must be a text"),
        (r#","data":{"saga_id":"x"}"#, "`data.saga_id`: saga id must be"),
        (r#","subject":"payment/1""#, "`data.saga_id` is missing"),
        (
            r#","subject":"saga/x/compensation""#,
            "`subject`: saga id must be",
        ),
        (r#","data":"text""#, "JSON object"),
    ] {
        let error = event_grid::event(&format!("{base}{rest}}}")).unwrap_err();
        assert!(error.0.contains(part), "{rest}: {error}");
    }
}

#[test]
fn an_alert_survives_the_way_and_is_no_other_event() {
    let alert = Alert {
        subject: "a subject".to_owned(),
        text: "what to do\n\"now\"".to_owned(),
    };
    let written = write_alert("id", &alert, Timestamp::from_millis(0));
    assert_eq!(inbound::text(&written), Inbound::Alert(alert));
    assert!(matches!(inbound::text(RESERVED), Inbound::Event(_)));
}
