//! The API of dead letters, from what invokes the replayer to what it answers: each answer is held to the OpenAPI
//! document, and the document to the routes and the bounds of the code.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

// A function is a program and no library: its own sources are taken as they are.
#[path = "../../functions/dlq-replayer/src/answers.rs"]
mod answers;
#[path = "../../functions/dlq-replayer/src/invocation.rs"]
mod invocation;
#[path = "../../functions/dlq-replayer/src/routes.rs"]
mod routes;

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lambda_runtime::{Context, LambdaEvent};
use routes::{DEFAULT_PAGE, DOCUMENT, PARAMETERS, ROUTES};
use saga_app::dead_letters::MAX_PAGE;
use saga_app::runs::{DEFAULT_BOUNDS, MAX_RATE, MAX_RUN};
use saga_core::text::is_unseen;
use saga_memory::{DeadLetters, Fault};
use saga_tests::dead_letters::{Desk, dead};
use saga_tests::function_url::{Call, references};
use saga_tests::openapi::{Answer, Document};
use saga_tests::world::World;
use saga_wire::dead_letter::{DeadLetter, Destination, Source, poison};
use serde_json::{Value, json};

const JSON: (&str, &str) = ("content-type", "application/json");
const ARN: &str = "arn:aws:sts::123456789012:assumed-role/operators/ops@example.com";

async fn invoke(world: &World, desk: &Desk, payload: Value) -> Value {
    let mut context = Context::default();
    context.deadline = desk.later(600_000).millis().unsigned_abs();
    let event = LambdaEvent::new(payload, context);
    let ports = desk.ports(world);
    let answer = invocation::answer(&ports, &world.aws, &desk.places, event).await;
    answer.unwrap()
}

async fn answer(world: &World, desk: &Desk, call: Call<'_>) -> Answer {
    let answer = invoke(world, desk, call.event()).await;
    let headers = answer["headers"].as_object().unwrap().iter();
    Answer {
        status: answer["statusCode"].as_u64().unwrap().try_into().unwrap(),
        headers: headers
            .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
            .collect(),
        body: answer["body"].as_str().unwrap().to_owned(),
    }
}

/// Asks, holds the answer to the document, and says which of its outcomes it was.
async fn outcome(world: &World, desk: &Desk, call: Call<'_>) -> (String, Answer) {
    let answered = answer(world, desk, call).await;
    for there in references(call.path, &answered) {
        assert_eq!(answer(world, desk, get(&there)).await.status, 200, "{there}");
    }
    let path = call.path.split('?').next().unwrap();
    (
        Document::parse(DOCUMENT).check(call.method, path, &answered),
        answered,
    )
}

fn get(path: &str) -> Call<'_> {
    Call {
        method: "GET",
        path,
        ..Call::default()
    }
}

fn post<'a>(path: &'a str, body: &'a str) -> Call<'a> {
    Call {
        method: "POST",
        path,
        headers: &[JSON],
        body,
        ..Call::default()
    }
}

/// A saga whose event to Azure fell into the poison queue, and one that nobody understands.
async fn poisoned(world: &mut World, desk: &Desk) -> DeadLetter {
    world.start("100").await;
    world.publish().await;
    let dead_letter = dead(&world.on_the_way.pop().unwrap(), 0, 1);
    desk.places.put(dead_letter.clone());
    desk.places
        .put(saga_wire::dead_letter::poison("2", "no event at all", None));
    dead_letter
}

#[test]
fn every_route_of_the_code_is_in_the_document_and_the_other_way_round() {
    let routes = ROUTES
        .iter()
        .map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned()));
    assert_eq!(
        routes.collect::<BTreeSet<_>>(),
        Document::parse(DOCUMENT).routes()
    );
}

