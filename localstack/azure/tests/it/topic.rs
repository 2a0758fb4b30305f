//! Publishing and delivering.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::hmac;
use serde_json::{Value, json};

use crate::bench::{Bench, KEY, event, until};

const ONE: &str = "application/cloudevents+json";

#[tokio::test]
async fn a_publisher_needs_the_key_or_a_token_for_event_grid() {
    let bench = Bench::new(true).await;
    let (_stand_in, client) = bench.start().await;
    let body = || event("1", "Any", "aws").to_string();

    let answer = client.post(ONE, body(), |request| request).await;
    assert_eq!(answer.status(), 401);
    let error: Value = answer.json().await.unwrap();
    assert_eq!(error["error"]["code"], "Unauthorized");
    assert_eq!(
        client
            .post(ONE, body(), |r| r.header("aeg-sas-key", "wrong"))
            .await
            .status(),
        401
    );
    assert_eq!(
        client
            .post(ONE, body(), |r| r.bearer_auth("a.b.c"))
            .await
            .status(),
        401
    );
    for (scope, status) in [
        ("https://eventgrid.azure.net/.default", 200),
        ("api://in/.default", 401),
    ] {
        let token = client.token(scope).await;
        assert_eq!(
            client.post(ONE, body(), |r| r.bearer_auth(token)).await.status(),
            status,
            "{scope}"
        );
    }
}

#[tokio::test]
async fn a_signature_with_the_key_is_as_good_as_the_key() {
    let bench = Bench::new(true).await;
    let (_stand_in, client) = bench.start().await;
    let status = async |change: &dyn Fn(reqwest::RequestBuilder) -> reqwest::RequestBuilder| {
        let answer = client
            .post(ONE, event("1", "Any", "aws").to_string(), change)
            .await;
        answer.status().as_u16()
    };
    let token = |key: &str, year: u32| {
        let resource = client.base.replace(':', "%3A").replace('/', "%2F");
        let text = format!("r={resource}%2Fapi%2Fevents&e=6%2F15%2F{year}+6%3A20%3A15+PM");
        let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(key).unwrap());
        let signature = STANDARD.encode(hmac::sign(&key, text.as_bytes()));
        let signature: String = form_urlencoded::byte_serialize(signature.as_bytes()).collect();
        format!("{text}&s={signature}")
    };
    for (token, expected) in [
        (token(KEY, 2099), 200),
        (token(KEY, 2020), 401),
        (token("b3RoZXI=", 2099), 401),
        (token(KEY, 2099).replace("2099", "2100"), 401),
        (token(KEY, 2099).replace("events", "others"), 401),
        ("nonsense".to_owned(), 401),
    ] {
        let own = status(&|request| request.header("aeg-sas-token", &token)).await;
        let standard =
            status(&|request| request.header("authorization", format!("SharedAccessSignature {token}")))
                .await;
        assert_eq!((own, standard), (expected, expected), "{token}");
    }
    let url = |key: &str| {
        format!(
            "{}/api/events?api-version=2018-01-01&aeg-sas-key={key}",
            client.base
        )
    };
    for (key, expected) in [
        (KEY, 200),
        (&KEY.replace('+', "%2B").replace('=', "%3D"), 200),
        ("other", 401),
        ("", 401),
    ] {
        let request = client.http.post(url(key)).header("content-type", ONE);
        let answer = request
            .body(event("1", "Any", "aws").to_string())
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), expected, "{key}");
    }
}

#[tokio::test]
async fn what_event_grid_refuses_is_refused() {
    let bench = Bench::new(true).await;
    let (_stand_in, client) = bench.start().await;
    let good = event("1", "Any", "aws");
    let envelope = json!({"version": "0", "id": "1", "detail-type": "Any", "source": "s", "detail": good});
    let large =
        json!({"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": "x".repeat(1024 * 1024)});
    for (content_type, body, status) in [
        (ONE, envelope.to_string(), 400),
        ("application/json", good.to_string(), 400),
        (ONE, json!([good]).to_string(), 400),
        (ONE, large.to_string(), 413),
        (
            "application/cloudevents-batch+json",
            json!([good, {"id": "2"}]).to_string(),
            400,
        ),
    ] {
        let answer = client
            .post(content_type, body, |request| request.header("aeg-sas-key", KEY))
            .await;
        assert_eq!(answer.status(), status, "{content_type}");
    }
    let url = format!("{}/api/events", client.base);
    let request = client
        .http
        .post(url)
        .header("aeg-sas-key", KEY)
        .header("content-type", ONE);
    assert_eq!(
        request.body(good.to_string()).send().await.unwrap().status(),
        400,
        "no api-version"
    );
    assert!(bench.webhook.deliveries().is_empty());
}

