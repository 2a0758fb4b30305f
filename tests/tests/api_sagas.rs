//! The API of sagas, from the event that Lambda brings to the answer: each answer is held to the OpenAPI document, and
//! the document to the routes and the bounds of the code.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

mod initiator;

use std::collections::BTreeSet;
use std::fs;

use initiator::routes::{Api, DEFAULT_PAGE, DOCUMENT, PARAMETERS, ROUTES};
use initiator::{API, answers, fields, runs};
use lambda_http::http::{HeaderName, HeaderValue, Method};
use lambda_http::{Body, Request, RequestExt};
use saga_app::list_sagas::MAX_PAGE;
use saga_app::ports::SagaStore;
use saga_core::definition::DefinitionRef;
use saga_core::mark::Caller;
use saga_core::saga::Flag;
use saga_core::timeline::Timeline;
use saga_core::{Saga, Status};
use saga_memory::{Fault, OriginCloud, StepCloud};
use saga_tests::calls::Outside;
use saga_tests::contract::given;
use saga_tests::function_url::{Call, references};
use saga_tests::openapi::{Answer, Document};
use saga_tests::saga_api::SagaApi;
use saga_tests::sagas::{ORDER, PAYMENT};
use saga_tests::world::{World, order};
use saga_wire::definitions::parse;
use saga_wire::problem::Code;
use serde_json::{Value, json};

const JSON: (&str, &str) = ("content-type", "application/json");

async fn answer(world: &World, call: Call<'_>) -> Answer {
    API.invoke(world, call.event()).await
}