#[test]
fn the_bounds_in_the_document_are_those_of_the_code() {
    let document = Document::parse(DOCUMENT);
    let sources = Source::ALL.map(Source::as_str);
    for pointer in [
        "/components/schemas/Letter/properties/source/enum",
        "/components/schemas/Notice/properties/source/enum",
        "/components/schemas/Command/properties/filter/properties/source/enum",
    ] {
        assert_eq!(document.words(pointer), sources, "{pointer}");
    }
    let parameter = |name: &str| document.parameter("GET", "/dead-letters", name)["schema"].clone();
    assert_eq!(parameter("source"), json!({"enum": sources}));
    assert_eq!(
        parameter("limit"),
        json!({"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": DEFAULT_PAGE})
    );
    let listing = document.0["paths"]["/dead-letters"]["get"]["parameters"]
        .as_array()
        .unwrap();
    let names: Vec<&str> = listing
        .iter()
        .filter_map(|parameter| parameter["name"].as_str())
        .collect();
    assert_eq!(names, PARAMETERS);
    let field = |name: &str| &document.0["components"]["schemas"]["Command"]["properties"][name];
    for (name, max, default) in [
        ("limit", MAX_RUN, DEFAULT_BOUNDS.limit),
        (
            "rate_per_second",
            MAX_RATE as usize,
            DEFAULT_BOUNDS.per_second as usize,
        ),
        ("stop_after_failures", MAX_RUN, DEFAULT_BOUNDS.stop_after),
    ] {
        let wanted = json!({"type": "integer", "minimum": 1, "maximum": max, "default": default});
        assert_eq!(*field(name), wanted, "{name}");
    }
    assert_eq!(field("ids")["maxItems"], MAX_RUN);
    let known = [
        Destination::Bus,
        Destination::EventsQueue,
        Destination::Topic,
        Destination::ParticipantQueue,
        Destination::ServiceQueue,
        Destination::AzureServiceQueue,
    ];
    let known = known.map(Destination::as_str).into_iter().chain(["outbox"]);
    let documented = document.words("/components/schemas/Shown/properties/replay/properties/to/enum");
    assert_eq!(documented, known.collect::<Vec<_>>());
}

