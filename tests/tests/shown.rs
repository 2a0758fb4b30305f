//! What is shown of a saga is true: the reason of the state that it is in, what the steps of both clouds decided, when and
//! why, and steps by their names.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

use saga_app::override_saga::Command;
use saga_core::lifecycle::{Lifecycle, Phase};
use saga_core::mark::Mark;
use saga_core::origin::Override;
use saga_core::reports::{Observed, Reports};
use saga_core::step::StepState;
use saga_core::timeline::Timeline;
use saga_core::{Outcome, Saga, SagaId, StepIndex};
use saga_memory::OriginCloud;
use saga_tests::contract::given;
use saga_tests::sagas;
use saga_tests::shown::{Step, reported};
use saga_tests::world::{Message, Place, SKU, World, envelope};
use serde_json::{Value, json};

const SMALL: &str = "129.90";
const LARGE: &str = "10000.01";

fn view(world: &World, saga: &Saga) -> Value {
    saga_tests::shown::view(&world.deployment, saga)
}

fn shown(world: &World, id: SagaId) -> Value {
    view(world, &world.saga(id))
}

async fn order(world: &World, amount: &str, destination: &str) -> SagaId {
    let body = format!(
        r#"{{"order_id":"order-1","amount":{amount},"currency":"EUR","destination":"{destination}",
            "items":[{{"sku":"{SKU}","quantity":1}}]}}"#
    );
    world.try_start_of("order", "key", &body).await.unwrap()
}

/// Delivers until nothing is left, a second passing before each.
async fn run(world: &mut World, each: impl Fn(&mut Message)) {
    loop {
        world.publish().await;
        if world.on_the_way.is_empty() {
            return;
        }
        let mut message = world.on_the_way.remove(0);
        each(&mut message);
        world.clock.advance(1_000);
        world.deliver(&message).await.unwrap();
    }
}

/// A world in which every step of an order is of the other cloud than the one before it.
fn zigzag() -> World {
    let mut parts: Vec<&str> = sagas::ORDER.split("[[step]]").collect();
    parts.swap(3, 4);
    let mut world = World::default();
    world.release([saga_wire::definitions::parse(&parts.join("[[step]]")).unwrap()]);
    world
}

fn truth(world: &World, id: SagaId) -> Vec<Step> {
    saga_tests::shown::truth(&world.deployment, &world.azure, &world.saga(id))
}

#[tokio::test]
async fn once_a_saga_has_ended_every_step_is_shown_as_its_own_cloud_has_it() {
    for (definition, amount, destination) in [
        ("payment", SMALL, ""),
        ("payment", LARGE, ""),
        ("order", SMALL, "DE"),
        // Refused by the first step of the other cloud, and by the last step of all.
        ("order", LARGE, "DE"),
        ("order", SMALL, "AQ"),
    ] {
        let cancel = Some(Command::Cancel);
        let to_cancelled = Some(Command::Resolve {
            to: Override::Cancelled,
            force: false,
        });
        for command in [None, cancel, to_cancelled] {
            for after in 0..10 {
                let mut world = World::default();
                let id = if definition == "order" {
                    order(&world, amount, destination).await
                } else {
                    world.start(amount).await
                };
                for _ in 0..after {
                    world.publish().await;
                    if !world.on_the_way.is_empty() {
                        world.deliver_at(0).await;
                        world.clock.advance(1_000);
                    }
                }
                if let Some(command) = command {
                    world.command(id, command).await;
                }
                run(&mut world, |_| {}).await;
                world.heal(id).await;
                let shown = shown(&world, id);
                let case =
                    format!("{definition} {amount} {destination} {command:?} after {after}: {shown:#}");
                assert_eq!(reported(&shown), truth(&world, id), "{case}");
            }
        }
    }
}

