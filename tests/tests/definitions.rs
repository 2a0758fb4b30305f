//! A definition is replaced, changed or removed: sagas that were started with it stay readable, and steerable as long as it
//! is kept beside them; where it is nowhere, nothing is lost and everybody is told what to do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "the helpers of these tests are tests, too"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use saga_app::dead_letters::command::Act;
use saga_app::definitions::{find, target_of_type};
use saga_app::list_sagas::{Query, find_saga, list_sagas};
use saga_app::override_saga::{Command, NotCommanded, command};
use saga_app::ports::Time;
use saga_app::ports::outbox::DEFAULT_SHARDS;
use saga_app::start_saga::{NotStarted, Request, start_saga};
use saga_app::sweep_sagas::{Report, sweep_sagas};
use saga_core::origin::{self, Override};
use saga_core::{Definition, DefinitionRef, Outcome, Saga, SagaId, Status};
use saga_memory::{Fault, OriginCloud, StepCloud};
use saga_tests::contract::given;
use saga_tests::dead_letters::{Desk, all, dead};
use saga_tests::sagas;
use saga_tests::world::{Place, World, order};
use saga_wire::definitions::{parse, write};
use saga_wire::{http, json};
use serde_json::Value;

const FILE: &str = sagas::PAYMENT;

fn version_1() -> Definition {
    parse(FILE).unwrap()
}

/// Not only the number is another one: so are the deadline and the names of events.
fn version_2() -> Definition {
    let file = FILE
        .replace("version = 1", "version = 2")
        .replace("15m", "1h")
        .replace("PaymentCompensationRequested", "PaymentRefundRequested")
        .replace("InventoryReserved", "StockTaken");
    parse(&file).unwrap()
}

/// What version 1 is in a release whose authors changed its file in place.
fn version_1_changed() -> Definition {
    let file = FILE
        .replace("15m", "5m")
        .replace("InventoryReserved", "StockTaken");
    parse(&file).unwrap()
}

fn reference(version: u32) -> DefinitionRef {
    DefinitionRef {
        name: "payment".to_owned(),
        version,
    }
}

/// Version 1 is gone from the files, and the processes are new.
fn replaced(world: &mut World) {
    world.release([version_2()]);
}

/// As after a release that kept nothing: version 1 is nowhere.
fn forgotten(world: &mut World) {
    world.aws.forget_definitions();
    world.azure.forget_definitions();
    replaced(world);
}

async fn shown(world: &World, id: SagaId) -> Value {
    let found = find_saga(&world.deployment, &world.aws, &world.clock, id).await;
    let (saga, definition) = found.unwrap().unwrap();
    serde_json::from_str(&http::saga(&saga, definition.as_deref())).unwrap()
}

async fn listed(world: &World, status: Option<Status>) -> Vec<&'static str> {
    let query = Query {
        status,
        flag: None,
        since: None,
        limit: 10,
        cursor: None,
    };
    let page = list_sagas(&world.deployment, &world.aws, &world.clock, query).await;
    page.unwrap()
        .sagas
        .iter()
        .map(|(_, status)| status.as_str())
        .collect()
}

async fn try_command(world: &World, id: SagaId, what: Command) -> Result<Outcome, NotCommanded> {
    let (deployment, aws, clock) = (&world.deployment, &world.aws, &world.clock);
    let done = command(deployment, aws, clock, id, what, given::ASKED).await?;
    Ok(done.unwrap().outcome)
}

async fn sweep(world: &World) -> Report {
    sweep_some(world, 50).await
}

async fn sweep_some(world: &World, per_bucket: usize) -> Report {
    let until = world.clock.now().plus_millis(3_600_000);
    let (deployment, aws) = (&world.deployment, &world.aws);
    sweep_sagas(deployment, aws, aws, &world.clock, per_bucket, until)
        .await
        .unwrap()
}

/// Sagas as they may stand when their definition is replaced: ended both ways, compensated, and open.
async fn sagas(world: &mut World) -> (SagaId, SagaId, SagaId) {
    let completed = world.start("100").await;
    world.settle().await;
    let refused = world.start("20000").await;
    world.settle().await;
    let open = world.start("50").await;
    (completed, refused, open)
}

