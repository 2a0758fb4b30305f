//! What nobody understands can be read back byte for byte, whatever the bytes, through every entrance and out of every
//! quarantine.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::collection::vec;
use proptest::prelude::*;
use saga_app::admit_events::{self, Admitted, admit_events, keep_delivery};
use saga_app::dead_letters::{Found, find};
use saga_app::handle_event::{self, handle_event};
use saga_app::participate::{self, participate};
use saga_app::ports::Quarantined;
use saga_core::Cloud;
use saga_memory::Kept;
use saga_tests::dead_letters::{Desk, quarantined};
use saga_tests::world::{Message, Place, World};
use saga_wire::cloud_event;
use saga_wire::dead_letter::{
    DeadLetter, Destination, Forward, Received, Source, azure_quarantine, join, quarantine, whole,
};
use saga_wire::event_grid::{Delivery, delivery};
use saga_wire::quarantine::{NO_HEADERS, write};
use serde_json::Value;

/// What a message holds on AWS and, in base64, on Azure.
const AWS: usize = 250 * 1024;
const AZURE: usize = 48 * 1024;

/// Whether SQS takes the text: what XML 1.0 takes.
fn is_taken_by_sqs(text: &str) -> bool {
    text.chars()
        .all(|c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..))
}

/// The dead letters of a quarantine that keeps these messages.
fn dead_letters(source: Source, messages: &[String]) -> Vec<DeadLetter> {
    let read = |(number, text): (usize, &String)| {
        let key = format!("{number:03}");
        if source == Source::Quarantine {
            assert!(text.len() <= AWS && is_taken_by_sqs(text), "SQS refuses {text:?}");
            return quarantine(&Received {
                key,
                body: text.clone(),
                ..Received::default()
            });
        }
        let text = STANDARD.encode(text);
        assert!(text.len() <= 64 * 1024, "{} bytes", text.len());
        azure_quarantine(&key, &text, None)
    };
    messages.iter().enumerate().map(read).collect()
}

/// The body that a quarantine gives back, from any of its parts.
fn read_back(source: Source, messages: &[String]) -> Vec<u8> {
    let dead_letters = dead_letters(source, messages);
    match &dead_letters[..] {
        [whole] => whole.facts.bytes(),
        parts => {
            let (first, last) = (parts.first().unwrap(), parts.last().unwrap());
            let whole = join(last, parts).unwrap();
            assert_eq!(join(first, parts).unwrap().facts, whole.facts);
            assert_eq!(join(last, &parts[1..]), None, "a part is missing");
            assert!(matches!(&whole.forward, Forward::Nothing(why) if why.contains("of one body")));
            whole.facts.bytes()
        }
    }
}

fn kept_again(kept: &Kept, source: Source) -> Vec<u8> {
    let message = Quarantined {
        entrance: kept.entrance,
        reason: &kept.reason,
        at: kept.at,
        headers: &kept.headers,
        body: &kept.body,
    };
    let limit = if source == Source::Quarantine { AWS } else { AZURE };
    read_back(source, &write(&message, limit))
}

