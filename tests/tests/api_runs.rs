//! One act for many sagas, through the API: what a run does, where it ends, and how it goes on. Each answer is held to the
//! OpenAPI document, and so is each request.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

mod initiator;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use initiator::routes::DOCUMENT;
use initiator::{API, Function, answers, fields, runs};
use saga_app::override_saga;
use saga_app::ports::{SagaStore, Time};
use saga_app::runs::{DEFAULT_BOUNDS, End, MAX_RATE, MAX_RUN, Terms};
use saga_app::saga_runs::command::{Command, MAX_IDS, Selection};
use saga_app::saga_runs::{Act, Disposition, Filter, run};
use saga_core::origin::Override;
use saga_core::saga::Flag;
use saga_core::{SagaId, Status, Timestamp};
use saga_memory::{Clock, Fault, OriginCloud, StepCloud};
use saga_tests::contract::given;
use saga_tests::openapi::Document;
use saga_tests::saga_api::{ARN, SagaApi, refuses};
use saga_tests::saga_runs::{
    Runs, counts, is_asked_to_cancel, meant, outcomes, payments, pending, stored, text_of, with,
};
use saga_tests::world::World;
use serde_json::{Value, json};

#[test]
fn the_bounds_in_the_document_are_those_of_the_code() {
    let document = Document::parse(DOCUMENT);
    let schema = |name: &str| &document.0["components"]["schemas"][name]["properties"];
    for name in ["CancelRun", "ResolveRun", "AnswerRun", "RetransmitRun"] {
        for (field, max, default) in [
            ("limit", MAX_RUN, DEFAULT_BOUNDS.limit),
            (
                "rate_per_second",
                MAX_RATE as usize,
                DEFAULT_BOUNDS.per_second as usize,
            ),
            ("stop_after_failures", MAX_RUN, DEFAULT_BOUNDS.stop_after),
        ] {
            assert_eq!(
                schema(name)[field],
                json!({"type": "integer", "minimum": 1, "maximum": max, "default": default})
            );
        }
        assert_eq!(schema(name)["ids"]["maxItems"], MAX_IDS);
    }
    let words = |name: &str| document.words(&format!("/components/schemas/{name}/enum"));
    assert_eq!(
        words("RunReport/properties/items/items/properties/outcome"),
        Disposition::ALL.map(Disposition::as_str)
    );
    assert_eq!(words("RunReport/properties/ended"), End::ALL.map(End::as_str));
    assert_eq!(
        words("RunFilter/properties/status"),
        Status::ALL.map(Status::as_str)
    );
    assert_eq!(words("RunFilter/properties/flag"), Flag::ALL.map(Flag::as_str));
    assert_eq!(schema("RunReport")["items"]["maxItems"], MAX_RUN);
}

#[tokio::test]
async fn a_dry_run_says_what_would_become_of_each_and_changes_nothing() {
    let mut world = World::default();
    let ended = world.start("100").await;
    world.settle().await;
    let [fresh, cancelling, closing] = payments(&world, 3).await[..] else {
        panic!()
    };
    world.command(cancelling, override_saga::Command::Cancel).await;
    world.resolve(closing, Override::Cancelled).await;
    let all = json!({"filter": {"definition": "payment"}});
    for (act, more, expected) in [
        ("cancel", json!({}), ["done", "left", "left", "left"]),
        (
            "resolve",
            json!({"to": "cancelled"}),
            ["done", "done", "left", "left"],
        ),
        (
            "resolve",
            json!({"to": "completed"}),
            ["done", "done", "left", "left"],
        ),
        ("retransmit", json!({}), ["done", "done", "done", "left"]),
        (
            "answer",
            json!({"step": "payment", "decision": "refused"}),
            ["left"; 4],
        ),
    ] {
        let mut body = all.clone();
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let before = stored(&world).await;
        let dry = API.run(&world, act, &body).await;
        assert_eq!(stored(&world).await, before, "{act} changed something");
        let ids = [fresh, cancelling, closing, ended].map(|id| id.to_string());
        let expected = ids.into_iter().zip(expected.map(str::to_owned));
        assert_eq!(outcomes(&dry), expected.collect(), "{act} {more}");
        assert_eq!(
            (&dry["dry_run"], &dry["act"], &dry["looked_at"]),
            (&json!(true), &json!(act), &json!(4))
        );
    }
    let dry = API.run(&world, "cancel", &all).await;
    let says = |id| text_of(&dry, id);
    assert_eq!(
        [fresh, cancelling, closing, ended].map(says),
        [
            "it is PENDING_AZURE_CONFIRMATION, and would be asked to cancel",
            "it was asked to cancel before; it is PENDING_AZURE_CONFIRMATION",
            "the saga has ended: CANCELLED_VIA_COMPENSATION; nothing was changed",
            "the saga has ended: COMPLETED; nothing was changed",
        ]
    );
    // And then it becomes of each what was said.
    let done = API.run(&world, "cancel", &meant(all)).await;
    assert_eq!(outcomes(&done), outcomes(&dry));
    let cancelled = world.saga(fresh);
    let line = cancelled.timeline.entries.last().unwrap();
    assert_eq!(line.note.as_deref(), Some("ops: the shop is closed"));
    assert_eq!(line.caller.as_ref().map(|caller| caller.as_str()), Some(ARN));
    assert_eq!(cancelled.cancel.unwrap().by, "ops");
}

