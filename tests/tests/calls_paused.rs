//! A service that is paused, on either cloud: nothing is asked of it, and nothing that it is owed is lost or held.
#![allow(clippy::expect_used, reason = "the helpers of these tests are tests, too")]

use std::sync::atomic::Ordering;
use std::time::Duration;

use saga_app::Handled;
use saga_app::override_saga::Command;
use saga_app::ports::PortError;
use saga_core::Outcome;
use saga_memory::{OriginCloud, StepCloud};
use saga_tests::calls::{answers, lost};
use saga_tests::one_call::{ACCEPTED, BOTH, Calls, UNDONE, busy, calls, calls_in};
use saga_tests::world::{World, switch};
use serde_json::{Value, json};

const PAUSED: &str = "service `bank` is paused: maintenance";

#[tokio::test]
async fn a_paused_service_is_not_asked_and_what_is_owed_to_it_waits_and_goes_on() {
    for cloud in BOTH {
        let mut calls = calls(cloud, "").await;
        calls.change("bank", true).await;
        assert_eq!(calls.bring().await.unwrap(), Handled::Decided(Outcome::Noted));
        // A retransmission comes meanwhile: it ends there, and one copy stays on the queue.
        assert_eq!(calls.bring().await.unwrap(), Handled::Decided(Outcome::Repeated));
        let mut pauses = Vec::new();
        for _ in 0..20 {
            let step = calls.step().await;
            assert_eq!(
                (
                    &step["state"],
                    &step["paused"],
                    &step["attempts"],
                    &step["last_error"]
                ),
                (&json!("ACTING"), &json!(true), &json!(0), &json!(PAUSED)),
                "{cloud}"
            );
            assert_ne!(step["next_attempt_at"], Value::Null);
            pauses.push(calls.bring_when_shown().await);
        }
        let within = |pause: &Duration| (15_000..=60_000).contains(&pause.as_millis());
        assert!(pauses.iter().all(within), "{pauses:?}");
        pauses.dedup();
        assert!(pauses.len() > 10, "all at once: {pauses:?}");
        assert!(
            calls.outside.asked().is_empty() && calls.alerts().is_empty(),
            "{cloud}"
        );

        calls.change("bank", false).await;
        calls.outside.will(answers(200, ACCEPTED));
        calls.bring_when_shown().await;
        let step = calls.step().await;
        assert_eq!(
            (
                &step["state"],
                &step["paused"],
                &step["attempts"],
                &step["last_error"]
            ),
            (&json!("DONE"), &json!(false), &json!(0), &Value::Null),
            "{cloud}"
        );
        assert_eq!(
            (calls.outside.asked().len(), calls.outside.take_put().len()),
            (1, 0)
        );
    }
}

#[tokio::test]
async fn a_pause_is_for_one_service_and_for_undoing_too() {
    let mut calls = calls("aws", "recover = \"tombstone\"").await;
    calls.change("mail", true).await;
    calls.outside.will(lost());
    calls.bring().await.unwrap();
    assert_eq!(calls.outside.asked().len(), 1, "another service is paused");
    calls.outside.take_put();
    calls.change("bank", true).await;
    calls.world.command(calls.saga, Command::Cancel).await;
    calls.world.settle().await;
    let (mailbox, undo) = calls.world.mailboxes.pop().expect("the undo");
    assert_eq!(undo["sagaverb"], "undo");
    calls.outside.bring(&calls.world, &mailbox, &undo).await.unwrap();
    let step = calls.step().await;
    assert_eq!(
        (&step["stopping"], &step["paused"], calls.outside.asked().len()),
        (&json!(true), &json!(true), 1)
    );
    calls.change("bank", false).await;
    calls.wait(61);
    calls.outside.will(answers(200, UNDONE));
    calls.outside.bring(&calls.world, &mailbox, &undo).await.unwrap();
    let step = calls.step().await;
    assert_eq!(
        (&step["state"], &step["last_error"]),
        (&json!("UNDONE"), &Value::Null)
    );
}

#[tokio::test]
async fn a_real_error_after_a_pause_stays_with_the_decision() {
    let mut calls = calls("aws", "").await;
    calls.change("bank", true).await;
    calls.bring().await.unwrap();
    calls.change("bank", false).await;
    calls.outside.will(lost());
    calls.bring_when_shown().await;
    let failed = calls.step().await["last_error"].clone();
    assert!(failed != Value::Null && failed != json!(PAUSED), "{failed}");
    calls.outside.will(answers(200, ACCEPTED));
    calls.bring_when_shown().await;
    let step = calls.step().await;
    assert_eq!((&step["state"], &step["last_error"]), (&json!("DONE"), &failed));
}

