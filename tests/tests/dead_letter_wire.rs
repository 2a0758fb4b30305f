//! Every envelope in which a dead letter lies somewhere, as the clouds document it and as others may write it.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use saga_app::dead_letters::command::{Act, Filter, Selection, command, filter};
use saga_core::Timestamp;
use saga_tests::dead_letters::quarantined;
use saga_wire::dead_letter::{
    DeadLetter, DeadLetterId, Destination, Forward, Received, Row, Source, azure_quarantine, blob,
    destination, events, facts, poison, quarantine, row, stream,
};

const SAGA: &str = "4a3c1d70-9f52-8b11-a0de-5b1e0c7f2d93";

/// An event of ours, from the last step to the origin.
fn ours() -> String {
    format!(
        r#"{{"specversion":"1.0","id":"1795226400123-{SAGA}-complete2","source":"saga.participant.azure","type":"InventoryReserved","subject":"saga/{SAGA}/completion","time":"2026-11-21T02:00:00.123Z","datacontenttype":"application/json","sagaid":"{SAGA}","sagadef":"payment","sagaver":1,"sagastep":2,"sagaverb":"complete","sagatarget":"aws","sagaorigin":"azure","sagahop":2,"data":{{"saga_id":"{SAGA}","order_id":"o-1"}}}}"#
    )
}

fn envelope(detail: &str) -> String {
    format!(
        r#"{{"version":"0","id":"0f3b2f6e-1c4b-4c9e-9a59-0d6b7c1f1a11","detail-type":"InventoryReserved","source":"saga.ingress","account":"123456789012","time":"2026-11-21T02:00:01Z","region":"eu-central-1","resources":[],"detail":{detail}}}"#
    )
}

fn received(body: &str) -> Received {
    Received {
        key: "1795226500000-7d1c".to_owned(),
        body: body.to_owned(),
        sent: Some(Timestamp::from_millis(1_795_226_500_000)),
        ..Received::default()
    }
}

fn sends(dead_letter: &DeadLetter) -> (Destination, &str) {
    match &dead_letter.forward {
        Forward::Send { to, message } => (*to, message.as_str()),
        other => panic!("nothing is sent: {other:?}"),
    }
}

fn check_facts(dead_letter: &DeadLetter) {
    let facts = &dead_letter.facts;
    assert_eq!(facts.saga.unwrap().to_string(), SAGA);
    assert_eq!(
        facts.event.as_ref().unwrap().as_str(),
        format!("1795226400123-{SAGA}-complete2")
    );
    assert_eq!(facts.kind.as_deref(), Some("InventoryReserved"));
    assert_eq!((facts.verb.as_deref(), facts.step), (Some("complete"), Some(2)));
    assert_eq!(facts.unreadable, None);
}

#[test]
fn what_a_rule_could_not_deliver_has_the_attributes_of_eventbridge() {
    let attributes = [
        (
            "RULE_ARN",
            "arn:aws:events:eu-central-1:123456789012:rule/bus/to-azure",
        ),
        (
            "TARGET_ARN",
            "arn:aws:events:eu-central-1:123456789012:api-destination/saga-to-azure/1",
        ),
        ("ERROR_CODE", "SDK_CLIENT_ERROR"),
        ("ERROR_MESSAGE", "Request failed with status 503"),
        ("EXHAUSTED_RETRY_CONDITION", "MaximumRetryAttempts"),
        ("RETRY_ATTEMPTS", "185"),
    ];
    let message = Received {
        attributes: attributes
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        ..received(&envelope(&ours()))
    };
    let dead_letter = destination(&message);
    check_facts(&dead_letter);
    assert_eq!(dead_letter.attempts, Some(186));
    assert!(
        dead_letter
            .reason
            .starts_with("SDK_CLIENT_ERROR: Request failed with status 503 (MaximumRetryAttempts)")
    );
    assert_eq!(dead_letter.first.unwrap().millis(), 1_795_226_401_000);
    assert_eq!(dead_letter.last, message.sent);
    assert_eq!(sends(&dead_letter), (Destination::Bus, ours().as_str()));
    // What the bus could not queue lies in the other queue, with the same attributes.
    let dead_letter = events(&message);
    assert!(
        dead_letter.reason.contains("SDK_CLIENT_ERROR"),
        "{}",
        dead_letter.reason
    );
    assert_eq!(
        sends(&dead_letter),
        (Destination::EventsQueue, message.body.as_str())
    );
}

