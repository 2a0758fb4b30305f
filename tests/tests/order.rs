//! Orders: four steps across both clouds and back, undone in reverse order from wherever they are refused.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use saga_app::override_saga::{Command, command};
use saga_app::start_saga::{NotStarted, Request, start_saga};
use saga_core::mark::Asked;
use saga_core::origin::Override;
use saga_core::{Outcome, SagaId, Status};
use saga_memory::{OriginCloud, StepCloud};
use saga_tests::accounts::Accounts;
use saga_tests::contract::given::ASKED;
use saga_tests::dead_letters::event_in;
use saga_tests::world::{Message, Place, QUANTITY, SKU, STOCK_BEFORE, World, envelope, switch};
use saga_wire::json;
use serde_json::Value;

const SMALL: &str = "129.90";
const LARGE: &str = "10000.01";

async fn try_start(world: &World, amount: &str, destination: &str) -> Result<SagaId, NotStarted> {
    world.clock.advance(1_000);
    let body = format!(
        r#"{{"order_id":"order-1","amount":{amount},"currency":"EUR","destination":{destination},
            "items":[{{"sku":"{SKU}","quantity":{QUANTITY}}}]}}"#
    );
    let request = Request {
        definition: "order",
        key: &"key".parse().unwrap(),
        input: json::parse_object(&body).unwrap(),
        trace: None,
    };
    Ok(start_saga(&world.deployment, &world.aws, &world.clock, request)
        .await?
        .saga
        .id)
}

async fn start(world: &World, amount: &str, destination: &str) -> SagaId {
    try_start(world, amount, &format!("\"{destination}\""))
        .await
        .unwrap()
}

fn check(world: &World, id: SagaId) {
    let accounts = Accounts {
        deployment: &world.deployment,
        aws: &world.aws,
        azure: &world.azure,
    };
    accounts
        .close(
            &[id],
            &BTreeMap::from([(SKU.to_owned(), STOCK_BEFORE)]),
            &BTreeSet::new(),
        )
        .unwrap();
}

/// Delivers until nothing is left; the types of what was delivered to a step or to the origin, in order.
async fn run(world: &mut World) -> Vec<String> {
    let mut kinds = Vec::new();
    loop {
        world.publish().await;
        let Some(first) = world.on_the_way.first() else {
            return kinds;
        };
        if first.to != Place::Ingress {
            kinds.push(first.kind.clone());
        }
        world.deliver_at(0).await;
    }
}

#[tokio::test]
async fn an_order_goes_to_the_other_cloud_and_back() {
    let mut world = World::default();
    let id = start(&world, SMALL, "DE").await;
    assert_eq!(world.status(id), Status::PendingAzureConfirmation);
    let kinds = run(&mut world).await;
    assert_eq!(kinds, ["PaymentReserved", "StockReserved", "ReceiptStored"]);
    assert_eq!(world.status(id), Status::Completed);
    assert_eq!(world.payment(id), "COMPLETED");
    assert_eq!(world.stock(), STOCK_BEFORE - QUANTITY);
    check(&world, id);
}

#[tokio::test]
async fn an_order_that_cannot_be_shipped_is_undone_from_the_last_step_in_reverse_order() {
    let mut world = World::default();
    let id = start(&world, SMALL, "AQ").await;
    let kinds = run(&mut world).await;
    let forward = ["PaymentReserved", "StockReserved", "ReceiptStored"];
    let back = [
        "ReceiptVoidRequested",
        "InventoryReleaseRequested",
        "PaymentCompensationRequested",
    ];
    assert_eq!(kinds, [forward, back].concat());
    assert_eq!(world.status(id), Status::CancelledViaCompensation);
    assert_eq!(world.stock(), STOCK_BEFORE);
    check(&world, id);
    let refusal = world
        .saga(id)
        .steps
        .into_values()
        .next_back()
        .unwrap()
        .reason
        .unwrap();
    assert!(refusal.starts_with("AQ is no destination"), "{refusal}");
    let last = world.saga(id).timeline.entries.pop().unwrap();
    assert_eq!(last.note, Some(refusal), "the reason travels back to the payment");
}

#[tokio::test]
async fn an_order_over_the_limit_never_reaches_the_steps_after_the_inventory() {
    let mut world = World::default();
    let id = start(&world, LARGE, "DE").await;
    let kinds = run(&mut world).await;
    assert_eq!(kinds, ["PaymentReserved", "PaymentCompensationRequested"]);
    assert_eq!(world.status(id), Status::CancelledViaCompensation);
    check(&world, id);
}

