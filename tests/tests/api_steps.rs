//! Steps that are answered from outside, through the API: approvals, callbacks, timers, and an operator's word for a call
//! whose service does not decide. Each answer is held to the OpenAPI document.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

// A function is a program and no library: its own sources are taken as they are.
#[path = "../../functions/saga-initiator/src/answers.rs"]
mod answers;
#[path = "../../functions/saga-initiator/src/routes.rs"]
mod routes;

use lambda_http::Request;
use lambda_http::request::LambdaRequest;
use routes::{Api, DOCUMENT};
use saga_app::ports::PortError;
use saga_app::ports::{StepCommit, StepStore};
use saga_app::step_transact::partition;
use saga_app::transact::{Sagas, transact};
use saga_core::call::Undecided;
use saga_core::document::Fields;
use saga_core::origin::Command;
use saga_core::participant::Placement;
use saga_core::participate::{Message, Step};
use saga_core::step::StepVerb;
use saga_core::{SagaId, StepIndex, TraceParent};
use saga_tests::function_url::Call;
use saga_tests::openapi::{Answer, Document};
use saga_tests::sagas::TRANSFER;
use saga_tests::world::World;
use saga_wire::definitions::parse;
use serde_json::{Value, json};

const JSON: (&str, &str) = ("content-type", "application/json");
const ARN: &str = "arn:aws:iam::123456789012:user/ops";
const HOUR: i64 = 3_600_000;

const DEBIT: StepIndex = StepIndex::new(0);
const PAYOUT: StepIndex = StepIndex::new(2);
const NOTIFICATION: StepIndex = StepIndex::new(3);

/// Asks, holds the answer to the document, and gives it back.
async fn ask(world: &World, method: &str, path: &str, body: &str) -> Answer {
    let api = Api {
        deployment: &world.deployment,
        store: &world.aws,
        time: &world.clock,
    };
    let call = Call {
        method,
        path,
        headers: &[JSON],
        body,
        signed_by: Some(ARN),
    };
    let event: LambdaRequest = serde_json::from_value(call.event()).unwrap();
    let response = api.answer(Request::from(event)).await;
    let headers = response.headers().iter();
    let answered = Answer {
        status: response.status().as_u16(),
        headers: headers
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect(),
        body: String::from_utf8(response.body().to_vec()).unwrap(),
    };
    let place = path.split('?').next().unwrap();
    Document::parse(DOCUMENT).check(method, place, &answered);
    answered
}

/// A world in which these definitions are deployed.
fn deployed(definitions: &[&str]) -> World {
    let mut world = World::default();
    world.release(definitions.iter().map(|text| parse(text).unwrap()));
    world
}

/// Starts a saga; its id and its body.
async fn start(world: &World, definition: &str, input: &Value) -> (SagaId, Value) {
    let started = ask(world, "POST", &format!("/sagas/{definition}"), &input.to_string()).await;
    assert_eq!(started.status, 201, "{started:?}");
    let saga = started.json();
    (saga["saga_id"].as_str().unwrap().parse().unwrap(), saga)
}

/// A transfer that the other cloud is asked for next: debited, and screened where that is needed.
async fn transfer(world: &World, amount: &str) -> SagaId {
    start(world, "transfer", &json!({"amount": amount})).await.0
}

async fn saga(world: &World, id: SagaId) -> Value {
    ask(world, "GET", &format!("/sagas/{id}"), "").await.json()
}

/// The step of this name, as the API shows it.
async fn step(world: &World, id: SagaId, name: &str) -> Value {
    let saga = saga(world, id).await;
    let mut steps = saga["steps"].as_array().unwrap().iter();
    steps.find(|step| step["name"] == name).unwrap().clone()
}

async fn answer(world: &World, id: SagaId, step: &str, body: &Value) -> Answer {
    let path = format!("/sagas/{id}/steps/{step}/answer");
    ask(world, "POST", &path, &body.to_string()).await
}

fn accepted() -> Value {
    json!({"decision": "accepted", "output": {"ref": "r-1"}, "reason": "seen at the service", "by": "ops"})
}

fn refused() -> Value {
    json!({"decision": "refused", "reason": "not ours", "by": "ops"})
}

fn undone() -> Value {
    json!({"decision": "undone", "reason": "taken back by hand", "by": "ops"})
}