#[tokio::test]
async fn filters_send_each_event_to_its_destination_as_it_was_published() {
    let bench = Bench::new(true).await;
    let (_stand_in, client) = bench.start().await;
    let text = |target| {
        format!(
            r#"{{"specversion":"1.0","id":"{target}","source":"s","type":"t","sagatarget":"{target}","data":{{"a":10.500}}}}"#
        )
    };
    let batch = format!("[{},{}]", text("azure"), text("aws"));
    let keyed = |request: reqwest::RequestBuilder| request.header("aeg-sas-key", KEY);
    assert_eq!(
        client
            .post("application/cloudevents-batch+json", batch, keyed)
            .await
            .status(),
        200
    );

    client.settled("to-azure", 1).await;
    client.settled("to-aws", 1).await;
    let queued = STANDARD.decode(&bench.storage.queue("saga-events")[0]).unwrap();
    assert_eq!(String::from_utf8(queued).unwrap(), text("azure"));
    assert_eq!(bench.webhook.deliveries()[0].text, text("aws"));
}

#[tokio::test]
async fn nothing_is_delivered_before_the_handshake() {
    let bench = Bench::new(false).await;
    let (_stand_in, client) = bench.start().await;
    client.publish(&event("1", "Any", "aws")).await;
    until(async || (bench.webhook.seen().len() >= 2).then_some(())).await;
    let line = client.status().await["subscriptions"][1].clone();
    assert_eq!(
        line["handshake"],
        "pending: OPTIONS must be answered with 200, was 404"
    );
    assert_eq!(line["pending"], 1);
    assert!(bench.webhook.deliveries().is_empty());

    bench.webhook.open();
    let line = client.settled("to-aws", 1).await;
    assert_eq!(
        (&line["handshake"], &line["delivered"]),
        (&json!("ok"), &json!(1))
    );
    let handshake = &bench.webhook.seen()[0];
    assert_eq!(handshake.method, "OPTIONS");
    assert_eq!(handshake.header("webhook-request-origin"), "eventgrid.azure.net");
    assert!(handshake.header("authorization").starts_with("Bearer "));
    let delivery = &bench.webhook.deliveries()[0];
    for (name, value) in [
        ("content-type", "application/cloudevents+json; charset=utf-8"),
        ("aeg-subscription-name", "TO-AWS"),
        ("aeg-delivery-count", "0"),
        ("authorization", handshake.header("authorization")),
    ] {
        assert_eq!(delivery.header(name), value);
    }
}

#[tokio::test]
async fn a_failure_is_retried_until_the_attempts_are_used_up() {
    let bench = Bench::new(true).await;
    let (_stand_in, client) = bench.start().await;
    client.publish(&event("1", "Status503", "aws")).await;
    let line = client.settled("to-aws", 1).await;
    assert_eq!(line["dead_lettered"], 1);
    let counts: Vec<_> = bench
        .webhook
        .deliveries()
        .iter()
        .map(|d| d.header("aeg-delivery-count").to_owned())
        .collect();
    assert_eq!(counts, ["0", "1", "2"]);

    let (path, text) = bench.storage.blobs().pop_first().unwrap();
    let parts: Vec<&str> = path.split('/').collect();
    assert_eq!((parts[0], parts[1], parts.len()), ("deadletters", "TO-AWS", 7));
    let dead_letter: Value = serde_json::from_str(&text).unwrap();
    assert!(dead_letter[0].get("lastdeliveryattempttime").is_none(), "{text}");
    for (name, value) in [
        ("id", json!("1")),
        ("deadletterreason", json!("MaxDeliveryAttemptsExceeded")),
        ("deliveryattempts", json!(3)),
        ("lastdeliveryoutcome", json!("ServiceUnavailable")),
    ] {
        assert_eq!(dead_letter[0][name], value);
    }
}

#[tokio::test]
async fn a_refusal_goes_to_the_dead_letters_at_once() {
    let bench = Bench::new(true).await;
    let (_stand_in, client) = bench.start().await;
    for status in ["Status400", "Status401", "Status403", "Status413"] {
        client.publish(&event("1", status, "aws")).await;
    }
    // Over what a queue message takes.
    let mut large = event("2", "Any", "azure");
    large["data"] = "x".repeat(60 * 1024).into();
    client.publish(&large).await;
    client.settled("to-aws", 4).await;
    client.settled("to-azure", 1).await;
    assert_eq!(bench.webhook.deliveries().len(), 4);
    assert_eq!(bench.storage.blobs().len(), 5);
}