#[tokio::test]
async fn sagas_of_a_version_that_was_replaced_are_shown_as_before() {
    let mut world = World::default();
    let (completed, refused, open) = sagas(&mut world).await;
    let ids = [completed, refused, open];
    let mut before = Vec::new();
    for id in ids {
        before.push(shown(&world, id).await);
    }
    replaced(&mut world);
    for (id, before) in ids.into_iter().zip(before) {
        assert_eq!(shown(&world, id).await, before);
    }
    let newest_first = [
        "PENDING_AZURE_CONFIRMATION",
        "CANCELLED_VIA_COMPENSATION",
        "COMPLETED",
    ];
    assert_eq!(listed(&world, None).await, newest_first);
    assert_eq!(listed(&world, Some(Status::Completed)).await, ["COMPLETED"]);
}

#[tokio::test]
async fn an_open_saga_of_a_version_that_was_replaced_goes_its_way_on_both_clouds() {
    // Whatever it has got to when the release changes: before the message to Azure, or before the answer from there.
    for answered in [false, true] {
        for amount in ["50", "20000"] {
            let mut world = World::default();
            let first = world.start("100").await;
            world.settle().await;
            let open = world.start(amount).await;
            world.publish().await;
            if answered {
                world.deliver_at(0).await;
            }
            replaced(&mut world);
            world.heal(open).await;
            let end = if amount == "50" {
                Status::Completed
            } else {
                Status::CancelledViaCompensation
            };
            assert_eq!(world.saga(open).shown, end);
            assert_eq!(world.saga(open).definition, reference(1));
            assert_eq!(
                (world.aws.quarantined(), world.azure.quarantined()),
                (vec![], vec![])
            );
            assert_eq!(world.saga(first).shown, Status::Completed);
        }
    }
}

#[tokio::test]
async fn a_saga_of_a_version_that_was_replaced_can_be_cancelled_resolved_and_swept() {
    for what in [
        Some(Command::Cancel),
        Some(Command::Resolve {
            to: Override::Cancelled,
            force: false,
        }),
        None,
    ] {
        let mut world = World::default();
        let first = world.start("100").await;
        world.settle().await;
        let open = world.start("50").await;
        world.publish().await;
        world.on_the_way.clear();
        replaced(&mut world);
        if let Some(what) = what {
            assert_eq!(try_command(&world, open, what).await.unwrap(), Outcome::Applied);
            world.heal(open).await;
            assert_eq!(world.saga(open).shown, Status::CancelledViaCompensation);
        } else {
            // Its opening event was lost, and is sent again.
            world.heal(open).await;
            assert_eq!(world.saga(open).shown, Status::Completed);
        }
        // After its end, late.
        let late = try_command(&world, first, Command::Cancel).await.unwrap();
        assert_eq!(late, Outcome::Late);
    }
}

#[tokio::test]
async fn other_teams_events_of_a_version_that_was_replaced_are_understood() {
    let mut world = World::default();
    world.start("100").await;
    world.settle().await;
    let open = world.start("50").await;
    world.publish().await;
    replaced(&mut world);
    world.outsider_compensates(open);
    world.heal(open).await;
    assert_eq!(world.saga(open).shown, Status::CancelledViaCompensation);
    assert!(world.saga(open).resolved.is_some());
    assert_eq!(world.aws.quarantined(), []);
}

