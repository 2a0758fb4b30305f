//! Every log line about an event or a saga names it: one search by saga or trace shows one saga on both clouds. The use
//! cases run through all that they log, and what they wrote is read as an operator's search reads it.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use saga_app::dead_letters::command::{Act, Command, Filter, Selection};
use saga_app::dead_letters::watch;
use saga_app::log::About;
use saga_app::outbox::{Relay, Rules};
use saga_app::override_saga;
use saga_app::park_saga::{AtOrigin, park_saga};
use saga_app::pause_service::change_service;
use saga_app::ports::outbox::DEFAULT_SHARDS;
use saga_app::ports::{Envelope, Parked, PortError, Time};
use saga_core::mark::Asked;
use saga_core::origin::Override;
use saga_memory::{Fault, OriginCloud, StepCloud};
use saga_runtime::sqs_batch::{Batch, handle_each};
use saga_runtime::telemetry::logger;
use saga_tests::calls::Outside;
use saga_tests::dead_letters::{Desk, all, dead};
use saga_tests::sagas;
use saga_tests::world::{Message, Place, World, envelope, order, switch};
use saga_wire::{definitions, json, notice};
use serde_json::Value;

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn lines(&self) -> Vec<Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// What was logged meanwhile.
async fn logged(what: impl Future<Output = ()>) -> Vec<Value> {
    let log = Log::default();
    let lines = log.clone();
    let logger = logger("info", move || lines.clone());
    let _logging = tracing::dispatcher::set_default(&logger);
    what.await;
    log.lines()
}

fn to(place: Place, body: impl Into<String>) -> Message {
    Message {
        to: place,
        kind: String::new(),
        body: body.into(),
    }
}

/// Sagas that complete, are refused, cancelled, overridden, overdue, stuck and contradicted, on both clouds.
async fn sagas() {
    let mut world = World::default();
    world.start("100").await;
    world.start("10000.01").await;
    world.settle().await;
    let body = order("100");
    let one = world.try_start("again", &body).await.unwrap();
    world.try_start("again", &body).await.unwrap();
    world.command(one, override_saga::Command::Cancel).await;
    world.settle().await;
    let two = world.start("10000.01").await;
    world.resolve(two, Override::Completed).await;
    world.settle().await;
    let three = world.start("100").await;
    world.outsider_compensates(three);
    world.settle().await;
}

/// A saga that does not end, and somebody to tell or nobody.
async fn stuck(silent: bool) {
    let (_, faults) = switch("Alerts::raise", silent);
    let mut world = World::new(OriginCloud::with_faults(faults), StepCloud::new());
    let id = world.start("100").await;
    world.publish().await;
    world.on_the_way.clear();
    for _ in 0..40 {
        world.wait_and_sweep(60_000).await;
        world.on_the_way.clear();
    }
    assert_eq!(world.saga(id).stuck.is_none(), silent);
    world.heal(id).await;
}

