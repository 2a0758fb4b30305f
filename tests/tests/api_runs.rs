//! One act for many sagas, through the API: what a run does, where it ends, and how it goes on. Each answer is held to the
//! OpenAPI document, and so is each request.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

// A function is a program and no library: its own sources are taken as they are.
#[path = "../../functions/saga-initiator/src/answers.rs"]
mod answers;
#[path = "../../functions/saga-initiator/src/fields.rs"]
mod fields;
#[path = "../../functions/saga-initiator/src/routes.rs"]
mod routes;
#[path = "../../functions/saga-initiator/src/runs.rs"]
mod runs;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use lambda_http::request::LambdaRequest;
use lambda_http::{Request, RequestExt};
use lambda_runtime::Context;
use routes::{Api, DOCUMENT};
use saga_app::override_saga;
use saga_app::ports::{PortError, SagaStore, Time};
use saga_app::runs::{Bounds, DEFAULT_BOUNDS, End, MAX_RATE, MAX_RUN, Terms};
use saga_app::saga_runs::command::{Command, MAX_IDS, Selection};
use saga_app::saga_runs::{Act, Disposition, Filter, run};
use saga_app::transact::{Sagas, transact};
use saga_core::call::Undecided;
use saga_core::lifecycle::Phase;
use saga_core::origin::{self, Override};
use saga_core::saga::Flag;
use saga_core::{SagaId, Status, Timestamp};
use saga_memory::{Clock, Fault, OriginCloud, StepCloud};
use saga_tests::contract::given;
use saga_tests::function_url::Call;
use saga_tests::openapi::{Answer, Document};
use saga_tests::saga_api::{ARN, DEBIT, NOTIFICATION, SagaApi, accepted, deployed, refuses, undecided};
use saga_tests::sagas::TRANSFER;
use saga_tests::world::World;
use serde_json::{Value, json};

/// The function, invoked as Lambda does it; it may run for so many milliseconds.
struct Function(i64);

/// A function that may run for an hour.
const API: Function = Function(3_600_000);

impl SagaApi for Function {
    const DOCUMENT: &'static str = DOCUMENT;

    async fn invoke(&self, world: &World, event: Value) -> Answer {
        let api = Api {
            deployment: &world.deployment,
            store: &world.aws,
            time: &world.clock,
        };
        let mut context = Context::default();
        context.deadline = world.clock.now().plus_millis(self.0).millis().unsigned_abs();
        let event: LambdaRequest = serde_json::from_value(event).unwrap();
        let request = Request::from(event).with_lambda_context(context);
        let response = api.answer(request).await;
        let headers = response.headers().iter();
        Answer {
            status: response.status().as_u16(),
            headers: headers
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                .collect(),
            body: String::from_utf8(response.body().to_vec()).unwrap(),
        }
    }
}

