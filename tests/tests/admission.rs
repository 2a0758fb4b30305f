//! Who may say what through the webhook: Azure's steps to the origin, and other teams what is theirs to say.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use saga_core::SagaId;
use saga_tests::world::{Message, Place, SKU, World};
use serde_json::Value;

async fn order(world: &World) -> SagaId {
    let body = format!(
        r#"{{"order_id":"o","amount":"1","currency":"EUR","destination":"DE","items":[{{"sku":"{SKU}","quantity":1}}]}}"#
    );
    world.try_start_of("order", "one", &body).await.unwrap()
}

/// `sagaorigin` says AWS, and the source is some team's: whoever reaches the topic speaks for Azure at most.
#[tokio::test]
async fn nobody_out_there_speaks_for_the_origin_whatever_source_he_names() {
    for (kind, verb, step) in [
        ("ShipmentBooked", "complete", 4),
        ("ShipmentCompensationRequested", "compensate", 3),
        ("PaymentCancelRequested", "cancel", 0),
        ("ReceiptStored", "advance", 3),
    ] {
        for source in [
            "/team",
            "saga.participant.azure",
            "saga.orchestrator",
            " Saga.Orchestrator",
        ] {
            let mut world = World::default();
            let id = order(&world).await;
            world.publish().await;
            world.on_the_way.clear();
            let before = world.saga(id);
            let event = serde_json::json!({
                "specversion": "1.0", "id": "x", "source": source, "type": kind, "sagaid": id.to_string(), "sagadef": "order",
                "sagaver": 1, "sagastep": step, "sagaverb": verb, "sagatarget": "aws", "sagaorigin": "aws", "data": {},
            });
            let message = Message {
                to: Place::Ingress,
                kind: kind.to_owned(),
                body: event.to_string(),
            };
            world.deliver(&message).await.unwrap();
            world.settle().await;
            assert_eq!(world.aws.quarantined().len(), 1, "{verb} from {source}");
            assert_eq!(world.saga(id), before, "{verb} from {source}");
        }
    }
}

#[tokio::test]
async fn what_one_step_of_azure_says_to_another_does_not_come_in_through_the_webhook() {
    let mut world = World::default();
    order(&world).await;
    world.publish().await;
    world.deliver_at(0).await;
    world.publish().await;
    let between = world.on_the_way.remove(0);
    assert_eq!(between.to, Place::AzureQueue);
    let message = Message {
        to: Place::Ingress,
        body: String::from_utf8(STANDARD.decode(&between.body).unwrap()).unwrap(),
        ..between
    };
    world.deliver(&message).await.unwrap();
    assert_eq!(world.aws.take_published(), []);
    let kept = world.aws.quarantined().remove(0);
    assert_eq!(
        (kept.reason.as_str(), kept.text()),
        (
            "an event from azure for azure does not come in here",
            message.body
        )
    );
}

/// Only Azure's functions say such things, as CloudEvents; whoever else writes the type is another publisher.
#[tokio::test]
async fn a_word_about_dead_letters_or_an_alert_has_to_be_that_of_azures_functions() {
    for kind in ["SagaMessageParked", "SagaAlertRaised"] {
        let whole = |saga: &str| {
            serde_json::json!({
                "specversion": "1.0", "id": "1", "source": "saga.participant.azure", "type": kind, "sagatarget": "aws",
                "data": {"saga_id": saga, "event_id": "e", "reason": "made up", "subject": "s", "text": "t"},
            })
        };
        let changes = [
            ("specversion", Value::Null),
            ("specversion", "0.3".into()),
            ("id", Value::Null),
            ("id", "\u{200b}".into()),
            ("source", "/team".into()),
            ("source", Value::Null),
            ("sagatarget", "azure".into()),
            ("sagatarget", Value::Null),
        ];
        for (number, (name, value)) in changes.into_iter().enumerate() {
            let mut world = World::default();
            let id = world.start("100").await;
            let mut event = whole(&id.to_string());
            event[name] = value;
            let message = Message {
                to: Place::Ingress,
                kind: kind.to_owned(),
                body: event.to_string(),
            };
            world.deliver(&message).await.unwrap();
            world.settle().await;
            assert_eq!(world.aws.quarantined().len(), 1, "{kind} {number}");
            assert_eq!(
                (world.saga(id).parked.len(), world.aws.alerts().len()),
                (0, 0),
                "{kind} {number}"
            );
        }
    }
}
