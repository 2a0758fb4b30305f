//! Every place where bytes of others come in, each as one function of bytes. The fuzz targets call them, and so does
//! `tests/tests/corpus.rs`, which takes this file as it is.
//!
//! A function here panics when the code it calls does, or when what was read breaks a promise: what is written is read
//! back as it was, nothing that lies somewhere is hidden, an answer is JSON.

use std::sync::{LazyLock, Once};

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use lambda_http::http::header::CONTENT_TYPE;
use lambda_http::{Body, Request};
use saga_app::Deployment;
use saga_app::dead_letters::command::{Act, command, filter};
use saga_app::dead_letters::prospect;
use saga_app::ports::outbox::DEFAULT_SHARDS;
use saga_app::start_saga::{self, NotStarted, start_saga};
use saga_core::document::Number;
use saga_core::ids::{EventId, IdempotencyKey, TraceParent};
use saga_core::patience::Patience;
use saga_core::{SagaId, Timestamp};
use saga_memory::{Clock, OriginCloud};
use saga_runtime::http::{MAX_BODY, body, only, text_field};
use saga_runtime::sqs_batch::Batch;
use saga_wire::dead_letter::{
    DeadLetter, DeadLetterId, Received, Row, Source, azure_quarantine, azure_service_request, blob,
    destination, events, poison, quarantine, row, service_request, stream, whole,
};
use saga_wire::event_grid::{Delivery, delivery};
use saga_wire::inbound::{self, Inbound};
use saga_wire::saga_event::{SagaEvent, check};
use saga_wire::{cloud_event, custom_handler, definitions, event_bridge, json, notice, time};
use serde_json::Value;

// A function is a program and no library: its own sources are taken as they are.
#[path = "../../../functions/event-ingress/src/token/bearer.rs"]
mod bearer;
#[path = "../../../functions/event-ingress/src/ring_jwt.rs"]
mod ring_jwt;

/// What takes bytes.
pub type Entrance = fn(&[u8]);

/// Every entrance, by the name of its corpus and its fuzz target.
pub const ENTRANCES: [(&str, Entrance); 10] = [
    ("http_body", http_body),
    ("http_words", http_words),
    ("cloud_event", one_cloud_event),
    ("event_grid", event_grid),
    ("sqs_record", sqs_record),
    ("dead_letter", dead_letter),
    ("dead_letter_blob", dead_letter_blob),
    ("custom_handler", invocation),
    ("definition", definition),
    ("token", token),
];

static DEPLOYMENT: LazyLock<Deployment> = LazyLock::new(|| {
    Deployment::load(
        &saga_app::Settings::default(),
        Patience::default(),
        DEFAULT_SHARDS,
    )
    .expect("the deployed definitions are valid")
});

fn now() -> Timestamp {
    Timestamp::from_millis(1_795_226_400_123)
}

/// As the functions read it: what is no UTF-8 is replaced.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The body of a request to either API: read, and taken for a start and for every command.
pub fn http_body(bytes: &[u8]) {
    let mut request = Request::new(Body::from(bytes.to_vec()));
    let json = "application/json".parse().expect("a media type is a header");
    request.headers_mut().insert(CONTENT_TYPE, json);
    let Ok(fields) = body(&request, MAX_BODY) else {
        return;
    };
    assert_eq!(
        json::parse_object(&json::write_object(&fields)).as_ref(),
        Ok(&fields),
        "written and read"
    );
    let _ = (
        only(&fields, &["to", "reason", "by"]),
        text_field(&fields, "reason"),
    );
    for act in [Act::Replay, Act::Discard] {
        let _ = command(act, &fields);
    }
    let key: IdempotencyKey = "key".parse().expect("it is a key");
    for definition in ["payment", "order"] {
        let (store, clock) = (OriginCloud::new(), Clock::new(now(), 1));
        let input = fields.clone();
        let request = start_saga::Request {
            definition,
            key: &key,
            input,
            trace: None,
        };
        // Nothing in memory waits for longer than the turn that it gives to others.
        let started = futures_executor::block_on(start_saga(&DEPLOYMENT, &store, &clock, request));
        match started {
            Ok(started) => {
                let shown = saga_wire::http::saga(&started.saga, started.definition.as_deref());
                assert!(serde_json::from_str::<Value>(&shown).is_ok(), "{shown}");
            }
            Err(NotStarted::Port(error)) => panic!("memory failed: {error}"),
            Err(NotStarted::Misaddressed(error)) => panic!("a deployed saga cannot start: {error}"),
            Err(_) => assert_eq!(store.outbox(), []),
        }
    }
}

