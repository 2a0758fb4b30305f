//! What others wrote, where a person reads it: ids show all that they are, and no other text acts on a terminal, reorders
//! what stands beside it, or hides.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

use saga_app::ports::{Alert, SagaStore};
use saga_app::start_saga::NotStarted;
use saga_core::ids::EventId;
use saga_core::mark::{Mark, ParkedMessage};
use saga_core::step::StepState;
use saga_core::text::is_unseen;
use saga_core::timeline::Entry;
use saga_core::{Cloud, Outcome, Saga, SagaId, Status};
use saga_tests::contract::given;
use saga_tests::world::{Message, Place, World};
use saga_wire::inbound::{self, Inbound};
use saga_wire::notice;
use serde_json::{Value, json};

/// Escape sequences of terminals, line breaks, marks that turn the direction, and what shows nothing.
const ACTING: [&str; 14] = [
    "\u{1b}[2J",
    "\u{9b}31m",
    "\u{7}",
    "\u{8}",
    "\r",
    "\u{85}",
    "\u{2028}",
    "\u{202e}",
    "\u{2066}",
    "\u{200f}",
    "\u{61c}",
    "\u{200b}",
    "\u{feff}",
    "\u{e0041}",
];

/// The first character in any text of a JSON value that acts or hides.
fn acts(value: &Value) -> Option<char> {
    let in_text = |text: &str| {
        text.chars()
            .find(|c| *c != ' ' && (c.is_whitespace() || is_unseen(*c)))
    };
    match value {
        Value::String(text) => in_text(text),
        Value::Array(list) => list.iter().find_map(acts),
        Value::Object(fields) => fields
            .iter()
            .find_map(|(name, value)| in_text(name).or(acts(value))),
        _ => None,
    }
}

fn view(world: &World, id: SagaId) -> Value {
    let saga = world.saga(id);
    let definition = world.deployment.catalogue.get(&saga.definition).unwrap();
    serde_json::from_str(&saga_wire::http::saga(&saga, Some(definition))).unwrap()
}

fn alerts(world: &World) -> Vec<Alert> {
    [world.aws.alerts(), world.azure.alerts()].concat()
}

async fn deliver(world: &mut World, event: &Value) {
    let message = Message {
        to: Place::Ingress,
        kind: "theirs".to_owned(),
        body: event.to_string(),
    };
    world.deliver(&message).await.unwrap();
    world.settle().await;
}

fn compensation(saga: SagaId) -> Value {
    json!({
        "specversion": "1.0", "id": "e-1", "source": "/team", "type": "PaymentCompensationRequested",
        "data": {"saga_id": saga.to_string(), "order_id": "order-1", "reason": "stolen"},
    })
}

#[tokio::test]
async fn a_reason_from_outside_is_kept_so_that_it_can_be_shown() {
    for acting in ACTING {
        let mut world = World::default();
        let id = world.start("100").await;
        let mut event = compensation(id);
        event["data"]["reason"] = json!(format!("the card{acting} was stolen"));

        deliver(&mut world, &event).await;

        assert_eq!(world.status(id), Status::CancelledViaCompensation);
        let view = view(&world, id);
        assert_eq!(acts(&view), None, "{acting:?}: {view}");
        let reason = view["reason"].as_str().unwrap();
        assert!(
            reason.starts_with("the card") && reason.ends_with(" was stolen"),
            "{reason}"
        );
        for alert in alerts(&world) {
            assert_eq!(
                acts(&json!([alert.subject, alert.text.replace('\n', " ")])),
                None,
                "{alert:?}"
            );
        }
    }
}

#[tokio::test]
async fn an_event_whose_names_do_not_show_what_they_are_is_quarantined() {
    let ids = ACTING.map(|acting| format!("a{acting}b"));
    let blanks = [
        "a\u{a0}b",
        "a\u{3000}b",
        " a",
        "a ",
        " ",
        "\u{301}a",
        "\u{2800}",
        "\u{3164}",
        "\u{e000}",
    ];
    for odd in ids.iter().map(String::as_str).chain(blanks) {
        for member in ["id", "source", "type"] {
            let mut world = World::default();
            let id = world.start("100").await;
            let mut event = compensation(id);
            event[member] = json!(odd);
            deliver(&mut world, &event).await;
            let kept = world.aws.quarantined();
            assert_eq!(kept.len(), 1, "{member} {odd:?}");
            assert!(
                String::from_utf8_lossy(&kept[0].body).contains("specversion"),
                "{kept:?}"
            );
            assert_eq!(acts(&json!(kept[0].reason)), None, "{kept:?}");
            assert_eq!(world.status(id), Status::Completed);
        }
        // And in Event Grid's own schema.
        let mut world = World::default();
        let id = world.start("100").await;
        let event = json!([{
            "id": odd, "topic": "t", "eventType": "PaymentCompensationRequested", "dataVersion": "1",
            "subject": format!("saga/{id}/x"), "data": {"order_id": "order-1"},
        }]);
        deliver(&mut world, &event).await;
        assert_eq!(world.aws.quarantined().len(), 1, "{odd:?}");
    }
}

