//! What a run does with each saga, which sagas a filter means, and which requests for a run are refused.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

mod initiator;

use std::collections::{BTreeMap, BTreeSet};

use initiator::{API, answers, fields, runs};
use saga_app::ports::PortError;
use saga_app::runs::Bounds;
use saga_app::saga_runs::Act;
use saga_app::transact::{Sagas, transact};
use saga_core::call::Undecided;
use saga_core::lifecycle::Phase;
use saga_core::origin::{self};
use saga_core::{SagaId, Status};
use saga_tests::function_url::Call;
use saga_tests::saga_api::{ARN, DEBIT, NOTIFICATION, SagaApi, accepted, deployed, refuses, undecided};
use saga_tests::saga_runs::{Runs, counts, meant, outcomes, payments, pending, stored, text_of, with};
use saga_tests::sagas::TRANSFER;
use saga_tests::world::World;
use serde_json::{Value, json};

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