#[tokio::test]
async fn what_comes_again_long_after_changes_nothing_that_is_shown() {
    for (amount, destination) in [(SMALL, "DE"), (LARGE, "DE"), (SMALL, "AQ")] {
        for cancelled_after in [None, Some(0), Some(1), Some(2), Some(3), Some(4), Some(5)] {
            for order_of_steps in [World::default, zigzag] {
                let mut world = order_of_steps();
                let id = order(&world, amount, destination).await;
                let mut messages = Vec::new();
                for number in 0.. {
                    if cancelled_after == Some(number) {
                        world.command(id, Command::Cancel).await;
                    }
                    world.publish().await;
                    if world.on_the_way.is_empty() {
                        break;
                    }
                    let message = world.on_the_way.remove(0);
                    world.clock.advance(1_000);
                    world.deliver(&message).await.unwrap();
                    messages.push(message);
                }
                let case = format!("{amount} {destination} cancelled after {cancelled_after:?}");
                assert_eq!(reported(&shown(&world, id)), truth(&world, id), "{case}");
                for message in &messages {
                    world.deliver(message).await.unwrap();
                }
                run(&mut world, |_| {}).await;
                assert_eq!(
                    reported(&shown(&world, id)),
                    truth(&world, id),
                    "{case}, repeated"
                );
                for entry in &world.saga(id).timeline.entries {
                    let once = entry.outcome != Outcome::Applied || entry.times == 1;
                    assert!(once, "{case}: {entry:?}");
                }
                assert_eq!(world.aws.alerts(), [], "{case}");
            }
        }
    }
}

#[tokio::test]
async fn a_receipt_that_the_other_cloud_refuses_is_distinguished_from_what_it_undid() {
    let mut world = World::default();
    // The receipts refuse nothing: so the step after the inventory is met by a cancel first.
    let id = order(&world, SMALL, "DE").await;
    world.publish().await;
    world.deliver_at(0).await;
    world.publish().await;
    let receipt = world.on_the_way.remove(0);
    world.command(id, Command::Cancel).await;
    run(&mut world, |_| {}).await;
    let after = shown(&world, id);
    let states: Vec<&str> = after["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["UNDONE", "UNDONE", "REFUSED", "NOT_DONE"], "{after:#}");
    assert_eq!(reported(&after), truth(&world, id));
    world.deliver(&receipt).await.unwrap();
    run(&mut world, |_| {}).await;
    assert_eq!(
        reported(&shown(&world, id)),
        truth(&world, id),
        "late and repeated words change nothing"
    );
}

#[tokio::test]
async fn while_a_saga_is_under_way_nothing_is_shown_that_was_not_so() {
    for (amount, destination) in [(SMALL, "DE"), (LARGE, "DE"), (SMALL, "AQ")] {
        let mut world = World::default();
        let id = order(&world, amount, destination).await;
        let mut history = vec![Vec::new(); 4];
        loop {
            for (step, now) in truth(&world, id).into_iter().enumerate() {
                history[step].push(now);
            }
            for (step, shown) in reported(&shown(&world, id)).into_iter().enumerate() {
                let word = shown.0.as_str();
                let known = matches!(word, "DONE" | "REFUSED" | "UNDONE");
                assert!(
                    !known || history[step].contains(&shown),
                    "step {step}: {shown:?} of {:?}",
                    history[step]
                );
                assert!(
                    word != "NOT_DONE" || history[step].last().unwrap().0 != "DONE",
                    "step {step}: {shown:?}"
                );
            }
            world.publish().await;
            if world.on_the_way.is_empty() {
                break;
            }
            world.deliver_at(0).await;
            world.clock.advance(1_000);
        }
    }
}

/// The event in a message, changed.
fn changed(message: &mut Message, change: impl Fn(&mut Value)) {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    match message.to {
        Place::AzureQueue => {
            let mut event = serde_json::from_slice(&STANDARD.decode(&message.body).unwrap()).unwrap();
            change(&mut event);
            message.body = STANDARD.encode(event.to_string());
        }
        Place::Ingress => {
            let mut events: Value = serde_json::from_str(&message.body).unwrap();
            change(&mut events[0]);
            message.body = events.to_string();
        }
        Place::EventsQueue => {
            let mut envelope: Value = serde_json::from_str(&message.body).unwrap();
            change(&mut envelope["detail"]);
            message.body = envelope.to_string();
        }
    }
}

/// As a function wrote it that knew nothing of what steps tell.
fn as_before(message: &mut Message) {
    changed(message, |event| {
        if event["data"]
            .as_object_mut()
            .unwrap()
            .remove(Reports::MEMBER)
            .is_some()
        {
            event.as_object_mut().unwrap().remove("sagasum");
        }
    });
}

#[tokio::test]
async fn what_an_older_participant_does_not_say_is_derived_where_that_is_possible_and_left_open_where_it_is_not()
 {
    for (amount, state) in [(SMALL, "DONE"), (LARGE, "REFUSED")] {
        let mut world = World::default();
        let id = world.start(amount).await;
        run(&mut world, as_before).await;
        assert_eq!(reported(&shown(&world, id)), truth(&world, id));
        assert_eq!(shown(&world, id)["steps"][1]["state"], state);
    }
    // Between two steps of the other cloud nothing is known of the first, but that it is done.
    let mut world = World::default();
    let id = order(&world, SMALL, "DE").await;
    run(&mut world, as_before).await;
    let steps = shown(&world, id)["steps"].clone();
    assert_eq!(
        (&steps[1]["state"], &steps[1]["at"]),
        (&json!("DONE"), &Value::Null)
    );
    assert_eq!(reported(&json!({"steps": [steps[2]]})), truth(&world, id)[2..3]);
    // A refusal of which only the step before it tells: it is not known which of the two refused.
    let mut world = World::default();
    let id = order(&world, LARGE, "DE").await;
    run(&mut world, as_before).await;
    let steps = shown(&world, id)["steps"].clone();
    assert_eq!(
        (&steps[1]["state"], &steps[2]["state"]),
        (&json!("NOT_DONE"), &json!("NOT_DONE"))
    );
    assert_eq!(
        steps[1]["reason"],
        "the amount 10000.01 is over the limit of 10000"
    );
}

/// A trip of these steps, by name and cloud, that an operator overrides while the word that all is done is on its way; all of
/// its events are as an older participant writes them. What is shown once the step `until` is undone.
async fn overridden_trip(steps: [(&str, &str); 4], until: usize) -> [String; 4] {
    let step = |(name, cloud): (&str, &str)| {
        let (participant, done) = match name {
            "payment" => ("payments", "TripPaid"),
            "inventory" => ("inventory", "StockReserved"),
            "shipping" => ("shipping", "TripBooked"),
            _ => ("receipts", "ReceiptStored"),
        };
        format!(
            "[[step]]\nname = \"{name}\"\ncloud = \"{cloud}\"\nparticipant = \"{participant}\"\ndone = \"{done}\"\n\
             compensate = \"Undo{name}\"\ncancel = \"Cancel{name}\"\n"
        )
    };
    let file = format!(
        "name = \"trip\"\nversion = 1\ndeadline = \"15m\"\n{}",
        steps.map(step).concat()
    );
    let mut world = World::default();
    world.release([saga_wire::definitions::parse(&file).unwrap()]);
    let body = format!(
        r#"{{"order_id":"order-1","amount":"{SMALL}","currency":"EUR","destination":"DE",
            "items":[{{"sku":"{SKU}","quantity":1}}]}}"#
    );
    let id = world.try_start_of("trip", "key", &body).await.unwrap();
    let mut overridden = false;
    while truth(&world, id)[until].0 != "UNDONE" {
        world.publish().await;
        let mut message = world.on_the_way.remove(0);
        as_before(&mut message);
        world.deliver(&message).await.unwrap();
        if !overridden && truth(&world, id)[3].0 == "DONE" {
            overridden = true;
            world
                .command(
                    id,
                    Command::Resolve {
                        to: Override::Cancelled,
                        force: false,
                    },
                )
                .await;
        }
    }
    let states: Vec<String> = reported(&shown(&world, id))
        .into_iter()
        .map(|step| step.0)
        .collect();
    states.try_into().unwrap()
}