#[tokio::test]
async fn a_run_that_is_repeated_leaves_what_was_done_before() {
    let world = World::default();
    let ids = payments(&world, 3).await;
    let all = json!({"filter": {"definition": "payment"}});
    for (act, more) in [("cancel", json!({})), ("resolve", json!({"to": "cancelled"}))] {
        let mut body = meant(all.clone());
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        assert_eq!(counts(&API.run(&world, act, &body).await), [3, 0, 0]);
        let before = stored(&world).await;
        assert_eq!(counts(&API.run(&world, act, &body).await), [0, 0, 3]);
        assert_eq!(stored(&world).await, before, "{act} did something twice");
    }
    assert!(ids.iter().all(|id| world.saga(*id).lifecycle.closing));
}

#[tokio::test]
async fn a_limit_ends_a_run_and_its_place_goes_on_newest_first() {
    for confirm in [false, true] {
        let world = World::default();
        let ids = payments(&world, 5).await;
        let mut body = pending();
        body["limit"] = json!(2);
        let body = if confirm { meant(body) } else { body };
        let reports = API.run_on(&world, "cancel", &body).await;
        let done: Vec<u64> = reports.iter().map(|report| counts(report)[0]).collect();
        let ended: Vec<_> = reports.iter().map(|report| report["ended"].clone()).collect();
        assert_eq!(done, [2, 2, 1]);
        assert_eq!(ended, ["limit", "limit", "done"]);
        assert_eq!(with(&reports, "done"), ids);
        let looked_at: u64 = reports
            .iter()
            .map(|report| report["looked_at"].as_u64().unwrap())
            .sum();
        assert_eq!(looked_at, 5);
        assert!(ids.iter().all(|id| is_asked_to_cancel(&world, *id) == confirm));
    }
}

#[tokio::test]
async fn sagas_that_start_meanwhile_are_not_part_of_a_run_and_none_comes_twice() {
    let world = World::default();
    let ids = payments(&world, 11).await;
    let mut body = meant(pending());
    body["limit"] = json!(3);
    let (mut reports, mut later) = (Vec::new(), Vec::new());
    loop {
        let report = API.run(&world, "cancel", &body).await;
        body["cursor"] = report["next"].clone();
        reports.push(report);
        if body["cursor"].is_null() {
            break;
        }
        later.extend(payments(&world, 2).await);
    }
    assert_eq!(with(&reports, "done"), ids);
    assert_eq!(reports.len(), 4);
    assert!(later.iter().all(|id| !is_asked_to_cancel(&world, *id)));
}

#[tokio::test]
async fn a_rate_is_kept() {
    let world = World::default();
    let ids = payments(&world, 10).await;
    let began = world.clock.now();
    let mut body = meant(pending());
    body["rate_per_second"] = json!(2);
    let report = API.run(&world, "cancel", &body).await;
    assert_eq!(counts(&report), [10, 0, 0]);
    let at = |id: &SagaId| world.saga(*id).cancel.unwrap().at.millis() - began.millis();
    // Of two that wait side by side, the clock of these tests moves both on.
    for (number, id) in (0..).zip(&ids) {
        let earliest = number * 500;
        assert!(
            (earliest..=earliest + 500).contains(&at(id)),
            "{number}: {}",
            at(id)
        );
    }
    // Only what is changed is paced.
    let began = world.clock.now();
    let body = json!({"filter": {"definition": "payment"}, "rate_per_second": 1});
    API.run(&world, "cancel", &body).await;
    API.run(&world, "cancel", &meant(body)).await;
    assert_eq!(world.clock.now(), began);
}