#[test]
fn what_the_consumer_failed_on_goes_back_as_it_is() {
    let dead_letter = events(&received(&envelope(&ours())));
    check_facts(&dead_letter);
    assert_eq!(dead_letter.attempts, None);
    assert!(
        dead_letter.reason.contains("saga-events failed"),
        "{}",
        dead_letter.reason
    );
    assert_eq!(sends(&dead_letter).0, Destination::EventsQueue);
    // Somebody may have put the bare event there.
    check_facts(&events(&received(&ours())));
}

#[test]
fn a_batch_of_the_stream_shows_its_position_and_sends_nothing() {
    let body = r#"{"requestContext":{"requestId":"e3a1c9d4-2f63-4f0f-a2a6-1c2b3d4e5f60",
        "functionArn":"arn:aws:lambda:eu-central-1:123456789012:function:outbox-poller",
        "condition":"RetryAttemptsExhausted","approximateInvokeCount":6},
        "responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"},
        "version":"1.0","timestamp":"2026-11-21T02:10:00.717Z",
        "DDBStreamBatchInfo":{"shardId":"shardId-00000001795226400000-0a1b2c3d","startSequenceNumber":"100000000000000000041",
        "endSequenceNumber":"100000000000000000047","approximateArrivalOfFirstRecord":"2026-11-21T02:04:19Z",
        "approximateArrivalOfLastRecord":"2026-11-21T02:04:20Z","batchSize":7,
        "streamArn":"arn:aws:dynamodb:eu-central-1:123456789012:table/SagaOutbox/stream/2026-01-01T00:00:00.000"}}"#;
    let dead_letter = stream(&received(body));
    assert_eq!(dead_letter.facts.unreadable, None);
    assert_eq!(dead_letter.attempts, Some(6));
    for part in [
        "RetryAttemptsExhausted",
        "Unhandled",
        "7 records",
        "0a1b2c3d",
        "041",
        "047",
    ] {
        assert!(
            dead_letter.reason.contains(part),
            "{part}: {}",
            dead_letter.reason
        );
    }
    assert!(matches!(&dead_letter.forward, Forward::Nothing(why) if why.contains("outbox")));
    let strange = stream(&received("what?"));
    assert!(strange.facts.unreadable.is_some() && strange.facts.text == "what?");
}

#[test]
fn what_was_quarantined_goes_back_to_its_entrance() {
    let kept = |entrance, body: &str| quarantined(entrance, body.as_bytes(), 9_000).remove(0);
    let body = envelope(&ours());
    let dead_letter = quarantine(&received(&kept("saga-events", &body)));
    check_facts(&dead_letter);
    assert_eq!(dead_letter.reason, "saga-events: no such saga");
    assert_eq!(dead_letter.first.unwrap().millis(), 1_795_226_400_000);
    assert_eq!(sends(&dead_letter), (Destination::EventsQueue, body.as_str()));
    let dead_letter = quarantine(&received(&kept("event-ingress", &ours())));
    check_facts(&dead_letter);
    assert_eq!(sends(&dead_letter), (Destination::Bus, ours().as_str()));
    // As an earlier version wrote what was too large.
    let cut = r#"{"entrance":"saga-events","reason":"why","at":"2026-11-21T02:00:00.123Z","body":"xx","cut_from_bytes":20000}"#;
    let cut = quarantine(&received(cut));
    assert_eq!(cut.facts.text, "xx");
    assert!(
        matches!(&cut.forward, Forward::Nothing(why) if why.contains("20000 bytes")),
        "{:?}",
        cut.forward
    );
    let other = quarantine(&received(&kept("elsewhere", &ours())));
    assert!(matches!(&other.forward, Forward::Nothing(why) if why.contains("elsewhere")));
    let other_writers = quarantine(&received("by hand"));
    assert!(other_writers.facts.unreadable.is_some() && other_writers.facts.text == "by hand");
}

#[test]
fn another_publishers_event_leaves_the_quarantine_with_the_attribute_that_routes_it() {
    let body = format!(
        r#"{{"specversion":"1.0","id":"7","source":"/risk","type":"PaymentCompensationRequested","data":{{"saga_id":"{SAGA}","reason":"fraud"}}}}"#
    );
    let kept = quarantined("event-ingress", body.as_bytes(), 9_000);
    let dead_letter = quarantine(&received(&kept[0]));
    let (to, message) = sends(&dead_letter);
    let event: serde_json::Value = serde_json::from_str(message).unwrap();
    assert_eq!(
        (to, event["sagatarget"].as_str(), event["id"].as_str()),
        (Destination::Bus, Some("aws"), Some("7"))
    );
    assert_eq!(dead_letter.facts.saga.unwrap().to_string(), SAGA);
}