/// What nobody understands, at each entrance; and a message that came to rest.
async fn strange(failing: bool) {
    let (_, no_alerts) = switch("Alerts::raise", failing);
    let (_, nor_there) = switch("Alerts::raise", failing);
    let mut world = World::new(
        OriginCloud::with_faults(no_alerts),
        StepCloud::with_faults(nor_there),
    );
    let id = world.start("100").await;
    world.publish().await;
    let opening = world.on_the_way.remove(0);
    world.deliver(&opening).await.unwrap();
    let answer = world.on_the_way.remove(0);
    // Each strays to where it is not for, and none is an event.
    let own = &answer.body[1..answer.body.len() - 1];
    let opened = saga_tests::dead_letters::event_in(&opening);
    for message in [
        to(Place::AzureQueue, base64(own)),
        to(Place::Ingress, format!("[{opened}]")),
        to(Place::EventsQueue, envelope("PaymentReserved", &opened)),
        to(Place::AzureQueue, base64("no event")),
        to(Place::Ingress, r#"{"no":"event"}"#),
        to(Place::EventsQueue, "no event"),
    ] {
        world.deliver(&message).await.unwrap();
    }
    let parked = notice::Parked {
        saga: id,
        event: format!("{:013}-{id}-advance1", world.saga(id).created.millis())
            .parse()
            .unwrap(),
        reason: "failed at every try".to_owned(),
        at: world.clock.now(),
    };
    let text = notice::write_parked(&parked);
    world
        .deliver(&to(Place::Ingress, format!("[{text}]")))
        .await
        .unwrap();
    world
        .deliver(&to(Place::EventsQueue, envelope(notice::PARKED, &text)))
        .await
        .unwrap();
    // A step that never acted is asked to be undone.
    let two = world.start("100").await;
    let undo = compensate(&opened, &id.to_string(), &two.to_string());
    world
        .deliver(&to(Place::AzureQueue, base64(&undo)))
        .await
        .unwrap();
}

/// A participant that cannot reach its table and gives a message up, and one that cannot publish.
async fn failing() {
    let faults = |call: &'static str| match call {
        "StepStore::commit" | "Parking::park" => Fault::FailBefore,
        _ => Fault::None,
    };
    let mut world = World::new(OriginCloud::new(), StepCloud::with_faults(faults));
    world.start("100").await;
    world.publish().await;
    world.last_try = true;
    let message = world.on_the_way.remove(0);
    world.deliver(&message).await.unwrap_err();
    let batch = |body: &str| {
        let record = serde_json::json!({"Records": [{"messageId": "m-1", "body": body}]});
        serde_json::from_value::<Batch>(record).unwrap()
    };
    let event = saga_tests::dead_letters::event_in(&message);
    for message in [event.clone(), envelope("PaymentReserved", &event)] {
        handle_each(&batch(&message), async |_| -> Result<(), PortError> {
            Err(PortError::Throttled { what: "a test" })
        })
        .await;
        handle_each(&batch(&message), async |_| -> Result<(), PortError> {
            panic!("on purpose")
        })
        .await;
    }
    let (down, faults) = switch("Outbox::delete", true);
    let mut world = World::new(OriginCloud::new(), StepCloud::with_faults(faults));
    world.start("100").await;
    world.publish().await;
    let message = world.on_the_way.remove(0);
    world.deliver(&message).await.unwrap();
    down.store(false, Ordering::SeqCst);
}

/// Rows that the bus does not take: for now, and for good, with and without somebody to tell.
async fn refused() {
    for attempts in [1, 20] {
        for silent in [false, true] {
            let (_, faults) = switch("Alerts::raise", silent);
            let (_, bus) = switch("Publisher::publish", true);
            let world = World::new(OriginCloud::with_faults(faults), StepCloud::new());
            world.start("100").await;
            world.clock.advance(60_000);
            let down = StepCloud::with_faults(bus);
            let parking = AtOrigin::new(&world.aws, &world.clock);
            let rules = Rules {
                attempts,
                ..Rules::default()
            };
            let relay = Relay::new(&world.aws, &down, &world.aws, &parking, &world.clock, rules);
            let until = world.clock.now().plus_millis(60_000);
            relay
                .within("a worker", until)
                .sweep(DEFAULT_SHARDS)
                .await
                .unwrap();
        }
    }
}

/// Dead letters that are told, replayed and discarded.
async fn dead_letters() {
    for act in [Act::Replay, Act::Discard] {
        let (mut world, desk) = (World::default(), Desk::new());
        world.start("100").await;
        world.publish().await;
        let message = world.on_the_way.pop().unwrap();
        desk.places.put(dead(&message, 0, 1));
        watch(&desk.ports(&world), &world.aws, &desk.places).await;
        assert_eq!(desk.run(&world, &all(act)).await.done, 1);
        desk.bring(&mut world);
        world.settle().await;
    }
    let (mut world, desk) = (World::default(), Desk::new());
    world.start("100").await;
    world.publish().await;
    let message = world.on_the_way.pop().unwrap();
    desk.places.put(dead(&message, 0, 1));
    desk.places.refuse(true);
    assert_eq!(desk.run(&world, &all(Act::Replay)).await.failed, 1);
    // Nothing is left of a saga that shows a message as parked, and it cannot be written now.
    let (down, faults) = switch("SagaStore::commit", false);
    let (world, desk) = (
        World::new(OriginCloud::with_faults(faults), StepCloud::new()),
        Desk::new(),
    );
    let saga = world.start("100").await;
    let parked = Parked {
        saga,
        event: "their-1".parse().unwrap(),
        reason: "failed at every try".to_owned(),
        at: world.clock.now(),
    };
    park_saga(&world.aws, &world.clock, &parked).await.unwrap();
    down.store(true, Ordering::SeqCst);
    let filter = Filter {
        saga: Some(saga),
        ..Filter::default()
    };
    let of_the_saga = Command {
        selection: Selection::All(filter),
        ..all(Act::Discard)
    };
    assert_eq!(desk.run(&world, &of_the_saga).await.failed, 0);
}