#[tokio::test]
async fn a_run_ends_before_the_functions_time_does_and_goes_on_where_it_stood() {
    let world = World::default();
    let ids = payments(&world, 7).await;
    let mut body = meant(pending());
    body["rate_per_second"] = json!(1);
    // Four seconds are left for what was begun.
    let function = Function(7_000);
    let began = world.clock.now();
    let first = function.run(&world, "cancel", &body).await;
    assert_eq!((counts(&first), &first["ended"]), ([3, 0, 0], &json!("time")));
    assert!(world.clock.now() < began.plus_millis(3_000));
    let reports = function.run_on(&world, "cancel", &body).await;
    assert_eq!(with(&reports, "done"), ids[3..]);
    // No time at all: nothing is done, and the run can go on.
    let none = Function(1_000).run(&world, "retransmit", &body).await;
    assert_eq!((counts(&none), &none["ended"]), ([0, 0, 0], &json!("time")));
    body["cursor"] = none["next"].clone();
    let all = API.run(&world, "retransmit", &body).await;
    assert_eq!(counts(&all), [7, 0, 0]);
}

/// A second passes at each look at it.
struct Ticking<'a>(&'a Clock);

impl Time for Ticking<'_> {
    fn now(&self) -> Timestamp {
        self.0.advance(1_000);
        self.0.now()
    }

    async fn sleep(&self, millis: u64) {
        self.0.sleep(millis).await;
    }

    fn below(&self, bound: u64) -> u64 {
        self.0.below(bound)
    }
}

#[tokio::test]
async fn a_run_that_finds_nothing_ends_in_time_too() {
    let world = World::default();
    payments(&world, 250).await;
    let time = Ticking(&world.clock);
    let filter = Filter {
        flag: Some(Flag::Stuck),
        ..Filter::default()
    };
    let (mut place, mut looked_at, mut runs) = (None, 0, 0);
    loop {
        let command = Command {
            act: Act::Cancel,
            selection: Selection::All {
                filter: filter.clone(),
                place,
            },
            terms: Terms {
                confirm: true,
                by: None,
                reason: "anything".to_owned(),
                bounds: DEFAULT_BOUNDS,
            },
        };
        let until = world.clock.now().plus_millis(90_000);
        let on = (&world.deployment, &world.aws, &time);
        let report = run(on, &command, "ops", None, until).await.unwrap();
        assert!(world.clock.now() <= until.plus_millis(3_000));
        (looked_at, runs) = (looked_at + report.looked_at, runs + 1);
        let Some(next) = report.next else { break };
        assert_eq!(report.ended, End::Time);
        place = saga_wire::http::parse_cursor(next.rsplit_once('.').unwrap().0);
        assert!(place.is_some());
    }
    assert_eq!(looked_at, 250);
    assert!((3..20).contains(&runs), "{runs}");
}

/// A world where commits fail while the switch is on.
fn failing(fault: Fault) -> (World, Arc<AtomicBool>) {
    let on = Arc::new(AtomicBool::new(false));
    let is_on = Arc::clone(&on);
    let faults = move |call: &'static str| {
        if call == "SagaStore::commit" && is_on.load(Ordering::SeqCst) {
            fault
        } else {
            Fault::None
        }
    };
    (World::new(OriginCloud::with_faults(faults), StepCloud::new()), on)
}