/// Bytes of every kind, short ones mostly: none at all, text, JSON of others, text that no carrier likes, UTF-16, and what
/// is no text at all.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let awkward = proptest::sample::select(vec![
        '\0',
        '\u{1}',
        '\t',
        '"',
        '\\',
        '\u{7f}',
        '\u{85}',
        '\u{2028}',
        '\u{feff}',
        '\u{fffe}',
        '\u{ffff}',
        '\u{1ffff}',
        'ä',
        '𝄞',
        '{',
    ]);
    prop_oneof![
        vec(any::<u8>(), 0..600),
        vec(any::<char>(), 0..300).prop_map(|text| text.into_iter().collect::<String>().into_bytes()),
        vec(awkward, 0..300).prop_map(|text| text.into_iter().collect::<String>().into_bytes()),
        ".{0,100}".prop_map(|text| text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ".{0,100}".prop_map(|text| format!("{}\n", Value::from(text)).into_bytes()),
        ".{0,60}"
            .prop_map(|text| format!(r#"{{"specversion":"1.0","type":{}}}"#, Value::from(text)).into_bytes()),
    ]
}

/// Bodies up to the 1 MiB that the webhook reads.
fn large() -> impl Strategy<Value = Vec<u8>> {
    (body(), 1_usize..1_048_576).prop_map(|(body, size)| {
        let body = if body.is_empty() { vec![0] } else { body };
        // A character may be cut at the end: then it is no text.
        body.into_iter().cycle().take(size).collect()
    })
}

fn check(body: &[u8]) {
    for (source, entrance, limit) in [
        (Source::Quarantine, "event-ingress", AWS),
        (Source::Quarantine, "saga-events", AWS),
        (Source::AzureQuarantine, "azure-participant", AZURE),
    ] {
        assert!(read_back(source, &quarantined(entrance, body, limit)) == body);
    }
}

proptest! {
    #[test]
    fn every_body_comes_back_from_both_quarantines(body in body()) {
        check(&body);
    }

    #[test]
    fn a_replay_brings_the_bytes_that_came(body in body()) {
        for (source, entrance, to) in [
            (Source::Quarantine, "saga-events", Destination::EventsQueue),
            (Source::AzureQuarantine, "azure-participant", Destination::ParticipantQueue),
        ] {
            let dead_letter = dead_letters(source, &quarantined(entrance, &body, AZURE)).remove(0);
            match dead_letter.forward {
                Forward::Send { to: where_to, message } => {
                    prop_assert_eq!((where_to, message.as_bytes()), (to, &body[..]));
                }
                other => prop_assert!(std::str::from_utf8(&body).is_err(), "{:?}", other),
            }
        }
    }

    #[test]
    fn what_is_shown_is_the_body(body in body()) {
        use saga_app::dead_letters::prospect;
        let dead_letter = dead_letters(Source::Quarantine, &quarantined("event-ingress", &body, AWS)).remove(0);
        let shown = whole(&dead_letter, prospect(&dead_letter, None, None).disposition.as_str(), "");
        let text = shown["body"].as_str().unwrap();
        let read = match shown["body_encoding"].as_str() {
            Some("base64") => STANDARD.decode(text).unwrap(),
            _ => text.as_bytes().to_vec(),
        };
        prop_assert_eq!(read, body);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn a_body_of_any_size_comes_back_whole(body in large()) {
        check(&body);
    }
}

#[test]
fn the_largest_bodies_stay_within_nine_messages_and_come_back() {
    for body in [
        vec![0xff; 1024 * 1024],
        vec![0; 1024 * 1024],
        b"\"".repeat(1024 * 1024),
    ] {
        let messages = quarantined("event-ingress", &body, AWS);
        assert!(messages.len() <= 9);
        assert!(read_back(Source::Quarantine, &messages) == body);
    }
}

/// Brings the bytes through an entrance, and gives what its quarantine has then, if anything was quarantined.
async fn brought(entrance: &str, body: &[u8]) -> Vec<Vec<u8>> {
    let world = World::default();
    match entrance {
        "event-ingress" => {
            let ports = admit_events::Ports {
                definitions: &world.aws,
                bus: &world.aws,
                quarantine: &world.aws,
                alerts: &world.aws,
                time: &world.clock,
            };
            let admitted = match delivery(body) {
                Ok(Delivery::Validation(_)) => return Vec::new(),
                Ok(Delivery::Events(events)) => {
                    admit_events(&world.deployment, &ports, &NO_HEADERS, &events).await
                }
                Err(error) => keep_delivery(&ports, &NO_HEADERS, &error.0, body).await,
            };
            assert_eq!(admitted.unwrap().quarantined, world.aws.quarantined().len());
        }
        "saga-events" => {
            let ports = handle_event::Ports {
                store: &world.aws,
                quarantine: &world.aws,
                alerts: &world.aws,
                time: &world.clock,
            };
            let text = String::from_utf8_lossy(body);
            handle_event(&world.deployment, &ports, &text).await.unwrap();
        }
        _ => {
            let ports = participate::Ports {
                store: &world.azure,
                publisher: &world.azure,
                quarantine: &world.azure,
                alerts: &world.azure,
                parking: &world.azure,
                time: &world.clock,
                cloud: Cloud::Azure,
                last_try: false,
            };
            participate(&world.deployment, &ports, body).await.unwrap();
            let kept = world.azure.quarantined();
            return kept
                .iter()
                .map(|kept| kept_again(kept, Source::AzureQuarantine))
                .collect();
        }
    }
    let kept = world.aws.quarantined();
    kept.iter()
        .map(|kept| kept_again(kept, Source::Quarantine))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_entrance_keeps_what_it_does_not_understand_as_it_came(body in body()) {
        // A list is not kept as such, but each of its events is.
        prop_assume!(!String::from_utf8_lossy(&body).trim_start().starts_with('['));
        for entrance in ["event-ingress", "azure-participant"] {
            let kept = futures_executor::block_on(brought(entrance, &body));
            prop_assert_eq!(&kept, std::slice::from_ref(&body), "{}", entrance);
        }
        // SQS brings text.
        let text = String::from_utf8_lossy(&body).into_owned().into_bytes();
        let kept = futures_executor::block_on(brought("saga-events", &text));
        prop_assert_eq!(kept, [text]);
    }
}

#[tokio::test]
async fn the_events_of_a_list_are_kept_each_as_it_came() {
    let kept = brought(
        "event-ingress",
        "[ {\"a\": \"\u{ffff}\"} ,1, [\"\u{2028}\"]]".as_bytes(),
    )
    .await;
    let expected = ["{\"a\": \"\u{ffff}\"}", "1", "[\"\u{2028}\"]"];
    assert_eq!(kept, expected.map(|text| text.as_bytes().to_vec()));
}

#[tokio::test]
async fn an_element_that_is_no_text_holds_up_none_of_its_neighbours() {
    let world = World::default();
    let id = world.start("100").await;
    let event = format!(
        r#"{{"specversion":"1.0","id":"7","source":"/risk","type":"PaymentCompensationRequested","data":{{"saga_id":"{id}","order_id":"order-1","reason":"ä]"}}}}"#
    );
    let bad: [&[u8]; 3] = [
        b"\"\xff\xc3]\"",
        b"{\"a\\\"\":\"\xa0,\x85\"}",
        b"[\"\xed\xa0\x80\"]",
    ];
    let list = [bad[0], event.as_bytes(), bad[1], bad[2]].join(&b" ,\n"[..]);
    let body = [b"\t[ ", &list[..], b"]\r\n"].concat();
    let Ok(Delivery::Events(events)) = delivery(&body) else {
        panic!()
    };
    let ports = admit_events::Ports {
        definitions: &world.aws,
        bus: &world.aws,
        quarantine: &world.aws,
        alerts: &world.aws,
        time: &world.clock,
    };
    let admitted = admit_events(&world.deployment, &ports, &NO_HEADERS, &events).await;
    let expected = Admitted {
        admitted: 1,
        quarantined: 3,
    };
    assert_eq!(admitted.unwrap(), expected);
    let kept = world.aws.quarantined();
    let kept: Vec<_> = kept
        .iter()
        .map(|kept| kept_again(kept, Source::Quarantine))
        .collect();
    assert_eq!(kept, bad);
    for whole in [&b"{\"a\":\"\xff\"}"[..], b"[1,\xff]", b"[\0{\0\xff\0"] {
        assert!(delivery(whole).is_err());
    }
}

#[tokio::test]
async fn parts_are_shown_as_one_body() {
    let (world, desk) = (World::default(), Desk::new());
    let event = format!(
        r#"{{"specversion":"1.0","id":"7","source":"/risk","type":"Unknown","data":{{"saga_id":"4a3c1d70-9f52-8b11-a0de-5b1e0c7f2d93","x":"{}"}}}}"#,
        "\u{fffe}ä".repeat(60_000)
    );
    let parts = dead_letters(
        Source::Quarantine,
        &quarantined("event-ingress", event.as_bytes(), AWS),
    );
    assert!(parts.len() > 1);
    for part in &parts {
        desk.places.put(part.clone());
    }
    // Another body's part has the same numbers.
    let other = quarantined("event-ingress", &vec![b'x'; AWS + 1], AWS);
    desk.places.put(DeadLetter {
        id: saga_wire::dead_letter::DeadLetterId {
            source: Source::Quarantine,
            key: "other".to_owned(),
        },
        ..dead_letters(Source::Quarantine, &other).remove(0)
    });
    for part in &parts {
        let found = find(&desk.ports(&world), &part.id).await.unwrap();
        let Found::Here(dead_letter, prospect) = found else {
            panic!("{found:?}")
        };
        assert!(dead_letter.facts.text == event, "not the whole body");
        assert_eq!(
            (dead_letter.id, dead_letter.bytes),
            (part.id.clone(), event.len())
        );
        assert_eq!(dead_letter.facts.kind.as_deref(), Some("Unknown"));
        assert!(prospect.text.contains("of one body"), "{}", prospect.text);
    }
    // With one of them gone, each of the others is shown as what it is.
    desk.places.clear();
    parts[1..].iter().for_each(|part| desk.places.put(part.clone()));
    let Found::Here(dead_letter, _) = find(&desk.ports(&world), &parts[1].id).await.unwrap() else {
        panic!()
    };
    assert_eq!(dead_letter.facts, parts[1].facts);
    assert_eq!(dead_letter.facts.part.unwrap().number, 2);
}

#[test]
fn headers_are_kept_beside_a_body_and_in_each_of_its_parts() {
    let headers: BTreeMap<String, String> =
        [("content-type", "application/json"), ("ce-type", "\u{ffff}\"ü")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
    for body in [vec![b'x'; 10], vec![0xff; 600_000]] {
        let message = Quarantined {
            entrance: "event-ingress",
            reason: "no JSON",
            at: saga_core::Timestamp::from_millis(0),
            headers: &headers,
            body: &body,
        };
        for dead_letter in dead_letters(Source::Quarantine, &write(&message, AWS)) {
            assert_eq!(dead_letter.facts.headers, headers);
        }
    }
}

#[tokio::test]
async fn a_replay_is_foreseen_to_be_refused_where_the_event_contradicts_its_saga() {
    let (mut world, desk) = (World::default(), Desk::new());
    let id = world.start("100").await;
    for (order, refused) in [("not-this", true), ("order-1", false)] {
        let event = format!(
            r#"{{"specversion":"1.0","id":"their-1","source":"billing.example","type":"PaymentCompensationRequested",
                "data":{{"saga_id":"{id}","order_id":"{order}","reason":"x"}}}}"#
        );
        let dead_letter = dead_letters(
            Source::Quarantine,
            &quarantined("saga-events", event.as_bytes(), AWS),
        )
        .remove(0);
        desk.places.put(dead_letter.clone());
        let Found::Here(_, prospect) = find(&desk.ports(&world), &dead_letter.id).await.unwrap() else {
            panic!()
        };
        assert_eq!(
            prospect.text.contains("`order_id` is not"),
            refused,
            "{}",
            prospect.text
        );
        let report = desk
            .run(
                &world,
                &saga_app::dead_letters::command::Command {
                    selection: saga_app::dead_letters::command::Selection::Ids(vec![dead_letter.id]),
                    ..saga_tests::dead_letters::all(saga_app::dead_letters::command::Act::Replay)
                },
            )
            .await;
        assert_eq!((report.done, report.left), if refused { (0, 1) } else { (1, 0) });
        desk.places.clear();
    }
    // What the forecast says is what happens.
    let delivery = Message {
        to: Place::Ingress,
        kind: "PaymentCompensationRequested".to_owned(),
        body: format!(
            r#"{{"specversion":"1.0","id":"their-1","source":"billing.example","type":"PaymentCompensationRequested",
                "data":{{"saga_id":"{id}","order_id":"not-this","reason":"x"}}}}"#
        ),
    };
    world.deliver(&delivery).await.unwrap();
    world.settle().await;
    assert!(world.saga(id).resolved.is_none());
    assert!(
        world
            .aws
            .quarantined()
            .remove(0)
            .reason
            .contains("`order_id` is not")
    );
}