/// What asks a step to undo has passed those above it, whose cloud may be the other one.
#[tokio::test]
async fn a_step_that_was_done_is_shown_undone_once_one_below_it_is_also_where_an_older_participant_does_not_say_so()
 {
    let steps = [
        ("payment", "aws"),
        ("shipping", "aws"),
        ("inventory", "azure"),
        ("receipt", "azure"),
    ];
    assert_eq!(overridden_trip(steps, 1).await, ["UNDONE"; 4]);
}

/// From the origin to the other cloud and back, twice.
#[tokio::test]
async fn a_step_below_one_that_was_undone_is_shown_done_until_it_is_undone_itself() {
    let steps = [
        ("payment", "aws"),
        ("inventory", "azure"),
        ("shipping", "aws"),
        ("receipt", "azure"),
    ];
    assert_eq!(
        overridden_trip(steps, 2).await,
        ["UNDONE", "DONE", "UNDONE", "UNDONE"]
    );
}

#[tokio::test]
async fn what_an_older_origin_kept_is_read_from_the_timeline() {
    for amount in [SMALL, LARGE] {
        let mut world = World::default();
        let id = world.start(amount).await;
        run(&mut world, |_| {}).await;
        let saga = world.saga(id);
        let old = Saga {
            timeline: Timeline {
                observed: Default::default(),
                ..saga.timeline.clone()
            },
            ..saga
        };
        assert_eq!(reported(&view(&world, &old)), truth(&world, id));
    }
}