/// Nothing but the number differs, so the event would be understood as one of either version.
#[tokio::test]
async fn an_event_of_another_version_than_its_saga_is_quarantined() {
    let same = parse(&FILE.replace("version = 1", "version = 2")).unwrap();
    let mut world = World::default();
    let id = world.start("50").await;
    world.release([version_1(), same]);
    world.publish().await;
    world.deliver_at(0).await;
    let answer = world.on_the_way[0].clone();
    let mut event: Value = serde_json::from_str::<Value>(&answer.body).unwrap()[0].take();
    event["sagaver"] = 2.into();
    // From a tool, which writes no checksum.
    event.as_object_mut().unwrap().remove("sagasum");
    world.on_the_way[0].body = format!("[{event}]");
    let before = world.saga(id);
    world.settle().await;
    assert_eq!(world.saga(id), before);
    let kept = world.aws.quarantined();
    let [kept] = &kept[..] else { panic!("{kept:?}") };
    assert!(
        kept.reason.contains("payment version 2") && kept.reason.contains("payment version 1"),
        "{kept:?}"
    );
    world.on_the_way.push(answer);
    world.settle().await;
    assert_eq!(world.saga(id).shown, Status::Completed);
}

#[tokio::test]
async fn a_start_that_is_repeated_under_a_new_version_finds_its_saga() {
    let mut world = World::default();
    let id = world.try_start("one", &order("50")).await.unwrap();
    replaced(&mut world);
    assert_eq!(world.try_start("one", &order("50")).await.unwrap(), id);
    assert_eq!(world.saga(id).definition, reference(1));
    let other = world.try_start("one", &order("51")).await;
    assert!(matches!(other, Err(NotStarted::KeyReused(saga)) if saga == id));
    let new = world.try_start("two", &order("50")).await.unwrap();
    assert_eq!(world.saga(new).definition, reference(2));
    // A version that asks for more than the one before would refuse the same body.
    let file = FILE.replace("version = 1", "version = 3").replace(
        "\"aws\"\nparticipant = \"payments\"",
        "\"aws\"\nparticipant = \"shipping\"",
    );
    world.release([parse(&file).unwrap()]);
    assert_eq!(world.try_start("one", &order("50")).await.unwrap(), id);
    let invalid = world.try_start("three", &order("50")).await;
    assert!(matches!(invalid, Err(NotStarted::Invalid(_))), "{invalid:?}");
}

#[tokio::test]
async fn a_definition_is_kept_before_its_first_saga_and_asked_for_once_a_process() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = |asked: &Arc<AtomicUsize>| {
        let asked = Arc::clone(asked);
        move |call: &'static str| {
            asked.fetch_add(usize::from(call.starts_with("Definition")), Ordering::SeqCst);
            Fault::None
        }
    };
    let mut world = World::new(
        OriginCloud::with_faults(count(&asked)),
        StepCloud::with_faults(count(&asked)),
    );
    for _ in 0..5 {
        world.start("50").await;
    }
    world.settle().await;
    let text = Some(write(&version_1()));
    assert_eq!(world.aws.definition_text(&reference(1)), text);
    assert_eq!(world.azure.definition_text(&reference(1)), text);
    assert_eq!(asked.load(Ordering::SeqCst), 2, "one of each cloud");
}

#[tokio::test]
async fn a_start_does_not_fail_because_its_definition_cannot_be_kept() {
    let (on, faults) = saga_tests::world::switch("Definitions::keep_definition", true);
    let world = World::new(OriginCloud::with_faults(faults), StepCloud::new());
    world.start("50").await;
    assert_eq!(world.aws.definition_text(&reference(1)), None);
    on.store(false, Ordering::SeqCst);
    world.start("50").await;
    assert!(
        world.aws.definition_text(&reference(1)).is_some(),
        "tried again at the next"
    );
}

#[tokio::test]
async fn the_sweeper_keeps_all_definitions_of_a_release() {
    let world = World::default();
    sweep(&world).await;
    for definition in world.deployment.catalogue.iter() {
        let kept = world.aws.definition_text(definition.reference());
        assert_eq!(kept, Some(write(definition)));
    }
}