/// The words in paths, queries and headers.
pub fn http_words(bytes: &[u8]) {
    let text = &*text(bytes);
    if let Ok(dead_letter) = text.parse::<DeadLetterId>() {
        assert_eq!(
            dead_letter.to_string().parse().as_ref(),
            Ok(&dead_letter),
            "written and read"
        );
    }
    if let Ok(saga) = text.parse::<SagaId>() {
        assert_eq!(saga.to_string().parse(), Ok(saga), "written and read");
    }
    if let Ok(trace) = text.parse::<TraceParent>() {
        assert_eq!(trace.trace_id().len(), 32);
    }
    if let Ok(number) = text.parse::<Number>() {
        assert_eq!(
            number.to_string().parse().as_ref(),
            Ok(&number),
            "written and read"
        );
    }
    if let Ok(at) = time::parse(text) {
        assert_eq!(time::parse(&time::format(at)), Ok(at), "written and read");
    }
    let _ = (
        text.parse::<IdempotencyKey>().is_ok(),
        text.parse::<EventId>().is_ok(),
        saga_wire::http::parse_cursor(text),
    );
    let names = ["source", "saga", "type", "reason", "since"];
    let _ = filter(names.into_iter().zip(text.split('&').map(str::to_owned)));
}

/// Does with what arrived what every receiver does: it is written again, and read as it was.
fn received(inbound: Inbound) {
    let written = match &inbound {
        Inbound::Event(event) => match event.as_ref() {
            SagaEvent::Ours(event) => {
                let known = DEPLOYMENT.catalogue.get(&event.definition);
                let _ = known.map(|definition| check(event, definition));
                cloud_event::write(event)
            }
            SagaEvent::Outside(event) => cloud_event::write_outside(event, saga_core::Cloud::Aws, now()),
        },
        Inbound::Parked(parked) => {
            let again = inbound::text(&notice::write_parked(parked));
            assert!(matches!(again, Inbound::Parked(_)), "{again:?}");
            return;
        }
        Inbound::Alert(alert) => {
            let again = inbound::text(&notice::write_alert("id", alert, now()));
            assert!(matches!(again, Inbound::Alert(_)), "{again:?}");
            return;
        }
        Inbound::Service(state) => {
            let again = inbound::text(&notice::write_service(state, now()));
            assert!(matches!(again, Inbound::Service(_)), "{again:?}");
            return;
        }
        Inbound::SubscriptionDeleted | Inbound::NotUnderstood(_) => return,
    };
    assert_eq!(inbound::text(&written), inbound, "written and read");
    assert_eq!(inbound::events_queue(&written), inbound, "read behind the bus");
}

/// A CloudEvent, wherever it comes from.
pub fn one_cloud_event(bytes: &[u8]) {
    received(inbound::text(&text(bytes)));
}

/// A request of Event Grid to the webhook.
pub fn event_grid(bytes: &[u8]) {
    if let Ok(Delivery::Events(events)) = delivery(bytes) {
        for event in &events {
            received(inbound::webhook(event));
            received(inbound::text(&text(event)));
        }
    }
}