/// A saga as it may have been stored before there were rules for what can be seen.
fn stored_long_ago() -> Saga {
    let odd = ACTING.concat();
    let mark = Mark {
        at: given::time(1),
        by: odd.clone(),
        reason: odd.clone(),
    };
    let mut saga = given::saga(7, given::time(0));
    saga.cancel = Some(mark.clone());
    saga.resolved = Some(mark.clone());
    saga.parked = vec![ParkedMessage {
        event: EventId::stored(odd.clone()),
        at: given::time(1),
        reason: odd.clone(),
    }];
    for record in saga.steps.values_mut() {
        record.reason = Some(odd.clone());
    }
    saga.timeline.entries.push(Entry {
        at: given::time(1),
        event: EventId::stored(odd.clone()),
        verb: "compensate".to_owned(),
        step: 0,
        cloud: Cloud::Azure,
        outcome: Outcome::Late,
        note: Some(odd),
        times: 1,
        caller: None,
        unverified: false,
    });
    saga
}

#[tokio::test]
async fn what_was_stored_before_is_read_and_shown_as_safely() {
    let world = World::default();
    let saga = stored_long_ago();
    world.aws.insert(&given::decision(&saga), None).await.unwrap();
    let view = view(&world, saga.id);
    assert_eq!(acts(&view), None, "{view}");
    assert!(view["reason"].as_str().unwrap().contains("\\u{202e}"), "{view}");
}

#[tokio::test]
async fn a_saga_starts_with_names_that_show_what_they_are() {
    let world = World::default();
    let start = async |field: &str, text: &str| {
        let mut body = json!({"order_id": "o", "amount": "1", "currency": "EUR", "destination": "DE"});
        body[field] = json!(text);
        world.try_start_of("order", "key", &body.to_string()).await
    };
    for odd in ACTING.iter().copied().chain([
        "\u{2800}", "\u{3164}", "\u{301}", "\u{e000}", "\u{ffff}", "\u{fe0f}",
    ]) {
        for text in [odd.to_owned(), format!("o{odd}1")] {
            // A combining mark stands on something here.
            if text == "o\u{301}1" {
                continue;
            }
            for field in ["order_id", "destination"] {
                let Err(NotStarted::Invalid(wrong)) = start(field, &text).await else {
                    panic!("{field} {text:?} was taken")
                };
                assert_eq!((wrong.len(), wrong[0].field.as_str()), (1, field), "{text:?}");
            }
        }
    }
    for edge in [" o", "o ", "\u{a0}o", "o\u{3000}", "a\u{a0}b"] {
        assert!(
            matches!(start("order_id", edge).await, Err(NotStarted::Invalid(_))),
            "{edge:?}"
        );
    }
    assert!(world.aws.outbox_is_empty());
    start("order_id", "Bestellung ä 注文-1 הזמנה").await.unwrap();
}

/// A saga that started before keeps its odd name, and no step refuses it for that.
#[tokio::test]
async fn a_saga_in_flight_is_not_refused_for_its_name() {
    let mut world = World::default();
    let id = world.start("100").await;
    world.publish().await;
    let odd = |message: &mut Message| {
        let mut event: Value = serde_json::from_str(&saga_tests::dead_letters::event_in(message)).unwrap();
        event["data"]["order_id"] = json!("order\u{200b}-1");
        event.as_object_mut().unwrap().remove("sagasum");
        message.body = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, event.to_string());
    };
    world.on_the_way.iter_mut().for_each(odd);
    world.settle().await;
    assert_eq!(world.inventory(id).unwrap().state, StepState::Done);
}

#[test]
fn an_alert_of_the_other_cloud_keeps_its_lines_and_nothing_that_acts() {
    let event = json!({
        "specversion": "1.0", "id": "1", "source": "saga.participant.azure", "sagatarget": "aws", "type": notice::ALERT,
        "data": {"subject": format!("s{}", ACTING.concat()), "text": format!("one{}\ntwo", ACTING.concat())},
    });
    let Inbound::Alert(text) = inbound::text(&event.to_string()) else {
        panic!("it is an alert")
    };
    assert_eq!(acts(&json!(text.subject)), None, "{text:?}");
    assert!(text.text.ends_with("\ntwo"), "{text:?}");
    assert_eq!(acts(&json!(text.text.replace('\n', " "))), None, "{text:?}");
}