#[test]
fn azures_quarantine_is_base64_and_may_be_in_parts() {
    let text = |json: String| STANDARD.encode(json);
    let body = serde_json::Value::from(ours());
    let whole = format!(
        r#"{{"entrance":"azure-participant","reason":"why","at":"2026-11-21T02:00:00.123Z","body":{body}}}"#
    );
    let dead_letter = azure_quarantine("k", &text(whole), Some(Timestamp::from_millis(5)));
    check_facts(&dead_letter);
    assert_eq!(
        sends(&dead_letter),
        (Destination::ParticipantQueue, ours().as_str())
    );
    let part = r#"{"entrance":"azure-participant","reason":"why","at":"2026-11-21T02:00:00.123Z","body":"x","part":1,"parts":3,"body_bytes":99,"body_sha256":"ab12"}"#;
    let dead_letter = azure_quarantine("k", &text(part.to_owned()), None);
    assert!(
        matches!(&dead_letter.forward, Forward::Nothing(why) if why.contains("part 1 of 3") && why.contains("ab12"))
    );
}

#[test]
fn a_poison_message_is_base64_of_one_event() {
    let dead_letter = poison("k", &STANDARD.encode(ours()), Some(Timestamp::from_millis(5)));
    check_facts(&dead_letter);
    assert_eq!(dead_letter.attempts, Some(5));
    assert_eq!(
        sends(&dead_letter),
        (Destination::ParticipantQueue, ours().as_str())
    );
    check_facts(&poison("k", &ours(), None));
    assert!(
        dead_letter.reason.contains("none of 5 tries succeeded"),
        "{}",
        dead_letter.reason
    );
    let odd = poison("k", "bm8gZXZlbnQ=", None);
    assert_eq!(odd.facts.text, "no event");
    assert!(odd.facts.unreadable.is_some());
}

#[test]
fn of_a_message_that_the_host_could_not_decode_nobody_says_that_it_was_tried() {
    for text in [
        "no event",
        "",
        "{\"id\":1}",
        "bm8gZXZlbnQ",
        "bm8g*ZXZlbnQ=",
        &ours(),
    ] {
        let dead_letter = poison("k", text, None);
        if !text.is_empty() {
            assert!(
                dead_letter.reason.contains("could not decode it"),
                "{text}: {}",
                dead_letter.reason
            );
            assert!(
                dead_letter.reason.contains("the participant did not see it"),
                "{text}: {}",
                dead_letter.reason
            );
            assert_eq!(dead_letter.attempts, None);
        }
        // What was put there in plain text by mistake goes back as the host wants it.
        assert_eq!(sends(&dead_letter), (Destination::ParticipantQueue, text));
    }
    let dead_letter = poison("k", &STANDARD.encode([0xff, 0xfe, b'{', 0]), None);
    assert!(dead_letter.reason.contains("no UTF-8"), "{}", dead_letter.reason);
    assert_eq!((dead_letter.attempts, dead_letter.facts.is_base64), (None, true));
    assert_eq!(dead_letter.facts.bytes(), [0xff, 0xfe, b'{', 0]);
    assert!(matches!(&dead_letter.forward, Forward::Nothing(why) if why.contains("UTF-8")));
}

const BLOB: &str = "TO-AWS-INGRESS/2026/11/21/2/0b7b8c0e-8f3b-4c55-9d35-5a6ef0b9c2a1.json";

#[test]
fn a_blob_of_cloud_events_loses_what_event_grid_added() {
    let added = r#","deadletterreason":"MaxDeliveryAttemptsExceeded","deliveryattempts":30,"lastdeliveryoutcome":"TimedOut","publishtime":"2026-11-21T02:00:02.5Z","lastdeliveryattempttime":"2026-11-21T12:00:02Z"}"#;
    let event = format!("{}{added}", &ours()[..ours().len() - 1]);
    let other = event.replace("InventoryReserved", "InventoryReleased");
    let created = Timestamp::from_millis(1_795_262_500_000);
    let dead_letters = blob(BLOB, &format!("[{event},{other},{event}]"), Some(created));
    assert_eq!(dead_letters.len(), 3);
    let first = &dead_letters[0].dead_letter;
    check_facts(first);
    assert_eq!(
        first.reason,
        "MaxDeliveryAttemptsExceeded (TimedOut), subscription TO-AWS-INGRESS"
    );
    assert_eq!((first.attempts, first.last), (Some(30), Some(created)));
    assert_eq!(first.first.unwrap().millis(), 1_795_226_402_500);
    let (to, message) = sends(first);
    let same = |a: &str, b: &str| {
        let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        parsed(a) == parsed(b)
    };
    assert!(to == Destination::Topic && same(message, &ours()), "{message}");
    // Each has an id of its own, also the same event twice; and the raw text by which it is found again.
    let mut keys: Vec<&str> = dead_letters
        .iter()
        .map(|one| one.dead_letter.id.key.as_str())
        .collect();
    keys.dedup();
    assert_eq!(keys.len(), 3);
    assert_eq!(dead_letters[1].raw, other);
}

