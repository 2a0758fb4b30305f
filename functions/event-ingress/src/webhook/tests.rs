//! What the webhook answers, what it passes on, and what it keeps.

use std::sync::Mutex;

use lambda_http::http::HeaderValue;
use saga_app::ports::{Alert, Definitions, Envelope, Limits, PortError, Published, Quarantined, Refusal};
use saga_core::{Catalogue, Definition, DefinitionRef};
use saga_wire::cloud_event;
use saga_wire::definitions::parse;
use saga_wire::json::holds_what_sqs_refuses;
use saga_wire::saga_event::SagaEvent;
use serde_json::{Value, json};

use super::*;
use crate::token::tests::{Clock, Issuer};

const ORIGIN: &str = "eventgrid.azure.net";
const SAGA: &str = "4a3c1d70-9f52-8b11-a0de-5b1e0c7f2d93";

/// A message in the quarantine.
#[derive(Debug, Clone, PartialEq)]
struct Kept {
    reason: String,
    headers: Headers,
    body: Vec<u8>,
}

/// The bus, the quarantine and the monitoring channel. What names one of these fails there.
#[derive(Default)]
struct Carriers {
    published: Mutex<Vec<Envelope>>,
    kept: Mutex<Vec<Kept>>,
    alerts: Mutex<Vec<Alert>>,
}

fn failure(what: &'static str) -> PortError {
    PortError::unavailable(what, "on purpose")
}

impl Publisher for Carriers {
    const LIMITS: Limits = Limits {
        events: 2,
        bytes: 240 * 1024,
    };

    async fn publish(&self, events: &[&Envelope]) -> Result<Vec<Published>, PortError> {
        let answer = |event: &&Envelope| {
            if event.body.contains("never") {
                return Err(Refusal::Never("MalformedDetail".to_owned()));
            }
            if event.body.contains("later") {
                return Err(Refusal::Later("InternalFailure".to_owned()));
            }
            self.published.lock().unwrap().push((*event).clone());
            Ok(())
        };
        Ok(events.iter().map(answer).collect())
    }
}

impl Definitions for Carriers {
    async fn stored_definition(&self, reference: &DefinitionRef) -> Result<Option<Definition>, PortError> {
        match reference.name.as_str() {
            "unreachable" => Err(failure("the definitions")),
            _ => Ok(None),
        }
    }

    async fn keep_definition(&self, _: &Definition) -> Result<Definition, PortError> {
        panic!("the webhook may not write")
    }
}

impl DefinitionNames for Carriers {
    async fn definition_names(&self) -> Result<Vec<DefinitionRef>, PortError> {
        Ok(Vec::new())
    }
}

impl Quarantine for Carriers {
    async fn keep(&self, message: Quarantined<'_>) -> Result<(), PortError> {
        if String::from_utf8_lossy(message.body).contains("cannot be kept") {
            return Err(failure("the quarantine"));
        }
        self.kept.lock().unwrap().push(Kept {
            reason: message.reason.to_owned(),
            headers: message.headers.clone(),
            body: message.body.to_vec(),
        });
        Ok(())
    }
}

impl Alerts for Carriers {
    async fn raise(&self, alert: Alert) -> Result<(), PortError> {
        if alert.text.contains("cannot be told") {
            return Err(failure("the monitoring channel"));
        }
        self.alerts.lock().unwrap().push(alert);
        Ok(())
    }
}

struct Bench {
    deployment: Deployment,
    carriers: Carriers,
    clock: Clock,
    guard: Guard,
    token: String,
}

impl Bench {
    async fn start() -> Self {
        let issuer = Issuer::start().await;
        let token = format!("Bearer {}", issuer.token(json!({})));
        let mut deployment = Deployment::load(&Default::default(), Default::default(), 16).unwrap();
        let payment = include_str!("../../../../tests/definitions/payment.toml");
        deployment.catalogue = Catalogue::new([parse(payment).unwrap()]).unwrap();
        Self {
            deployment,
            carriers: Carriers::default(),
            clock: issuer.clock,
            guard: issuer.guard,
            token,
        }
    }

    async fn answer(self, requests: Vec<Request>) -> (Vec<Response<Body>>, Carriers) {
        let carriers = self.carriers;
        let webhook = Webhook {
            deployment: &self.deployment,
            ports: Ports {
                definitions: &carriers,
                bus: &carriers,
                quarantine: &carriers,
                alerts: &carriers,
                time: &self.clock,
            },
            guard: self.guard,
            allowed_origin: ORIGIN.to_owned(),
        };
        let mut answers = Vec::new();
        for request in requests {
            answers.push(webhook.answer(&request).await);
        }
        (answers, carriers)
    }