fn failed() -> Undecided {
    Undecided {
        verb: None,
        alerted: false,
        why: "it answered 500".to_owned(),
        hold: false,
        next: None,
    }
}

/// The service of a step on AWS was asked, and did not decide.
async fn undecided(world: &World, id: SagaId, step: StepIndex) {
    let sagas = Sagas::new(&world.deployment, &world.aws, &world.clock);
    let attempt = |_: &_, _: Option<&_>, _| {
        let attempt = failed();
        Ok::<_, PortError>(Some(Command::Undecided { step, attempt }))
    };
    transact(&sagas, id, attempt).await.unwrap().unwrap();
}

/// The same of the payout, which is on Azure.
async fn undecided_payout(world: &World, id: SagaId) {
    let definition = world.deployment.catalogue.latest("transfer").unwrap();
    let step = Step::find(id, definition, PAYOUT, &world.deployment.participants).unwrap();
    let place = partition("", Placement::BySaga, id, world.deployment.shards);
    let known = world.azure.load(&place, id, PAYOUT).await.unwrap().unwrap();
    let (trace, data) = (TraceParent::for_saga(id), Fields::new());
    let now = saga_app::ports::Time::now(&world.clock);
    let message = Message::own(StepVerb::Advance, now, &trace, &data);
    let decided = step.undecided(&known.value, &message, &failed(), now).unwrap();
    let commit = StepCommit {
        partition: &place,
        saga: id,
        index: PAYOUT,
        record: decided.record.as_ref(),
        version: Some(&known.version),
        writes: &[],
        read: &Default::default(),
        row: None,
    };
    world.azure.commit(commit).await.unwrap();
}

/// What an answer that was refused says: its status, its code, and the words for a person.
fn problem(answer: &Answer) -> (u16, String, String) {
    let body = answer.json();
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    (answer.status, text("code"), text("detail"))
}

/// Holds an answer to be refused so.
fn refuses(answer: &Answer, status: u16, code: &str, says: &str) {
    let (is, its, detail) = problem(answer);
    assert_eq!((is, its.as_str()), (status, code), "{answer:?}");
    assert!(detail.contains(says), "`{says}` is not in: {detail}");
}