#[test]
fn a_blob_in_event_grids_own_schema_becomes_the_cloud_event_that_the_topic_takes() {
    let content = format!(
        r#"[{{"id":"2","topic":"/subscriptions/1/resourceGroups/g/providers/Microsoft.EventGrid/topics/t","subject":"saga/{SAGA}/compensation",
        "eventType":"PaymentCompensationRequested","eventTime":"2026-11-21T02:00:00Z","data":{{"saga_id":"{SAGA}","order_id":"o","reason":"fraud"}},
        "dataVersion":"1","metadataVersion":"1","deadLetterReason":"UndeliverableDueToHttpBadRequest","deliveryAttempts":1,
        "lastDeliveryOutcome":"BadRequest","publishTime":"2026-11-21T02:00:01Z","lastDeliveryAttemptTime":"2026-11-21T02:00:02Z",
        "lastHttpStatusCode":400}}]"#
    );
    let dead_letters = blob(BLOB, &content, None);
    let dead_letter = &dead_letters[0].dead_letter;
    assert_eq!(
        dead_letter.reason,
        "UndeliverableDueToHttpBadRequest (BadRequest), subscription TO-AWS-INGRESS"
    );
    assert_eq!(dead_letter.attempts, Some(1));
    assert_eq!(dead_letter.facts.saga.unwrap().to_string(), SAGA);
    assert_eq!(dead_letter.facts.unreadable, None);
    let event: serde_json::Value = serde_json::from_str(sends(dead_letter).1).unwrap();
    let members: Vec<&str> = event.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        members,
        ["data", "id", "source", "specversion", "subject", "time", "type"]
    );
}

#[test]
fn a_blob_that_is_no_array_of_events_is_one_dead_letter() {
    for content in ["", "[]", "[1,", "not json", "{\"a\":"] {
        let dead_letters = blob(BLOB, content, None);
        assert_eq!(dead_letters.len(), 1, "{content}");
        assert!(
            dead_letters[0].dead_letter.facts.unreadable.is_some()
                && dead_letters[0].dead_letter.facts.text == content
        );
        assert!(matches!(dead_letters[0].dead_letter.forward, Forward::Nothing(_)));
    }
}

#[test]
fn a_dead_row_is_requeued_unless_it_cannot_be_read() {
    let whole = Row {
        key: format!("1795226400123-{SAGA}-complete2"),
        body: Some(ours()),
        reason: Some("the bus refuses it".to_owned()),
        attempts: Some(7),
        at: Some(Timestamp::from_millis(1)),
        dead_at: Some(Timestamp::from_millis(2)),
        unreadable: None,
    };
    let dead_letter = row(Source::Outbox, whole.clone());
    check_facts(&dead_letter);
    assert_eq!(
        (dead_letter.attempts, dead_letter.forward),
        (Some(7), Forward::Requeue)
    );
    let odd = row(
        Source::Outbox,
        Row {
            unreadable: Some("no Type".to_owned()),
            ..whole
        },
    );
    assert!(matches!(odd.forward, Forward::Nothing(why) if why.contains("no Type")));
}

#[test]
fn one_wrong_member_does_not_hide_the_others() {
    let text = ours().replace(r#""sagastep":2"#, r#""sagastep":"two""#);
    let facts = facts(&text);
    assert_eq!(
        (facts.saga.unwrap().to_string(), facts.step),
        (SAGA.to_owned(), None)
    );
    assert!(facts.unreadable.unwrap().contains("sagastep"));
}

fn any_key() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{1,60}",
        "[A-Z]{1,9}/[0-9/]{1,12}/[0-9a-f-]{36}\\.json/[0-9a-f]{16}"
    ]
}