#[tokio::test]
async fn a_definition_that_is_changed_in_place_stays_what_it_was_and_is_reported_once() {
    let mut world = World::default();
    let open = world.start("50").await;
    world.settle().await;
    let other = world.start("60").await;
    world.release([version_1_changed()]);
    let new = world.start("70").await;
    world.settle().await;
    for id in [open, other, new] {
        let saga = world.saga(id);
        assert_eq!(saga.shown, Status::Completed);
        assert_eq!(
            saga.deadline,
            saga.created.plus_millis(version_1().deadline_millis())
        );
    }
    assert_eq!(
        world.aws.definition_text(&reference(1)),
        Some(write(&version_1()))
    );
    for _ in 0..3 {
        sweep(&world).await;
    }
    let alerts = world.aws.alerts();
    let [alert] = &alerts[..] else {
        panic!("{alerts:?}")
    };
    assert!(alert.subject.contains("payment version 1"), "{alert:?}");
}

#[tokio::test]
async fn a_flood_of_events_of_unknown_definitions_costs_few_requests() {
    let (mut world, asked) = counting();
    let id = world.start("50").await;
    world.settle().await;
    asked.store(0, Ordering::SeqCst);
    let unknown = |kind: &str| {
        format!(
            r#"{{"specversion":"1.0","id":"1","source":"s","type":"{kind}","data":{{"saga_id":"{id}"}}}}"#
        )
    };
    for number in 0..200 {
        world.on_the_way.push(saga_tests::world::Message {
            to: Place::Ingress,
            kind: "Nonsense".to_owned(),
            body: unknown(&format!("Nonsense{number}")),
        });
        world.deliver_at(0).await;
    }
    assert_eq!(world.aws.quarantined().len(), 200);
    assert!(asked.load(Ordering::SeqCst) <= 3, "{asked:?}");
}

/// A world whose store counts how often it is asked for definitions.
fn counting() -> (World, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let faults = move |call: &'static str| {
        counted.fetch_add(usize::from(call.starts_with("Definition")), Ordering::SeqCst);
        Fault::None
    };
    let world = World::new(OriginCloud::with_faults(faults), StepCloud::new());
    (world, asked)
}

/// Looks for definitions that are nowhere; how often the store was asked.
async fn asked_for(world: &World, asked: &AtomicUsize, names: &[String]) -> usize {
    let before = asked.load(Ordering::SeqCst);
    for name in names {
        let reference = DefinitionRef {
            name: name.clone(),
            version: 1,
        };
        let found = find(&world.deployment, &world.aws, &world.clock, &reference).await;
        assert_eq!(found.unwrap(), None);
    }
    asked.load(Ordering::SeqCst) - before
}

#[tokio::test]
async fn what_is_nowhere_is_asked_for_again_after_five_seconds() {
    let (world, asked) = counting();
    let name = ["nowhere".to_owned()];
    let target = async || {
        let before = asked.load(Ordering::SeqCst);
        let target = target_of_type(&world.deployment, &world.aws, &world.clock, "Nonsense").await;
        assert_eq!(target.unwrap(), None);
        asked.load(Ordering::SeqCst) - before
    };
    assert_eq!((asked_for(&world, &asked, &name).await, target().await), (1, 1));
    world.clock.advance(4_999);
    assert_eq!((asked_for(&world, &asked, &name).await, target().await), (0, 0));
    world.clock.advance(1);
    assert_eq!((asked_for(&world, &asked, &name).await, target().await), (1, 1));
}

/// Events may name any number of definitions: so many are remembered, and what has expired gives way first.
#[tokio::test]
async fn of_what_is_nowhere_a_bounded_number_is_remembered() {
    let (world, asked) = counting();
    let names: Vec<String> = (0..256).map(|number| format!("n{number:03}")).collect();
    let one = |name: &str| [name.to_owned()];
    assert_eq!(asked_for(&world, &asked, &names).await, 256);
    assert_eq!(asked_for(&world, &asked, &names).await, 0);
    world.clock.advance(1_000);
    assert_eq!(asked_for(&world, &asked, &one("one-more")).await, 1);
    assert_eq!(asked_for(&world, &asked, &one("one-more")).await, 0);
    // One had to go, and no more than one.
    let backwards: Vec<String> = names.iter().rev().cloned().collect();
    assert_eq!(asked_for(&world, &asked, &backwards).await, 1);
    // All but two expire at this very moment: there is room again for more than one.
    world.clock.advance(4_000);
    let new = ["a".to_owned(), "b".to_owned()];
    assert_eq!(asked_for(&world, &asked, &new).await, 2);
    assert_eq!(asked_for(&world, &asked, &new).await, 0);
    assert_eq!(asked_for(&world, &asked, &one("one-more")).await, 0);
}

