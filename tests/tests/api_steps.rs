//! Steps that are answered from outside, through the API: by a person, by another system, and by an operator who speaks for a
//! service that does not decide. Each answer of the API is held to the OpenAPI document.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

mod initiator;

use initiator::{API, answers, fields, runs};
use saga_tests::saga_api::{
    ARN, DEBIT, NOTIFICATION, SagaApi, accepted, deployed, refused, refuses, undecided, undecided_payout,
    undone,
};
use saga_tests::sagas::TRANSFER;
use serde_json::json;

#[tokio::test]
async fn a_transfer_is_answered_from_outside_at_every_step() {
    let mut world = deployed(&[TRANSFER]);
    let (id, started) = API
        .start(&world, "transfer", &json!({"amount": "10000.01"}))
        .await;
    assert_eq!(started["status"], "PENDING_AWS_CONFIRMATION");
    let debit = &started["steps"][0];
    assert_eq!(
        (&debit["state"], &debit["kind"], &debit["service"]),
        (&json!("ACTING"), &json!("call"), &json!("ledger"))
    );
    world.settle().await;
    assert_eq!(world.mailboxes[0].0, "aws.ledger");

    undecided(&world, id, DEBIT).await;
    let debit = API.step(&world, id, "debit").await;
    assert_eq!(
        (&debit["attempts"], &debit["last_error"]),
        (&json!(1), &json!("it answered 500"))
    );
    let answered = API.answer(&world, id, "debit", &accepted()).await;
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

    let screening = API.step(&world, id, "screening").await;
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
    assert_eq!(API.answer(&world, id, "screening", &approval).await.status, 200);
    world.settle().await;

    // The bank is on the other cloud, which decides.
    undecided_payout(&world, id).await;
    let forwarded = API.answer(&world, id, "payout", &accepted()).await;
    assert_eq!(forwarded.status, 202, "{forwarded:?}");
    world.settle().await;
    let payout = API.step(&world, id, "payout").await;
    assert_eq!(payout["state"], "DONE");
    assert_eq!(API.answer(&world, id, "payout", &accepted()).await.status, 200);
    refuses(
        &API.answer(&world, id, "payout", &refused()).await,
        409,
        "not-waiting",
        "`payout` is DONE",
    );

    undecided(&world, id, NOTIFICATION).await;
    assert_eq!(
        API.answer(&world, id, "notification", &accepted()).await.status,
        200
    );
    assert_eq!(API.saga(&world, id).await["status"], "COMPLETED");
}

#[tokio::test]
async fn the_refusal_of_a_first_step_that_is_called_ends_the_saga() {
    let mut world = deployed(&[TRANSFER]);
    let id = API.transfer(&world, "1").await;
    undecided(&world, id, DEBIT).await;
    assert_eq!(API.answer(&world, id, "debit", &refused()).await.status, 200);
    world.settle().await;
    let ended = API.saga(&world, id).await;
    assert_eq!(
        (&ended["status"], &ended["reason"], &ended["steps"][0]["state"]),
        (
            &json!("CANCELLED_VIA_COMPENSATION"),
            &json!("not ours"),
            &json!("REFUSED")
        )
    );
    refuses(
        &API.answer(&world, id, "payout", &accepted()).await,
        409,
        "not-waiting",
        "`payout` is NOT_DONE",
    );
    refuses(
        &API.answer(&world, id, "screening", &accepted()).await,
        409,
        "not-waiting",
        "`screening` is NOT_DONE",
    );
}

#[tokio::test]
async fn the_same_answer_again_changes_nothing_and_another_one_is_refused_with_the_state() {
    let world = deployed(&[TRANSFER]);
    let id = API.transfer(&world, "1").await;
    refuses(
        &API.answer(&world, id, "debit", &accepted()).await,
        409,
        "not-waiting",
        "first attempt",
    );
    undecided(&world, id, DEBIT).await;
    let first = API.answer(&world, id, "debit", &accepted()).await;
    let again = API.answer(&world, id, "debit", &accepted()).await;
    assert_eq!((first.status, again.status), (200, 200));
    assert_eq!(first.json(), again.json());
    let mut other = accepted();
    other["output"] = json!({"ref": "r-2"});
    for other in [other, refused(), undone()] {
        let late = API.answer(&world, id, "debit", &other).await;
        refuses(
            &late,
            409,
            "not-waiting",
            "`debit` is DONE and takes no other answer",
        );
    }
    assert_eq!(
        API.step(&world, id, "debit").await["output"],
        json!({"ref": "r-1"})
    );
}