#[tokio::test]
async fn nobody_answers_for_a_service_that_is_paused_and_was_not_asked() {
    let mut calls = calls("aws", "").await;
    calls.change("bank", true).await;
    calls.bring().await.unwrap();
    let name = calls.step().await["name"].as_str().unwrap().to_owned();
    let World {
        deployment,
        aws,
        clock,
        ..
    } = &calls.world;
    let answer = saga_app::answer_step::Answer {
        step: &name,
        reply: saga_core::step::Reply::Accepted,
        output: saga_core::document::Fields::new(),
        reason: Some("its portal shows it"),
        by: "ops",
        caller: None,
    };
    let refused = saga_app::answer_step::answer_step(deployment, aws, clock, calls.saga, answer).await;
    let why = refused.expect_err("nobody asked").to_string();
    assert_eq!(
        why,
        format!(
            "step `{name}` is ACTING and was not asked, because service `bank` is paused: maintenance. Resume the service, or \
             cancel the saga; nothing was changed"
        )
    );
}

#[tokio::test]
async fn a_pause_uses_up_nothing_of_hold_after() {
    for cloud in BOTH {
        let mut calls = calls(cloud, "hold_after = \"10m\"").await;
        calls.outside.will(lost());
        calls.bring().await.unwrap();
        calls.change("bank", true).await;
        for _ in 0..100 {
            calls.bring_when_shown().await;
            calls.world.wait_and_sweep(0).await;
        }
        calls.change("bank", false).await;
        for _ in 0..3 {
            calls.outside.will(lost());
            calls.bring_when_shown().await;
        }
        let step = calls.step().await;
        assert_eq!(
            (&step["held_since"], &step["paused"], &step["attempts"]),
            (&Value::Null, &json!(false), &json!(4)),
            "{cloud}"
        );
        assert!(calls.alerts().is_empty(), "{:?}", calls.alerts());
        calls.wait(600);
        calls.outside.will(lost());
        calls.bring_when_shown().await;
        assert_ne!(calls.step().await["held_since"], Value::Null, "{cloud}");
        assert_eq!(calls.alerts().len(), 1);
    }
}

/// What was used up before the pause stays so.
#[tokio::test]
async fn a_step_is_not_held_while_its_service_is_paused_and_may_be_after_that() {
    for cloud in BOTH {
        let mut calls = calls(cloud, "hold_after = \"10m\"").await;
        calls.outside.will(busy(11));
        calls.bring().await.unwrap();
        calls.change("bank", true).await;
        calls.bring_when_shown().await;
        calls.bring_when_shown().await;
        let step = calls.step().await;
        assert_eq!(
            (&step["paused"], &step["held_since"]),
            (&json!(true), &Value::Null),
            "{cloud}"
        );
        assert!(calls.alerts().is_empty(), "{:?}", calls.alerts());
        calls.change("bank", false).await;
        calls.outside.will(lost());
        calls.bring_when_shown().await;
        assert_ne!(calls.step().await["held_since"], Value::Null, "{cloud}");
    }
}

/// Nobody was asked, and nobody is needed; but should its caller come no more, somebody is.
#[tokio::test]
async fn a_step_that_was_never_asked_is_not_held_while_its_service_is_paused() {
    let mut calls = calls("aws", "hold_after = \"10m\"").await;
    calls.change("bank", true).await;
    calls.bring().await.unwrap();
    for _ in 0..40 {
        calls.bring_when_shown().await;
        calls.world.wait_and_sweep(1_000).await;
    }
    assert_eq!(calls.step().await["held_since"], Value::Null);
    assert!(calls.alerts().is_empty(), "{:?}", calls.alerts());
    calls.world.wait_and_sweep(3_600_000).await;
    let step = calls.step().await;
    assert_ne!(step["held_since"], Value::Null, "{step}");
    assert_eq!(calls.alerts().len(), 1);
    // It comes back, and the service is paused still.
    calls.bring_when_shown().await;
    let step = calls.step().await;
    assert_eq!(
        (&step["paused"], &step["last_error"]),
        (&json!(true), &json!(PAUSED))
    );
    assert_ne!(
        step["held_since"],
        Value::Null,
        "it stays with a person until there is a decision"
    );
}