#[tokio::test]
async fn a_transfer_is_answered_from_outside_at_every_step() {
    let mut world = deployed(&[TRANSFER]);
    let (id, started) = start(&world, "transfer", &json!({"amount": "10000.01"})).await;
    assert_eq!(started["status"], "PENDING_AWS_CONFIRMATION");
    let debit = &started["steps"][0];
    assert_eq!(
        (&debit["state"], &debit["kind"], &debit["service"]),
        (&json!("ACTING"), &json!("call"), &json!("ledger"))
    );
    world.settle().await;
    assert_eq!(world.mailboxes[0].0, "aws.ledger");

    undecided(&world, id, DEBIT).await;
    let debit = step(&world, id, "debit").await;
    assert_eq!(
        (&debit["attempts"], &debit["last_error"]),
        (&json!(1), &json!("it answered 500"))
    );
    let answered = answer(&world, id, "debit", &accepted()).await;
    assert_eq!(answered.status, 200, "{answered:?}");
    let line = answered.json()["timeline"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    assert_eq!(
        (&line["verb"], &line["step_name"], &line["caller"], &line["note"]),
        (
            &json!("accepted"),
            &json!("debit"),
            &json!(ARN),
            &json!("ops: seen at the service")
        )
    );
    world.settle().await;

    let screening = step(&world, id, "screening").await;
    assert_eq!(
        (&screening["state"], &screening["awaits"]),
        (&json!("WAITING"), &json!("approval"))
    );
    assert!(
        world
            .mailboxes
            .iter()
            .any(|(mailbox, _)| mailbox == "aws.outside")
    );
    let approval = json!({"decision": "accepted", "by": "compliance"});
    assert_eq!(answer(&world, id, "screening", &approval).await.status, 200);
    world.settle().await;

    // The bank is on the other cloud, which decides.
    undecided_payout(&world, id).await;
    let forwarded = answer(&world, id, "payout", &accepted()).await;
    assert_eq!(forwarded.status, 202, "{forwarded:?}");
    world.settle().await;
    let payout = step(&world, id, "payout").await;
    assert_eq!(payout["state"], "DONE");
    assert_eq!(answer(&world, id, "payout", &accepted()).await.status, 200);
    refuses(
        &answer(&world, id, "payout", &refused()).await,
        409,
        "not-waiting",
        "`payout` is DONE",
    );

    undecided(&world, id, NOTIFICATION).await;
    assert_eq!(answer(&world, id, "notification", &accepted()).await.status, 200);
    assert_eq!(saga(&world, id).await["status"], "COMPLETED");
}

#[tokio::test]
async fn the_refusal_of_a_first_step_that_is_called_ends_the_saga() {
    let mut world = deployed(&[TRANSFER]);
    let id = transfer(&world, "1").await;
    undecided(&world, id, DEBIT).await;
    assert_eq!(answer(&world, id, "debit", &refused()).await.status, 200);
    world.settle().await;
    let ended = saga(&world, id).await;
    assert_eq!(
        (&ended["status"], &ended["reason"], &ended["steps"][0]["state"]),
        (
            &json!("CANCELLED_VIA_COMPENSATION"),
            &json!("not ours"),
            &json!("REFUSED")
        )
    );
    refuses(
        &answer(&world, id, "payout", &accepted()).await,
        409,
        "not-waiting",
        "`payout` is NOT_DONE",
    );
    refuses(
        &answer(&world, id, "screening", &accepted()).await,
        409,
        "not-waiting",
        "`screening` is NOT_DONE",
    );
}

#[tokio::test]
async fn the_same_answer_again_changes_nothing_and_another_one_is_refused_with_the_state() {
    let world = deployed(&[TRANSFER]);
    let id = transfer(&world, "1").await;
    refuses(
        &answer(&world, id, "debit", &accepted()).await,
        409,
        "not-waiting",
        "first attempt",
    );
    undecided(&world, id, DEBIT).await;
    let first = answer(&world, id, "debit", &accepted()).await;
    let again = answer(&world, id, "debit", &accepted()).await;
    assert_eq!((first.status, again.status), (200, 200));
    assert_eq!(first.json(), again.json());
    let mut other = accepted();
    other["output"] = json!({"ref": "r-2"});
    for other in [other, refused(), undone()] {
        let late = answer(&world, id, "debit", &other).await;
        refuses(
            &late,
            409,
            "not-waiting",
            "`debit` is DONE and takes no other answer",
        );
    }
    assert_eq!(step(&world, id, "debit").await["output"], json!({"ref": "r-1"}));
}

#[tokio::test]
async fn an_answer_that_does_not_fit_the_step_is_refused() {
    let mut world = deployed(&[TRANSFER]);
    let id = transfer(&world, "20000").await;
    let unasked = answer(&world, id, "screening", &accepted()).await;
    refuses(
        &unasked,
        409,
        "not-waiting",
        "`screening` is WAITING: it has not been asked",
    );
    refuses(
        &answer(&world, id, "payout", &accepted()).await,
        409,
        "not-waiting",
        "has not been asked",
    );
    refuses(
        &answer(&world, id, "nothing", &accepted()).await,
        404,
        "unknown-step",
        "`nothing`",
    );
    let notified = answer(&world, id, "notification", &refused()).await;
    refuses(&notified, 422, "invalid-input", "can only be accepted");
    assert_eq!(notified.json()["errors"][0]["field"], "decision");

    undecided(&world, id, DEBIT).await;
    refuses(
        &answer(&world, id, "debit", &undone()).await,
        409,
        "not-waiting",
        "`debit` is ACTING and not asked",
    );
    // Nobody speaks for a service without a reason.
    for (decision, says) in [
        ("accepted", "`reason` is needed"),
        ("refused", "`reason`"),
        ("undone", "`reason`"),
    ] {
        let silent = json!({"decision": decision, "by": "ops"});
        refuses(
            &answer(&world, id, "debit", &silent).await,
            400,
            "invalid-request",
            says,
        );
    }
    for (body, says) in [
        (json!({"decision": "accepted", "reason": "r"}), "`by`"),
        (
            json!({"decision": "later", "reason": "r", "by": "b"}),
            "`decision`",
        ),
        (json!({"reason": "r", "by": "b"}), "`decision`"),
        (
            json!({"decision": "refused", "output": {}, "reason": "r", "by": "b"}),
            "`output`",
        ),
        (
            json!({"decision": "accepted", "reason": "r", "by": "b", "caller": "x"}),
            "`caller`",
        ),
    ] {
        refuses(
            &answer(&world, id, "debit", &body).await,
            400,
            "invalid-request",
            says,
        );
    }
    let of_bytes = |bytes: usize| json!({"a": "x".repeat(bytes - 8)});
    for (output, says) in [
        (json!({"saga_id": "x"}), "begins with `saga_`, which is reserved"),
        (of_bytes(4_097), "4097 bytes, at most 4096"),
        (json!([]), "must be a JSON object"),
        (json!("r-1"), "must be a JSON object"),
        (json!({"a": [[[[[[[[1]]]]]]]]}), "more than 8 deep"),
    ] {
        let body = json!({"decision": "accepted", "output": output, "reason": "r", "by": "b"});
        let answered = answer(&world, id, "debit", &body).await;
        refuses(&answered, 422, "invalid-input", says);
        assert_eq!(answered.json()["errors"][0]["field"], "output");
    }
    assert_eq!(step(&world, id, "debit").await["state"], "ACTING");
    let largest = json!({"decision": "accepted", "output": of_bytes(4_096), "reason": "r", "by": "b"});
    assert_eq!(answer(&world, id, "debit", &largest).await.status, 200);
    world.settle().await;
    refuses(
        &answer(&world, id, "screening", &undone()).await,
        409,
        "not-waiting",
        "`screening` is WAITING and not asked",
    );
    // A refusal of what waits undoes what was done before.
    assert_eq!(answer(&world, id, "screening", &refused()).await.status, 200);
    world.settle().await;
    assert_eq!(step(&world, id, "debit").await["state"], "UNDOING");
    undecided(&world, id, DEBIT).await;
    refuses(
        &answer(&world, id, "debit", &accepted()).await,
        409,
        "not-waiting",
        "only `undone` can be said",
    );
    assert_eq!(answer(&world, id, "debit", &undone()).await.status, 200);
    world.settle().await;
    let ended = saga(&world, id).await;
    assert_eq!(
        (&ended["status"], &ended["reason"]),
        (&json!("CANCELLED_VIA_COMPENSATION"), &json!("not ours"))
    );
}

#[tokio::test]
async fn a_call_that_is_to_stop_is_answered_with_what_became_of_it() {
    let by_key = TRANSFER.replace("recover = \"tombstone\"\n", "");
    let world = deployed(&[&by_key]);
    let id = transfer(&world, "1").await;
    undecided(&world, id, DEBIT).await;
    ask(&world, "POST", &format!("/sagas/{id}/cancel"), "").await;
    let debit = step(&world, id, "debit").await;
    assert_eq!(
        (&debit["state"], &debit["stopping"]),
        (&json!("ACTING"), &json!(true))
    );
    let undone = answer(&world, id, "debit", &undone()).await;
    refuses(
        &undone,
        409,
        "not-waiting",
        "ACTING and told to stop: say first whether it was done",
    );
    assert_eq!(answer(&world, id, "debit", &refused()).await.status, 200);
    assert_eq!(saga(&world, id).await["status"], "CANCELLED_VIA_COMPENSATION");
}

#[tokio::test]
async fn a_wait_whose_condition_is_not_true_is_done_at_once() {
    let mut world = deployed(&[TRANSFER]);
    let id = transfer(&world, "10000.00").await;
    undecided(&world, id, DEBIT).await;
    answer(&world, id, "debit", &accepted()).await;
    world.settle().await;
    assert_eq!(step(&world, id, "screening").await["state"], "DONE");
    assert!(
        !world
            .mailboxes
            .iter()
            .any(|(mailbox, _)| mailbox == "aws.outside")
    );
}

/// Two steps, of which the first waits.
fn waiting(wait: &str) -> String {
    format!(
        r#"
name = "waits"
version = 1
deadline = "2d"

[[step]]
name = "first"
cloud = "aws"
{wait}

[[step]]
name = "second"
cloud = "aws"
wait = "callback"
"#
    )
}

#[tokio::test]
async fn a_wait_that_nobody_answers_ends_as_its_definition_says() {
    for (wait, before, after, status) in [
        (
            "wait = \"timer\"\nwithin = \"1h\"",
            "timer",
            "DONE",
            "PENDING_AWS_CONFIRMATION",
        ),
        (
            "wait = \"approval\"\nwithin = \"1h\"\non_timeout = \"accept\"",
            "approval",
            "DONE",
            "PENDING_AWS_CONFIRMATION",
        ),
        (
            "wait = \"callback\"\nwithin = \"1h\"\non_timeout = \"refuse\"",
            "callback",
            "REFUSED",
            "CANCELLED_VIA_COMPENSATION",
        ),
        (
            "wait = \"approval\"\nwithin = \"1h\"\non_timeout = \"hold\"",
            "approval",
            "WAITING",
            "PENDING_AWS_CONFIRMATION",
        ),
    ] {
        let mut world = deployed(&[&waiting(wait)]);
        let (id, _) = start(&world, "waits", &json!({"who": "anybody"})).await;
        world.settle().await;
        world.wait_and_sweep(HOUR - 60_000).await;
        let first = step(&world, id, "first").await;
        assert_eq!(
            (&first["state"], &first["awaits"]),
            (&json!("WAITING"), &json!(before)),
            "{wait}"
        );
        world.wait_and_sweep(120_000).await;
        world.settle().await;
        let saga = saga(&world, id).await;
        let first = &saga["steps"][0];
        assert_eq!(
            (&first["state"], &saga["status"]),
            (&json!(after), &json!(status)),
            "{wait}: {saga:#}"
        );
        let held = after == "WAITING";
        assert_eq!(saga["flags"]["held"], held, "{wait}");
        let listed = ask(&world, "GET", "/sagas?flag=held", "").await.json();
        assert_eq!(
            listed["sagas"].as_array().unwrap().len(),
            usize::from(held),
            "{wait}"
        );
        if held {
            assert_eq!(first["last_error"], "nobody answered in time");
            let approval = json!({"decision": "accepted", "by": "boss"});
            let answered = answer(&world, id, "first", &approval).await.json();
            assert_eq!(
                (&answered["steps"][0]["state"], &answered["flags"]["held"]),
                (&json!("DONE"), &json!(false))
            );
        }
    }
}

async fn resolve(world: &World, id: SagaId, body: &Value) -> Answer {
    ask(world, "POST", &format!("/sagas/{id}/resolve"), &body.to_string()).await
}

#[tokio::test]
async fn an_override_meets_a_pivot_of_the_other_cloud_only_by_force() {
    let mut world = deployed(&[TRANSFER]);
    let id = transfer(&world, "1").await;
    undecided(&world, id, DEBIT).await;
    answer(&world, id, "debit", &accepted()).await;
    world.settle().await;
    let end = json!({"to": "cancelled", "reason": "r", "by": "b"});
    refuses(
        &resolve(&world, id, &end).await,
        409,
        "past-pivot",
        "`\"force\": true`",
    );
    let with = |force: Value| {
        let mut end = end.clone();
        end["force"] = force;
        end
    };
    refuses(
        &resolve(&world, id, &with(json!(false))).await,
        409,
        "past-pivot",
        "payout",
    );
    refuses(
        &resolve(&world, id, &with(json!("yes"))).await,
        422,
        "invalid-input",
        "true or false",
    );
    let ended = resolve(&world, id, &with(json!(true))).await;
    assert_eq!(
        (ended.status, &ended.json()["status"]),
        (200, &json!("CANCELLED_VIA_COMPENSATION"))
    );
}

#[tokio::test]
async fn what_an_override_by_force_could_not_undo_is_shown_as_done() {
    let mut world = deployed(&[TRANSFER]);
    let id = transfer(&world, "1").await;
    undecided(&world, id, DEBIT).await;
    answer(&world, id, "debit", &accepted()).await;
    world.settle().await;
    undecided_payout(&world, id).await;
    answer(&world, id, "payout", &accepted()).await;
    world.settle().await;
    let end = json!({"to": "cancelled", "reason": "r", "by": "b", "force": true});
    assert_eq!(resolve(&world, id, &end).await.status, 200);
    world.settle().await;
    undecided(&world, id, NOTIFICATION).await;
    answer(&world, id, "notification", &accepted()).await;
    world.settle().await;
    let saga = saga(&world, id).await;
    let states = saga["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| &step["state"]);
    assert_eq!(states.skip(2).collect::<Vec<_>>(), ["DONE", "DONE"], "{saga:#}");
    let mut outcomes = saga["timeline"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["outcome"]);
    assert!(outcomes.any(|outcome| outcome == "contradicted"), "{saga:#}");
}

#[tokio::test]
async fn an_override_wants_no_force_while_the_first_step_is_not_decided_and_wants_it_after() {
    let mut world = deployed(&[TRANSFER]);
    let end = json!({"to": "cancelled", "reason": "r", "by": "b"});
    let id = transfer(&world, "20000").await;
    undecided(&world, id, DEBIT).await;
    let ended = resolve(&world, id, &end).await;
    assert_eq!(
        (ended.status, &ended.json()["status"]),
        (200, &json!("CANCELLED_VIA_COMPENSATION"))
    );
    // A screening that waits may yet be approved before the cancel reaches it: the payout may be asked.
    let waiting = transfer(&world, "20000").await;
    undecided(&world, waiting, DEBIT).await;
    answer(&world, waiting, "debit", &accepted()).await;
    world.settle().await;
    assert_eq!(step(&world, waiting, "screening").await["state"], "WAITING");
    refuses(&resolve(&world, waiting, &end).await, 409, "past-pivot", "payout");
}

#[tokio::test]
async fn past_a_pivot_of_its_own_a_saga_can_neither_be_cancelled_nor_be_overridden() {
    let text = waiting("wait = \"approval\"\nclass = \"pivot\"") + "class = \"retriable\"\n";
    let world = deployed(&[&text]);
    let (id, _) = start(&world, "waits", &json!({})).await;
    answer(
        &world,
        id,
        "first",
        &json!({"decision": "accepted", "by": "boss"}),
    )
    .await;
    let cancel = ask(&world, "POST", &format!("/sagas/{id}/cancel"), "").await;
    refuses(&cancel, 409, "past-pivot", "can only go forward");
    let end = json!({"to": "cancelled", "reason": "r", "by": "b", "force": true});
    refuses(&resolve(&world, id, &end).await, 409, "past-pivot", "first");
    assert_eq!(saga(&world, id).await["flags"]["cancel_requested"], false);
}

/// Each step that is answered from outside may add an output to every later event.
#[tokio::test]
async fn a_start_leaves_room_for_the_output_of_every_step_from_outside() {
    let world = deployed(&[TRANSFER, &waiting("wait = \"timer\"\nwithin = \"1h\"")]);
    let of = |bytes: usize| json!({"a": "x".repeat(bytes)}).to_string();
    let status = async |definition: &str, bytes: usize| {
        let answered = ask(&world, "POST", &format!("/sagas/{definition}"), &of(bytes)).await;
        if answered.status != 201 {
            refuses(&answered, 413, "too-large", "could have");
        }
        answered.status
    };
    // Of 47 KiB, two steps keep 9 KiB free and four keep 18, beside the event's own attributes.
    for (definition, taken, refused) in [("waits", 36, 39), ("transfer", 27, 30)] {
        assert_eq!(status(definition, taken * 1_024).await, 201, "{definition}");
        assert_eq!(status(definition, refused * 1_024).await, 413, "{definition}");
    }
}

#[tokio::test]
async fn a_saga_does_not_start_where_a_service_of_it_is_not_bound_for_its_cloud() {
    let mut world = deployed(&[TRANSFER]);
    let bound = |services: &str| saga_wire::services::Services::parse_json(services).unwrap();
    let service = |name: &str, cloud: &str| {
        format!(r#""{name}":{{"url":"http://127.0.0.1:9/{name}","cloud":"{cloud}","auth":"none"}}"#)
    };
    let (ledger, bank, mail) = (
        service("ledger", "aws"),
        service("bank", "azure"),
        service("mail", "aws"),
    );
    for (services, missing) in [
        (String::new(), Some("`ledger`")),
        (format!("{ledger},{mail}"), Some("`bank`")),
        (
            format!("{ledger},{mail},{}", service("bank", "aws")),
            Some("`bank`"),
        ),
        (format!("{ledger},{bank},{mail}"), None),
    ] {
        world.deployment.services = Some(bound(&format!("{{{services}}}")));
        let started = ask(&world, "POST", "/sagas/transfer", r#"{"amount":"5"}"#).await;
        match missing {
            None => assert_eq!(started.status, 201, "{started:?}"),
            Some(name) => {
                assert_eq!(
                    (started.status, &started.json()["code"]),
                    (409, &json!("not-deployed"))
                );
                assert!(
                    started.json()["detail"].as_str().unwrap().contains(name),
                    "{started:?}"
                );
            }
        }
    }
}