#[tokio::test]
async fn so_many_failures_end_a_run_and_no_more_are_tried() {
    for rate in [1, 20] {
        let (world, broken) = failing(Fault::FailBefore);
        let ids = payments(&world, 9).await;
        let mut body = meant(pending());
        body["stop_after_failures"] = json!(3);
        body["rate_per_second"] = json!(rate);
        broken.store(true, Ordering::SeqCst);
        let first = API.run(&world, "cancel", &body).await;
        assert_eq!((counts(&first), &first["ended"]), ([0, 3, 0], &json!("failures")));
        assert!(text_of(&first, ids[0]).contains("run it again"), "{first}");
        broken.store(false, Ordering::SeqCst);
        body["cursor"] = first["next"].clone();
        let rest = API.run_on(&world, "cancel", &body).await;
        assert_eq!(with(&rest, "done"), ids[3..]);
        // From the start: only those that failed are left to do.
        body["cursor"] = json!(null);
        body.as_object_mut().unwrap().remove("cursor");
        let again = API.run_on(&world, "cancel", &body).await;
        assert_eq!(with(&again, "done"), ids[..3]);
        assert_eq!(with(&again, "left").len(), 6);
    }
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_not_known_and_is_done_once() {
    let (world, broken) = failing(Fault::FailAfter);
    let id = world.start("100").await;
    broken.store(true, Ordering::SeqCst);
    let lost = API.run(&world, "cancel", &meant(pending())).await;
    assert_eq!(counts(&lost), [0, 1, 0]);
    assert!(text_of(&lost, id).contains("not known"), "{lost}");
    broken.store(false, Ordering::SeqCst);
    let again = API.run(&world, "cancel", &meant(pending())).await;
    assert_eq!(counts(&again), [0, 0, 1]);
}

#[tokio::test]
async fn a_saga_that_changes_all_the_time_holds_up_no_other() {
    let conflicts = Arc::new(AtomicUsize::new(0));
    let left = Arc::clone(&conflicts);
    let faults = move |call: &'static str| {
        let take = |left: usize| left.checked_sub(1);
        let is_left = || {
            left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
                .is_ok()
        };
        if call == "SagaStore::commit" && is_left() {
            Fault::Conflict
        } else {
            Fault::None
        }
    };
    let world = World::new(OriginCloud::with_faults(faults), StepCloud::new());
    let ids = payments(&world, 3).await;
    let mut body = meant(pending());
    body["rate_per_second"] = json!(1);
    // A few conflicts are nothing to tell of.
    conflicts.store(2, Ordering::SeqCst);
    let report = API.run(&world, "retransmit", &body).await;
    assert_eq!(counts(&report), [3, 0, 0]);
    conflicts.store(4, Ordering::SeqCst);
    let report = API.run(&world, "cancel", &body).await;
    assert_eq!(counts(&report), [2, 1, 0]);
    assert!(text_of(&report, ids[0]).contains("is changing at this moment"));
    assert!(!is_asked_to_cancel(&world, ids[0]) && is_asked_to_cancel(&world, ids[1]));
}

/// The list was read long before the saga is changed: what the filter says is asked again with the change.
#[tokio::test]
async fn a_saga_that_the_filter_does_not_mean_any_more_is_left() {
    let world = World::default();
    let ids = payments(&world, 2).await;
    let mut body = meant(pending());
    body["rate_per_second"] = json!(1);
    let meanwhile = async {
        while !is_asked_to_cancel(&world, ids[0]) {
            tokio::task::yield_now().await;
        }
        world.resolve(ids[1], Override::Completed).await
    };
    let (report, _) = tokio::join!(API.run(&world, "cancel", &body), meanwhile);
    assert_eq!(counts(&report), [1, 0, 1]);
    assert!(
        text_of(&report, ids[1]).starts_with("the filter does not mean it any more"),
        "{report}"
    );
    assert!(!is_asked_to_cancel(&world, ids[1]));
}

#[tokio::test]
async fn a_saga_that_cannot_be_read_stops_no_run() {
    let world = World::default();
    let ids = payments(&world, 5).await;
    world.aws.spoil(ids[2]);
    let named = json!({"ids": ids.iter().map(ToString::to_string).collect::<Vec<_>>()});
    for (body, failed) in [(pending(), 0), (named, 1)] {
        for (act, body) in [("cancel", body.clone()), ("retransmit", meant(body))] {
            let report = API.run(&world, act, &body).await;
            assert_eq!(
                (counts(&report), &report["ended"]),
                ([4, failed, 0], &json!("done"))
            );
            if failed > 0 {
                assert!(text_of(&report, ids[2]).contains("cannot be read here"));
            }
        }
    }
}

