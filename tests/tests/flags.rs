//! What a saga shows when it does not move: `stuck` and `parked`, told once, and gone when it moves again.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

use saga_app::handle_event::{Ports, handle_event};
use saga_app::list_sagas::{Query, list_sagas};
use saga_app::override_saga::Command;
use saga_app::park_saga::park_saga;
use saga_app::ports::{Parked, Time};
use saga_core::origin::Override;
use saga_core::saga::Flag;
use saga_core::{SagaId, Status};
use saga_memory::{OriginCloud, StepCloud};
use saga_tests::world::{World, envelope, switch};
use saga_wire::parked_event;

const MINUTE: i64 = 60_000;

fn flags(world: &World, id: SagaId) -> Vec<&'static str> {
    world.saga(id).flags().map(Flag::as_str).collect()
}

/// Time passes, the sweeper looks each minute, and Azure says nothing.
async fn silence(world: &mut World, minutes: i64) {
    for _ in 0..minutes {
        world.wait_and_sweep(MINUTE).await;
        world.on_the_way.clear();
    }
}

async fn lost(world: &mut World) -> SagaId {
    let id = world.start("129.90").await;
    world.publish().await;
    world.on_the_way.clear();
    id
}

#[tokio::test]
async fn a_saga_past_its_deadline_that_does_not_move_is_stuck_and_told_once() {
    let mut world = World::default();
    let id = lost(&mut world).await;
    // The deadline is after 15 minutes: then it is asked to cancel, which is a move.
    silence(&mut world, 16).await;
    assert_eq!(flags(&world, id), ["cancel_requested"]);
    silence(&mut world, 13).await;
    assert_eq!(flags(&world, id), ["cancel_requested"]);
    silence(&mut world, 3).await;
    assert_eq!(flags(&world, id), ["cancel_requested", "stuck"]);
    assert_eq!(world.status(id), Status::PendingAzureConfirmation);
    assert_eq!(world.payment(id), "PENDING_AZURE_CONFIRMATION", "never torn");
    silence(&mut world, 300).await;
    let alerts = world.aws.alerts();
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert!(alerts[0].subject.contains(&id.to_string()) && alerts[0].subject.contains("stuck"));

    world.heal(id).await;
    world.check(&[id]);
    assert_eq!(world.status(id), Status::CancelledViaCompensation);
    assert_eq!(flags(&world, id), ["cancel_requested"]);
}

#[tokio::test]
async fn an_override_that_azure_does_not_follow_is_stuck() {
    let mut world = World::default();
    let id = lost(&mut world).await;
    world.resolve(id, Override::Cancelled).await;
    silence(&mut world, 10).await;
    assert_eq!(flags(&world, id), ["closing", "resolved"]);
    silence(&mut world, 8).await;
    assert_eq!(flags(&world, id), ["closing", "stuck", "resolved"]);
    world.heal(id).await;
    assert_eq!(flags(&world, id), ["resolved"]);
}

#[tokio::test]
async fn an_alert_that_cannot_be_sent_is_sent_later_and_keeps_nobody_from_being_asked_again() {
    let (failing, faults) = switch("Alerts::raise", true);
    let mut world = World::new(OriginCloud::with_faults(faults), StepCloud::new());
    let id = lost(&mut world).await;
    silence(&mut world, 100).await;
    assert_eq!(
        (flags(&world, id), world.aws.alerts().len()),
        (vec!["cancel_requested"], 0)
    );
    let nudges = world.saga(id).nudges;
    failing.store(false, std::sync::atomic::Ordering::Relaxed);
    silence(&mut world, 60).await;
    assert_eq!(
        (flags(&world, id), world.aws.alerts().len()),
        (vec!["cancel_requested", "stuck"], 1)
    );
    assert!(world.saga(id).nudges > nudges);
}

#[tokio::test]
async fn a_saga_in_time_is_not_stuck() {
    let mut world = World::default();
    let id = lost(&mut world).await;
    silence(&mut world, 14).await;
    assert_eq!(flags(&world, id), Vec::<&str>::new());
    world.command(id, Command::Cancel).await;
    silence(&mut world, 14).await;
    assert_eq!(flags(&world, id), ["cancel_requested"]);
}

/// The deadline is at minute 15, and a saga is stuck when it has owed its end for 15 minutes without a move.
#[tokio::test]
async fn stuck_counts_from_the_later_of_the_deadline_and_the_last_move() {
    // Its last move was long before: until its deadline it owes nothing.
    let mut world = World::default();
    let id = lost(&mut world).await;
    silence(&mut world, 1).await;
    world.command(id, Command::Cancel).await;
    silence(&mut world, 28).await;
    assert_eq!(flags(&world, id), ["cancel_requested"]);
    silence(&mut world, 3).await;
    assert_eq!(flags(&world, id), ["cancel_requested", "stuck"]);

    // Its last move was long after: nobody looked before minute 40, and asked it to cancel then.
    let mut world = World::default();
    let id = lost(&mut world).await;
    world.wait_and_sweep(40 * MINUTE).await;
    world.on_the_way.clear();
    silence(&mut world, 13).await;
    assert_eq!(flags(&world, id), ["cancel_requested"]);
    silence(&mut world, 3).await;
    assert_eq!(flags(&world, id), ["cancel_requested", "stuck"]);
}