fn base64(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// The event that asks Azure's step of the other saga to be undone, as a tool writes it, without a checksum.
fn compensate(event: &str, saga: &str, other: &str) -> String {
    let mut event: Value = serde_json::from_str(&event.replace(saga, other)).unwrap();
    event["id"] = "a-tools-own".into();
    event["type"] = "InventoryReleaseRequested".into();
    event["sagaverb"] = "compensate".into();
    event.as_object_mut().unwrap().remove("sagasum");
    json::write_object(&json::parse_object(&event.to_string()).unwrap())
}

/// Lines about many sagas, or about none.
const OF_NO_SAGA: [&str; 5] = [
    "outbox swept",
    "sagas swept",
    "dead letters",
    "dead letters watched",
    "the lease was lost",
];

#[tokio::test]
async fn every_line_about_an_event_or_a_saga_names_it_its_trace_and_what_became_of_it() {
    let lines = logged(async {
        sagas().await;
        stuck(false).await;
        stuck(true).await;
        strange(false).await;
        strange(true).await;
        failing().await;
        refused().await;
        dead_letters().await;
    })
    .await;
    let mut kinds = BTreeSet::new();
    for line in lines {
        let text = |name: &str| line.get(name).and_then(Value::as_str);
        let message = text("message").unwrap();
        if OF_NO_SAGA.contains(&message) {
            continue;
        }
        let outcome = text("outcome");
        // What the objective on the time to an end is measured by.
        if let Some(took) = line.get("took_ms") {
            assert!(took.as_i64().is_some_and(|took| took >= 0), "{line}");
            assert_eq!((message, outcome), ("event", Some("applied")), "{line}");
            assert!(
                text("status").is_some_and(|status| status == "COMPLETED" || status.starts_with("CANCELLED")),
                "{line}"
            );
        }
        kinds.insert(format!("{message}: {}", outcome.unwrap_or("")));
        assert!(outcome.is_some(), "{line}");
        let Some(saga) = text("saga_id") else {
            // What says nothing that can be read.
            assert!(
                outcome == Some("quarantined") || outcome == Some("not told"),
                "{line}"
            );
            continue;
        };
        // Another team's event says no trace, and neither does the name of a message that came to rest, or of a saga alone.
        let own = text("event_id").is_none_or(|event| event.contains(saga) || event == "a-tools-own");
        let by_name = outcome == Some("not told")
            || text("type") == Some(notice::PARKED)
            || message == "the saga still shows that it is parked";
        if own && !by_name {
            assert_eq!(text("trace_id").map(str::len), Some(32), "{line}");
        }
        if own && text("event_id").is_some() {
            let at_an_end =
                ["complete", "cancelled"].contains(&text("verb").unwrap_or_else(|| panic!("{line}")));
            let step = line.get("step").map(|step| step.as_u64().unwrap());
            assert_eq!(step.is_none(), at_an_end, "{line}");
            assert!(step.is_none_or(|step| step < 2), "{line}");
        }
    }
    let expected = [
        "alert not sent: not told",
        "alert not sent; the events stay in the outbox: not told",
        "command: applied",
        "dead letter: discard",
        "dead letter: failed",
        "dead letter: replay",
        "event: admitted",
        "event: applied",
        "event: contradicted",
        "event: late",
        "event: parked",
        "event: quarantined",
        "event: repeated",
        "left in the outbox for the sweep: left",
        "message: panicked",
        "message: retried",
        "outbox: dead",
        "outbox: left",
        "outbox: published",
        "saga flagged: flagged",
        "saga: sent again",
        "start: applied",
        "start: repeated",
        "the saga does not show that it is parked: not shown",
        "the saga still shows that it is parked: not shown",
    ];
    assert_eq!(kinds, expected.map(str::to_owned).into());
}

#[tokio::test]
async fn a_saga_that_ended_by_an_event_says_once_how_long_it_took() {
    let log = Log::default();
    let lines = log.clone();
    let logger = logger("info", move || lines.clone());
    {
        let _logging = tracing::dispatcher::set_default(&logger);
        sagas().await;
    }
    let timed: Vec<Value> = log
        .lines()
        .into_iter()
        .filter(|line| line.get("took_ms").is_some())
        .collect();
    let ids: BTreeSet<&str> = timed
        .iter()
        .map(|line| line["saga_id"].as_str().unwrap())
        .collect();
    // All but the one that a person overrode, which no event ended.
    assert_eq!((timed.len(), ids.len()), (4, 4), "{timed:?}");
}

#[tokio::test]
async fn how_long_a_saga_took_is_counted_from_its_start() {
    let lines = logged(async {
        let mut world = World::default();
        world.clock.advance(86_400_000);
        world.start("100").await;
        world.clock.advance(7_000);
        world.settle().await;
    })
    .await;
    let took: Vec<i64> = lines.iter().filter_map(|line| line["took_ms"].as_i64()).collect();
    assert_eq!(took, [7_000]);
}

#[tokio::test]
async fn a_sweep_that_stopped_early_says_why() {
    for (down, millis, why) in [
        (true, 60_000, "the other side is down"),
        (false, 0, "out of time"),
    ] {
        let lines = logged(async {
            let (_, bus) = switch("Publisher::publish", down);
            let (world, bus) = (World::default(), StepCloud::with_faults(bus));
            for _ in 0..300 {
                world.start("100").await;
            }
            world.clock.advance(60_000);
            let parking = AtOrigin::new(&world.aws, &world.clock);
            let rules = Rules::default();
            let relay = Relay::new(&world.aws, &bus, &world.aws, &parking, &world.clock, rules);
            let until = world.clock.now().plus_millis(millis);
            relay
                .within("a worker", until)
                .sweep(DEFAULT_SHARDS)
                .await
                .unwrap();
        })
        .await;
        let mut swept = lines.iter().filter(|line| line["message"] == "outbox swept");
        assert_eq!(swept.next().unwrap()["stopped"], why);
    }
}

#[tokio::test]
async fn a_definition_that_a_release_changed_in_place_is_logged_once_a_process() {
    let file = sagas::PAYMENT;
    for (file, reported) in [(file.replace("15m", "5m"), 2), (file.to_owned(), 0)] {
        let lines = logged(async {
            let mut world = World::default();
            world.start("100").await;
            for _process in 0..2 {
                world.release([definitions::parse(&file).unwrap()]);
                for _ in 0..3 {
                    world.start("100").await;
                }
            }
        })
        .await;
        let changed = |line: &&Value| line["outcome"] == "used as it is stored";
        assert_eq!(lines.iter().filter(changed).count(), reported);
    }
}

/// The first pause of a service is kept; who asked for the second one, and why, stands in the log alone.
#[tokio::test]
async fn every_request_to_pause_a_service_is_logged_with_its_reason_and_its_author() {
    for (service, cloud) in [("ledger", "aws"), ("bank", "azure")] {
        let lines = logged(async {
            let mut world = World::default();
            world.deployment.services = Some(Outside::new(&[(service, cloud)]).services().clone());
            for (by, why) in [("ann", "maintenance"), ("bob", "an audit")] {
                let asked = Asked {
                    by,
                    caller: None,
                    why,
                };
                let (deployment, store, time) = (&world.deployment, &world.aws, &world.clock);
                let changed = change_service(deployment, store, time, service, true, asked).await;
                let state = changed.map(|changed| changed.state).ok().flatten();
                assert_eq!(state.unwrap().mark.by, "ann");
            }
        })
        .await;
        let asked = lines.iter().filter(|line| line["message"] == "service command");
        let asked = asked.map(|line| {
            ["service", "command", "by", "reason", "outcome"].map(|name| line[name].as_str().unwrap())
        });
        assert_eq!(
            asked.collect::<Vec<_>>(),
            [
                [service, "pause", "ann", "maintenance", "applied"],
                [service, "pause", "bob", "an audit", "repeated"]
            ]
        );
    }
}

#[tokio::test]
async fn an_event_is_named_alike_whatever_is_at_hand_of_it() {
    let mut world = World::default();
    let id = world.start("100").await;
    let row = world.aws.outbox().remove(0);
    world.publish().await;
    let message = &world.on_the_way[0];
    let saga_wire::saga_event::SagaEvent::Ours(event) = saga_wire::event_grid::event(&row.body).unwrap()
    else {
        panic!("{}", row.body)
    };
    let named = |about: About| {
        (
            about.saga_id,
            about.step,
            about.verb,
            about.event_id,
            about.trace_id,
        )
    };
    let expected = (
        Some(id.to_string()),
        Some(1),
        Some("advance"),
        Some(row.id.as_str().to_owned()),
        Some(world.saga(id).trace.trace_id().to_owned()),
    );
    for about in [
        About::event(&event),
        About::envelope(&row),
        About::message(&row.body),
        About::message(&envelope(&row.kind, &row.body)),
        About::message(&message.body),
        About::named(id, &row.id).within(&world.saga(id)),
        About::saga(&world.saga(id), Some(&event)),
    ] {
        assert_eq!(named(about), expected);
    }
    let unreadable = Envelope {
        body: "no event".to_owned(),
        ..row.event.clone()
    };
    let about = named(About::envelope(&unreadable));
    assert_eq!((about.0, about.3), (expected.0, expected.3));
}