#[tokio::test]
async fn an_answer_that_does_not_fit_the_step_is_refused() {
    let mut world = deployed(&[TRANSFER]);
    let id = API.transfer(&world, "20000").await;
    let unasked = API.answer(&world, id, "screening", &accepted()).await;
    refuses(
        &unasked,
        409,
        "not-waiting",
        "`screening` is WAITING: it has not been asked",
    );
    refuses(
        &API.answer(&world, id, "payout", &accepted()).await,
        409,
        "not-waiting",
        "has not been asked",
    );
    refuses(
        &API.answer(&world, id, "nothing", &accepted()).await,
        404,
        "unknown-step",
        "`nothing`",
    );
    let notified = API.answer(&world, id, "notification", &refused()).await;
    refuses(&notified, 422, "invalid-input", "can only be accepted");
    assert_eq!(notified.json()["errors"][0]["field"], "decision");

    undecided(&world, id, DEBIT).await;
    refuses(
        &API.answer(&world, id, "debit", &undone()).await,
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
            &API.answer(&world, id, "debit", &silent).await,
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
            &API.answer(&world, id, "debit", &body).await,
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
        let answered = API.answer(&world, id, "debit", &body).await;
        refuses(&answered, 422, "invalid-input", says);
        assert_eq!(answered.json()["errors"][0]["field"], "output");
    }
    assert_eq!(API.step(&world, id, "debit").await["state"], "ACTING");
    let largest = json!({"decision": "accepted", "output": of_bytes(4_096), "reason": "r", "by": "b"});
    assert_eq!(API.answer(&world, id, "debit", &largest).await.status, 200);
    world.settle().await;
    refuses(
        &API.answer(&world, id, "screening", &undone()).await,
        409,
        "not-waiting",
        "`screening` is WAITING and not asked",
    );
    // A refusal of what waits undoes what was done before.
    assert_eq!(API.answer(&world, id, "screening", &refused()).await.status, 200);
    world.settle().await;
    assert_eq!(API.step(&world, id, "debit").await["state"], "UNDOING");
    undecided(&world, id, DEBIT).await;
    refuses(
        &API.answer(&world, id, "debit", &accepted()).await,
        409,
        "not-waiting",
        "only `undone` can be said",
    );
    assert_eq!(API.answer(&world, id, "debit", &undone()).await.status, 200);
    world.settle().await;
    let ended = API.saga(&world, id).await;
    assert_eq!(
        (&ended["status"], &ended["reason"]),
        (&json!("CANCELLED_VIA_COMPENSATION"), &json!("not ours"))
    );
}

#[tokio::test]
async fn a_call_that_is_to_stop_is_answered_with_what_became_of_it() {
    let by_key = TRANSFER.replace("recover = \"tombstone\"\n", "");
    let world = deployed(&[&by_key]);
    let id = API.transfer(&world, "1").await;
    undecided(&world, id, DEBIT).await;
    API.ask(&world, "POST", &format!("/sagas/{id}/cancel"), "").await;
    let debit = API.step(&world, id, "debit").await;
    assert_eq!(
        (&debit["state"], &debit["stopping"]),
        (&json!("ACTING"), &json!(true))
    );
    let undone = API.answer(&world, id, "debit", &undone()).await;
    refuses(
        &undone,
        409,
        "not-waiting",
        "ACTING and told to stop: say first whether it was done",
    );
    assert_eq!(API.answer(&world, id, "debit", &refused()).await.status, 200);
    assert_eq!(API.saga(&world, id).await["status"], "CANCELLED_VIA_COMPENSATION");
}