fn parked(world: &World, id: SagaId, event: &str) -> Parked {
    Parked {
        saga: id,
        event: event.parse().unwrap(),
        reason: "the table is gone".to_owned(),
        at: world.clock.now(),
    }
}

#[tokio::test]
async fn a_message_that_came_to_rest_shows_on_its_saga_until_that_moves() {
    let mut world = World::default();
    let id = lost(&mut world).await;
    let park = async |event: &str| {
        world.clock.advance(1);
        let parked = parked(&world, id, event);
        park_saga(&world.deployment, &world.aws, &world.clock, &parked)
            .await
            .unwrap()
    };
    let alert = park("their-1").await.expect("the first is told");
    assert!(alert.text.contains("the table is gone"), "{alert:?}");
    assert_eq!(park("their-1").await, None);
    assert_eq!(park("their-2").await, None, "one alert a saga");
    let saga = world.saga(id);
    assert_eq!(saga.parked.as_ref().unwrap().reason, "the table is gone");
    assert_eq!(
        saga.timeline
            .entries
            .iter()
            .filter(|entry| entry.verb == "parked")
            .count(),
        2
    );
    let query = Query {
        flag: Some(Flag::Parked),
        status: None,
        since: None,
        limit: 10,
        cursor: None,
    };
    let page = list_sagas(&world.deployment, &world.aws, query.clone())
        .await
        .unwrap();
    assert_eq!(page.sagas.len(), 1);
    assert_eq!(page.sagas[0].flags, ["parked"]);

    world.heal(id).await;
    assert_eq!(flags(&world, id), Vec::<&str>::new());
    let page = list_sagas(&world.deployment, &world.aws, query).await.unwrap();
    assert!(page.sagas.is_empty());
    let late = parked(&world, id, "their-3");
    let again = park_saga(&world.deployment, &world.aws, &world.clock, &late)
        .await
        .unwrap();
    assert_eq!(
        (again, flags(&world, id)),
        (None, Vec::new()),
        "a saga that has ended is owed nothing"
    );
}

#[tokio::test]
async fn a_message_that_came_to_rest_is_no_move() {
    let mut world = World::default();
    let id = lost(&mut world).await;
    silence(&mut world, 28).await;
    let late = parked(&world, id, "their-1");
    park_saga(&world.deployment, &world.aws, &world.clock, &late)
        .await
        .unwrap();
    silence(&mut world, 4).await;
    assert_eq!(flags(&world, id), ["cancel_requested", "parked", "stuck"]);
}

#[tokio::test]
async fn azure_tells_of_it_by_an_event() {
    let mut world = World::default();
    let id = lost(&mut world).await;
    let event = parked_event::Parked {
        saga: id,
        event: "their-1".parse().unwrap(),
        reason: "failed at every try".to_owned(),
    };
    let body = envelope(
        parked_event::TYPE,
        &parked_event::write(&event, world.clock.now()),
    );
    let ports = Ports {
        store: &world.aws,
        quarantine: &world.aws,
        alerts: &world.aws,
        time: &world.clock,
    };
    for _ in 0..2 {
        handle_event(&world.deployment, &ports, &body).await.unwrap();
    }
    assert_eq!(flags(&world, id), ["parked"]);
    assert_eq!(world.aws.alerts().len(), 1);
    assert_eq!(world.aws.quarantined(), []);
}

#[tokio::test]
async fn a_saga_that_moves_on_without_ending_is_parked_no_more() {
    let mut world = World::default();
    let body = r#"{"order_id":"order-1","amount":"129.90","currency":"EUR","destination":"AQ","items":[{"sku":"sku-1","quantity":1}]}"#;
    let id = world.try_start_of("order", "key", body).await.unwrap();
    let lies = parked(&world, id, "their-1");
    park_saga(&world.deployment, &world.aws, &world.clock, &lies)
        .await
        .unwrap();
    assert_eq!(flags(&world, id), ["parked"]);
    world.publish().await;
    // Shipping, which is the origin's own, refuses the place: the saga moves, and does not end yet.
    while world.status(id) != Status::Compensating {
        world.deliver_at(0).await;
        world.publish().await;
    }
    assert_eq!(flags(&world, id), Vec::<&str>::new());
}