#[tokio::test]
async fn a_store_that_fails_holds_up_only_what_the_release_does_not_have() {
    let (down, faults) = saga_tests::world::switch("Definitions::stored_definition", true);
    let world = World::new(OriginCloud::with_faults(faults), StepCloud::new());
    let known = reference(1);
    let unknown = reference(2);
    let (deployment, aws, clock) = (&world.deployment, &world.aws, &world.clock);
    let found = find(deployment, aws, clock, &known).await.unwrap();
    assert_eq!(found.as_deref(), Some(&version_1()));
    assert!(find(deployment, aws, clock, &unknown).await.is_err());
    down.store(false, Ordering::SeqCst);
    assert_eq!(find(deployment, aws, clock, &unknown).await.unwrap(), None);
}

#[tokio::test]
async fn a_saga_whose_definition_is_nowhere_is_still_shown() {
    let mut world = World::default();
    let (completed, refused, open) = sagas(&mut world).await;
    let mut before = BTreeMap::new();
    for id in [completed, refused, open] {
        before.insert(id, shown(&world, id).await);
    }
    forgotten(&mut world);
    for (id, status) in [
        (completed, "COMPLETED"),
        (refused, "CANCELLED_VIA_COMPENSATION"),
        (open, "PENDING_AZURE_CONFIRMATION"),
    ] {
        let saga = shown(&world, id).await;
        assert_eq!(saga["status"], status);
        let steps = saga["steps"].as_array().unwrap();
        let clouds: Vec<&Value> = steps.iter().map(|step| &step["cloud"]).collect();
        // Those that were heard of, as they are shown otherwise.
        let heard: &[&str] = if id == open { &["aws"] } else { &["aws", "azure"] };
        assert_eq!(clouds, heard, "{saga}");
        for (step, before) in steps.iter().zip(before[&id]["steps"].as_array().unwrap()) {
            assert_eq!(
                (&step["name"], &step["participant"]),
                (&Value::Null, &Value::Null)
            );
            for same in ["step", "cloud", "state", "at", "reason"] {
                assert_eq!(step[same], before[same], "{same}: {saga}");
            }
        }
        assert!(
            saga["notice"].as_str().unwrap().contains("payment version 1"),
            "{saga}"
        );
        assert!(!saga["timeline"].as_array().unwrap().is_empty());
    }
    assert_eq!(
        listed(&world, Some(Status::PendingAzureConfirmation)).await.len(),
        1
    );
    assert_eq!(listed(&world, None).await.len(), 3);
    // A start that is repeated finds its saga, too.
    let key = format!("key at {}", world.saga(open).created.millis());
    let request = Request {
        definition: "payment",
        key: &key.parse().unwrap(),
        input: json::parse_object(&order("50")).unwrap(),
        trace: None,
    };
    let started = start_saga(&world.deployment, &world.aws, &world.clock, request)
        .await
        .unwrap();
    assert_eq!(
        (started.saga.id, started.new, started.definition),
        (open, false, None)
    );
}

