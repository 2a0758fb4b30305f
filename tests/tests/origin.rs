//! What the origin reads and decides, asked directly: the use cases ask in an order in which some questions never come up.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use saga_app::override_saga::Command;
use saga_app::ports::Time;
use saga_core::lifecycle::Phase;
use saga_core::mark::ParkedMessage;
use saga_core::origin::Command::Park;
use saga_core::origin::{Misaddressed, Origin, Override};
use saga_core::participant::{Entities, EntityKey};
use saga_core::step::StepState;
use saga_core::{Address, Cloud, Definition, Event, Outcome, Saga, SagaId, StepIndex, Timestamp};
use saga_participants::payments::PAYMENT;
use saga_tests::contract::given;
use saga_tests::sagas;
use saga_tests::world::{SKU, World};
use saga_wire::definitions::parse;
use saga_wire::event_grid;
use saga_wire::saga_event::SagaEvent;

fn origin<'a>(world: &'a World, saga: &'a Saga, definition: &'a Definition) -> Origin<'a> {
    Origin {
        saga,
        definition: Some(definition),
        participants: &world.deployment.participants,
        patience: world.deployment.patience,
        now: world.clock.now(),
    }
}

fn arrived<'a>(event: &Event, publisher: Option<&'a str>) -> saga_core::origin::Command<'a> {
    let event = Box::new(event.clone());
    saga_core::origin::Command::Event { event, publisher }
}

/// The event that opens the saga, as it goes to Azure.
async fn opening(world: &mut World) -> Event {
    world.publish().await;
    let text = String::from_utf8(STANDARD.decode(&world.on_the_way[0].body).unwrap()).unwrap();
    let SagaEvent::Ours(event) = event_grid::event(&text).unwrap() else {
        panic!("{text}")
    };
    event
}

async fn start(world: &World, definition: &str, amount: &str) -> SagaId {
    let destination = if definition == "order" {
        r#""destination":"DE","#
    } else {
        ""
    };
    let body = format!(
        r#"{{"order_id":"order-1","amount":"{amount}","currency":"EUR",{destination}"items":[{{"sku":"{SKU}","quantity":1}}]}}"#
    );
    world.try_start_of(definition, "key", &body).await.unwrap()
}

#[tokio::test]
async fn the_payment_is_read_where_it_may_have_to_be_undone_and_nowhere_else() {
    let mut world = World::default();
    let id = start(&world, "payment", "100").await;
    let event = opening(&mut world).await;
    let [first, second] = [StepIndex::FIRST, StepIndex::new(1)];
    let definition = parse(sagas::PAYMENT).unwrap();
    let payment = [EntityKey::new(PAYMENT, id)];
    let (none, outside): (&[EntityKey], _) = (&[], Some("billing"));
    let open = world.saga(id);
    let mut ended = open.clone();
    ended.lifecycle.phase = Phase::Completed;
    for (saga, address, outsider, expected) in [
        (&open, Address::Compensate(first), None, &payment[..]),
        (&open, Address::Compensate(first), outside, &payment),
        (&open, Address::Advance(first), None, none),
        (&open, Address::Cancel(first), None, none),
        (&open, Address::Cancel(first), outside, none),
        (&open, Address::Complete, None, none),
        (&ended, Address::Compensate(first), None, none),
        (&ended, Address::Compensate(first), outside, none),
    ] {
        let event = Event {
            address,
            ..event.clone()
        };
        let reads = origin(&world, saga, &definition).reads(&arrived(&event, outsider));
        assert_eq!(reads.unwrap(), expected, "{address:?} {outsider:?}");
    }
    // Another team's event has the payment undone even where it names a step of the other cloud: the decision refuses it.
    let event = Event {
        address: Address::Compensate(second),
        ..event
    };
    let asked = origin(&world, &open, &definition);
    assert_eq!(asked.reads(&arrived(&event, outside)).unwrap(), payment);
    assert!(matches!(
        asked.reads(&arrived(&event, None)),
        Err(Misaddressed::NotOurs(_))
    ));
}