#[tokio::test]
async fn an_order_without_a_destination_is_not_started() {
    for (destination, problem) in [
        ("null", "is missing"),
        ("12", "must be a text"),
        ("\" \"", "must not be empty"),
    ] {
        let world = World::default();
        let Err(NotStarted::Invalid(problems)) = try_start(&world, SMALL, destination).await else {
            panic!("started with {destination}");
        };
        let found: Vec<_> = problems
            .iter()
            .map(|p| (p.field.as_str(), p.problem.as_str()))
            .collect();
        assert_eq!(found, [("destination", problem)]);
    }
}

#[tokio::test]
async fn a_payment_takes_no_destination() {
    let world = World::default();
    let body = saga_tests::world::order(SMALL).replacen('{', r#"{"destination":"DE","#, 1);
    let Err(NotStarted::Invalid(problems)) = world.try_start("key", &body).await else {
        panic!("started");
    };
    assert_eq!(problems[0].field, "destination");
}

/// Commands the order after so many deliveries, then lets it end; `None` when there are not so many.
async fn commanded_after(
    deliveries: usize,
    destination: &str,
    command: Command,
) -> Option<(Outcome, Status)> {
    let mut world = World::default();
    let id = start(&world, SMALL, destination).await;
    for _ in 0..deliveries {
        world.publish().await;
        if world.on_the_way.is_empty() {
            return None;
        }
        world.deliver_at(0).await;
    }
    let outcome = world.command(id, command).await;
    world.heal(id).await;
    world.settle().await;
    check(&world, id);
    Some((outcome, world.status(id)))
}

#[tokio::test]
async fn a_cancel_at_any_point_is_decided_by_the_first_step_that_has_not_acted() {
    let mut outcomes = Vec::new();
    for deliveries in 0.. {
        let Some(end) = commanded_after(deliveries, "DE", Command::Cancel).await else {
            break;
        };
        outcomes.push(end);
    }
    // Messages are carried in order here, so the cancel never overtakes; only when the shipment is booked is it late.
    let (outcome, status) = outcomes.pop().unwrap();
    assert_eq!((outcome, status), (Outcome::Late, Status::Completed));
    assert!(outcomes.len() >= 4, "{outcomes:?}");
    assert!(
        outcomes.iter().all(|(outcome, _)| *outcome == Outcome::Applied),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn a_cancel_or_an_override_at_any_point_of_an_order_leaves_all_or_nothing() {
    for destination in ["DE", "AQ"] {
        for command in [
            Command::Cancel,
            Command::Resolve {
                to: Override::Cancelled,
                force: false,
            },
        ] {
            let mut deliveries = 0;
            while let Some((outcome, status)) = commanded_after(deliveries, destination, command).await {
                let forced = command != Command::Cancel && outcome == Outcome::Applied;
                if forced || destination == "AQ" {
                    assert_eq!(status, Status::CancelledViaCompensation);
                }
                deliveries += 1;
            }
            assert!(deliveries >= 4);
        }
    }
}

#[tokio::test]
async fn another_teams_compensation_is_understood_for_payments_and_for_orders() {
    let mut world = World::default();
    let order = start(&world, SMALL, "DE").await;
    for another in [false, true] {
        let id = if another { world.start(SMALL).await } else { order };
        world.outsider_compensates(id);
        world.deliver_at(0).await; // the webhook
        world.deliver_at(0).await; // the events queue
        assert_eq!(world.status(id), Status::CancelledViaCompensation);
        assert_eq!(world.payment(id), "CANCELLED_VIA_COMPENSATION");
        world.settle().await;
        assert!(!world.saga(id).lifecycle.closing);
    }
    assert_eq!(world.stock(), STOCK_BEFORE);
    world.outsider_compensates_in_event_grid_schema(order);
    world.settle().await;
    check(&world, order);
}

/// Who writes to the bus may compensate, and may not have a step act: that takes the word of the step before it.
#[tokio::test]
async fn another_publisher_makes_no_step_act_before_its_turn() {
    for kind in ["PaymentReserved", "StockReserved", "ReceiptStored"] {
        let mut world = World::default();
        let id = start(&world, SMALL, "DE").await;
        let before = world.saga(id);
        let theirs = format!(
            r#"{{"specversion":"1.0","id":"their-1","source":"elsewhere","type":"{kind}",
                "data":{{"saga_id":"{id}","order_id":"order-1"}}}}"#
        );
        world.publish().await;
        world.on_the_way.clear();
        world
            .deliver(&Message {
                to: Place::EventsQueue,
                kind: kind.to_owned(),
                body: envelope(kind, &theirs),
            })
            .await
            .unwrap();
        let saga = world.saga(id);
        assert_eq!(
            (saga.steps, saga.lifecycle),
            (before.steps, before.lifecycle),
            "{kind}"
        );
        assert_eq!(world.aws.quarantined().len(), 1, "{kind}");
        world.publish().await;
        assert!(world.on_the_way.is_empty(), "{kind}");
        world.heal(id).await;
        assert_eq!(world.status(id), Status::Completed, "{kind}");
    }
}

#[tokio::test]
async fn an_override_in_the_same_millisecond_as_a_cancel_is_another_event() {
    let mut world = World::default();
    let id = start(&world, SMALL, "DE").await;
    world.publish().await;
    world.on_the_way.clear();
    for what in [
        Command::Cancel,
        Command::Resolve {
            to: Override::Cancelled,
            force: false,
        },
    ] {
        let why = format!("{what:?}");
        let done = command(
            &world.deployment,
            &world.aws,
            &world.clock,
            id,
            what,
            Asked { why: &why, ..ASKED },
        );
        done.await.unwrap().unwrap();
    }
    world.clock.advance(1_000);
    world.publish().await;
    let mut ids: Vec<String> = world
        .on_the_way
        .iter()
        .map(|message| event_id(&message.body))
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), 2, "two contents under one id: {ids:?}");
    world.settle().await;
    check(&world, id);
}