#[tokio::test]
async fn an_event_that_is_too_old_is_not_tried_again() {
    let mut bench = Bench::new(true).await;
    // One minute, scaled to 60 ms: over during the third pause, long before thirty attempts.
    bench.config["subscriptions"][1]["ttl_minutes"] = 1.into();
    bench.config["subscriptions"][1]["max_attempts"] = 30.into();
    let (_stand_in, client) = bench.start().await;
    client.publish(&event("1", "Status500", "aws")).await;
    client.settled("to-aws", 1).await;
    let (_, text) = bench.storage.blobs().pop_first().unwrap();
    assert!(text.contains("TimeToLiveExceeded"), "{text}");
}

#[tokio::test]
async fn without_a_container_an_undeliverable_event_is_lost() {
    let mut bench = Bench::new(true).await;
    bench.config["subscriptions"][1]["dead_letter_container"] = Value::Null;
    let (_stand_in, client) = bench.start().await;
    client.publish(&event("1", "Status401", "aws")).await;
    assert_eq!(client.settled("to-aws", 1).await["dropped"], 1);
}

#[tokio::test]
async fn a_dead_letter_waits_for_its_container() {
    let mut bench = Bench::new(true).await;
    bench.config["subscriptions"][1]["dead_letter_container"] = "later".into();
    let (_stand_in, client) = bench.start().await;
    client.publish(&event("1", "Status401", "aws")).await;
    until(async || (bench.webhook.deliveries().len() == 1).then_some(())).await;
    bench.storage.create_container("later");
    assert_eq!(client.settled("to-aws", 1).await["dead_lettered"], 1);
    assert_eq!(bench.webhook.deliveries().len(), 1, "it is not delivered again");
}

#[tokio::test]
async fn events_that_hang_do_not_hold_up_the_others() {
    let bench = Bench::new(true).await;
    let (_stand_in, client) = bench.start().await;
    for id in 0..8 {
        client.publish(&event(&format!("hang{id}"), "Hang", "aws")).await;
    }
    for id in 0..100 {
        client.publish(&event(&format!("good{id}"), "Any", "aws")).await;
    }
    until(async || (client.status().await["subscriptions"][1]["delivered"] == 100).then_some(())).await;
}

#[tokio::test]
async fn batches_are_arrays_and_end_together() {
    let mut bench = Bench::new(false).await;
    bench.config["subscriptions"][1]["webhook"]["max_events_per_batch"] = 10.into();
    let (_stand_in, client) = bench.start().await;
    for id in 0..15 {
        client.publish(&event(&format!("{id}"), "Any", "aws")).await;
    }
    bench.webhook.open();
    client.settled("to-aws", 15).await;
    let sizes: Vec<usize> = bench
        .webhook
        .deliveries()
        .iter()
        .map(|d| d.body.as_array().unwrap().len())
        .collect();
    assert_eq!(sizes.iter().sum::<usize>(), 15);
    assert!(sizes.contains(&10) && sizes.len() == 2, "{sizes:?}");
    let delivery = &bench.webhook.deliveries()[0];
    assert_eq!(
        delivery.header("content-type"),
        "application/cloudevents-batch+json; charset=utf-8"
    );
}

#[tokio::test]
async fn event_grids_own_schema_has_its_own_handshake() {
    let mut bench = Bench::new(true).await;
    bench.config["subscriptions"][1]["delivery_schema"] = "EventGridSchema".into();
    let (_stand_in, client) = bench.start().await;
    client.publish(&event("1", "Any", "aws")).await;
    client.settled("to-aws", 1).await;
    let seen = bench.webhook.seen();
    assert_eq!(seen[0].header("aeg-event-type"), "SubscriptionValidation");
    assert_eq!(
        seen[0].body[0]["eventType"],
        "Microsoft.EventGrid.SubscriptionValidationEvent"
    );
    let expected = json!([{
        "id": "1", "topic": "choreography", "subject": "saga/1", "eventType": "Any", "dataVersion": "",
        "metadataVersion": "1", "eventTime": "2026-11-20T10:00:00Z", "data": {"order_id": "o1"},
    }]);
    assert_eq!(bench.webhook.deliveries()[0].body, expected);
}