    /// Delivers a body with these headers, and gives status, answer, and what has left.
    async fn deliver(self, headers: &[(&'static str, &[u8])], body: &[u8]) -> (u16, Value, Carriers) {
        let mut request = Request::new(Body::from(body.to_vec()));
        *request.method_mut() = Method::POST;
        let token = HeaderValue::from_str(&self.token).unwrap();
        request.headers_mut().insert("authorization", token);
        for (name, value) in headers {
            let value = HeaderValue::from_bytes(value).unwrap();
            request.headers_mut().append(*name, value);
        }
        let (mut answers, carriers) = self.answer(vec![request]).await;
        let answer = answers.remove(0);
        let body = serde_json::from_slice(answer.body()).unwrap_or_default();
        (answer.status().as_u16(), body, carriers)
    }
}

fn request(method: &str, headers: &[(&'static str, &str)]) -> Request {
    let mut request = Request::new(Body::Empty);
    *request.method_mut() = method.parse().unwrap();
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    request
}

/// Another publisher's compensation.
fn compensation(id: &str, reason: &str) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "/team", "type": "PaymentCompensationRequested",
        "data": { "saga_id": SAGA, "order_id": "o-1", "reason": reason },
    })
}

fn header<'a>(answer: &'a Response<Body>, name: &str) -> Option<&'a str> {
    answer.headers().get(name).map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn only_the_configured_origin_passes_the_handshake() {
    let from = |origins: &[&str]| {
        let headers: Vec<_> = origins
            .iter()
            .map(|origin| ("webhook-request-origin", *origin))
            .collect();
        request("OPTIONS", &headers)
    };
    let good = [from(&[ORIGIN]), from(&["EventGrid.Azure.NET"])];
    let bad = [
        from(&[]),
        from(&[""]),
        from(&["evil.example"]),
        from(&["eventgrid.azure.net.evil.example"]),
        from(&["evil.eventgrid.azure.net"]),
        from(&["*"]),
        from(&["eventgrid.azure.net,evil.example"]),
        from(&[" eventgrid.azure.net"]),
        from(&[ORIGIN, "evil.example"]),
        from(&["evil.example", ORIGIN]),
        request("OPTIONS", &[("origin", ORIGIN)]),
    ];
    let count = good.len();
    let (answers, _) = Bench::start()
        .await
        .answer(good.into_iter().chain(bad).collect())
        .await;
    for answer in &answers[..count] {
        assert_eq!(answer.status(), 200);
        assert_eq!(header(answer, "webhook-allowed-origin"), Some(ORIGIN));
        assert_eq!(header(answer, "webhook-allowed-rate"), Some(RATE));
        assert_eq!(header(answer, "allow"), Some("POST"));
    }
    for answer in &answers[count..] {
        assert_eq!(answer.status(), 403);
        assert_eq!(header(answer, "webhook-allowed-origin"), None);
    }
}

#[tokio::test]
async fn another_method_is_answered_with_those_that_are_possible() {
    let methods = ["GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"];
    let requests = methods.map(|method| request(method, &[("webhook-request-origin", ORIGIN)]));
    let (answers, _) = Bench::start().await.answer(requests.into()).await;
    for answer in answers {
        assert_eq!(answer.status(), 405);
        assert_eq!(header(&answer, "allow"), Some("OPTIONS, POST"));
    }
}

#[tokio::test]
async fn nothing_is_done_without_a_token() {
    let mut delivery = request("POST", &[]);
    *delivery.body_mut() = Body::from(compensation("e-1", "x").to_string());
    let (answers, carriers) = Bench::start().await.answer(vec![delivery]).await;
    assert_eq!(answers[0].status(), 401);
    assert_eq!(answers[0].headers()["www-authenticate"], "Bearer");
    assert!(carriers.published.lock().unwrap().is_empty() && carriers.kept.lock().unwrap().is_empty());
}

