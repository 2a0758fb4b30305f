//! Pausing and resuming outside services through the API. Each answer of the API is held to the OpenAPI document.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

mod initiator;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use initiator::{API, answers, fields, runs};
use saga_app::dead_letters::{Disposition, Found, Prospect, command::Act, find};
use saga_app::ports::{ServiceStates, Time};
use saga_core::ServiceState;
use saga_memory::{Fault, OriginCloud, StepCloud};
use saga_tests::calls::Outside;
use saga_tests::dead_letters::{Desk, all};
use saga_tests::openapi::Answer;
use saga_tests::saga_api::{ARN, SagaApi, refuses};
use saga_tests::world::{Place, World};
use saga_wire::dead_letter::{DeadLetter, Received, Row, Source, destination, listed, poison, row};
use serde_json::{Value, json};

/// The ledger is called from AWS, the bank from Azure.
fn bound(mut world: World) -> World {
    let outside = Outside::new(&[("bank", "azure"), ("ledger", "aws")]);
    world.deployment.services = Some(outside.services().clone());
    world
}

async fn change(world: &World, name: &str, verb: &str, why: &str) -> Answer {
    world.clock.advance(1_000);
    let body = json!({"reason": why, "by": "ops"}).to_string();
    API.ask(world, "POST", &format!("/services/{name}/{verb}"), &body)
        .await
}

async fn listed_services(world: &World) -> Value {
    API.ask(world, "GET", "/services", "").await.json()["services"].clone()
}

/// Whether the bank is paused, as far as its caller on Azure knows.
async fn on_azure(world: &World) -> Option<bool> {
    let state = world.azure.service_state("bank").await.unwrap()?;
    Some(state.paused)
}

/// Azure knows of the last change.
async fn azure_is_up_to_date(world: &World) {
    let number = |state: Option<ServiceState>| state.unwrap().number;
    let (here, there) = (
        world.aws.service_state("bank").await,
        world.azure.service_state("bank").await,
    );
    assert_eq!(number(here.unwrap()), number(there.unwrap()));
}

#[tokio::test]
async fn a_service_of_aws_is_paused_at_once_and_once() {
    let world = bound(World::default());
    let never = |name, cloud| json!({"name": name, "cloud": cloud, "state": "active", "since": null, "reason": null, "by": null});
    let both = json!([never("bank", "azure"), never("ledger", "aws")]);
    assert_eq!(listed_services(&world).await, both);

    let paused = change(&world, "ledger", "pause", "the ledger is mended").await;
    assert_eq!(paused.status, 200, "{paused:?}");
    let shown = paused.json();
    let since = saga_wire::time::format(world.clock.now());
    assert_eq!(
        shown,
        json!({"name": "ledger", "cloud": "aws", "state": "paused", "since": since, "reason": "the ledger is mended",
               "by": "ops", "caller": ARN})
    );
    assert_eq!(listed_services(&world).await[1], shown);
    let again = change(&world, "ledger", "pause", "another reason").await;
    assert_eq!((again.status, again.json()), (200, shown));

    let resumed = change(&world, "ledger", "resume", "it is mended").await;
    assert_eq!(
        (
            resumed.status,
            &resumed.json()["state"],
            &resumed.json()["reason"]
        ),
        (200, &json!("active"), &json!("it is mended"))
    );
    assert!(world.aws.outbox_is_empty(), "AWS alone calls it");
}

#[tokio::test]
async fn what_nobody_paused_is_resumed_without_a_word() {
    let world = bound(World::default());
    for name in ["ledger", "bank"] {
        let resumed = change(&world, name, "resume", "to be sure").await;
        let shown = resumed.json();
        assert_eq!(
            (resumed.status, &shown["state"], &shown["since"]),
            (200, &json!("active"), &Value::Null)
        );
        assert_eq!(world.aws.service_state(name).await.unwrap(), None);
    }
    assert!(world.aws.outbox_is_empty());
}