#[tokio::test]
async fn a_key_is_forgotten_also_during_a_pause() {
    for cloud in BOTH {
        let mut calls = calls(cloud, "key_lifetime = \"50s\"").await;
        calls.change("bank", true).await;
        calls.bring().await.unwrap();
        calls.wait(60);
        calls.bring().await.unwrap();
        let step = calls.step().await;
        assert_eq!(
            (&step["paused"], &step["next_attempt_at"], &step["attempts"]),
            (&json!(false), &Value::Null, &json!(0)),
            "{cloud}"
        );
        assert_ne!(step["held_since"], Value::Null);
        calls.change("bank", false).await;
        calls.bring().await.unwrap();
        assert!(calls.outside.asked().is_empty(), "{cloud}");
        assert_eq!(calls.alerts().len(), 1, "{:?}", calls.alerts());
    }
}

#[tokio::test]
async fn without_the_state_of_its_service_a_request_is_not_sent() {
    for cloud in BOTH {
        let (down, choose) = switch("ServiceStates::service_state", true);
        let world = match cloud {
            "aws" => World::new(OriginCloud::with_faults(choose), StepCloud::new()),
            _ => World::new(OriginCloud::new(), StepCloud::with_faults(choose)),
        };
        let mut calls = calls_in(world, cloud, "").await;
        calls.outside.will(answers(200, ACCEPTED));
        assert!(
            matches!(calls.bring().await, Err(PortError::Unavailable { .. })),
            "{cloud}"
        );
        assert!(calls.outside.asked().is_empty() && calls.outside.take_put().is_empty());
        let step = calls.step().await;
        assert_eq!(
            (&step["attempts"], &step["last_error"]),
            (&json!(0), &Value::Null)
        );
        down.store(false, Ordering::SeqCst);
        calls.bring().await.unwrap();
        assert_eq!(calls.step().await["state"], "DONE");
    }
}

#[tokio::test]
async fn a_request_to_a_paused_service_is_lost_at_no_step_of_its_way_back() {
    for cloud in BOTH {
        let (down, choose) = switch(
            if cloud == "aws" {
                "SagaStore::commit"
            } else {
                "StepStore::commit"
            },
            false,
        );
        let world = match cloud {
            "aws" => World::new(OriginCloud::with_faults(choose), StepCloud::new()),
            _ => World::new(OriginCloud::new(), StepCloud::with_faults(choose)),
        };
        let mut calls = calls_in(world, cloud, "").await;
        calls.change("bank", true).await;
        calls.outside.break_queue(true);
        assert!(calls.bring().await.is_err(), "{cloud}: the message stays");
        assert_eq!(calls.step().await["paused"], false);
        calls.outside.break_queue(false);
        down.store(true, Ordering::SeqCst);
        assert_eq!(calls.bring().await.unwrap(), Handled::Decided(Outcome::Noted));
        down.store(false, Ordering::SeqCst);
        calls.bring_when_shown().await;
        assert_eq!(calls.step().await["paused"], true);
        assert!(calls.outside.asked().is_empty());
    }
}

/// The origin hears of attempts that double; of a pause and of its end it hears at once.
#[tokio::test]
async fn the_origin_shows_the_pause_of_a_step_on_the_other_cloud_and_its_end() {
    let mut calls = calls("azure", "").await;
    for attempts in 1..=4 {
        calls.outside.will(lost());
        calls.bring().await.unwrap();
        assert_eq!(
            calls.step().await["attempts"],
            attempts.min(2) + 2 * (attempts / 4)
        );
        calls.wait(300);
        calls.outside.take_put();
    }
    let shown = async |calls: &mut Calls| {
        let step = calls.step().await;
        (
            step["paused"].as_bool().unwrap(),
            step["attempts"].as_i64().unwrap(),
        )
    };
    calls.change("bank", true).await;
    calls.bring().await.unwrap();
    assert_eq!(shown(&mut calls).await, (true, 4));
    calls.bring_when_shown().await;
    calls.change("bank", false).await;
    calls.outside.will(lost());
    calls.bring_when_shown().await;
    assert_eq!(shown(&mut calls).await, (false, 5));
    calls.change("bank", true).await;
    calls.bring_when_shown().await;
    assert_eq!(shown(&mut calls).await, (true, 5));
}