/// The bus refuses it for good: sent on, it would be tried for ever.
#[tokio::test]
async fn an_event_that_the_bus_cannot_take_is_kept_in_the_quarantine_and_a_large_one_goes_on() {
    for (bytes, kept) in [(230 * 1024, 0), (250 * 1024, 1)] {
        let mut world = World::default();
        let id = world.start("100").await;
        let reason = "x".repeat(bytes);
        let body = format!(
            r#"{{"specversion":"1.0","id":"their-1","source":"billing.example","type":"PaymentCompensationRequested",
                "data":{{"saga_id":"{id}","order_id":"order-1","reason":"{reason}"}}}}"#
        );
        let delivery = Message {
            to: Place::Ingress,
            kind: "PaymentCompensationRequested".to_owned(),
            body,
        };
        world.deliver(&delivery).await.unwrap();
        assert_eq!(world.aws.quarantined().len(), kept, "{bytes} bytes");
    }
}

#[tokio::test]
async fn events_of_a_delivery_that_together_are_too_large_for_a_call_all_go_on() {
    let mut world = World::default();
    let (mut events, mut ids) = (Vec::new(), Vec::new());
    for bytes in [60 * 1024, 200 * 1024, 60 * 1024, 1, 239 * 1024] {
        let id = world.start("100").await;
        let (number, reason) = (events.len(), "x".repeat(bytes - bytes.min(700)));
        ids.push(id);
        events.push(format!(
            r#"{{"specversion":"1.0","id":"their-{number}","source":"billing.example","type":"PaymentCompensationRequested",
                "data":{{"saga_id":"{id}","order_id":"order-1","reason":"{reason}"}}}}"#
        ));
    }
    let delivery = Message {
        to: Place::Ingress,
        kind: "PaymentCompensationRequested".to_owned(),
        body: format!("[{}]", events.join(",")),
    };
    world.deliver(&delivery).await.unwrap();
    assert_eq!(world.aws.quarantined(), []);
    world.settle().await;
    for id in ids {
        assert!(world.saga(id).resolved.is_some(), "{id}");
    }
}