#[tokio::test]
async fn a_pause_that_goes_to_azure_is_sent_with_its_change_and_once_more_when_it_is_asked_for_again() {
    let mut world = bound(World::default());
    let paused = change(&world, "bank", "pause", "maintenance").await;
    assert_eq!((paused.status, &paused.json()["state"]), (202, &json!("paused")));
    assert_eq!(on_azure(&world).await, None);
    world.settle().await;
    assert_eq!(on_azure(&world).await, Some(true));

    // The event of the end is lost.
    let resumed = change(&world, "bank", "resume", "done").await;
    assert_eq!(resumed.status, 202);
    world.publish().await;
    world.on_the_way.clear();
    assert_eq!(on_azure(&world).await, Some(true));
    let again = change(&world, "bank", "resume", "asked for again").await;
    assert_eq!((again.status, again.json()), (202, resumed.json()));
    world.settle().await;
    assert_eq!(on_azure(&world).await, Some(false));
    azure_is_up_to_date(&world).await;
    assert!(world.aws.quarantined().is_empty() && world.azure.quarantined().is_empty());
    assert!(world.aws.alerts().is_empty() && world.azure.alerts().is_empty());
}

#[tokio::test]
async fn late_repeated_and_reordered_events_of_a_service_change_nothing() {
    let mut world = bound(World::default());
    for verb in ["pause", "resume", "pause"] {
        change(&world, "bank", verb, verb).await;
    }
    world.publish().await;
    let events = std::mem::take(&mut world.on_the_way);
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(
        kinds,
        ["SagaServicePaused", "SagaServiceResumed", "SagaServicePaused"]
    );
    assert!(events.iter().all(|event| event.to == Place::AzureQueue));
    let orders: [&[usize]; 5] = [
        &[0, 1, 2],
        &[2, 1, 0],
        &[1, 2, 0, 2, 1],
        &[2, 2, 1, 1, 0, 0],
        &[0, 2, 1],
    ];
    for order in orders {
        world.azure = StepCloud::new();
        for index in order {
            world.deliver(&events[*index]).await.unwrap();
        }
        assert_eq!(on_azure(&world).await, Some(true), "{order:?}");
        azure_is_up_to_date(&world).await;
    }
}

#[tokio::test]
async fn what_is_not_bound_is_not_found_and_a_change_needs_a_reason() {
    let world = bound(World::default());
    for verb in ["pause", "resume"] {
        let unknown = change(&world, "mail", verb, "r").await;
        refuses(&unknown, 404, "unknown-service", "these are: bank, ledger");
        for body in [
            json!({"by": "ops"}),
            json!({"reason": " ", "by": "ops"}),
            json!({"reason": "r"}),
        ] {
            let path = format!("/services/bank/{verb}");
            let refused = API.ask(&world, "POST", &path, &body.to_string()).await;
            refuses(&refused, 400, "invalid-request", "must be a text");
        }
    }
    assert!(world.aws.outbox_is_empty());
    let none = World::default();
    refuses(
        &change(&none, "bank", "pause", "r").await,
        404,
        "unknown-service",
        "none is",
    );
    assert_eq!(listed_services(&none).await, json!([]));
}

#[tokio::test]
async fn a_change_that_meets_another_is_decided_again_and_not_for_ever() {
    let name = "ServiceChanges::keep_and_send_service_state";
    let conflict = move |call: &'static str| {
        if call == name {
            Fault::Conflict
        } else {
            Fault::None
        }
    };
    let world = bound(World::new(OriginCloud::with_faults(conflict), StepCloud::new()));
    refuses(&change(&world, "bank", "pause", "r").await, 503, "busy", "busy");
    assert!(world.aws.outbox_is_empty());
    let refuse = move |call: &'static str| {
        if call == name {
            Fault::FailAfter
        } else {
            Fault::None
        }
    };
    let mut world = bound(World::new(OriginCloud::with_faults(refuse), StepCloud::new()));
    refuses(
        &change(&world, "bank", "pause", "r").await,
        503,
        "unavailable",
        "not known",
    );
    world.settle().await;
    assert_eq!(on_azure(&world).await, Some(true), "what was committed goes on");
}