impl Function {
    /// Asks for a run; the request and the answer are as the document says.
    async fn run(&self, world: &World, act: &str, body: &Value) -> Value {
        let document = Document::parse(DOCUMENT);
        let mut name = act.to_owned();
        name[..1].make_ascii_uppercase();
        let schema = format!("/components/schemas/{name}Run");
        assert_eq!(document.wrong(&schema, body), [""; 0]);
        let answer = self
            .ask(world, "POST", &format!("/runs/{act}"), &body.to_string())
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// Asks until nothing is left, as a client does; what each answer said.
    async fn run_on(&self, world: &World, act: &str, body: &Value) -> Vec<Value> {
        let (mut body, mut reports) = (body.clone(), Vec::new());
        for _ in 0..100 {
            let report = self.run(world, act, &body).await;
            let next = report["next"].clone();
            assert_eq!(next.is_null(), report["ended"] == "done", "{report}");
            reports.push(report);
            if next.is_null() {
                return reports;
            }
            body["cursor"] = next;
        }
        panic!("it does not end: {reports:?}")
    }
}

/// What somebody means and signs for.
fn meant(mut body: Value) -> Value {
    body["confirm"] = json!(true);
    body["by"] = json!("ops");
    body["reason"] = json!("the shop is closed");
    body
}

fn pending() -> Value {
    json!({"filter": {"status": "PENDING_AZURE_CONFIRMATION"}})
}

/// `done`, `failed` and `left`.
fn counts(report: &Value) -> [u64; 3] {
    ["done", "failed", "left"].map(|name| report[name].as_u64().unwrap())
}

/// What became of each saga.
fn outcomes(report: &Value) -> BTreeMap<String, String> {
    let text = |item: &Value, name: &str| item[name].as_str().unwrap().to_owned();
    let items = report["items"].as_array().unwrap().iter();
    items
        .map(|item| (text(item, "saga_id"), text(item, "outcome")))
        .collect()
}

/// The sagas of these outcomes, in the order of the reports.
fn with(reports: &[Value], outcome: &str) -> Vec<SagaId> {
    let items = reports
        .iter()
        .flat_map(|report| report["items"].as_array().unwrap());
    items
        .filter(|item| item["outcome"] == outcome)
        .map(|item| item["saga_id"].as_str().unwrap().parse().unwrap())
        .collect()
}

fn text_of(report: &Value, id: SagaId) -> String {
    let id = id.to_string();
    let mut items = report["items"].as_array().unwrap().iter();
    let item = items.find(|item| item["saga_id"] == id.as_str());
    item.unwrap()["text"].as_str().unwrap().to_owned()
}

/// All that the store keeps, as bytes.
async fn stored(world: &World) -> String {
    let sagas: Vec<_> = world.aws.list(None, None, 10_000).await.unwrap();
    format!(
        "{sagas:?} {:?} {:?}",
        world.aws.all_entities(),
        world.aws.outbox()
    )
}

async fn payments(world: &World, count: usize) -> Vec<SagaId> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(world.start("100").await);
    }
    ids.reverse();
    ids
}

fn is_asked_to_cancel(world: &World, id: SagaId) -> bool {
    world.saga(id).cancel.is_some()
}

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

#[tokio::test]
async fn a_dry_run_says_the_status_of_now_and_an_act_that_of_then() {
    let mut world = deployed(&[TRANSFER]);
    let all = transfers(&mut world).await;
    let mut changed = false;
    for id in all.into_values() {
        let now = world.status(id);
        let body = json!({"ids": [id.to_string()]});
        let dry = API.run(&world, "retransmit", &body).await;
        let resent = API.run(&world, "retransmit", &meant(body.clone())).await;
        let texts = [
            format!("it is {now}, and what carries it on would be sent again"),
            format!("what carries it on was sent again; it is {now}"),
        ];
        assert_eq!([text_of(&dry, id), text_of(&resent, id)], texts);
        let mut body = body;
        body["to"] = json!("cancelled");
        body["force"] = json!(true);
        let dry = API.run(&world, "resolve", &body).await;
        let done = API.run(&world, "resolve", &meant(body)).await;
        let then = world.status(id);
        changed |= now != then;
        let texts = [
            format!("it is {now}, and would be resolved as cancelled"),
            format!("it was resolved as cancelled; it is {then}"),
        ];
        assert_eq!([text_of(&dry, id), text_of(&done, id)], texts);
    }
    assert!(changed);
}

#[tokio::test]
async fn a_filter_names_a_service_that_is_known() {
    let mut world = deployed(&[TRANSFER]);
    transfers(&mut world).await;
    let services = "[other]\nlambda = 'arn:aws:lambda:eu-west-1:123456789012:function:f'\ncloud = 'aws'\nauth = 'lambda'";
    let services = saga_wire::services::Services::parse_toml(services).unwrap();
    world.deployment.services = Some(services);
    for known in ["other", "bank"] {
        API.run(&world, "cancel", &json!({"filter": {"service": known}}))
            .await;
    }
    let body = json!({"filter": {"service": "bnak"}}).to_string();
    let answer = API.ask(&world, "POST", "/runs/cancel", &body).await;
    refuses(&answer, 422, "invalid-input", "`bank`, `ledger`, `mail`, `other`");
    assert_eq!(
        answer.json()["errors"][0]["field"],
        "filter.service",
        "{answer:?}"
    );
}