#[test]
fn an_id_has_one_spelling() {
    assert!("event-grid.a~2Fb".parse::<DeadLetterId>().is_ok());
    let long = format!("event-grid.{}", "\0".repeat(900));
    for text in [
        "event-grid.a/b",
        "event-grid.a~2fb",
        "event-grid.a~41",
        "event-grid.a b",
        &long,
    ] {
        assert!(text.parse::<DeadLetterId>().is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn an_id_comes_back_and_needs_no_quoting(key in any_key(), which in 0..Source::ALL.len()) {
        let id = DeadLetterId { source: Source::ALL[which], key };
        let text = id.to_string();
        prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~".contains(&b)));
        prop_assert_eq!(text.parse::<DeadLetterId>().unwrap(), id);
    }

    #[test]
    fn no_text_is_an_id_by_accident(text in "\\PC{0,80}") {
        for text in [text.clone(), format!("event-grid.{text}")] {
            if let Ok(id) = text.parse::<DeadLetterId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }

    #[test]
    fn no_body_panics_and_every_body_is_shown(
        body in prop_oneof!["\\PC{0,200}", "[\\[{\"}\\]:,a-z0-9\\\\]{0,60}", Just(ours())],
        wrapped in 0..4_u8,
    ) {
        let body = match wrapped {
            0 => body,
            1 => envelope(&serde_json::Value::from(body).to_string()),
            2 => quarantined("saga-events", body.as_bytes(), 9_000).remove(0),
            _ => STANDARD.encode(body),
        };
        let message = received(&body);
        let mut dead_letters = vec![
            destination(&message), events(&message), stream(&message), quarantine(&message),
            azure_quarantine("k", &body, None), poison("k", &body, None),
        ];
        dead_letters.extend(blob(BLOB, &body, None).into_iter().map(|one| one.dead_letter));
        for dead_letter in dead_letters {
            prop_assert!(!dead_letter.reason.is_empty(), "{:?}", dead_letter.id);
            prop_assert!(!dead_letter.facts.text.is_empty() || body.is_empty() || wrapped == 3 || wrapped == 2);
        }
    }
}

/// A filter that leaves one of its words out would have dead letters discarded that nobody named.
#[test]
fn every_word_of_a_filter_narrows_it_and_none_is_passed_over() {
    let saga = "3b0c5d5e-0a52-8a3c-9d6b-6a1f0e6f7c11";
    let since = "2026-11-21T00:00:00Z";
    let words = [
        ("source", "poison"),
        ("saga", saga),
        ("type", "PaymentReserved"),
        ("reason", "over the limit"),
        ("since", since),
    ];
    let whole = Filter {
        source: Some(Source::Poison),
        saga: Some(saga.parse().unwrap()),
        kind: Some("PaymentReserved".to_owned()),
        reason: Some("over the limit".to_owned()),
        since: Some(saga_wire::time::parse(since).unwrap()),
    };
    let given = |words: &[(&'static str, &str)]| {
        let words: Vec<_> = words
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
        filter(words.into_iter())
    };
    assert_eq!(given(&words).unwrap(), whole);
    for (left_out, _) in words {
        let others: Vec<_> = words.into_iter().filter(|(name, _)| *name != left_out).collect();
        assert_ne!(given(&others).unwrap(), whole, "{left_out}");
    }
    let asked = |body: serde_json::Value| {
        let fields = saga_wire::json::parse_object(&body.to_string()).unwrap();
        command(Act::Discard, &fields)
    };
    let body: serde_json::Map<_, _> = words
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).into()))
        .collect();
    let run = asked(serde_json::json!({ "filter": body })).unwrap();
    assert_eq!(run.selection, Selection::All(whole));
    for odd in [
        serde_json::json!({ "filter": { "kind": "PaymentReserved" } }),
        serde_json::json!({ "filter": {}, "type": "PaymentReserved" }),
        serde_json::json!({ "filter": { "type": "" } }),
    ] {
        assert!(asked(odd.clone()).is_err(), "{odd}");
    }
}

#[test]
fn a_dead_letter_in_event_grids_own_schema_is_one_event_and_tells_its_saga_from_its_subject() {
    let saga = "3b0c5d5e-0a52-8a3c-9d6b-6a1f0e6f7c11";
    for (topic, source) in [
        (r#""topic":"/subscriptions/1","#, "/subscriptions/1"),
        ("", "event-grid"),
    ] {
        let content = format!(
            r#"[{{"id":"1",{topic}"eventType":"PaymentCompensationRequested","subject":"saga/{saga}/x","eventTime":"2026-11-21T00:00:00Z",
                "data":{{"order_id":"o"}},"deadletterreason":"MaxDeliveryAttemptsExceeded","deliveryattempts":30}}]"#
        );
        let dead_letter = blob("SUB/2026/11/21/2/1.json", &content, None)
            .remove(0)
            .dead_letter;
        let event: serde_json::Value = serde_json::from_str(&dead_letter.facts.text).unwrap();
        assert_eq!(
            (&event["specversion"], &event["source"], &event["type"]),
            (
                &"1.0".into(),
                &source.into(),
                &"PaymentCompensationRequested".into()
            )
        );
        assert_eq!(dead_letter.facts.saga, Some(saga.parse().unwrap()));
    }
}