/// What SQS invokes a function with.
pub fn sqs_record(bytes: &[u8]) {
    let bodies = match serde_json::from_slice::<Batch>(bytes) {
        Ok(batch) => batch.records.into_iter().map(|record| record.body).collect(),
        Err(_) => vec![text(bytes)],
    };
    for body in bodies {
        received(inbound::events_queue(&body));
        if let Ok(event) = event_bridge::event_in(&body) {
            received(inbound::text(event));
        }
    }
}

/// What an operator is shown of a dead letter is JSON, and holds its body.
fn shown(dead_letter: &DeadLetter) {
    for refused in [None, Some("why")] {
        let prospect = prospect(dead_letter, refused, None);
        let shown = whole(dead_letter, prospect.disposition.as_str(), &prospect.text);
        let facts = &dead_letter.facts;
        if facts.is_base64 || shown["body_encoding"] == "text" {
            assert_eq!(shown["body"], facts.text);
        } else {
            let length = shown["body"].as_str().map(str::len);
            assert_eq!(length, Some(facts.text.len().div_ceil(3) * 4), "base64 of it");
        }
        assert_eq!(
            shown["id"].as_str().unwrap_or_default().parse().as_ref(),
            Ok(&dead_letter.id)
        );
    }
}

/// A message of each dead-letter queue, and a dead row.
pub fn dead_letter(bytes: &[u8]) {
    let body = text(bytes);
    let message = Received {
        key: "key".to_owned(),
        body: body.clone(),
        ..Received::default()
    };
    for read in [destination, events, service_request, stream, quarantine] {
        shown(&read(&message));
    }
    shown(&poison("key", &body, Some(now())));
    shown(&azure_service_request("key", &body, None));
    shown(&azure_quarantine("key", &body, None));
    let dead = Row {
        key: "key".to_owned(),
        body: Some(body),
        ..Row::default()
    };
    shown(&row(Source::Outbox, dead));
}

/// A blob in which Event Grid keeps what it could not deliver.
pub fn dead_letter_blob(bytes: &[u8]) {
    let dead_letters = blob("SUBSCRIPTION/2026/11/21/2/name.json", &text(bytes), Some(now()));
    assert!(!dead_letters.is_empty(), "nothing that lies somewhere is hidden");
    let mut keys: Vec<&str> = dead_letters
        .iter()
        .map(|one| one.dead_letter.id.key.as_str())
        .collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(
        keys.len(),
        dead_letters.len(),
        "each dead letter has an id of its own"
    );
    dead_letters.iter().for_each(|one| shown(&one.dead_letter));
}

/// What the Functions host calls the participant with.
pub fn invocation(bytes: &[u8]) {
    let body = text(bytes);
    let _ = custom_handler::dequeue_count(&body);
    let message = custom_handler::message(&body, "event").unwrap_or(body);
    received(inbound::participant_queue(message.as_bytes()));
}

/// A file of a definition.
pub fn definition(bytes: &[u8]) {
    let Ok(definition) = definitions::parse(&text(bytes)) else {
        return;
    };
    assert!(!definition.steps().is_empty() && definition.deadline_millis() > 0);
    for step in definition.steps() {
        assert!(
            definition.address_of(&step.done).is_some(),
            "{} leads nowhere",
            step.done
        );
    }
}

/// The value of an Authorization header: what it says of itself, and its signature.
pub fn token(bytes: &[u8]) {
    static INSTALLED: Once = Once::new();
    static KEY: LazyLock<DecodingKey> = LazyLock::new(|| {
        // 2048 bits of an RSA modulus that nobody has factors of.
        DecodingKey::from_rsa_components(&"y7-_".repeat(85).replace('_', "w")[..340], "AQAB")
            .expect("it is a key")
    });
    INSTALLED.call_once(ring_jwt::install);
    let Ok((token, kid)) = bearer::bearer(bytes) else {
        return;
    };
    assert!(kid.len() <= 256 && token.len() <= 8 * 1024);
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&["audience"]);
    assert!(
        decode::<Value>(token, &KEY, &validation).is_err(),
        "nobody can sign for this key"
    );
}