#[tokio::test]
async fn a_saga_of_another_release_says_what_it_needs() {
    let world = World::default();
    let mut gone = given::saga(7, given::time(0));
    gone.definition.name = "gone".to_owned();
    world.aws.insert(&given::decision(&gone), None).await.unwrap();
    let id = world.start("100").await;
    let report = API
        .run(
            &world,
            "cancel",
            &meant(json!({"filter": {"since": "1970-01-01T00:00:00Z"}})),
        )
        .await;
    assert_eq!(counts(&report), [1, 1, 0]);
    assert!(text_of(&report, gone.id).contains("deploy a release"), "{report}");
    assert!(is_asked_to_cancel(&world, id));
}

#[tokio::test]
async fn a_list_that_breaks_off_says_where_to_go_on() {
    let lists = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&lists);
    let faults = move |call: &'static str| {
        if call == "SagaStore::list" && counter.fetch_add(1, Ordering::SeqCst) == 1 {
            Fault::Throttle
        } else {
            Fault::None
        }
    };
    let world = World::new(OriginCloud::with_faults(faults), StepCloud::new());
    let ids = payments(&world, 130).await;
    let mut body = meant(pending());
    body["limit"] = json!(1_000);
    let reports = API.run_on(&world, "cancel", &body).await;
    assert_eq!(reports.len(), 2);
    assert_eq!(reports[0]["ended"], "store");
    assert!(
        reports[0]["notice"]
            .as_str()
            .unwrap()
            .contains("go on with `next`")
    );
    assert_eq!(reports[1]["notice"], json!(null));
    assert_eq!(with(&reports, "done"), ids);
    // Where it breaks off at once, nothing was done.
    lists.store(1, Ordering::SeqCst);
    let body = meant(pending()).to_string();
    let answer = API.ask(&world, "POST", "/runs/cancel", &body).await;
    assert_eq!(answer.status, 503, "{answer:?}");
}

#[tokio::test]
async fn ids_are_taken_in_their_order_each_once() {
    let world = World::default();
    let ids = payments(&world, 4).await;
    let unknown: SagaId = "0193e0b1-0000-8000-8000-00000000ffff".parse().unwrap();
    let named = [ids[3], ids[0], unknown, ids[3], ids[1], ids[2]];
    let named: Vec<_> = named.iter().map(ToString::to_string).collect();
    let mut body = meant(json!({"ids": named}));
    body["limit"] = json!(2);
    let reports = API.run_on(&world, "cancel", &body).await;
    assert_eq!(with(&reports, "done"), [ids[3], ids[0], ids[1], ids[2]]);
    assert_eq!(with(&reports, "failed"), [unknown]);
    assert!(
        reports[0]["next"].as_str().unwrap().starts_with("3."),
        "{reports:?}"
    );
    assert_eq!(text_of(&reports[0], unknown), "there is no saga with this id");
}

#[tokio::test]
async fn a_cursor_is_of_one_request() {
    let world = World::default();
    let ids: Vec<String> = payments(&world, 3).await.iter().map(SagaId::to_string).collect();
    let named = json!({"ids": ids, "limit": 1});
    let filtered = json!({"filter": {"definition": "payment"}, "limit": 1});
    for body in [&named, &filtered] {
        let next = API.run(&world, "cancel", body).await["next"].clone();
        let with = |mut body: Value| {
            body["cursor"] = next.clone();
            body
        };
        let mut faster = with(body.clone());
        faster["limit"] = json!(2);
        faster["rate_per_second"] = json!(5);
        assert_eq!(counts(&API.run(&world, "cancel", &faster).await), [2, 0, 0]);
        for (act, other) in [
            ("cancel", meant(body.clone())),
            ("retransmit", body.clone()),
            ("cancel", json!({"ids": [ids[0]]})),
            ("cancel", json!({"filter": {"definition": "transfer"}})),
        ] {
            let body = with(other).to_string();
            let answer = API.ask(&world, "POST", &format!("/runs/{act}"), &body).await;
            refuses(
                &answer,
                400,
                "invalid-request",
                "`cursor` belongs to another request",
            );
        }
        let (place, sum) = next.as_str().unwrap().rsplit_once('.').unwrap();
        for (cursor, says) in [
            (format!("+{place}.{sum}"), "belongs to another request"),
            ("+0".to_owned(), "must be the `next`"),
            (place.to_owned(), "must be the `next`"),
        ] {
            let mut body = body.clone();
            body["cursor"] = json!(cursor);
            let answer = API.ask(&world, "POST", "/runs/cancel", &body.to_string()).await;
            refuses(&answer, 400, "invalid-request", says);
        }
    }
}