#[tokio::test]
async fn bytes_that_no_store_takes_as_text_hold_up_no_neighbour() {
    let bad = format!(
        r#"{{"specversion":"1.0","id":"b","source":"/x","type":"Odd{}"}}"#,
        "\u{ffff}\u{fffe}"
    );
    let good = compensation("e-1", "\u{fffe}\u{ffff}\u{2028}");
    let body = format!("[{bad},{good}]");
    let (status, answer, carriers) = Bench::start().await.deliver(&[], body.as_bytes()).await;
    assert_eq!(
        (status, answer),
        (200, json!({ "admitted": 1, "quarantined": 1 }))
    );
    assert_eq!(carriers.kept.lock().unwrap()[0].body, bad.as_bytes());
    let published = carriers.published.lock().unwrap();
    assert!(!published[0].body.contains(['\u{fffe}', '\u{ffff}', '\u{2028}']));
    assert!(
        !holds_what_sqs_refuses(&published[0].body),
        "also when a carrier writes it anew"
    );
    let Ok(SagaEvent::Outside(event)) = cloud_event::parse(&published[0].body) else {
        panic!("{}", published[0].body)
    };
    assert_eq!(event.data["reason"].as_text(), Some("\u{fffe}\u{ffff}\u{2028}"));
}

#[tokio::test]
async fn an_event_whose_definition_cannot_be_looked_up_comes_again_and_holds_up_no_neighbour() {
    let ours = |definition: &str| {
        json!({
            "specversion": "1.0", "id": "e-0", "source": "saga.participant.azure", "type": "InventoryReserved",
            "sagaid": SAGA, "sagadef": definition, "sagaver": 1, "sagastep": 2, "sagaverb": "complete",
            "sagatarget": "aws", "sagaorigin": "azure", "sagahop": 2, "data": {},
        })
    };
    for (definition, status) in [("unreachable", 503), ("nowhere", 200), ("payment", 200)] {
        let events = json!([ours(definition), compensation("e-1", "x")]).to_string();
        let (answered, _, carriers) = Bench::start().await.deliver(&[], events.as_bytes()).await;
        assert_eq!(answered, status, "{definition}");
        let published = carriers.published.lock().unwrap();
        let good = published.iter().filter(|row| row.id.as_str() == "e-1").count();
        assert_eq!(good, 1, "{definition}");
        let kept = carriers.kept.lock().unwrap().len();
        assert_eq!(kept, usize::from(definition == "nowhere"), "{definition}");
    }
}

fn alert(id: &str, text: &str) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "saga.participant.azure", "type": "SagaAlertRaised", "sagatarget": "aws",
        "data": { "subject": "s", "text": text },
    })
}