#[tokio::test]
async fn a_saga_whose_definition_is_nowhere_is_not_steered_and_not_lost() {
    let mut world = World::default();
    let (completed, _, open) = sagas(&mut world).await;
    world.publish().await;
    world.deliver_at(0).await;
    world.publish().await;
    forgotten(&mut world);
    let before = world.saga(open);
    for what in [
        Command::Cancel,
        Command::Resolve {
            to: Override::Cancelled,
            force: false,
        },
        Command::Resolve {
            to: Override::Completed,
            force: false,
        },
    ] {
        let refused = try_command(&world, open, what).await;
        let Err(NotCommanded::UnknownDefinition(why)) = refused else {
            panic!("{refused:?}")
        };
        assert!(
            why.contains("payment version 1") && why.contains("nothing is lost"),
            "{why}"
        );
    }
    assert_eq!(world.saga(open), before);
    // One that has ended needs nothing of it.
    assert_eq!(
        try_command(&world, completed, Command::Cancel).await.unwrap(),
        Outcome::Late
    );
    let again = Command::Resolve {
        to: Override::Completed,
        force: false,
    };
    assert_eq!(
        try_command(&world, completed, again).await.unwrap(),
        Outcome::Repeated
    );

    // Its event is kept with the true reason, and does its work once the release has the file again.
    assert_eq!(world.on_the_way.len(), 1);
    world.deliver_at(0).await;
    let kept = world.aws.quarantined();
    assert!(
        kept[0]
            .reason
            .contains("definition payment version 1 is not known here"),
        "{kept:?}"
    );
    world.release([version_1(), version_2()]);
    world.on_the_way.push(saga_tests::world::Message {
        to: Place::EventsQueue,
        kind: "InventoryReserved".to_owned(),
        body: String::from_utf8(kept[0].body.clone()).unwrap(),
    });
    world.settle().await;
    assert_eq!(world.saga(open).shown, Status::Completed);
}

#[tokio::test]
async fn the_sweeper_tells_once_how_many_sagas_need_what_is_nowhere() {
    let mut world = World::default();
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(world.start("50").await);
    }
    forgotten(&mut world);
    let own = world.start("60").await;
    world.clock.advance(70_000);
    let report = sweep(&world).await;
    assert_eq!((report.held, report.unreadable, report.sent), (5, 0, 1));
    let alerts = world.aws.alerts();
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert!(
        alerts[0]
            .subject
            .contains("5 open saga(s) need the definition payment version 1"),
        "{alerts:?}"
    );
    for id in &ids {
        let saga = world.saga(*id);
        assert!(saga.stuck.is_some() && saga.due > Some(world.clock.now()));
        assert_eq!(saga.shown, Status::PendingAzureConfirmation);
    }
    // New processes and much time later: it is reported once, and looked at ever more rarely.
    for _ in 0..20 {
        replaced(&mut world);
        world.clock.advance(3_700_000);
        let report = sweep(&world).await;
        assert_eq!((report.held, report.unreadable), (5, 0));
    }
    let reported = |alert: &&saga_app::ports::Alert| alert.subject.contains("need");
    assert_eq!(world.aws.alerts().iter().filter(reported).count(), 1);
    assert_eq!(world.saga(own).definition, reference(2));
    // The file is back: they end by themselves.
    world.release([version_1(), version_2()]);
    for id in ids {
        world.heal(id).await;
        assert!(world.saga(id).shown.is_terminal());
    }
}

#[tokio::test]
async fn a_saga_whose_definition_is_back_is_stuck_no_more_until_azure_does_not_answer() {
    let mut world = World::default();
    let id = world.start("50").await;
    forgotten(&mut world);
    world.clock.advance(70_000);
    sweep(&world).await;
    assert!(world.saga(id).stuck.is_some());
    world.release([version_1(), version_2()]);
    let reported = world.aws.alerts().len();
    for _ in 0..5 {
        world.wait_and_sweep(60_000).await;
        world.on_the_way.clear();
    }
    assert_eq!(world.saga(id).stuck, None);
    for _ in 0..40 {
        world.wait_and_sweep(60_000).await;
        world.on_the_way.clear();
    }
    assert!(world.saga(id).stuck.is_some());
    let alerts = world.aws.alerts().split_off(reported);
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert!(alerts[0].text.contains("does not answer"), "{alerts:?}");
}

#[tokio::test]
async fn sagas_that_need_what_is_nowhere_do_not_fill_the_page_of_all_others() {
    let mut world = World::default();
    for _ in 0..20 {
        world.start("50").await;
    }
    forgotten(&mut world);
    let mut buckets = BTreeSet::new();
    for _ in 0..20 {
        buckets.insert(world.start("60").await.bucket(DEFAULT_SHARDS));
    }
    world.clock.advance(70_000);
    let report = sweep_some(&world, 1).await;
    assert_eq!(
        (report.held, report.sent),
        (20, buckets.len()),
        "one of each bucket"
    );
}