/// Asks, holds the answer to the document, and says which of its outcomes it was.
async fn outcome(world: &World, call: Call<'_>) -> (String, Answer) {
    let answered = answer(world, call).await;
    let path = call.path.split('?').next().unwrap();
    for there in references(call.path, &answered) {
        assert_eq!(answer(world, get(&there)).await.status, 200, "{there}");
    }
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

fn broken(fault: Fault) -> World {
    World::new(
        OriginCloud::with_faults(move |_: &'static str| fault),
        StepCloud::new(),
    )
}

const WHY: &str = r#"{"reason":"maintenance","by":"ops"}"#;

/// A deployment that binds a service on each cloud.
fn bound(mut world: World) -> World {
    let services = Outside::new(&[("mail", "aws"), ("bank", "azure")])
        .services()
        .clone();
    world.deployment.services = Some(services);
    world
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
fn every_code_is_in_a_document_and_has_one_status_in_both() {
    let dead_letters = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../functions/dlq-replayer/openapi.json"
    );
    let documents = [
        Document::parse(DOCUMENT),
        Document::parse(&fs::read_to_string(dead_letters).unwrap()),
    ];
    let mut named = BTreeSet::new();
    for document in &documents {
        let codes = document.words("/components/schemas/Problem/properties/code/enum");
        assert_eq!(
            document.words("/paths/~1problems~1{code}/get/parameters/0/schema/enum"),
            codes
        );
        let mut used: BTreeSet<String> = ["not-found".to_owned(), "method-not-allowed".to_owned()].into();
        for outcome in document.outcomes() {
            if let [_, _, status, code] = outcome.split(' ').collect::<Vec<_>>()[..] {
                let known = Code::ALL.into_iter().find(|known| known.as_str() == code);
                assert_eq!(known.unwrap().status().to_string(), status, "{outcome}");
                used.insert(code.to_owned());
            }
        }
        assert_eq!(
            codes
                .iter()
                .map(|code| (*code).to_owned())
                .collect::<BTreeSet<_>>(),
            used
        );
        named.extend(used);
    }
    let all: BTreeSet<String> = Code::ALL.map(|code| code.as_str().to_owned()).into();
    assert_eq!(named, all);
}

#[test]
fn the_bounds_in_the_document_are_those_of_the_code() {
    let document = Document::parse(DOCUMENT);
    let statuses = Status::ALL.map(Status::as_str);
    assert_eq!(
        document.words("/components/schemas/Saga/properties/status/enum"),
        statuses
    );
    let listed = document.words("/components/schemas/Listed/properties/status/enum");
    assert_eq!(listed, statuses);
    let flags = Flag::ALL.map(Flag::as_str);
    assert_eq!(
        document.words("/components/schemas/Listed/properties/flags/items/enum"),
        flags
    );
    let parameter = |name: &str| document.parameter("GET", "/sagas", name)["schema"].clone();
    assert_eq!(parameter("status"), json!({"enum": statuses}));
    assert_eq!(parameter("flag"), json!({"enum": flags}));
    assert_eq!(
        parameter("limit"),
        json!({"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": DEFAULT_PAGE})
    );
    let listing = document.0["paths"]["/sagas"]["get"]["parameters"]
        .as_array()
        .unwrap();
    let names: Vec<&str> = listing
        .iter()
        .filter_map(|parameter| parameter["name"].as_str())
        .collect();
    assert_eq!(names, PARAMETERS);
    assert_eq!(
        document.0["components"]["schemas"]["Saga"]["properties"]["timeline"]["maxItems"],
        Timeline::MAX_ENTRIES
    );
    let caller = &document.0["components"]["schemas"]["Line"]["properties"]["caller"];
    assert_eq!(caller["maxLength"], Caller::MAX_CHARS);
}

/// Any input is one by the schema; the examples are those of the reference sagas.
#[tokio::test]
async fn each_example_of_an_input_starts_its_saga_and_has_every_field_that_its_participants_take() {
    let document = Document::parse(DOCUMENT);
    let body = &document.0["paths"]["/sagas/{saga}"]["post"]["requestBody"]["content"]["application/json"];
    let world = World::default();
    for (name, example) in body["examples"].as_object().unwrap() {
        let value = &example["value"];
        world.try_start_of(name, name, &value.to_string()).await.unwrap();
        let steps = world.deployment.catalogue.latest(name).unwrap().steps();
        let taken: BTreeSet<&str> = steps
            .iter()
            .flat_map(|step| world.deployment.participants[step.participant().unwrap_or_default()].accepts())
            .copied()
            .collect();
        let shown = value.as_object().unwrap().keys().map(String::as_str);
        assert_eq!(shown.collect::<BTreeSet<_>>(), taken, "{name}");
    }
}

/// A saga in the store of which this deployment has no definition.
async fn of_another_deployment(world: &World) -> Saga {
    let mut saga = given::saga(7, given::time(0));
    saga.definition = DefinitionRef {
        name: "gone".to_owned(),
        version: 1,
    };
    world.aws.insert(&given::decision(&saga), None).await.unwrap();
    saga
}

/// An approval after which a saga only goes forward, to the other cloud.
const APPROVED: &str = r#"
name = "approved"
version = 1
deadline = "2d"

[[step]]
name = "approval"
cloud = "aws"
wait = "approval"
class = "pivot"

[[step]]
name = "payout"
cloud = "azure"
call = "bank"
class = "retriable"
"#;

/// A dry run of each act.
const RUNS: [(&str, &str); 4] = [
    ("/runs/cancel", r#"{"filter":{"flag":"stuck"}}"#),
    ("/runs/resolve", r#"{"filter":{"flag":"stuck"},"to":"completed"}"#),
    (
        "/runs/answer",
        r#"{"filter":{"held":true},"step":"approval","decision":"refused"}"#,
    ),
    ("/runs/retransmit", r#"{"filter":{"flag":"stuck"}}"#),
];

#[tokio::test]
async fn every_outcome_of_the_document_comes_about_and_no_other() {
    let mut world = World::default();
    world.release([PAYMENT, ORDER, APPROVED].map(|text| parse(text).unwrap()));
    let body = order("100");
    let with_key = |body| Call {
        headers: &[JSON, ("idempotency-key", "one")],
        ..post("/sagas/payment", body)
    };
    let mut seen = BTreeSet::new();
    let (first, started) = outcome(&world, with_key(&body)).await;
    let id = started.json()["saga_id"].as_str().unwrap().to_owned();
    seen.insert(first);
    let (cancel, resolve) = (format!("/sagas/{id}/cancel"), format!("/sagas/{id}/resolve"));
    let retransmit = format!("/sagas/{id}/retransmit");
    let (saga, end) = (
        format!("/sagas/{id}"),
        r#"{"to":"cancelled","reason":"r","by":"b"}"#,
    );
    let gone = of_another_deployment(&world).await;
    let gone_retransmit = format!("/sagas/{}/retransmit", gone.id);
    let (gone, gone_cancel, gone_resolve) = (
        format!("/sagas/{}", gone.id),
        format!("/sagas/{}/cancel", gone.id),
        format!("/sagas/{}/resolve", gone.id),
    );
    let spoilt = given::saga(8, given::time(0));
    world.aws.insert(&given::decision(&spoilt), None).await.unwrap();
    world.aws.spoil(spoilt.id);
    let spoilt_retransmit = format!("/sagas/{}/retransmit", spoilt.id);
    let (spoilt, spoilt_cancel, spoilt_resolve) = (
        format!("/sagas/{}", spoilt.id),
        format!("/sagas/{}/cancel", spoilt.id),
        format!("/sagas/{}/resolve", spoilt.id),
    );
    let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(70_000));
    let text = Call {
        headers: &[("content-type", "text/plain")],
        ..post("", "{}")
    };
    let none = "/sagas/0193e0b1-0000-8000-8000-00000000ffff";
    let (none_cancel, none_resolve) = (format!("{none}/cancel"), format!("{none}/resolve"));
    let none_retransmit = format!("{none}/retransmit");
    let none_answer = format!("{none}/steps/approval/answer");
    let (gone_answer, spoilt_answer) = (
        format!("{gone}/steps/approval/answer"),
        format!("{spoilt}/steps/approval/answer"),
    );
    let ended = world.try_start_of("payment", "ended", &body).await.unwrap();
    let ended_resolve = format!("/sagas/{ended}/resolve");
    let ended_retransmit = format!("/sagas/{ended}/retransmit");
    let approved = world.try_start_of("approved", "approved", "{}").await.unwrap();
    let approved = format!("/sagas/{approved}");
    let answers = format!("{approved}/steps/approval/answer");
    let (pays, unknown) = (
        format!("{approved}/steps/payout/answer"),
        format!("{approved}/steps/none/answer"),
    );
    let (approved_cancel, approved_resolve) = (format!("{approved}/cancel"), format!("{approved}/resolve"));
    let yes = r#"{"decision":"accepted","reason":"r","by":"b"}"#;
    let elsewhere = r#"{"order_id":"o","amount":"1","currency":"EUR","destination":"XX"}"#;
    let other = order("101");
    for call in [
        get("/health"),
        get("/openapi.json"),
        get("/problems/too-late"),
        get("/problems/none"),
        get("/nowhere"),
        get("/sagas?status=PENDING_AZURE_CONFIRMATION&limit=1&since=2026-01-01T00:00:00Z&flag=&cursor="),
        get("/sagas?limit=101"),
        get("/sagas?limit=1&limit=2"),
        get("/sagas?stat=COMPLETED"),
        get(&saga),
        get(none),
        get("/sagas/no-id"),
        get(&gone),
        get(&spoilt),
        with_key(&body),
        with_key(&other),
        post("/sagas/payment", "{"),
        post(
            "/sagas/payment",
            r#"{"order_id":"o","amount":1e999,"currency":"EUR"}"#,
        ),
        post("/sagas/payment", &large),
        post("/sagas/none", &body),
        post("/sagas/order", elsewhere),
        Call {
            headers: &[JSON, ("idempotency-key", "")],
            ..post("/sagas/payment", &body)
        },
        Call {
            path: "/sagas/payment",
            ..text
        },
        post(&retransmit, r#"{"reason":"r"}"#),
        post(&retransmit, "[]"),
        post(&retransmit, r#"{"why":"r"}"#),
        post(&retransmit, r#"{"reason":100000}"#),
        post(&retransmit, &large),
        Call {
            path: &retransmit,
            ..text
        },
        post(&none_retransmit, ""),
        post(&gone_retransmit, ""),
        post(&spoilt_retransmit, ""),
        post(&cancel, ""),
        post(&cancel, "[]"),
        post(&cancel, r#"{"why":"r"}"#),
        post(&cancel, r#"{"reason":100000}"#),
        post(&cancel, &large),
        Call {
            path: &cancel,
            ..text
        },
        post(&none_cancel, ""),
        post(&gone_cancel, ""),
        post(&spoilt_cancel, ""),
        post(&resolve, end),
        post(&resolve, "{}"),
        post(&resolve, r#"{"to":"cancelled","reason":1e5,"by":"b"}"#),
        post(&resolve, "nothing"),
        post(&resolve, &large),
        Call {
            path: &resolve,
            ..text
        },
        post(&none_resolve, end),
        post(&gone_resolve, end),
        post(&spoilt_resolve, end),
        post(&cancel, ""),
        post(&retransmit, ""),
        post(&ended_resolve, r#"{"to":"completed","reason":"r","by":"b"}"#),
        post(&ended_retransmit, ""),
        post(&resolve, r#"{"to":"completed","reason":"r","by":"b"}"#),
        post(&pays, yes),
        post(&answers, r#"{"decision":"accepted","by":"b"}"#),
        post(&pays, yes),
        post(&unknown, yes),
        post(&answers, "{"),
        post(&answers, r#"{"decision":"accepted"}"#),
        post(&answers, r#"{"decision":"accepted","output":[],"by":"b"}"#),
        post(&answers, &large),
        Call {
            path: &answers,
            ..text
        },
        post(&none_answer, yes),
        post(&gone_answer, yes),
        post(&spoilt_answer, yes),
        post(&approved_cancel, ""),
        post(&approved_resolve, end),
        Call {
            method: "DELETE",
            ..get(&saga)
        },
        get(&format!("{saga}?wait=1")),
    ] {
        seen.insert(outcome(&world, call).await.0);
    }
    let bank = bound(World::default());
    for call in [
        get("/services"),
        get("/services?name=bank"),
        post("/services/bank/pause", WHY),
        post("/services/bank/resume", WHY),
        post("/services/mail/pause", WHY),
        post("/services/mail/resume", WHY),
        post("/services/none/pause", WHY),
        post("/services/none/resume", WHY),
    ] {
        seen.insert(outcome(&bank, call).await.0);
    }
    for change in ["/services/bank/pause", "/services/bank/resume"] {
        for body in ["{", "{}", r#"{"reason":1,"by":"b"}"#, &large] {
            seen.insert(outcome(&bank, post(change, body)).await.0);
        }
        seen.insert(outcome(&bank, Call { path: change, ..text }).await.0);
    }
    for (run, body) in RUNS {
        for call in [
            post(run, body),
            post(run, "{"),
            post(run, "{}"),
            post(run, r#"{"reason":1}"#),
            post(run, &large),
            Call { path: run, ..text },
        ] {
            seen.insert(outcome(&world, call).await.0);
        }
    }
    let mut lacking = World::default();
    lacking.deployment.participants.remove("payments");
    seen.insert(outcome(&lacking, post("/sagas/payment", &body)).await.0);
    for fault in [Fault::Throttle, Fault::FailBefore] {
        let world = broken(fault);
        for call in [
            get("/sagas"),
            get(&saga),
            post("/sagas/payment", &body),
            post(&cancel, ""),
            post(&resolve, end),
            post(&retransmit, ""),
            post(&answers, yes),
        ]
        .into_iter()
        .chain(RUNS.map(|(run, body)| post(run, body)))
        {
            seen.insert(outcome(&world, call).await.0);
        }
        let world = bound(world);
        for call in [
            get("/services"),
            post("/services/bank/pause", WHY),
            post("/services/bank/resume", WHY),
        ] {
            seen.insert(outcome(&world, call).await.0);
        }
    }
    seen.retain(|outcome| !outcome.starts_with("nowhere") && !outcome.contains("method-not-allowed"));
    let mut documented = Document::parse(DOCUMENT).outcomes();
    for impossible in [
        // The store in memory has no rows that it cannot read.
        "GET /sagas 500 internal",
        "GET /services 500 internal",
        "POST /services/{service}/pause 500 internal",
        "POST /services/{service}/resume 500 internal",
        "POST /sagas/{saga} 500 internal",
        "POST /runs/cancel 500 internal",
        "POST /runs/resolve 500 internal",
        "POST /runs/answer 500 internal",
        "POST /runs/retransmit 500 internal",
        // None here refuses at the start.
        "POST /sagas/{saga} 422 refused",
    ] {
        assert!(documented.remove(impossible), "{impossible}");
    }
    assert_eq!(seen, documented);
}

#[tokio::test]
async fn head_is_answered_as_get_is_without_the_body() {
    let world = World::default();
    let saga = outcome(&world, post("/sagas/payment", &order("1")))
        .await
        .1
        .json();
    let path = format!("/sagas/{}", saga["saga_id"].as_str().unwrap());
    for path in [
        "/health",
        "/openapi.json",
        "/problems/too-late",
        "/problems/none",
        "/sagas",
        "/sagas?limit=0",
        &path,
        "/sagas/none",
        "/nowhere",
    ] {
        let head = outcome(
            &world,
            Call {
                method: "HEAD",
                ..get(path)
            },
        )
        .await
        .1;
        let got = answer(&world, get(path)).await;
        assert_eq!((head.status, &head.headers), (got.status, &got.headers), "{path}");
        assert!(head.body.is_empty() && !got.body.is_empty(), "{path}");
    }
    // Where nothing can be got, there is nothing to ask the head of; everywhere, Allow names all that is possible.
    let cancel = format!("{path}/cancel");
    for (method, path, allow) in [
        ("HEAD", cancel.as_str(), "POST"),
        ("GET", &cancel, "POST"),
        ("DELETE", "/sagas", "GET, HEAD"),
        ("PUT", &path, "GET, HEAD, POST"),
        ("OPTIONS", "/health", "GET, HEAD"),
    ] {
        let refused = outcome(&world, Call { method, ..get(path) }).await.1;
        assert_eq!(
            (refused.status, refused.header("allow")),
            (405, Some(allow)),
            "{method} {path}"
        );
    }
}

/// A start of the order with these headers, and which saga it answered with.
async fn start_with(world: &World, headers: &[(&str, &str)]) -> (u16, Value) {
    let headers = [&[JSON], headers].concat();
    let body = order("1");
    let call = Call {
        headers: &headers,
        ..post("/sagas/payment", &body)
    };
    let answer = outcome(world, call).await.1;
    (answer.status, answer.json())
}

/// The same with header lines of their own, as other carriers than a function URL bring them.
async fn start_with_lines(world: &World, lines: &[(&str, &str)]) -> (u16, Value) {
    let mut request = Request::new(Body::from(order("1")));
    *request.method_mut() = Method::POST;
    request
        .headers_mut()
        .append("content-type", HeaderValue::from_static("application/json"));
    for (name, value) in lines {
        let name: HeaderName = name.parse().unwrap();
        request.headers_mut().append(name, value.parse().unwrap());
    }
    let api = Api {
        deployment: &world.deployment,
        store: &world.aws,
        time: &world.clock,
    };
    let response = api.answer(request.with_raw_http_path("/sagas/payment")).await;
    (
        response.status().as_u16(),
        serde_json::from_slice(response.body()).unwrap(),
    )
}

#[tokio::test]
async fn a_key_that_is_sent_twice_starts_nothing() {
    let world = World::default();
    let key = "idempotency-key";
    for lines in [
        [(key, "k1"), (key, "k2")],
        [(key, "k"), (key, "k")],
        [(key, "\"k\""), (key, "k")],
        [(key, "k"), (key, "")],
    ] {
        // Joined by Lambda, and as they were sent.
        for (status, problem) in [
            start_with(&world, &lines).await,
            start_with_lines(&world, &lines).await,
        ] {
            assert_eq!(
                (status, problem["code"].as_str()),
                (400, Some("invalid-request")),
                "{lines:?}: {problem}"
            );
        }
    }
    assert!(world.aws.outbox_is_empty());
}

/// The ids that bare keys have always had; a quoted key is the same key.
#[tokio::test]
async fn a_key_starts_the_saga_that_it_always_started() {
    let world = World::default();
    for (key, id) in [
        ("order-4711", "fc487e5d-210b-831d-bad4-e44e8efe0832"),
        ("\"order-4711\"", "fc487e5d-210b-831d-bad4-e44e8efe0832"),
        ("  order-4711 ", "fc487e5d-210b-831d-bad4-e44e8efe0832"),
    ] {
        let (_, saga) = start_with(&world, &[("idempotency-key", key)]).await;
        assert_eq!(saga["saga_id"], id, "{key}");
    }
}

#[tokio::test]
async fn a_trace_context_of_a_later_version_is_read_and_one_of_two_is_not() {
    let world = World::default();
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let here = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let later = format!("01-{TRACE}-00f067aa0ba902b7-01-what-comes.later");
    for (lines, read) in [
        (&[("traceparent", here.as_str())][..], true),
        (&[("traceparent", &later)], true),
        (&[("traceparent", &here), ("traceparent", &here)], false),
        (&[("traceparent", &later), ("traceparent", &here)], false),
    ] {
        for (status, saga) in [
            start_with(&world, lines).await,
            start_with_lines(&world, lines).await,
        ] {
            assert_eq!(
                (status, saga["trace_id"] == TRACE),
                (201, read),
                "{lines:?}: {saga}"
            );
        }
    }
}

#[tokio::test]
async fn a_body_is_read_as_it_is_and_as_json_only() {
    let world = World::default();
    let body = order("1");
    for (headers, accept, said) in [
        (
            &[JSON, ("content-encoding", "gzip")][..],
            ("accept-encoding", "identity"),
            "Content-Encoding: gzip",
        ),
        (
            &[JSON, ("content-encoding", "BR")],
            ("accept-encoding", "identity"),
            "Content-Encoding: BR",
        ),
        (
            &[JSON, ("content-encoding", "identity, deflate")],
            ("accept-encoding", "identity"),
            "Content-Encoding: deflate",
        ),
        (
            &[
                JSON,
                ("content-encoding", "identity"),
                ("content-encoding", "zstd"),
            ],
            ("accept-encoding", "identity"),
            "zstd",
        ),
        (&[], ("accept", "application/json"), "Content-Type"),
        (
            &[("content-type", "text/plain")],
            ("accept", "application/json"),
            "Content-Type",
        ),
        (
            &[("content-type", "application/jsonx")],
            ("accept", "application/json"),
            "Content-Type",
        ),
        (
            &[("content-type", "application/json; charset=utf-16")],
            ("accept", "application/json"),
            "UTF-8",
        ),
        (
            &[("content-type", "application/json; charset=\"ISO-8859-1\"")],
            ("accept", "application/json"),
            "UTF-8",
        ),
        (
            &[("content-type", "application/json; a=b; Charset=latin1")],
            ("accept", "application/json"),
            "UTF-8",
        ),
        (
            &[("content-type", "application/json; charset")],
            ("accept", "application/json"),
            "UTF-8",
        ),
        (&[JSON, JSON], ("accept", "application/json"), "once"),
        (
            &[JSON, ("content-type", "text/plain")],
            ("accept", "application/json"),
            "once",
        ),
        (
            &[("content-type", "text/plain"), JSON],
            ("accept", "application/json"),
            "once",
        ),
    ] {
        let refused = outcome(
            &world,
            Call {
                headers,
                ..post("/sagas/payment", &body)
            },
        )
        .await
        .1;
        assert_eq!(
            (
                refused.status,
                refused.json()["code"].as_str(),
                refused.header(accept.0)
            ),
            (415, Some("unsupported-media-type"), Some(accept.1)),
            "{headers:?}: {refused:?}"
        );
        assert!(
            refused.json()["detail"].as_str().unwrap().contains(said),
            "{headers:?}: {refused:?}"
        );
    }
    // Bytes that are compressed are no text, and the reason is not that.
    let mut event = Call {
        headers: &[JSON, ("content-encoding", "gzip")],
        ..post("/sagas/payment", "H4sIAAAA/w==")
    }
    .event();
    event["isBase64Encoded"] = json!(true);
    let refused = API.invoke(&world, event).await;
    assert_eq!(
        (refused.status, refused.json()["code"].as_str()),
        (415, Some("unsupported-media-type")),
        "{refused:?}"
    );
    assert!(world.aws.outbox_is_empty());
    for headers in [
        &[("content-type", "Application/JSON")][..],
        &[("content-type", "application/json;charset=UTF-8")],
        &[("content-type", "application/json; charset=\"utf-8\"; x=y")],
        &[("content-type", "application/json; charset=utf8")],
        &[JSON, ("content-encoding", "identity")],
        &[JSON, ("content-encoding", "")],
    ] {
        let taken = outcome(
            &world,
            Call {
                headers,
                ..post("/sagas/payment", &body)
            },
        )
        .await
        .1;
        assert_eq!(taken.status, 201, "{headers:?}: {taken:?}");
    }
    // No body is not encoded, whatever is said of it.
    let saga = start_with(&world, &[]).await.1;
    let cancel = format!("/sagas/{}/cancel", saga["saga_id"].as_str().unwrap());
    let call = Call {
        headers: &[("content-encoding", "gzip")],
        ..post(&cancel, "")
    };
    assert_eq!(outcome(&world, call).await.1.status, 202);
}

/// What is said where nobody reads it would go unseen: a key in the query starts a saga for each request.
#[tokio::test]
async fn a_query_is_refused_where_none_is_read() {
    let world = World::default();
    let body = order("1");
    let saga = start_with(&world, &[]).await.1;
    let path = format!("/sagas/{}", saga["saga_id"].as_str().unwrap());
    let before = world.aws.outbox();
    for (call, query) in [
        (post("/sagas/payment", &body), "key=k"),
        (post("/sagas/payment", &body), "Idempotency-Key="),
        (get(&path), "fields=status"),
        (post(&format!("{path}/cancel"), ""), "reason=r"),
        (
            post(
                &format!("{path}/resolve"),
                r#"{"to":"cancelled","reason":"r","by":"b"}"#,
            ),
            "force",
        ),
        (
            post(
                &format!("{path}/steps/payment/answer"),
                r#"{"decision":"accepted","reason":"r","by":"b"}"#,
            ),
            "reason=r",
        ),
    ] {
        let path = format!("{}?{query}", call.path);
        let refused = outcome(&world, Call { path: &path, ..call }).await.1;
        assert_eq!(
            (refused.status, refused.json()["code"].as_str()),
            (400, Some("invalid-request")),
            "{path}"
        );
    }
    assert_eq!(world.aws.outbox(), before);
    for page in [
        "/health?from=a-monitor",
        "/openapi.json?v=1",
        "/problems/too-late?x",
    ] {
        assert_eq!(answer(&world, get(page)).await.status, 200, "{page}");
    }
}

/// Times that RFC 3339 has, and the bounds of what is kept are no bounds of what may be asked.
#[tokio::test]
async fn a_list_begins_at_any_time_that_there_is() {
    let world = World::default();
    for (since, status) in [
        ("9999-12-31T23:59:59Z", 200),
        ("0001-01-01T00:00:00Z", 200),
        ("2026-11-21T00:00:00.1234567890123Z", 200),
        ("2026-11-21t00:00:00z", 200),
        ("2026-11-21T00:00:00%2B23:59", 200),
        ("2026-11-21T00:00:00%2B25:59", 400),
        ("2026-11-21T00:00:00-24:00", 400),
        ("2026-11-21T00:00:00", 400),
    ] {
        let path = format!("/sagas?since={since}");
        assert_eq!(outcome(&world, get(&path)).await.1.status, status, "{since}");
    }
}

#[tokio::test]
async fn an_answer_holds_no_internals() {
    let world = broken(Fault::FailBefore);
    for call in [get("/sagas"), post("/sagas/payment", &order("1"))] {
        let answer = answer(&world, call).await;
        for inner in ["injected", "SagaStore", "::"] {
            assert!(!answer.body.contains(inner), "{}", answer.body);
        }
    }
}

#[tokio::test]
async fn what_an_answer_refers_to_is_there_wherever_the_functions_url_is_and_however_deep_the_request() {
    let world = World::default();
    for path in [
        "/nowhere",
        "/nowhere/",
        "/no/where?a=/b/c",
        "/sagas/x/y/z/",
        "/sagas//cancel",
        "/sagas/a%2Fb/cancel",
        "/",
        "/sagas?limit=/../x",
    ] {
        let answer = answer(&world, get(path)).await;
        assert!((400..500).contains(&answer.status), "{path}");
        let there = references(path, &answer).remove(0);
        assert_eq!(
            there,
            format!("/problems/{}", answer.json()["code"].as_str().unwrap()),
            "{path}"
        );
    }
    for path in ["/sagas/payment", "/sagas/payment/"] {
        let answer = answer(&world, post(path, &order("100"))).await;
        assert_eq!(answer.status, 201);
        let saga = answer.json()["saga_id"].as_str().unwrap().to_owned();
        assert_eq!(references(path, &answer), [format!("/sagas/{saga}")]);
    }
}

#[tokio::test]
async fn the_address_of_a_problem_leads_to_its_page() {
    let world = World::default();
    for code in Code::ALL {
        let found = answer(&world, get(&format!("/{}", code.path()))).await;
        assert_eq!(
            (found.status, found.header("content-type")),
            (200, Some("text/markdown; charset=utf-8"))
        );
        assert!(
            found.body.starts_with(&format!("# {}\n", code.as_str())),
            "{}",
            found.body
        );
    }
}

/// The lines of the commands in a saga's timeline.
fn commands(saga: &Value) -> Vec<&Value> {
    let lines = saga["timeline"].as_array().unwrap().iter();
    lines
        .filter(|line| line["verb"] == "cancel" || line["verb"] == "resolve")
        .collect()
}

const ARN: &str = "arn:aws:iam::123456789012:user/ops";

#[tokio::test]
async fn who_signed_a_command_is_in_the_timeline_beside_who_they_say_they_are() {
    let world = World::default();
    let started = outcome(&world, post("/sagas/payment", &order("1")))
        .await
        .1
        .json();
    let path = format!("/sagas/{}", started["saga_id"].as_str().unwrap());
    let (cancel, resolve) = (format!("{path}/cancel"), format!("{path}/resolve"));
    let signed = |call| Call {
        signed_by: Some(ARN),
        ..call
    };
    outcome(&world, signed(post(&cancel, r#"{"reason":"too dear"}"#))).await;
    let end = r#"{"to":"cancelled","reason":"agreed","by":"arn:aws:iam::123456789012:user/boss"}"#;
    let saga = outcome(&world, signed(post(&resolve, end))).await.1.json();
    let lines = commands(&saga);
    assert_eq!(lines.len(), 2, "{saga}");
    assert!(lines.iter().all(|line| line["caller"] == ARN), "{saga}");
    assert_eq!(lines[0]["note"], "caller: too dear");
    assert_eq!(lines[1]["note"], "arn:aws:iam::123456789012:user/boss: agreed");
}

#[tokio::test]
async fn without_a_signature_there_is_no_caller_whatever_the_request_says() {
    let world = World::default();
    let started = outcome(&world, post("/sagas/payment", &order("1")))
        .await
        .1
        .json();
    let path = format!("/sagas/{}/resolve", started["saga_id"].as_str().unwrap());
    let end = format!(r#"{{"to":"cancelled","reason":"r","by":"{ARN}"}}"#);
    let headers = [
        JSON,
        ("x-amzn-iam-user-arn", ARN),
        ("authorization", "AWS4-HMAC-SHA256 Credential=x"),
    ];
    let call = Call {
        headers: &headers,
        ..post(&path, &end)
    };
    let saga = outcome(&world, call).await.1.json();
    assert!(
        commands(&saga).iter().all(|line| line.get("caller").is_none()),
        "{saga}"
    );
    // As a field it is refused.
    let posing = r#"{"to":"cancelled","reason":"r","by":"b","caller":"arn:aws:iam::1:root"}"#;
    assert_eq!(answer(&world, post(&path, posing)).await.status, 400);
}

#[tokio::test]
async fn an_identity_is_bounded() {
    let world = World::default();
    let started = outcome(&world, post("/sagas/payment", &order("1")))
        .await
        .1
        .json();
    let path = format!("/sagas/{}/cancel", started["saga_id"].as_str().unwrap());
    let long = format!("{ARN}{}", "ä".repeat(10_000));
    let call = Call {
        signed_by: Some(&long),
        ..post(&path, "")
    };
    let saga = outcome(&world, call).await.1.json();
    let kept = commands(&saga)[0]["caller"].as_str().unwrap().chars().count();
    assert_eq!(kept, Caller::MAX_CHARS);
    let nobody = Call {
        signed_by: Some(""),
        ..post(&path, "")
    };
    assert_eq!(outcome(&world, nobody).await.1.status, 202);
}

/// Lambda joins what is sent twice with a comma. Of two keys none is meant, and nothing is stored.
#[tokio::test]
async fn an_idempotency_key_is_one_key_in_either_form() {
    let world = World::default();
    let body = order("100");
    for key in [
        "k1,k2",
        "k,k",
        "k, k",
        ",",
        "\"k\",\"k\"",
        "\"k",
        "k\"",
        "\"\"",
        "\"a\\k\"",
        "\"k\" ;a",
    ] {
        let headers = [JSON, ("idempotency-key", key)];
        let call = Call {
            headers: &headers,
            ..post("/sagas/payment", &body)
        };
        assert_eq!(
            outcome(&world, call).await.0,
            "POST /sagas/{saga} 400 invalid-request",
            "{key}"
        );
    }
    assert_eq!(world.aws.list(None, None, 10).await.unwrap(), []);
    let mut ids = BTreeSet::new();
    for key in ["order-1", "\"order-1\""] {
        let headers = [JSON, ("idempotency-key", key)];
        let call = Call {
            headers: &headers,
            ..post("/sagas/payment", &body)
        };
        ids.insert(
            outcome(&world, call).await.1.json()["saga_id"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
    }
    assert_eq!(ids.len(), 1);
    let key: saga_core::ids::IdempotencyKey = "\"a,\\\"b\\\\\"".parse().unwrap();
    assert_eq!(key.as_str(), "a,\"b\\");
}