#[tokio::test]
async fn whatever_one_event_fails_at_the_others_go_their_way() {
    let events = json!([
        { "odd": "cannot be kept" }, compensation("e-1", "later"), compensation("e-2", "x"), { "odd": 2 },
        compensation("e-3", "x"), compensation("e-4", "never"), compensation("e-5", "x"),
        alert("a-1", "cannot be told"), alert("a-2", "t"),
    ]);
    let (status, _, carriers) = Bench::start()
        .await
        .deliver(&[], events.to_string().as_bytes())
        .await;
    assert_eq!(status, 503, "some of them have to come again");
    let published: Vec<_> = carriers
        .published
        .lock()
        .unwrap()
        .iter()
        .map(|row| row.id.to_string())
        .collect();
    assert_eq!(published, ["e-2", "e-3", "e-5"]);
    let kept = carriers.kept.lock().unwrap();
    assert_eq!(kept.len(), 2);
    assert_eq!(kept[0].body, br#"{"odd":2}"#);
    assert_eq!(kept[1].reason, "the bus refuses it for good: MalformedDetail");
    let never: Value = serde_json::from_slice(&kept[1].body).unwrap();
    assert_eq!(never, compensation("e-4", "never"), "as it came");
    assert_eq!(carriers.alerts.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_alert_of_azures_counts_as_an_event_that_was_taken() {
    let body = json!([alert("a-1", "t"), compensation("e-1", "x")]).to_string();
    let (status, answer, carriers) = Bench::start().await.deliver(&[], body.as_bytes()).await;
    assert_eq!(
        (status, answer),
        (200, json!({ "admitted": 2, "quarantined": 0 }))
    );
    assert_eq!(carriers.alerts.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_event_that_the_bus_will_never_take_is_quarantined_and_acknowledged() {
    let body = compensation("e-1", "never").to_string();
    let (status, answer, carriers) = Bench::start().await.deliver(&[], body.as_bytes()).await;
    assert_eq!(
        (status, answer),
        (200, json!({ "admitted": 0, "quarantined": 1 }))
    );
    assert_eq!(carriers.kept.lock().unwrap()[0].body, body.as_bytes());
}

#[tokio::test]
async fn the_end_of_a_subscription_is_acknowledged_and_nothing_else() {
    const TYPE: &str = "Microsoft.EventGrid.SubscriptionDeletedEvent";
    let data = json!({ "eventSubscriptionId": "/subscriptions/1/providers/Microsoft.EventGrid/eventSubscriptions/to-aws" });
    let cloud = json!({
        "specversion": "1.0", "id": "d", "source": "/subscriptions/1", "subject": "", "type": TYPE,
        "time": "2026-11-21T02:00:00Z", "data": data,
    });
    let own = json!({
        "id": "d", "topic": "/subscriptions/1", "subject": "", "eventType": TYPE, "eventTime": "2026-11-21T02:00:00Z",
        "data": data, "dataVersion": "1", "metadataVersion": "1",
    });
    for body in [cloud.clone(), json!([cloud]), own.clone(), json!([own])] {
        let (status, answer, carriers) = Bench::start()
            .await
            .deliver(&[], body.to_string().as_bytes())
            .await;
        assert_eq!(
            (status, answer),
            (200, json!({ "admitted": 0, "quarantined": 0 })),
            "{body}"
        );
        assert!(carriers.kept.lock().unwrap().is_empty() && carriers.published.lock().unwrap().is_empty());
    }
    // One that only speaks of it in another schema's attribute is none.
    let mut odd = compensation("e-1", "x");
    odd["eventType"] = TYPE.into();
    let (_, answer, _) = Bench::start()
        .await
        .deliver(&[], odd.to_string().as_bytes())
        .await;
    assert_eq!(answer, json!({ "admitted": 1, "quarantined": 0 }));
}

#[tokio::test]
async fn what_cannot_be_read_is_kept_byte_for_byte_with_the_headers_that_say_what_it_is() {
    let headers: &[(&str, &[u8])] = &[
        ("content-type", b"application/json; charset=utf-16"),
        ("content-encoding", b"identity"),
        ("ce-specversion", b"1.0"),
        ("ce-type", b"PaymentCompensationRequested"),
        ("ce-source", "/tëam".as_bytes()),
        ("ce-id", b"1"),
        ("ce-id", b"2"),
        ("x-forwarded-for", b"203.0.113.9"),
        ("cookie", b"secret"),
    ];
    let expected: Headers = [
        ("content-type", "application/json; charset=utf-16"),
        ("content-encoding", "identity"),
        ("ce-specversion", "1.0"),
        ("ce-type", "PaymentCompensationRequested"),
        ("ce-source", "/tëam"),
        ("ce-id", "1, 2"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let utf16: Vec<u8> = compensation("e-1", "x")
        .to_string()
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let data = format!(r#" {{"saga_id":"{SAGA}","order_id":"o-1"}}"#);
    for body in [
        &utf16[..],
        &[0x1f, 0x8b, 0xff],
        data.as_bytes(),
        b"",
        b"no JSON",
        b"{\"a\":\xff}",
    ] {
        let (status, answer, carriers) = Bench::start().await.deliver(headers, body).await;
        assert_eq!(
            (status, answer),
            (200, json!({ "admitted": 0, "quarantined": 1 }))
        );
        let kept = carriers.kept.lock().unwrap();
        assert_eq!((&kept[0].headers, &kept[0].body[..]), (&expected, body));
        assert!(!kept[0].reason.contains('\u{fffd}'), "{}", kept[0].reason);
    }
}

#[tokio::test]
async fn headers_take_a_bounded_room_beside_a_body() {
    let value = "x".repeat(7_000);
    let headers: &[(&str, &[u8])] = &[
        ("ce-a", value.as_bytes()),
        ("ce-b", value.as_bytes()),
        ("ce-c", b"c"),
    ];
    let (_, _, carriers) = Bench::start().await.deliver(headers, b"no JSON").await;
    let kept = &carriers.kept.lock().unwrap()[0].headers;
    assert_eq!(kept.len(), 3);
    assert!(kept.values().map(String::len).sum::<usize>() < MAX_HEADERS);
    assert!(kept.values().any(|value| value == "(7000 bytes)"), "{kept:?}");
}

#[tokio::test]
async fn a_body_of_up_to_one_mebibyte_is_read() {
    let (status, _, carriers) = Bench::start().await.deliver(&[], &vec![0xff; MAX_BODY]).await;
    assert_eq!(
        (status, carriers.kept.lock().unwrap()[0].body.len()),
        (200, MAX_BODY)
    );
    let (status, _, carriers) = Bench::start().await.deliver(&[], &vec![b' '; MAX_BODY + 1]).await;
    assert_eq!((status, carriers.kept.lock().unwrap().len()), (413, 0));
}