async fn prospect(world: &World, dead_letter: &DeadLetter) -> Prospect {
    let desk = Desk::new();
    desk.places.put(dead_letter.clone());
    match find(&desk.ports(world), &dead_letter.id).await.unwrap() {
        Found::Here(_, prospect) => prospect,
        Found::No(why) => panic!("{why}"),
    }
}

/// Wherever the event of a service was given up: an operator sees what it is, and sends it again.
#[tokio::test]
async fn a_lost_event_of_a_service_is_a_dead_letter_that_can_be_replayed() {
    let mut world = bound(World::default());
    change(&world, "bank", "pause", "maintenance").await;
    let [pending] = &world.aws.outbox()[..] else {
        panic!("{:?}", world.aws.outbox())
    };
    let body = pending.body.clone();
    let id = pending.id.clone();
    let of_outbox = Row {
        key: id.as_str().to_owned(),
        body: Some(body.clone()),
        ..Row::default()
    };
    let on_the_bus = Received {
        key: "1".to_owned(),
        body: body.clone(),
        ..Received::default()
    };
    let dead_letters = [
        row(Source::Outbox, of_outbox),
        destination(&on_the_bus),
        poison("1795226400000-1", &STANDARD.encode(&body), None),
    ];
    for dead_letter in &dead_letters {
        let shown = listed(dead_letter);
        assert_eq!(shown["type"], "SagaServicePaused", "{shown}");
        assert_eq!(
            (&shown["unreadable"], &shown["saga_id"]),
            (&Value::Null, &Value::Null),
            "{shown}"
        );
        let prospect = prospect(&world, dead_letter).await;
        assert_eq!(prospect.disposition, Disposition::Tried, "{prospect:?}");
        assert!(prospect.text.contains("about service `bank`"), "{prospect:?}");
        let desk = Desk::new();
        desk.places.put(dead_letter.clone());
        let report = desk.run(&world, &all(Act::Replay)).await;
        assert_eq!((report.done, report.failed), (1, 0), "{report:?}");
    }
    let desk = Desk::new();
    desk.places.put(dead_letters[2].clone());
    desk.run(&world, &all(Act::Replay)).await;
    desk.bring(&mut world);
    world.settle().await;
    assert_eq!(on_azure(&world).await, Some(true));
}

/// Its row dies as others do; there is no saga to mark.
#[tokio::test]
async fn an_event_of_a_service_that_nobody_takes_is_announced_without_a_saga() {
    let refuse = |call: &'static str| {
        if call == "Publisher::publish" {
            Fault::Conflict
        } else {
            Fault::None
        }
    };
    let mut world = bound(World::new(OriginCloud::with_faults(refuse), StepCloud::new()));
    change(&world, "bank", "pause", "maintenance").await;
    for _ in 0..60 {
        world.clock.advance(3_600_000);
        world.publish().await;
    }
    let dead = world.aws.dead();
    assert_eq!((dead.len(), world.aws.outbox().len()), (1, 0));
    let [alert] = &world.aws.alerts()[..] else {
        panic!("{:?}", world.aws.alerts())
    };
    assert!(
        alert.text.contains("(SagaServicePaused), after"),
        "{}",
        alert.text
    );
    assert!(!alert.text.contains("saga"), "{}", alert.text);
    assert!(world.aws.take_parked().is_empty());
}

/// A table that went back to an older copy has forgotten changes that Azure has heard of.
#[tokio::test]
async fn after_a_restore_a_change_holds_on_azure_again() {
    let mut world = bound(World::default());
    for verb in ["pause", "resume", "pause", "resume"] {
        change(&world, "bank", verb, "r").await;
    }
    world.settle().await;
    assert_eq!(on_azure(&world).await, Some(false));
    world.aws = OriginCloud::new();
    change(&world, "bank", "pause", "r").await;
    world.settle().await;
    assert_eq!(on_azure(&world).await, Some(true));
}