/// Transfers at each of their steps, named as they stand.
async fn transfers(world: &mut World) -> BTreeMap<&'static str, SagaId> {
    let debiting = API.transfer(world, "1").await;
    world.clock.advance(1_000);
    let debited = json!({"decision": "accepted", "reason": "r", "by": "b"});
    let mut others = BTreeMap::from([("asks the ledger", debiting)]);
    for (name, amount) in [("waits", "20000"), ("asks the bank", "1")] {
        let id = API
            .start(world, "transfer", &json!({"amount": amount, "name": name}))
            .await
            .0;
        undecided(world, id, DEBIT).await;
        API.answer(world, id, "debit", &debited).await;
        world.clock.advance(1_000);
        others.insert(name, id);
    }
    let held = API
        .start(world, "transfer", &json!({"amount": "1", "name": "held"}))
        .await
        .0;
    let sagas = Sagas::new(&world.deployment, &world.aws, &world.clock);
    let attempt = |_: &_, _: Option<&_>, _| {
        let attempt = Undecided {
            verb: None,
            why: "it answered 404".to_owned(),
            alerted: true,
            paused: false,
            hold: true,
            next: None,
        };
        Ok::<_, PortError>(Some(origin::Command::Undecided { step: DEBIT, attempt }))
    };
    transact(&sagas, held, attempt).await.unwrap().unwrap();
    assert!(world.saga(held).is_held());
    others.insert("is held at the ledger", held);
    world.settle().await;
    others
}

#[tokio::test]
async fn a_filter_means_the_sagas_that_fit_all_of_it() {
    let mut world = deployed(&[TRANSFER]);
    let all = transfers(&mut world).await;
    let since = saga_wire::time::format(world.saga(all["waits"]).created);
    let later = saga_wire::time::format(world.saga(all["asks the bank"]).created);
    let (ledger, waits, bank, held) = (
        "asks the ledger",
        "waits",
        "asks the bank",
        "is held at the ledger",
    );
    for (filter, expected) in [
        (json!({"definition": "transfer"}), vec![ledger, waits, bank, held]),
        (json!({"definition": "payment"}), vec![]),
        (json!({"status": "PENDING_AZURE_CONFIRMATION"}), vec![bank]),
        (json!({"flag": "held"}), vec![held]),
        (json!({"flag": "stuck"}), vec![]),
        (json!({"since": since}), vec![waits, bank, held]),
        (json!({"until": since}), vec![ledger]),
        (json!({"since": since, "until": later}), vec![waits]),
        (json!({"step": "debit"}), vec![ledger, held]),
        (json!({"service": "ledger"}), vec![ledger, held]),
        (json!({"service": "ledger", "held": true}), vec![held]),
        (json!({"service": "ledger", "held": false}), vec![ledger]),
        (json!({"step": "screening"}), vec![waits]),
        (json!({"step": "screening", "held": true}), vec![]),
        (json!({"step": "screening", "service": "ledger"}), vec![]),
        (json!({"service": "bank"}), vec![bank]),
        (json!({"step": "notification"}), vec![]),
        (json!({"held": true}), vec![held]),
        (json!({"held": false}), vec![ledger, waits, bank]),
    ] {
        let report = API.run(&world, "cancel", &json!({"filter": filter})).await;
        let found: BTreeSet<SagaId> = with(std::slice::from_ref(&report), "done").into_iter().collect();
        let expected: BTreeSet<SagaId> = expected.iter().map(|name| all[name]).collect();
        assert_eq!(found, expected, "{filter}: {report}");
        assert_eq!(report["left"], 0, "{filter}");
    }
    // Once it has said so, it asks nobody any more.
    undecided_notification(&mut world, all[bank]).await;
    let found =
        async |filter| API.run(&world, "retransmit", &json!({"filter": filter})).await["done"].clone();
    assert_eq!(found(json!({"service": "bank"})).await, 0);
    assert_eq!(found(json!({"service": "mail"})).await, 1);
}