#[tokio::test]
async fn where_the_other_cloud_begins_what_is_for_its_step_is_not_for_the_origin() {
    let mut world = World::default();
    start(&world, "payment", "100").await;
    let event = opening(&mut world).await;
    // The same steps, the other way round.
    let (head, steps) = sagas::PAYMENT.split_once("[[step]]").unwrap();
    let (payment, inventory) = steps.split_once("[[step]]").unwrap();
    let definition = parse(&format!("{head}[[step]]{inventory}\n[[step]]{payment}")).unwrap();
    assert!(!definition.opens_at_origin());
    let mut saga = world.saga(event.saga);
    saga.steps.clear();
    for address in [Address::Advance, Address::Compensate, Address::Cancel] {
        let event = Event {
            address: address(StepIndex::FIRST),
            ..event.clone()
        };
        let asked = origin(&world, &saga, &definition);
        let refused = matches!(asked.reads(&arrived(&event, None)), Err(Misaddressed::NotOurs(_)));
        assert!(refused, "{:?}", event.address);
        let decided = asked.apply(&arrived(&event, None), &Entities::new());
        assert!(
            matches!(decided, Err(Misaddressed::NotOurs(_))),
            "{:?}",
            event.address
        );
    }
}

/// An order whose steps are of the one cloud and the other in turn.
fn in_turn() -> Definition {
    let mut parts: Vec<&str> = sagas::ORDER.split("[[step]]").collect();
    parts.swap(3, 4);
    parse(&parts.join("[[step]]")).unwrap()
}

/// A saga whose deadline has passed, and that has not moved for long. What the inventory said is on its way.
async fn stuck() -> (World, SagaId, Event) {
    let mut world = World::default();
    world.release([in_turn()]);
    let id = start(&world, "order", "50").await;
    let opening = opening(&mut world).await;
    world.deliver_at(0).await;
    world.publish().await;
    for _ in 0..200 {
        if world.saga(id).stuck.is_some() {
            return (world, id, opening);
        }
        world.wait_and_sweep(60_000).await;
    }
    panic!("it is never stuck")
}

#[tokio::test]
async fn what_moves_a_stuck_saga_takes_the_flag_away_and_what_comes_again_does_not() {
    let (mut world, id, _) = stuck().await;
    assert_eq!(world.command(id, Command::Cancel).await, Outcome::Repeated);
    assert!(
        world.saga(id).stuck.is_some(),
        "a wish that is not new moves nothing"
    );
    // The inventory's word that it is done: the shipment is booked, and the receipt is next.
    while !world.saga(id).steps.contains_key(&StepIndex::new(2)) {
        world.deliver_at(0).await;
    }
    let saga = world.saga(id);
    assert_eq!((saga.lifecycle.phase, saga.stuck), (Phase::Open, None));
    world.settle().await;
    world.heal(id).await;
    assert_eq!(world.saga(id).stuck, None);
}

#[tokio::test]
async fn what_is_said_again_leaves_a_stuck_saga_stuck() {
    let (world, id, opening) = stuck().await;
    let definition = in_turn();
    let saga = world.saga(id);
    let event = Event {
        address: Address::Advance(StepIndex::FIRST),
        ..opening
    };
    let decided = origin(&world, &saga, &definition)
        .apply(&arrived(&event, None), &Entities::new())
        .unwrap()
        .decision()
        .unwrap();
    assert_eq!((decided.outcome, decided.saga.stuck), (Outcome::Late, saga.stuck));
}

#[tokio::test]
async fn a_stuck_saga_that_is_ended_by_hand_is_stuck_no_more() {
    let (world, id, _) = stuck().await;
    world.resolve(id, Override::Completed).await;
    let saga = world.saga(id);
    assert_eq!(
        (saga.lifecycle.phase, saga.is_owed(), saga.stuck),
        (Phase::Completed, false, None)
    );
}

#[tokio::test]
async fn what_comes_to_rest_of_a_saga_that_has_ended_is_shown_and_not_reported() {
    let (mut world, id, _) = stuck().await;
    let park = |saga: &Saga| {
        let (event, at) = ("1790000000000-x".parse().unwrap(), Timestamp::from_millis(0));
        let message = ParkedMessage::new(event, at, "the participant failed");
        given::decided(saga, at, &Park(message)).unwrap()
    };
    assert!(park(&world.saga(id)).alert.is_some());
    world.settle().await;
    world.heal(id).await;
    let ended = world.saga(id);
    assert!(!ended.is_owed());
    let parked = park(&ended);
    assert_eq!((parked.alert, parked.saga.parked.len()), (None, 1));
}