#[tokio::test]
async fn every_outcome_of_the_document_comes_about_and_no_other() {
    let (mut world, desk) = (World::default(), Desk::new());
    let dead_letter = poisoned(&mut world, &desk).await;
    let shown = format!("/dead-letters/{}", dead_letter.id);
    let ids = format!(r#"{{"ids":["{}"]}}"#, dead_letter.id);
    let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(1024 * 1024));
    let text = Call {
        headers: &[("content-type", "text/plain")],
        ..post("/dead-letters/replay", "{}")
    };
    let confirmed = r#"{"filter":{"source":"poison"},"confirm":true,"reason":"r","by":"b"}"#;
    let mut seen = BTreeSet::new();
    for call in [
        get("/health"),
        get("/openapi.json"),
        get("/problems/busy"),
        get("/problems/none"),
        get("/nowhere"),
        get("/dead-letters?source=poison&limit=1&since=2026-01-01T00:00:00Z&cursor="),
        get("/dead-letters?source=moon"),
        get("/dead-letters?saga=no-id"),
        get("/dead-letters?shop=1"),
        get(&shown),
        get("/dead-letters/poison.7"),
        get("/dead-letters/no-id"),
        get(&format!("{shown}?body=no")),
        post("/dead-letters/replay", "{"),
        post("/dead-letters/replay", "{}"),
        post("/dead-letters/replay", r#"{"ids":[1e5]}"#),
        post("/dead-letters/replay", &large),
        text,
        post("/dead-letters/replay", &ids),
        post(
            "/dead-letters/replay",
            r#"{"filter":{},"confirm":true,"reason":"r"}"#,
        ),
        post("/dead-letters/replay", r#"{"ids":["poison.7","outbox.1"]}"#),
        post("/dead-letters/replay", confirmed),
        post("/dead-letters/discard", "{"),
        post("/dead-letters/discard", r#"{"filter":{},"confirm":1}"#),
        post("/dead-letters/discard", r#"{"filter":{"type":1e5}}"#),
        post("/dead-letters/discard", &large),
        Call {
            path: "/dead-letters/discard",
            ..text
        },
        post("/dead-letters/discard", r#"{"filter":{}}"#),
        post("/dead-letters/discard", confirmed),
        Call {
            method: "PUT",
            ..get("/dead-letters/replay")
        },
        Call {
            method: "DELETE",
            ..get(&shown)
        },
    ] {
        seen.insert(outcome(&world, &desk, call).await.0);
    }
    for fault in [Fault::Throttle, Fault::FailBefore] {
        let desk = Desk::with(|clock| DeadLetters::new(clock, move |_: &'static str| fault));
        for call in [
            get(&shown),
            get("/dead-letters"),
            post("/dead-letters/replay", r#"{"filter":{}}"#),
        ] {
            seen.insert(outcome(&world, &desk, call).await.0);
        }
    }
    seen.retain(|outcome| !outcome.starts_with("nowhere") && !outcome.contains("method-not-allowed"));
    let mut documented = Document::parse(DOCUMENT).outcomes();
    // The sources in memory have nothing that they cannot read.
    assert!(documented.remove("GET /dead-letters/{letter} 500 internal"));
    assert_eq!(seen, documented);
}

#[tokio::test]
async fn both_apis_read_a_request_alike() {
    let (mut world, desk) = (World::default(), Desk::new());
    let dead_letter = poisoned(&mut world, &desk).await;
    let lying = desk.places.stored().len();
    let shown = format!("/dead-letters/{}", dead_letter.id);
    for path in [
        "/health",
        "/openapi.json",
        "/problems/busy",
        "/dead-letters",
        "/dead-letters?limit=0",
        &shown,
        "/dead-letters/x",
    ] {
        let head = outcome(
            &world,
            &desk,
            Call {
                method: "HEAD",
                ..get(path)
            },
        )
        .await
        .1;
        let got = outcome(&world, &desk, get(path)).await.1;
        assert_eq!((head.status, &head.headers), (got.status, &got.headers), "{path}");
        assert!(head.body.is_empty() && !got.body.is_empty(), "{path}");
    }
    let all = r#"{"filter":{},"confirm":true,"reason":"r","by":"b"}"#;
    for act in ["replay", "discard"] {
        let path = format!("/dead-letters/{act}");
        let refused = outcome(&world, &desk, post(&format!("{path}?confirm=false"), all))
            .await
            .1;
        assert_eq!(
            (refused.status, refused.json()["code"].as_str()),
            (400, Some("invalid-request"))
        );
        for (headers, accept) in [
            (
                &[JSON, ("content-encoding", "gzip")][..],
                ("accept-encoding", "identity"),
            ),
            (
                &[("content-type", "application/json; charset=utf-16")],
                ("accept", "application/json"),
            ),
            (&[JSON, JSON], ("accept", "application/json")),
        ] {
            let refused = outcome(
                &world,
                &desk,
                Call {
                    headers,
                    ..post(&path, all)
                },
            )
            .await
            .1;
            assert_eq!(
                (refused.status, refused.header(accept.0)),
                (415, Some(accept.1)),
                "{headers:?}"
            );
        }
        for odd in ["\\u202eb", "a\\u200b", " \\ufeff", "\\ue000"] {
            let by = all.replace("\"by\":\"b\"", &format!("\"by\":\"{odd}\""));
            assert_eq!(
                outcome(&world, &desk, post(&path, &by)).await.1.status,
                400,
                "{by}"
            );
            let why = all.replace("\"reason\":\"r\"", &format!("\"reason\":\"{odd}\""));
            assert_eq!(
                outcome(&world, &desk, post(&path, &why)).await.1.status,
                400,
                "{why}"
            );
        }
    }
    assert_eq!(desk.places.stored().len(), lying);
    let refused = outcome(
        &world,
        &desk,
        Call {
            method: "DELETE",
            ..get("/dead-letters")
        },
    )
    .await
    .1;
    assert_eq!(
        (refused.status, refused.header("allow")),
        (405, Some("GET, HEAD"))
    );
}

/// What others wrote acts on no terminal, and what they sent stays as they sent it.
#[tokio::test]
async fn a_dead_letter_of_others_is_shown_escaped_and_exact() {
    let (world, desk) = (World::default(), Desk::new());
    let body = "{\"id\":\"a\\u001b[2J\u{202e}\u{9b}b\u{200b}\",\"specversion\":\"\\u001b[2J\u{202e}\",\"type\":\"t\u{202e}\"}";
    desk.places.put(poison("1", &STANDARD.encode(body), None));
    for path in ["/dead-letters", "/dead-letters/poison.1"] {
        let shown = outcome(&world, &desk, get(path)).await.1;
        let raw = shown.body.chars().find(|c| is_unseen(*c));
        assert_eq!(raw, None, "{}", shown.body);
        let dead_letter = shown.json();
        let dead_letter = if path.ends_with(".1") {
            &dead_letter
        } else {
            &dead_letter["letters"][0]
        };
        for name in ["reason", "unreadable", "type"] {
            let said = dead_letter[name].as_str().unwrap_or_default();
            assert!(!said.contains(is_unseen), "{name}: {said:?}");
        }
        assert!(
            dead_letter["type"].as_str().unwrap().contains("\\u{202e}"),
            "{dead_letter}"
        );
    }
    let dead_letter = outcome(&world, &desk, get("/dead-letters/poison.1"))
        .await
        .1
        .json();
    assert_eq!(dead_letter["body"], body);
}

#[tokio::test]
async fn a_query_is_as_strict_as_a_body() {
    let (world, desk) = (World::default(), Desk::new());
    let long = "x".repeat(201);
    for (query, status) in [
        ("type=%20".to_owned(), 400),
        ("type=%0C".to_owned(), 400),
        (format!("reason={long}"), 400),
        (format!("type={}", &long[1..]), 200),
        // A blob's name is longer than what a person writes.
        (format!("cursor=event-grid.{long}"), 200),
    ] {
        let path = format!("/dead-letters?{query}");
        assert_eq!(
            outcome(&world, &desk, get(&path)).await.1.status,
            status,
            "{query}"
        );
    }
}

#[tokio::test]
async fn who_signed_a_replay_or_a_discard_is_in_the_timeline_beside_who_they_say_they_are() {
    for path in ["/dead-letters/replay", "/dead-letters/discard"] {
        for (signed_by, by) in [(Some(ARN), Some("me")), (Some(ARN), None), (None, Some(ARN))] {
            let (mut world, desk) = (World::default(), Desk::new());
            let saga = poisoned(&mut world, &desk).await.facts.saga.unwrap();
            let mut body = json!({"filter": {"saga": saga.to_string()}, "confirm": true, "reason": "mended"});
            if let Some(by) = by {
                body["by"] = json!(by);
            }
            let body = body.to_string();
            let call = Call {
                signed_by,
                ..post(path, &body)
            };
            let report = outcome(&world, &desk, call).await.1.json();
            assert_eq!(report["done"], 1, "{report}");
            let timeline = world.saga(saga).timeline;
            let line = timeline
                .entries
                .iter()
                .find(|line| path.ends_with(&line.verb))
                .unwrap();
            // What a body says is in the note, and nowhere else.
            assert_eq!(line.caller.as_ref().map(|caller| caller.as_str()), signed_by);
            let note = line.note.as_deref().unwrap();
            assert!(
                note.starts_with(&format!("{}: mended", by.unwrap_or("caller"))),
                "{note}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_no_request_is_the_schedule_and_changes_no_dead_letter() {
    let (mut world, desk) = (World::default(), Desk::new());
    poisoned(&mut world, &desk).await;
    // Also when it looks like a command: only the function URL makes a request context.
    for payload in [
        json!({}),
        json!({"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}),
        json!({"rawPath": "/dead-letters/discard", "body": r#"{"filter":{},"confirm":true,"by":"b","reason":"r"}"#}),
    ] {
        let answer = invoke(&world, &desk, payload).await;
        assert!(
            answer["told"].is_u64() && answer.get("statusCode").is_none(),
            "{answer}"
        );
    }
    assert_eq!(desk.places.stored().len(), 2);
}

/// As many ids as one run takes, each as long as those of blobs are.
#[tokio::test]
async fn a_run_of_as_many_dead_letters_as_may_be_named_fits_into_a_request() {
    let (world, desk) = (World::default(), Desk::new());
    let ids: Vec<String> = (0..MAX_RUN)
        .map(|number| format!("event-grid.to-azure-participant~2F2026~2F11~2F21~2F2~2F{number:036}~2Ejson"))
        .collect();
    let body = json!({ "ids": ids }).to_string();
    assert!(body.len() > 64 * 1024);
    let answer = answer(&world, &desk, post("/dead-letters/replay", &body)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}