/// The bank accepts, and the service of the last step was asked and did not decide.
async fn undecided_notification(world: &mut World, id: SagaId) {
    world.settle().await;
    saga_tests::saga_api::undecided_payout(world, id).await;
    API.answer(world, id, "payout", &accepted()).await;
    world.settle().await;
    undecided(world, id, NOTIFICATION).await;
}

#[tokio::test]
async fn steps_are_answered_by_the_rules_for_one_step() {
    let mut world = deployed(&[TRANSFER]);
    let all = transfers(&mut world).await;
    let (waits, held) = (all["waits"], all["is held at the ledger"]);
    let body = json!({
        "filter": {"definition": "transfer"}, "step": "debit", "decision": "accepted", "output": {"ref": "r-1"},
    });
    let before = stored(&world).await;
    let dry = API.run(&world, "answer", &body).await;
    assert_eq!(stored(&world).await, before);
    let done = API.run(&world, "answer", &meant(body.clone())).await;
    assert_eq!(outcomes(&done), outcomes(&dry));
    assert_eq!(counts(&done), [1, 0, 3]);
    assert_eq!(text_of(&dry, held), "step `debit` would be accepted");
    assert_eq!(text_of(&done, held), "step `debit` was accepted");
    assert!(text_of(&done, all["asks the ledger"]).contains("has not answered the first attempt"));
    let again = API.run(&world, "answer", &meant(body)).await;
    assert_eq!(counts(&again), [0, 0, 4]);
    assert_eq!(text_of(&again, held), "step `debit` was accepted before");
    let debit = API.step(&world, held, "debit").await;
    assert_eq!(
        (&debit["state"], &debit["output"]["ref"]),
        (&json!("DONE"), &json!("r-1"))
    );

    // Another word than the first.
    let other = json!({"ids": [held.to_string()], "step": "debit", "decision": "refused"});
    let other = API.run(&world, "answer", &meant(other)).await;
    assert_eq!(counts(&other), [0, 0, 1]);
    let none = json!({"ids": [held.to_string()], "step": "none", "decision": "refused"});
    let none = API.run(&world, "answer", &meant(none)).await;
    assert_eq!(text_of(&none, held), "the saga has no step `none`");
    assert_eq!(counts(&none), [0, 1, 0]);
    // What nobody may say fails.
    let never = json!({"ids": [held.to_string()], "step": "notification", "decision": "refused"});
    let never = API.run(&world, "answer", &meant(never)).await;
    assert_eq!(counts(&never), [0, 1, 0]);
    assert!(text_of(&never, held).contains("retriable"));

    let approval = json!({"filter": {"step": "screening"}, "step": "screening", "decision": "accepted"});
    let approved = API.run(&world, "answer", &meant(approval)).await;
    assert_eq!(with(&[approved], "done"), [waits]);
    world.settle().await;
    let payout = json!({"filter": {"service": "bank"}, "step": "payout", "decision": "accepted"});
    let payout = API.run(&world, "answer", &meant(payout)).await;
    assert!(
        text_of(&payout, waits).contains("was sent to the step's cloud"),
        "{payout}"
    );
}

#[tokio::test]
async fn an_override_that_meets_a_pivot_is_left_to_a_person() {
    let mut world = deployed(&[TRANSFER]);
    let all = transfers(&mut world).await;
    let bank = all["asks the bank"];
    world.settle().await;
    let body = json!({"filter": {"service": "bank"}, "to": "cancelled"});
    let left = API.run(&world, "resolve", &meant(body.clone())).await;
    assert_eq!(counts(&left), [0, 0, 1]);
    assert!(text_of(&left, bank).contains("may have acted"), "{left}");
    let mut forced = meant(body);
    forced["force"] = json!(true);
    assert_eq!(counts(&API.run(&world, "resolve", &forced).await), [1, 0, 0]);
}

#[tokio::test]
async fn what_was_lost_is_sent_again_at_once() {
    let mut world = World::default();
    let ids = payments(&world, 3).await;
    world.publish().await;
    world.on_the_way.clear();
    let due: Vec<_> = ids.iter().map(|id| world.saga(*id).due).collect();
    let report = API.run(&world, "retransmit", &meant(pending())).await;
    assert_eq!(counts(&report), [3, 0, 0]);
    let after: Vec<_> = ids.iter().map(|id| world.saga(*id).due).collect();
    assert_eq!(after, due);
    world.settle().await;
    for id in &ids {
        assert_eq!(world.status(*id), Status::Completed);
    }
    world.check(&ids);
}