#[tokio::test]
async fn only_steps_of_the_other_cloud_are_known_from_what_it_says() {
    let mut world = World::default();
    let id = start(&world, "order", "50").await;
    world.settle().await;
    world.heal(id).await;
    let definition = parse(sagas::ORDER).unwrap();
    let known: Vec<StepIndex> = world.saga(id).observed(&definition).into_keys().collect();
    let theirs = (0..4).map(StepIndex::new);
    let theirs: Vec<_> = theirs
        .filter(|step| definition.step(*step).unwrap().cloud != Cloud::ORIGIN)
        .collect();
    assert_eq!(known, theirs);
}

#[tokio::test]
async fn a_step_in_the_middle_that_is_undone_in_turn_is_nothing_to_tell_of() {
    let mut world = World::default();
    world.release([in_turn()]);
    let id = start(&world, "order", "50").await;
    // The shipment is booked, and the cancel overtakes its word to the receipt.
    while !world.saga(id).steps.contains_key(&StepIndex::new(2)) {
        world.publish().await;
        world.deliver_at(0).await;
    }
    world.publish().await;
    let receipt = world.on_the_way.remove(0);
    world.command(id, Command::Cancel).await;
    world.settle().await;
    world.deliver(&receipt).await.unwrap();
    world.heal(id).await;
    let saga = world.saga(id);
    assert_eq!(saga.steps[&StepIndex::new(2)].state, StepState::Undone);
    assert_eq!(
        (saga.lifecycle.phase, world.aws.alerts()),
        (Phase::Cancelled, Vec::new())
    );
}

/// The cancel that is sent while an override is followed is by turns another: the sweep's turn is the same afterwards.
#[tokio::test]
async fn what_is_sent_again_at_once_is_what_the_sweep_would_send_and_changes_nothing_else() {
    let (world, id, _) = stuck().await;
    let asked = given::ASKED;
    let stuck = world.saga(id);
    let open = {
        let world = World::default();
        world.start("100").await;
        let id = world.start("50").await;
        world.saga(id)
    };
    let closing = {
        let world = World::default();
        let id = world.start("50").await;
        world.resolve(id, Override::Cancelled).await;
        world.saga(id)
    };
    for (definition, saga) in [
        (in_turn(), stuck),
        (parse(sagas::PAYMENT).unwrap(), open),
        (parse(sagas::PAYMENT).unwrap(), closing),
    ] {
        let due = saga.due.unwrap();
        let before = Timestamp::from_millis(due.millis().min(saga.deadline.millis()) - 1);
        let at = |now| Origin {
            now,
            ..origin(&world, &saga, &definition)
        };
        let entities = Entities::new();
        // It need not be due.
        let sent = at(before)
            .apply(&saga_core::origin::Command::Retransmit(asked), &entities)
            .unwrap();
        let sent = sent.decision().unwrap();
        let swept = at(due)
            .apply(&saga_core::origin::Command::Sweep, &entities)
            .unwrap()
            .decision()
            .unwrap();
        assert!(sent.emit.is_some());
        assert_eq!(sent.emit, swept.emit);
        assert_eq!(sent.outcome, Outcome::Noted);
        let mut unchanged = sent.saga.clone();
        let line = unchanged.timeline.entries.pop().unwrap();
        assert_eq!((line.verb.as_str(), line.outcome), ("retransmit", Outcome::Noted));
        assert_eq!(
            line.note.as_deref(),
            Some(&*format!("{}: {}", asked.by, asked.why))
        );
        assert_eq!(unchanged, saga, "neither earlier nor later is it due, or stuck");
    }
}

#[tokio::test]
async fn nothing_is_sent_again_of_a_saga_that_has_ended() {
    let mut world = World::default();
    let id = world.start("50").await;
    world.settle().await;
    world.heal(id).await;
    let ended = world.saga(id);
    let decided = given::decided(
        &ended,
        ended.created,
        &saga_core::origin::Command::Retransmit(given::ASKED),
    );
    assert_eq!(decided, None);
}