/// What the webhook let onto the bus in one form, a replay lets onto it in the same.
#[tokio::test]
async fn a_replay_out_of_the_webhooks_quarantine_goes_onto_the_bus_like_any_event_there() {
    let mut world = World::default();
    world.start("100").await;
    world.publish().await;
    let event = String::from_utf8(STANDARD.decode(&world.on_the_way[0].body).unwrap()).unwrap();
    for reason in ["plain", "a\u{ffff}b", "\u{2028}"] {
        let mut event: Value = serde_json::from_str(&event).unwrap();
        event["data"]["note"] = reason.into();
        event.as_object_mut().unwrap().remove("sagasum");
        let text = event.to_string();
        let dead_letter = dead_letters(
            Source::Quarantine,
            &quarantined("event-ingress", text.as_bytes(), AWS),
        )
        .remove(0);
        let Forward::Send { to, message } = dead_letter.forward else {
            panic!("{:?}", dead_letter.forward)
        };
        let incoming = saga_wire::event_grid::event(&text).unwrap();
        let at = dead_letter.last.unwrap();
        assert_eq!(
            (to, &message),
            (Destination::Bus, &cloud_event::admitted(&incoming, &text, at))
        );
        assert!(
            is_taken_by_sqs(&serde_json::from_str::<Value>(&message).unwrap().to_string()),
            "{message}"
        );
    }
}

#[tokio::test]
async fn a_dead_letter_that_holds_an_alert_or_a_parked_event_says_what_a_replay_does() {
    let (world, desk) = (World::default(), Desk::new());
    let now = saga_core::Timestamp::from_millis(1_790_000_000_000);
    let alert = saga_wire::notice::Alert {
        subject: "saga-bridge: something".to_owned(),
        text: "it is so".to_owned(),
    };
    let parked = saga_wire::notice::Parked {
        saga: world.start("100").await,
        event: "1790000000000-x".parse().unwrap(),
        reason: "the participant failed".to_owned(),
        at: now,
    };
    for text in [
        saga_wire::notice::write_alert("1", &alert, now),
        saga_wire::notice::write_parked(&parked),
    ] {
        let dead_letter = dead_letters(
            Source::Quarantine,
            &quarantined("event-ingress", text.as_bytes(), AWS),
        )
        .remove(0);
        desk.places.put(dead_letter.clone());
        let Found::Here(_, prospect) = find(&desk.ports(&world), &dead_letter.id).await.unwrap() else {
            panic!("{text}")
        };
        assert!(prospect.text.contains("alerts topic"), "{}", prospect.text);
    }
}