#[tokio::test]
async fn another_publishers_word_is_no_steps() {
    let mut world = World::default();
    let id = world.start(SMALL).await;
    let outside = json!({"specversion": "1.0", "id": "their-1", "source": "elsewhere", "type": "InventoryReserved",
        "data": {"saga_id": id.to_string(), "order_id": "order-1"}});
    let message = Message {
        to: Place::EventsQueue,
        kind: "InventoryReserved".to_owned(),
        body: envelope("InventoryReserved", &outside.to_string()),
    };
    world.deliver(&message).await.unwrap();
    let step = shown(&world, id)["steps"][1].clone();
    assert_eq!((&step["state"], &step["at"]), (&json!("UNKNOWN"), &Value::Null));
    run(&mut world, |_| {}).await;
    assert_eq!(
        reported(&shown(&world, id)),
        truth(&world, id),
        "its own word counts, after the override, too"
    );
}

#[tokio::test]
async fn a_contradiction_after_an_override_shows_what_the_step_says() {
    let mut world = World::default();
    let id = world.start(LARGE).await;
    world
        .command(
            id,
            Command::Resolve {
                to: Override::Completed,
                force: false,
            },
        )
        .await;
    run(&mut world, |_| {}).await;
    let shown = shown(&world, id);
    assert_eq!(shown["status"], "COMPLETED");
    assert_eq!(reported(&shown)[1], truth(&world, id)[1]);
    assert_eq!(shown["reason"], "changed my mind", "the override's own");
}

#[tokio::test]
async fn what_is_said_of_steps_is_changed_by_nobody_on_its_way() {
    let mut world = World::default();
    let id = order(&world, SMALL, "AQ").await;
    let meddle = |message: &mut Message| {
        changed(message, |event| {
            if let Some(reported) = event["data"].get_mut(Reports::MEMBER) {
                *reported = json!(reported.as_str().unwrap().replace('1', "2"));
            }
        });
    };
    world.publish().await;
    let opening = world.on_the_way.remove(0);
    world.deliver(&opening).await.unwrap();
    let mut message = world.on_the_way.remove(0);
    meddle(&mut message);
    world.deliver(&message).await.unwrap();
    assert_eq!(world.azure.quarantined().len(), 1);
    assert_eq!(shown(&world, id)["steps"][1]["state"], "UNKNOWN");
}

/// A saga of two steps on either cloud, in any state that its ends and marks can be in.
fn in_state(phase: Phase, flags: u8) -> Saga {
    let set = |bit: u8| flags & (1 << bit) != 0;
    let mark = |reason: &str| Mark::new(given::time(1), "by", reason);
    let mut saga = given::saga(1, given::time(0));
    saga.lifecycle = Lifecycle {
        phase,
        closing: set(0),
        followed: false,
        cancelling: set(1),
        overridden: set(2),
    };
    saga.cancel = set(1).then(|| mark("the cancel's"));
    // An old mark may be there without an override, too.
    saga.resolved = (set(2) || set(3)).then(|| mark("the override's"));
    let mut record = given::record("the step's");
    record.state = if set(4) {
        StepState::Undone
    } else {
        StepState::Done
    };
    record.reason = set(4).then(|| "the step's".to_owned());
    saga.steps.insert(StepIndex::FIRST, record);
    if set(5) {
        let said = Observed {
            state: Some(StepState::Refused),
            at: None,
            reason: Some("the other cloud's".to_owned()),
            progress: None,
        };
        saga.timeline.observed.insert(StepIndex::new(1), said);
    }
    saga
}

#[test]
fn the_reason_is_that_of_the_state_that_is_shown_whatever_was_asked_before() {
    for phase in [Phase::Open, Phase::Completed, Phase::Cancelled] {
        for flags in 0..64 {
            let saga = in_state(phase, flags);
            let expected = match (saga.lifecycle.overridden, phase) {
                (true, _) => Some("the override's"),
                (false, Phase::Completed) => None,
                (false, Phase::Open | Phase::Cancelled) if flags & (1 << 4) != 0 => Some("the step's"),
                (false, Phase::Open | Phase::Cancelled) if flags & (1 << 5) != 0 => Some("the other cloud's"),
                (false, Phase::Open | Phase::Cancelled) => saga.cancel.as_ref().map(|_| "the cancel's"),
            };
            assert_eq!(saga.reason(), expected, "{phase:?} {flags:06b}");
            let world = World::new(OriginCloud::new(), saga_memory::StepCloud::new());
            assert_eq!(
                view(&world, &saga)["reason"],
                json!(expected),
                "{phase:?} {flags:06b}"
            );
        }
    }
}

