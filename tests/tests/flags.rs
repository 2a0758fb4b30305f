//! What a saga shows when it does not move: `stuck`, alerted once, and gone when it moves again; and `parked`, alerted once, and
//! there until an operator has dealt with the message.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

use std::sync::atomic::Ordering;

use saga_app::dead_letters::command::{Act, Command, Filter, Selection};
use saga_app::dead_letters::watch;
use saga_app::handle_event::{Ports, handle_event};
use saga_app::list_sagas::{Query, list_sagas};
use saga_app::override_saga;
use saga_app::park_saga::{park_dead_letter, park_saga};
use saga_app::ports::{Parked, Time};
use saga_core::origin::Override;
use saga_core::saga::Flag;
use saga_core::{SagaId, Status};
use saga_memory::{DeadLetters, OriginCloud, StepCloud};
use saga_tests::dead_letters::{Desk, all, dead};
use saga_tests::world::{World, envelope, switch};
use saga_wire::dead_letter::{DeadLetter, DeadLetterId, Source};
use saga_wire::notice;

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
async fn a_saga_past_its_deadline_that_does_not_move_is_stuck_and_alerted_once() {
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
    world.command(id, override_saga::Command::Cancel).await;
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
    world.command(id, override_saga::Command::Cancel).await;
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
async fn a_message_that_came_to_rest_shows_on_its_saga_and_is_alerted_once() {
    let mut world = World::default();
    let id = lost(&mut world).await;
    let park = async |world: &World, event: &str| {
        world.clock.advance(1);
        let parked = parked(world, id, event);
        park_saga(&world.aws, &world.clock, &parked).await.unwrap()
    };
    let alert = park(&world, "their-1").await.expect("the first is told");
    assert!(alert.text.contains("the table is gone"), "{alert:?}");
    assert_eq!(park(&world, "their-1").await, None);
    assert_eq!(park(&world, "their-2").await, None, "one alert a saga");
    let saga = world.saga(id);
    assert_eq!(saga.parked[0].reason, "the table is gone");
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
    let page = list_sagas(&world.deployment, &world.aws, &world.clock, query.clone())
        .await
        .unwrap();
    assert_eq!(page.sagas.len(), 1);
    assert_eq!(page.sagas[0].0.flags().collect::<Vec<_>>(), [Flag::Parked]);

    // What it tells of lies there still, though the saga has ended without it.
    world.heal(id).await;
    assert_eq!(flags(&world, id), ["parked"]);
    let page = list_sagas(&world.deployment, &world.aws, &world.clock, query)
        .await
        .unwrap();
    assert_eq!(page.sagas[0].0.flags().collect::<Vec<_>>(), [Flag::Parked]);
    assert_eq!(
        park(&world, "their-3").await,
        None,
        "a saga that has ended is owed nothing"
    );
    let events: Vec<String> = world
        .saga(id)
        .parked
        .into_iter()
        .map(|parked| parked.event.to_string())
        .collect();
    assert_eq!(events, ["their-1", "their-2", "their-3"]);
    world.check(&[id]);
}

/// A saga that has ended, of which a message lies in the poison queue, in so many copies.
async fn healed_past(world: &mut World, desk: &Desk, copies: u64) -> (SagaId, Vec<DeadLetter>) {
    let id = world.start("129.90").await;
    world.publish().await;
    let message = world.on_the_way.pop().unwrap();
    let dead_letters: Vec<DeadLetter> = (0..copies).map(|number| dead(&message, 0, number)).collect();
    for dead_letter in &dead_letters {
        desk.places.put(dead_letter.clone());
    }
    watch(&desk.ports(world), &world.aws, &desk.places).await;
    assert_eq!(flags(world, id), ["parked"]);
    world.heal(id).await;
    assert_eq!(flags(world, id), ["parked"], "its dead letter lies there");
    (id, dead_letters)
}

fn only(dead_letters: &[DeadLetter], act: Act) -> Command {
    Command {
        selection: Selection::Ids(
            dead_letters
                .iter()
                .map(|dead_letter| dead_letter.id.clone())
                .collect(),
        ),
        ..all(act)
    }
}

#[tokio::test]
async fn a_message_is_parked_until_it_is_replayed_or_discarded() {
    for act in [Act::Replay, Act::Discard] {
        let (mut world, desk) = (World::default(), Desk::new());
        let (id, dead_letters) = healed_past(&mut world, &desk, 1).await;
        let dry = Command {
            confirm: false,
            ..only(&dead_letters, act)
        };
        desk.run(&world, &dry).await;
        assert_eq!(flags(&world, id), ["parked"], "a dry run deals with nothing");
        assert_eq!(desk.run(&world, &only(&dead_letters, act)).await.done, 1);
        assert_eq!(flags(&world, id), Vec::<&str>::new());
    }
}

#[tokio::test]
async fn a_dead_letter_that_was_seen_before_it_was_dealt_with_parks_its_saga_no_more_and_one_that_came_after_does()
 {
    let (mut world, desk) = (World::default(), Desk::new());
    let (id, dead_letters) = healed_past(&mut world, &desk, 1).await;
    let dead_letter = dead_letters[0].clone();
    assert_eq!(desk.run(&world, &only(&dead_letters, Act::Replay)).await.done, 1);
    let came = async |dead_letter: &DeadLetterId, event: &str, at: i64| {
        let mut parked = parked(&world, id, event);
        parked.at = parked.at.plus_millis(at);
        park_dead_letter(&world.aws, &world.clock, dead_letter, &parked)
            .await
            .unwrap();
        world.saga(id).parked.len()
    };
    // The desk's clock, which the replay has its time of, is ahead of the world's.
    let event = dead_letter.facts.event.as_ref().unwrap().as_str();
    assert_eq!(came(&dead_letter.id, event, 0).await, 0);
    assert_eq!(came(&dead_letter.id, event, 10_000_000).await, 1);
    // Another one that came before, and that nobody has dealt with.
    let other = DeadLetterId {
        key: "another".to_owned(),
        ..dead_letter.id.clone()
    };
    assert_eq!(came(&other, "their-1", 0).await, 2);
}

#[tokio::test]
async fn of_two_messages_each_is_parked_for_itself() {
    let (mut world, desk) = (World::default(), Desk::new());
    let (id, dead_letters) = healed_past(&mut world, &desk, 1).await;
    let other = parked(&world, id, "their-1");
    park_saga(&world.aws, &world.clock, &other).await.unwrap();
    assert_eq!(desk.run(&world, &only(&dead_letters, Act::Discard)).await.done, 1);
    assert_eq!(flags(&world, id), ["parked"]);
    assert_eq!(world.saga(id).parked[0].event.as_str(), "their-1");
}

#[tokio::test]
async fn a_message_that_dies_again_is_parked_and_alerted_again() {
    let mut world = World::default();
    let desk = Desk::new();
    let id = world.start("129.90").await;
    world.publish().await;
    let message = world.on_the_way.pop().unwrap();
    for number in 0..2_u64 {
        let dead_letter = dead(&message, 0, number);
        desk.places.put(dead_letter.clone());
        let event = dead_letter.facts.event.clone().unwrap();
        let parked = parked(&world, id, event.as_str());
        let alert = park_saga(&world.aws, &world.clock, &parked).await.unwrap();
        assert!(alert.is_some(), "{number}");
        assert_eq!(flags(&world, id), ["parked"]);
        assert_eq!(desk.run(&world, &only(&[dead_letter], Act::Replay)).await.done, 1);
        assert_eq!(flags(&world, id), Vec::<&str>::new());
    }
}

#[tokio::test]
async fn a_message_that_is_gone_is_parked_no_more_once_all_dead_letters_of_its_saga_were_dealt_with() {
    let (mut world, desk) = (World::default(), Desk::new());
    let (id, dead_letters) = healed_past(&mut world, &desk, 2).await;
    let gone = parked(&world, id, "expired-1");
    park_saga(&world.aws, &world.clock, &gone).await.unwrap();
    let of_the_saga = |filter: Filter| Command {
        selection: Selection::All(Filter {
            saga: Some(id),
            ..filter
        }),
        ..all(Act::Discard)
    };
    // Not all sources, a dry run, or one dead letter: others may lie elsewhere.
    let poison = Filter {
        source: Some(Source::Poison),
        kind: Some("Another".to_owned()),
        ..Filter::default()
    };
    desk.run(&world, &of_the_saga(poison)).await;
    let dry = Command {
        confirm: false,
        ..of_the_saga(Filter::default())
    };
    desk.run(&world, &dry).await;
    desk.run(&world, &only(&dead_letters[..1], Act::Discard)).await;
    assert_eq!(flags(&world, id), ["parked"]);
    let report = desk.run(&world, &of_the_saga(Filter::default())).await;
    assert_eq!((report.done, report.notices.len()), (1, 0));
    assert_eq!(flags(&world, id), Vec::<&str>::new());
    let last = world.saga(id).timeline.entries.pop().unwrap();
    assert_eq!(
        (last.verb.as_str(), last.note.as_deref()),
        ("unpark", Some("the operator: the cause is gone"))
    );
}

/// A run that did not look everywhere, or left dead letters, cannot say that nothing of the saga lies anywhere.
#[tokio::test]
async fn a_saga_is_parked_while_a_dead_letter_of_it_may_lie_somewhere() {
    let (uncounted, choose) = switch("DeadLetterQueue::depth", false);
    let (mut world, desk) = (
        World::default(),
        Desk::with(|clock| DeadLetters::new(clock, choose)),
    );
    let (id, _) = healed_past(&mut world, &desk, 3).await;
    let gone = parked(&world, id, "expired-1");
    park_saga(&world.aws, &world.clock, &gone).await.unwrap();
    desk.clock.advance(60_000);
    let mut of_the_saga = Command {
        selection: Selection::All(Filter {
            saga: Some(id),
            ..Filter::default()
        }),
        ..all(Act::Replay)
    };
    let shown = || {
        world
            .saga(id)
            .parked
            .iter()
            .any(|parked| parked.event.as_str() == "expired-1")
    };
    uncounted.store(true, Ordering::SeqCst);
    let report = desk.run(&world, &of_the_saga).await;
    assert!(
        report.done == 0 && report.failed == 0 && !report.notices.is_empty(),
        "{report:?}"
    );
    assert!(shown(), "sources were not read");
    uncounted.store(false, Ordering::SeqCst);
    desk.places.refuse(true);
    let report = desk.run(&world, &of_the_saga).await;
    assert_eq!(
        (report.failed, report.left, report.ended.as_str()),
        (3, 0, "done")
    );
    assert!(shown(), "dead letters could not be sent");
    desk.places.refuse(false);
    of_the_saga.bounds.limit = 1;
    let report = desk.run(&world, &of_the_saga).await;
    assert_eq!(
        (report.done, report.failed, report.ended.as_str()),
        (1, 0, "limit")
    );
    assert!(shown(), "dead letters were not come to");
    of_the_saga.bounds.limit = 9;
    let report = desk.run(&world, &of_the_saga).await;
    assert_eq!((report.done, report.ended.as_str()), (2, "done"));
    assert!(!shown(), "nothing is left");
}

#[tokio::test]
async fn a_message_that_came_to_rest_is_no_move() {
    let mut world = World::default();
    let id = lost(&mut world).await;
    silence(&mut world, 28).await;
    let late = parked(&world, id, "their-1");
    park_saga(&world.aws, &world.clock, &late).await.unwrap();
    silence(&mut world, 4).await;
    assert_eq!(flags(&world, id), ["cancel_requested", "parked", "stuck"]);
}

#[tokio::test]
async fn azure_tells_of_it_by_an_event() {
    let mut world = World::default();
    let id = lost(&mut world).await;
    let event = notice::Parked {
        saga: id,
        event: "their-1".parse().unwrap(),
        reason: "failed at every try".to_owned(),
        at: world.clock.now(),
    };
    let body = envelope(notice::PARKED, &notice::write_parked(&event));
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
async fn a_saga_that_moves_on_is_parked_still() {
    let mut world = World::default();
    let body = r#"{"order_id":"order-1","amount":"129.90","currency":"EUR","destination":"AQ","items":[{"sku":"sku-1","quantity":1}]}"#;
    let id = world.try_start_of("order", "key", body).await.unwrap();
    let lies = parked(&world, id, "their-1");
    park_saga(&world.aws, &world.clock, &lies).await.unwrap();
    assert_eq!(flags(&world, id), ["parked"]);
    world.publish().await;
    // Shipping, which is the origin's own, refuses the place: the saga moves, and does not end yet.
    while world.status(id) != Status::Compensating {
        world.deliver_at(0).await;
        world.publish().await;
    }
    assert_eq!(flags(&world, id), ["parked"]);
}