#[test]
fn a_saga_that_is_held_is_looked_at_again_with_growing_pauses() {
    let mut saga = Saga {
        deadline: given::much_later(),
        ..given::saga(1, given::time(0))
    };
    let due = saga.due.unwrap();
    let hold = |saga: &Saga, now| given::decided(saga, now, &origin::Command::Hold { alerted: true });
    assert!(hold(&saga, due.plus_millis(-1)).is_none());
    let pauses = [(); 4].map(|()| {
        let now = saga.due.unwrap();
        saga = hold(&saga, now).unwrap().saga;
        assert_eq!(saga.stuck, Some(due));
        (saga.due.unwrap().millis() - now.millis()) / 1_000
    });
    assert_eq!(pauses, [120, 240, 480, 960]);
}

#[tokio::test]
async fn a_participant_that_is_gone_is_the_same_kind() {
    let mut world = World::default();
    let id = world.start("50").await;
    world.deployment.participants.remove("payments");
    assert_eq!(shown(&world, id).await["status"], "PENDING_AZURE_CONFIRMATION");
    for to in [Override::Cancelled, Override::Completed] {
        let refused = try_command(&world, id, Command::Resolve { to, force: false }).await;
        assert!(
            matches!(refused, Err(NotCommanded::Misaddressed(_))),
            "{refused:?}"
        );
    }
    world.clock.advance(70_000);
    let report = sweep(&world).await;
    assert_eq!((report.held, report.unreadable, report.sent), (1, 0, 0));
    let alerts = world.aws.alerts();
    assert!(
        alerts[0].subject.contains("the participant payments"),
        "{alerts:?}"
    );
    // A cancel asks no participant of this cloud.
    assert_eq!(
        try_command(&world, id, Command::Cancel).await.unwrap(),
        Outcome::Applied
    );
}

#[tokio::test]
async fn what_a_later_release_kept_is_left_as_it_is() {
    let mut world = World::default();
    let (_, _, open) = sagas(&mut world).await;
    forgotten(&mut world);
    let later = write(&version_1()).replace("\"format\":1", "\"format\":3");
    world.aws.put_definition_text(reference(1), &later);
    assert_eq!(shown(&world, open).await["status"], "PENDING_AZURE_CONFIRMATION");
    let refused = try_command(&world, open, Command::Cancel).await;
    assert!(
        matches!(refused, Err(NotCommanded::UnknownDefinition(_))),
        "{refused:?}"
    );
    // A release that has the file goes by it.
    world.release([version_1(), version_2()]);
    assert_eq!(
        try_command(&world, open, Command::Cancel).await.unwrap(),
        Outcome::Applied
    );
    assert_eq!(world.aws.definition_text(&reference(1)), Some(later));
}

#[tokio::test]
async fn a_dead_letter_of_a_version_that_was_replaced_is_foreseen_and_replayed() {
    for kept in [true, false] {
        let (mut world, desk) = (World::default(), Desk::new());
        world.start("100").await;
        world.settle().await;
        let saga = world.start("50").await;
        world.publish().await;
        desk.places.put(dead(&world.on_the_way.pop().unwrap(), 0, 1));
        if kept {
            replaced(&mut world);
        } else {
            forgotten(&mut world);
        }
        let report = desk.run(&world, &all(Act::Replay)).await;
        if kept {
            assert_eq!((report.done, report.failed), (1, 0));
            desk.bring(&mut world);
            world.settle().await;
            assert_eq!(world.saga(saga).shown, Status::Completed);
        } else {
            assert_eq!((report.done, report.left), (0, 1));
            assert!(
                report.items[0]
                    .text
                    .contains("payment version 1 is not known here"),
                "{report:?}"
            );
        }
        let lines = world.saga(saga).timeline.entries;
        assert_eq!(lines.iter().any(|line| line.verb == "replay"), kept);
    }
}