#[tokio::test]
async fn a_cancel_or_a_deadline_that_came_too_late_is_no_reason_of_a_saga_that_completed() {
    for deadline in [false, true] {
        let mut world = World::default();
        let id = world.start(SMALL).await;
        world.publish().await;
        world.deliver_at(0).await;
        if deadline {
            let answer = world.on_the_way.remove(0);
            world.wait_and_sweep(3_600_000).await;
            assert_eq!(
                shown(&world, id)["reason"],
                "the deadline has passed",
                "while it is asked to cancel"
            );
            world.on_the_way.insert(0, answer);
        } else {
            assert_eq!(world.command(id, Command::Cancel).await, Outcome::Applied);
            assert_eq!(shown(&world, id)["reason"], "changed my mind");
        }
        run(&mut world, |_| {}).await;
        let shown = shown(&world, id);
        assert_eq!(
            (&shown["status"], &shown["reason"]),
            (&json!("COMPLETED"), &Value::Null)
        );
        assert_eq!(shown["flags"]["cancel_requested"], true);
    }
}

#[tokio::test]
async fn no_line_shows_a_step_that_the_definition_does_not_have() {
    for (amount, destination) in [(SMALL, "DE"), (SMALL, "AQ"), (LARGE, "DE")] {
        let mut world = World::default();
        let id = order(&world, amount, destination).await;
        world.command(id, Command::Cancel).await;
        world.on_the_way.clear();
        world.command(id, Command::Cancel).await;
        run(&mut world, |_| {}).await;
        world
            .command(
                id,
                Command::Resolve {
                    to: Override::Cancelled,
                    force: false,
                },
            )
            .await;
        let shown = shown(&world, id);
        let steps = shown["steps"].as_array().unwrap();
        for line in shown["timeline"].as_array().unwrap() {
            let is_command = line["note"]
                .as_str()
                .is_some_and(|note| note.starts_with("somebody: "));
            let is_end = ["complete", "cancelled", "resolve"].contains(&line["verb"].as_str().unwrap());
            if is_command || is_end {
                assert_eq!(
                    (&line["step"], &line["step_name"]),
                    (&Value::Null, &Value::Null),
                    "{line}"
                );
            } else {
                let step = usize::try_from(line["step"].as_u64().unwrap()).unwrap();
                assert_eq!(line["step_name"], steps[step]["name"], "{line}");
            }
        }
    }
}

#[tokio::test]
async fn a_word_that_came_without_a_checksum_is_shown_as_unverified() {
    let mut world = World::default();
    let id = world.start(SMALL).await;
    world.publish().await;
    world.deliver_at(0).await;
    world.deliver_at(0).await;
    let with = world.on_the_way.remove(0);
    let mut without = with.clone();
    changed(&mut without, |event| {
        event.as_object_mut().unwrap().remove("sagasum");
    });
    world.deliver(&without).await.unwrap();
    world.deliver(&with).await.unwrap();
    let lines = shown(&world, id)["timeline"].clone();
    let unverified: Vec<_> = lines
        .as_array()
        .unwrap()
        .iter()
        .map(|line| {
            (
                line["verb"].as_str().unwrap(),
                line["outcome"].as_str().unwrap(),
                line.get("unverified").is_some(),
            )
        })
        .collect();
    assert_eq!(
        unverified,
        [
            ("advance", "applied", false),
            ("complete", "applied", true),
            ("complete", "repeated", false)
        ]
    );
    // One of several that a line counts is enough.
    world.deliver(&without).await.unwrap();
    let last = shown(&world, id)["timeline"][2].clone();
    assert_eq!((&last["times"], &last["unverified"]), (&json!(2), &json!(true)));
}

#[test]
fn a_time_that_nobody_said_is_none() {
    let mut world = World::default();
    futures_executor::block_on(async {
        let id = world.start(SMALL).await;
        world.publish().await;
        world.deliver_at(0).await;
        world.deliver_at(0).await;
        let mut answer = world.on_the_way.remove(0);
        as_before(&mut answer);
        changed(&mut answer, |event| {
            event.as_object_mut().unwrap().remove("time");
            event["id"] = json!("their-own");
        });
        world.deliver(&answer).await.unwrap();
        let step = shown(&world, id)["steps"][1].clone();
        assert_eq!((&step["state"], &step["at"]), (&json!("DONE"), &Value::Null));
    });
}