#[tokio::test]
async fn one_saga_can_be_sent_again_and_the_timeline_says_who_asked() {
    let mut world = World::default();
    let id = world.start("100").await;
    world.publish().await;
    world.on_the_way.clear();
    let path = format!("/sagas/{id}/retransmit");
    let sent = API
        .ask(&world, "POST", &path, r#"{"reason":"the relay was down"}"#)
        .await;
    assert_eq!(sent.status, 202);
    let saga = sent.json();
    let line = saga["timeline"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&line["verb"], &line["outcome"], &line["note"], &line["caller"]),
        (
            &json!("retransmit"),
            &json!("noted"),
            &json!("caller: the relay was down"),
            &json!(ARN)
        )
    );
    world.settle().await;
    assert_eq!(world.status(id), Status::Completed);
    assert_eq!(world.saga(id).lifecycle.phase, Phase::Completed);
    let late = API.ask(&world, "POST", &path, "").await;
    refuses(&late, 409, "too-late", "COMPLETED");
}

#[tokio::test]
async fn what_is_not_said_clearly_is_refused() {
    let world = World::default();
    let id = world.start("100").await.to_string();
    let before = stored(&world).await;
    let answered = json!({"filter": {"held": true}, "step": "payout", "decision": "accepted"});
    let with = |mut body: Value, name: &str, value: Value| {
        body[name] = value;
        body
    };
    let cancel = pending();
    for (act, body, status, says) in [
        ("cancel", json!({}), 400, "either `ids`"),
        ("cancel", json!({"filter": {}}), 400, "would mean every saga"),
        ("cancel", json!({"ids": []}), 400, "1 to 100 ids"),
        (
            "cancel",
            json!({"ids": vec![id.clone(); 101]}),
            400,
            "1 to 100 ids",
        ),
        ("cancel", json!({"ids": ["x"]}), 400, "`ids[0]`"),
        ("cancel", json!({"ids": [1]}), 422, "ids[0] must be a text"),
        (
            "cancel",
            with(cancel.clone(), "ids", json!([id])),
            400,
            "either `ids`",
        ),
        (
            "cancel",
            json!({"filter": {"state": "x"}}),
            400,
            "`state` is not a field of a filter",
        ),
        (
            "cancel",
            json!({"filter": {"status": "OPEN"}}),
            400,
            "`status` must be one of",
        ),
        (
            "cancel",
            json!({"filter": {"flag": "x"}}),
            400,
            "`flag` must be one of",
        ),
        (
            "cancel",
            json!({"filter": {"since": "yesterday"}}),
            400,
            "`since` must be an RFC 3339",
        ),
        (
            "cancel",
            json!({"filter": {"until": "now"}}),
            400,
            "`until` must be an RFC 3339",
        ),
        (
            "cancel",
            json!({"filter": {"service": ""}}),
            400,
            "`service` must be a text",
        ),
        (
            "cancel",
            json!({"filter": {"held": "yes"}}),
            422,
            "filter.held must be true or false",
        ),
        (
            "cancel",
            json!({"filter": {"step": 1}}),
            422,
            "filter.step must be a text",
        ),
        (
            "cancel",
            with(cancel.clone(), "to", json!("cancelled")),
            400,
            "`to` is not a field",
        ),
        (
            "cancel",
            with(cancel.clone(), "force", json!(true)),
            400,
            "`force` is not a field",
        ),
        (
            "cancel",
            with(cancel.clone(), "cursor", json!("x")),
            400,
            "`cursor` must be the `next`",
        ),
        (
            "cancel",
            with(json!({"ids": [id]}), "cursor", json!("2")),
            400,
            "`cursor` must be the `next`",
        ),
        (
            "cancel",
            with(cancel.clone(), "limit", json!(2001)),
            400,
            "`limit` must be a number from 1 to 2000",
        ),
        (
            "cancel",
            with(cancel.clone(), "rate_per_second", json!(0)),
            400,
            "from 1 to 1000",
        ),
        (
            "cancel",
            with(cancel.clone(), "confirm", json!("yes")),
            400,
            "`confirm` must be true or false",
        ),
        (
            "cancel",
            with(cancel.clone(), "confirm", json!(true)),
            400,
            "`reason` must be",
        ),
        (
            "cancel",
            with(cancel.clone(), "limit", json!("5")),
            422,
            "limit must be a number",
        ),
        (
            "cancel",
            with(cancel.clone(), "rate_per_second", json!("5")),
            422,
            "rate_per_second must be a number",
        ),
        (
            "cancel",
            with(cancel.clone(), "stop_after_failures", json!("5")),
            422,
            "stop_after_failures must be a number",
        ),
        (
            "cancel",
            json!({"filter": {"since": "2026-11-21T00:00:00Z", "until": "2026-11-21T00:00:00Z"}}),
            422,
            "filter.until must be later than `since`",
        ),
        (
            "resolve",
            cancel.clone(),
            400,
            "`to` must be `completed` or `cancelled`",
        ),
        (
            "answer",
            json!({"filter": {"held": true}, "step": "payout"}),
            400,
            "`decision` must be `accepted`, `refused` or `undone`",
        ),
        (
            "resolve",
            with(cancel.clone(), "to", json!("ended")),
            400,
            "`to` must be",
        ),
        (
            "resolve",
            with(with(cancel.clone(), "to", json!("cancelled")), "force", json!(1)),
            422,
            "force must be",
        ),
        ("answer", cancel.clone(), 400, "`step` must be"),
        (
            "answer",
            with(answered.clone(), "decision", json!("yes")),
            400,
            "`decision` must be",
        ),
        (
            "answer",
            with(answered.clone(), "output", json!([])),
            422,
            "output must be a JSON object",
        ),
        (
            "answer",
            with(answered.clone(), "output", json!({"saga_id": 1})),
            422,
            "saga_",
        ),
        (
            "answer",
            with(answered.clone(), "output", json!({"a": "x".repeat(5_000)})),
            422,
            "4096",
        ),
        (
            "answer",
            with(
                with(answered, "decision", json!("refused")),
                "output",
                json!({"a": 1}),
            ),
            400,
            "only a step that is `accepted`",
        ),
    ] {
        let path = format!("/runs/{act}");
        let answer = API.ask(&world, "POST", &path, &body.to_string()).await;
        let code = if status == 400 {
            "invalid-request"
        } else {
            "invalid-input"
        };
        refuses(&answer, status, code, says);
    }
    // Who asks is needed where no signature says it; and a query says nothing.
    let body = json!({"filter": {"held": true}, "confirm": true, "reason": "r"}).to_string();
    let call = Call {
        method: "POST",
        path: "/runs/cancel",
        headers: &[("content-type", "application/json")],
        body: &body,
        signed_by: None,
    };
    refuses(
        &API.invoke(&world, call.event()).await,
        400,
        "invalid-request",
        "`by` must be",
    );
    let signed = API.ask(&world, "POST", "/runs/cancel", &body).await;
    assert_eq!(signed.status, 200);
    let asked = API.ask(&world, "POST", "/runs/cancel?limit=1", &body).await;
    assert_eq!(asked.status, 400);
    let nowhere = API.ask(&world, "POST", "/runs/undo", &body).await;
    assert_eq!(nowhere.status, 404);
    assert_eq!(stored(&world).await, before);
}

#[test]
fn the_bounds_of_a_run_are_its_own() {
    let fields = saga_wire::json::parse_object(
        r#"{"filter":{"held":true},"limit":7,"rate_per_second":3,"stop_after_failures":2}"#,
    );
    let command = saga_app::saga_runs::command::command(Act::Retransmit, &fields.unwrap()).unwrap();
    let bounds = Bounds {
        limit: 7,
        per_second: 3,
        stop_after: 2,
    };
    assert_eq!(command.terms.bounds, bounds);
}
