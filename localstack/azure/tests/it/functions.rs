//! The Functions host. The custom handler is this test program itself, started on one ignored test.

use std::net::Ipv4Addr;

use axum::{
    Json, Router,
    body::Bytes,
    extract::Request,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::bench::{Bench, Client, until};

/// The handler: answers as the message says and notes every invocation in `seen.jsonl`.
#[tokio::test]
#[ignore = "this is the custom handler of the other tests, not a test"]
async fn handler() {
    #[allow(
        clippy::disallowed_methods,
        reason = "a handler gets its port from the host through the environment"
    )]
    let port = std::env::var("FUNCTIONS_CUSTOMHANDLER_PORT")
        .unwrap()
        .parse()
        .unwrap();
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .unwrap();
    axum::serve(listener, Router::new().fallback(invoked))
        .await
        .unwrap();
}

async fn invoked(request: Request) -> Response {
    let (path, headers) = (request.uri().path().to_owned(), request.headers().clone());
    let body: Bytes = axum::body::to_bytes(request.into_body(), usize::MAX)
        .await
        .unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let mut line = json!({"path": path, "id": headers["x-azure-functions-invocationid"].to_str().unwrap(), "body": body});
    line["pid"] = std::process::id().into();
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open("seen.jsonl")
        .unwrap();
    std::io::Write::write_all(&mut file, format!("{line}\n").as_bytes()).unwrap();
    let once: Value = serde_json::from_str(body["Data"]["event"].as_str().unwrap_or("null")).unwrap();
    match once.as_str() {
        Some("fail") => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Some("empty") => StatusCode::OK.into_response(),
        Some("crash once") if body["Metadata"]["DequeueCount"] == "1" => std::process::exit(3),
        _ => Json(json!({"Outputs": {}, "Logs": ["done"], "ReturnValue": null})).into_response(),
    }
}

async fn start(bench: &mut Bench) -> (saga_azure_standin::StandIn, Client) {
    let app = bench.path().join("app");
    let write = |path: &str, content: Value| {
        let file = app.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content.to_string()).unwrap();
    };
    let arguments = ["--exact", "functions::handler", "--ignored", "--nocapture"];
    let description =
        json!({"defaultExecutablePath": std::env::current_exe().unwrap(), "arguments": arguments});
    write(
        "host.json",
        json!({"version": "2.0", "customHandler": {"description": description}}),
    );
    let queue = json!({"type": "queueTrigger", "direction": "in", "name": "event", "queueName": "%QUEUE%", "connection": "Store"});
    write("SagaEvents/function.json", json!({"bindings": [queue]}));
    let timer =
        json!({"type": "timerTrigger", "direction": "in", "name": "timer", "schedule": "* * * * * *"});
    write("Sweep/function.json", json!({"bindings": [timer]}));
    std::fs::write(bench.path().join("endpoints.json"), r#"{"api": "kept"}"#).unwrap();
    bench.config["endpoints_file"] = bench.path().join("endpoints.json").to_str().into();
    bench.config["functions"] =
        json!({"app_dir": app, "app_settings": {"QUEUE": "saga-events", "Store": "x"}});
    let (stand_in, client) = bench.start().await;
    until(async || (client.status().await["ready"] == true).then_some(())).await;
    (stand_in, client)
}

fn seen(bench: &Bench, path: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(bench.path().join("app/seen.jsonl")).unwrap_or_default();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["path"] == path).collect()
}

async fn line(client: &Client, function: usize) -> Value {
    client.status().await["functions"][function].clone()
}

fn alive(pid: &Value) -> bool {
    let script = format!("kill -0 {pid} 2>/dev/null");
    std::process::Command::new("/bin/sh")
        .args(["-c", &script])
        .status()
        .unwrap()
        .success()
}

#[tokio::test]
async fn a_message_is_invoked_once_and_deleted() {
    let mut bench = Bench::new(true).await;
    let (stand_in, client) = start(&mut bench).await;
    bench
        .storage
        .put("saga-events", &STANDARD.encode(r#"{"id":"e1"}"#));
    until(async || bench.storage.queue("saga-events").is_empty().then_some(())).await;
    let seen = seen(&bench, "/SagaEvents");
    assert_eq!(seen.len(), 1);
    let body = &seen[0]["body"];
    assert_eq!(body["Data"]["event"], r#""{\"id\":\"e1\"}""#);
    assert_eq!(body["Metadata"]["DequeueCount"], "1");
    assert_eq!(body["Metadata"]["sys"]["MethodName"], "SagaEvents");
    assert_eq!(seen[0]["id"].as_str().unwrap().len(), 36);
    let expected = json!({"name": "SagaEvents", "invocations": 1, "failures": 0, "poisoned": 0});
    assert_eq!(line(&client, 0).await, expected);
    stand_in.stop().await;
}

#[tokio::test]
async fn a_message_that_always_fails_is_tried_five_times_and_is_poison_then() {
    let mut bench = Bench::new(true).await;
    let (stand_in, client) = start(&mut bench).await;
    let texts = [
        STANDARD.encode("fail"),
        STANDARD.encode("empty"),
        "not base64!".to_owned(),
    ];
    for text in &texts {
        bench.storage.put("saga-events", text);
    }
    until(async || (line(&client, 0).await["poisoned"] == 3).then_some(())).await;
    until(async || bench.storage.queue("saga-events").is_empty().then_some(())).await;
    let mut poison = bench.storage.queue("saga-events-poison");
    poison.sort_unstable();
    let mut expected = texts.to_vec();
    expected.sort_unstable();
    assert_eq!(poison, expected);
    assert_eq!(seen(&bench, "/SagaEvents").len(), 10);
    stand_in.stop().await;
}

#[tokio::test]
async fn a_handler_that_dies_is_started_again_and_costs_one_try() {
    let mut bench = Bench::new(true).await;
    let (stand_in, client) = start(&mut bench).await;
    let pid = |bench: &Bench| {
        let text = std::fs::read(bench.path().join("endpoints.json")).unwrap();
        let content: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(content["api"], "kept");
        content["pids"]["azure_participant"].clone()
    };
    let first = pid(&bench);
    bench.storage.put("saga-events", &STANDARD.encode("crash once"));
    until(async || bench.storage.queue("saga-events").is_empty().then_some(())).await;
    let tries: Vec<Value> = seen(&bench, "/SagaEvents")
        .iter()
        .map(|line| line["pid"].clone())
        .collect();
    assert_eq!(tries.len(), 2);
    assert_eq!(tries[0], first);
    assert_eq!(tries[1], pid(&bench));
    let status = client.status().await;
    assert_eq!(status["handler"], json!({"pid": pid(&bench), "restarts": 1}));
    assert!(alive(&tries[1]));
    stand_in.stop().await;
    assert!(!alive(&tries[1]), "the handler ends with its host");
}

#[tokio::test]
async fn a_timer_comes_with_its_schedule() {
    let mut bench = Bench::new(true).await;
    let (stand_in, _client) = start(&mut bench).await;
    // On a busy machine some come late, and say so.
    let on_time = |line: &Value| line["body"]["Data"]["timer"]["IsPastDue"] == false;
    until(async || {
        let seen = seen(&bench, "/Sweep");
        (seen.len() >= 2 && seen.iter().any(on_time)).then_some(())
    })
    .await;
    stand_in.stop().await;
}