fn event_id(base64: &str) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.decode(base64).unwrap();
    let event: serde_json::Value = serde_json::from_slice(&text).unwrap();
    event["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_a_step_says_later_waits_for_what_it_said_before() {
    let (down, choose) = switch("Publisher::publish", true);
    let mut world = World::new(OriginCloud::new(), StepCloud::with_faults(choose));
    let id = start(&world, SMALL, "DE").await;
    world.publish().await;
    let message = world.on_the_way.remove(0);
    world.handle(&message).await.unwrap();
    command(
        &world.deployment,
        &world.aws,
        &world.clock,
        id,
        Command::Cancel,
        ASKED,
    )
    .await
    .unwrap();
    world.publish().await;
    down.store(false, Ordering::SeqCst);
    let message = world.on_the_way.remove(0);
    world.handle(&message).await.unwrap();
    assert_eq!(world.azure.outbox().len(), 2, "the first is still the sweep's");
    assert_eq!(world.azure.take_published(), []);
}

/// Something is wrong with whoever asks, and an operator has to know: on either cloud.
#[tokio::test]
async fn a_step_that_is_to_undo_what_it_never_did_is_reported() {
    for (index, kind, target, step) in [
        (1, "InventoryReleaseRequested", "azure", "inventory"),
        (3, "ShipmentCompensationRequested", "aws", "shipping"),
    ] {
        let mut world = World::default();
        let id = start(&world, SMALL, "DE").await;
        world.publish().await;
        let mut event: Value = serde_json::from_str(&event_in(&world.on_the_way.remove(0))).unwrap();
        for (name, value) in [("type", kind), ("sagaverb", "compensate"), ("sagatarget", target)] {
            event[name] = value.into();
        }
        event["sagastep"] = index.into();
        // From a tool, which writes no checksum.
        event.as_object_mut().unwrap().remove("sagasum");
        let (to, body) = match target {
            "aws" => (Place::EventsQueue, envelope(kind, &event.to_string())),
            _ => (Place::AzureQueue, STANDARD.encode(event.to_string())),
        };
        let kind = kind.to_owned();
        world.deliver(&Message { to, kind, body }).await.unwrap();
        let alerts = [world.aws.alerts(), world.azure.alerts()].concat();
        let [alert] = &alerts[..] else {
            panic!("{alerts:?}")
        };
        assert!(alert.subject.contains(&id.to_string()), "{alert:?}");
        let said = format!("step `{step}` was asked to undo what it never did");
        assert!(alert.text.contains(&said), "{alert:?}");
        // A cancel that comes before the step is none of that kind.
        let mut world = World::default();
        let id = start(&world, SMALL, "DE").await;
        world.command(id, Command::Cancel).await;
        world.publish().await;
        world.on_the_way.reverse();
        world.heal(id).await;
        assert_eq!([world.aws.alerts(), world.azure.alerts()].concat(), []);
    }
}
