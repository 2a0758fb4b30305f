//! Starts, timeouts and overrides, through the API, of sagas whose steps are answered from outside. Each answer of the API is
//! held to the OpenAPI document.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

mod initiator;

use initiator::{API, answers, fields, runs};
use saga_tests::saga_api::{
    DEBIT, NOTIFICATION, SagaApi, accepted, deployed, refuses, undecided, undecided_payout,
};
use saga_tests::sagas::TRANSFER;
use serde_json::{Value, json};

const HOUR: i64 = 3_600_000;

#[tokio::test]
async fn a_wait_whose_condition_is_not_true_is_done_at_once() {
    let mut world = deployed(&[TRANSFER]);
    let id = API.transfer(&world, "10000.00").await;
    undecided(&world, id, DEBIT).await;
    API.answer(&world, id, "debit", &accepted()).await;
    world.settle().await;
    assert_eq!(API.step(&world, id, "screening").await["state"], "DONE");
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
        let (id, _) = API.start(&world, "waits", &json!({"who": "anybody"})).await;
        world.settle().await;
        world.wait_and_sweep(HOUR - 60_000).await;
        let first = API.step(&world, id, "first").await;
        assert_eq!(
            (&first["state"], &first["awaits"]),
            (&json!("WAITING"), &json!(before)),
            "{wait}"
        );
        world.wait_and_sweep(120_000).await;
        world.settle().await;
        let saga = API.saga(&world, id).await;
        let first = &saga["steps"][0];
        assert_eq!(
            (&first["state"], &saga["status"]),
            (&json!(after), &json!(status)),
            "{wait}: {saga:#}"
        );
        let held = after == "WAITING";
        assert_eq!(saga["flags"]["held"], held, "{wait}");
        let listed = API.ask(&world, "GET", "/sagas?flag=held", "").await.json();
        assert_eq!(
            listed["sagas"].as_array().unwrap().len(),
            usize::from(held),
            "{wait}"
        );
        if held {
            assert_eq!(first["last_error"], "nobody answered in time");
            let approval = json!({"decision": "accepted", "by": "boss"});
            let answered = API.answer(&world, id, "first", &approval).await.json();
            assert_eq!(
                (&answered["steps"][0]["state"], &answered["flags"]["held"]),
                (&json!("DONE"), &json!(false))
            );
        }
    }
}

#[tokio::test]
async fn an_override_meets_a_pivot_of_the_other_cloud_only_by_force() {
    let mut world = deployed(&[TRANSFER]);
    let id = API.transfer(&world, "1").await;
    undecided(&world, id, DEBIT).await;
    API.answer(&world, id, "debit", &accepted()).await;
    world.settle().await;
    let end = json!({"to": "cancelled", "reason": "r", "by": "b"});
    refuses(
        &API.resolve(&world, id, &end).await,
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
        &API.resolve(&world, id, &with(json!(false))).await,
        409,
        "past-pivot",
        "payout",
    );
    refuses(
        &API.resolve(&world, id, &with(json!("yes"))).await,
        422,
        "invalid-input",
        "true or false",
    );
    let ended = API.resolve(&world, id, &with(json!(true))).await;
    assert_eq!(
        (ended.status, &ended.json()["status"]),
        (200, &json!("CANCELLED_VIA_COMPENSATION"))
    );
}

#[tokio::test]
async fn what_an_override_by_force_could_not_undo_is_shown_as_done() {
    let mut world = deployed(&[TRANSFER]);
    let id = API.transfer(&world, "1").await;
    undecided(&world, id, DEBIT).await;
    API.answer(&world, id, "debit", &accepted()).await;
    world.settle().await;
    undecided_payout(&world, id).await;
    API.answer(&world, id, "payout", &accepted()).await;
    world.settle().await;
    let end = json!({"to": "cancelled", "reason": "r", "by": "b", "force": true});
    assert_eq!(API.resolve(&world, id, &end).await.status, 200);
    world.settle().await;
    undecided(&world, id, NOTIFICATION).await;
    API.answer(&world, id, "notification", &accepted()).await;
    world.settle().await;
    let saga = API.saga(&world, id).await;
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
async fn an_override_wants_no_force_while_nothing_can_have_reached_the_pivot_and_wants_it_after() {
    let mut world = deployed(&[TRANSFER]);
    let end = json!({"to": "cancelled", "reason": "r", "by": "b"});
    let id = API.transfer(&world, "20000").await;
    undecided(&world, id, DEBIT).await;
    let ended = API.resolve(&world, id, &end).await;
    assert_eq!(
        (ended.status, &ended.json()["status"]),
        (200, &json!("CANCELLED_VIA_COMPENSATION"))
    );
    // A screening that waits takes no answer once its saga has ended: the payout is never asked for.
    let waiting = API.transfer(&world, "20000").await;
    undecided(&world, waiting, DEBIT).await;
    API.answer(&world, waiting, "debit", &accepted()).await;
    world.settle().await;
    assert_eq!(API.step(&world, waiting, "screening").await["state"], "WAITING");
    assert_eq!(API.resolve(&world, waiting, &end).await.status, 200);
    refuses(
        &API.answer(&world, waiting, "screening", &accepted()).await,
        409,
        "not-waiting",
        "screening",
    );
    // Behind it the payout may be asked for.
    let asked = API.transfer(&world, "20000").await;
    undecided(&world, asked, DEBIT).await;
    API.answer(&world, asked, "debit", &accepted()).await;
    world.settle().await;
    API.answer(&world, asked, "screening", &accepted()).await;
    world.settle().await;
    refuses(
        &API.resolve(&world, asked, &end).await,
        409,
        "past-pivot",
        "payout",
    );
}

#[tokio::test]
async fn past_a_pivot_of_its_own_a_saga_can_neither_be_cancelled_nor_be_overridden() {
    let text = waiting("wait = \"approval\"\nclass = \"pivot\"") + "class = \"retriable\"\n";
    let world = deployed(&[&text]);
    let (id, _) = API.start(&world, "waits", &json!({})).await;
    API.answer(
        &world,
        id,
        "first",
        &json!({"decision": "accepted", "by": "boss"}),
    )
    .await;
    let cancel = API.ask(&world, "POST", &format!("/sagas/{id}/cancel"), "").await;
    refuses(&cancel, 409, "past-pivot", "can only go forward");
    let end = json!({"to": "cancelled", "reason": "r", "by": "b", "force": true});
    refuses(&API.resolve(&world, id, &end).await, 409, "past-pivot", "first");
    assert_eq!(API.saga(&world, id).await["flags"]["cancel_requested"], false);
}

/// Each step that is answered from outside may add an output to every later event.
#[tokio::test]
async fn a_start_leaves_room_for_the_output_of_every_step_from_outside() {
    let world = deployed(&[TRANSFER, &waiting("wait = \"timer\"\nwithin = \"1h\"")]);
    let of = |bytes: usize| json!({"a": "x".repeat(bytes)}).to_string();
    let status = async |definition: &str, bytes: usize| {
        let answered = API
            .ask(&world, "POST", &format!("/sagas/{definition}"), &of(bytes))
            .await;
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
        let started = API
            .ask(&world, "POST", "/sagas/transfer", r#"{"amount":"5"}"#)
            .await;
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
