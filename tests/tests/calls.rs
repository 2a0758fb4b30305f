//! A request to an outside service, on either cloud: what each answer, each loss and each crash leaves.
#![allow(clippy::expect_used, reason = "the helpers of these tests are tests, too")]

use std::sync::atomic::Ordering;
use std::time::Duration;

use saga_app::Handled;
use saga_app::call_service::Said;
use saga_app::override_saga::Command;
use saga_app::ports::Time;
use saga_core::Outcome;
use saga_core::call::{CallVerb, Undecided};
use saga_core::document::Fields;
use saga_core::origin::Override;
use saga_core::step::Reply;
use saga_memory::{OriginCloud, StepCloud};
use saga_tests::calls::{Outside, answers, lost};
use saga_tests::one_call::{ACCEPTED, BOTH, REFUSED, UNDONE, busy, calls, calls_in};
use saga_tests::world::{World, switch};
use saga_wire::definitions::parse;
use serde_json::{Value, json};

#[tokio::test]
async fn a_decision_is_committed_and_moves_the_saga() {
    for cloud in BOTH {
        for (answer, state) in [(ACCEPTED, "DONE"), (REFUSED, "REFUSED")] {
            let mut calls = calls(cloud, "").await;
            calls.outside.will(answers(200, answer));
            assert_eq!(calls.bring().await.unwrap(), Handled::Decided(Outcome::Applied));
            assert_eq!(calls.step().await["state"], state, "{cloud}");
            assert!(calls.outside.take_put().is_empty());
            let asked = calls.outside.asked();
            assert_eq!(asked.len(), 1);
            assert_eq!(asked[0].1.key, format!("{}.work.act", calls.saga));
            // The same request again finds nothing that is owed.
            assert_eq!(calls.bring().await.unwrap(), Handled::Decided(Outcome::Repeated));
            assert_eq!(calls.outside.asked().len(), 1);
        }
    }
}

#[tokio::test]
async fn an_unknown_outcome_is_asked_again_with_the_same_key_and_not_before_its_time() {
    for cloud in BOTH {
        let mut calls = calls(cloud, "").await;
        for answer in [
            lost(),
            answers(500, ""),
            answers(200, "nonsense"),
            answers(409, ""),
        ] {
            calls.outside.will(answer);
            calls.bring().await.unwrap();
            let put = calls.outside.take_put();
            assert_eq!(put.len(), 1, "{cloud}: one copy is on the queue");
            assert_eq!(serde_json::from_str::<Value>(&put[0].0).unwrap(), calls.request);
            calls.wait(i64::try_from(put[0].1.as_secs()).unwrap() + 2);
        }
        assert_eq!(calls.step().await["attempts"], 4, "{cloud}");
        calls.outside.will(busy(10));
        calls.bring().await.unwrap();
        let (_, away) = calls.outside.take_put().remove(0);
        assert!(away >= Duration::from_secs(600), "{away:?}");
        // A retransmission comes meanwhile.
        assert_eq!(calls.bring().await.unwrap(), Handled::Decided(Outcome::Repeated));
        assert_eq!(
            (calls.outside.asked().len(), calls.outside.take_put().len()),
            (5, 0)
        );
        calls.wait(900);
        calls.outside.will(answers(200, ACCEPTED));
        calls.bring().await.unwrap();
        assert_eq!(calls.step().await["state"], "DONE");
        let keys: std::collections::BTreeSet<_> = calls
            .outside
            .asked()
            .into_iter()
            .map(|(_, asked)| asked.key)
            .collect();
        assert_eq!(keys.len(), 1);
    }
}

/// The process may die between any two: what is lost is only the count of the attempt.
#[tokio::test]
async fn without_a_copy_on_the_queue_the_message_stays_and_with_one_it_goes() {
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
        calls.outside.break_queue(true);
        calls.outside.will(lost());
        assert!(
            calls.bring().await.is_err(),
            "{cloud}: nothing was kept, so the message stays"
        );
        assert_eq!(calls.step().await["attempts"], 0);
        calls.outside.break_queue(false);
        down.store(true, Ordering::SeqCst);
        calls.outside.will(lost());
        assert_eq!(calls.bring().await.unwrap(), Handled::Decided(Outcome::Noted));
        assert_eq!(
            calls.outside.take_put().len(),
            1,
            "{cloud}: no second copy comes of it"
        );
        // A decision has no copy: it must not be lost.
        calls.outside.will(answers(200, ACCEPTED));
        assert!(calls.bring().await.is_err());
        down.store(false, Ordering::SeqCst);
        calls.outside.will(answers(200, ACCEPTED));
        calls.bring().await.unwrap();
        assert_eq!(calls.step().await["state"], "DONE");
    }
}

#[tokio::test]
async fn a_binding_that_is_wrong_holds_the_step_and_heals_by_itself() {
    for cloud in BOTH {
        for wrong in [
            answers(404, ""),
            answers(401, ""),
            answers(302, ""),
            answers(200, r#"{"decision":"accepted","output":[]}"#),
            answers(200, r#"{"decision":"accepted","output":{"saga_x":1}}"#),
        ] {
            let mut calls = calls(cloud, "").await;
            calls.outside.will(wrong.clone());
            calls.bring().await.unwrap();
            let step = calls.step().await;
            assert_eq!(step["state"], "ACTING", "{cloud} {wrong:?}");
            assert_ne!(step["held_since"], Value::Null, "{cloud} {wrong:?}");
            assert_eq!(calls.alerts().len(), 1, "{:?}", calls.alerts());
            let (_, away) = calls.outside.take_put().remove(0);
            calls.wait(i64::try_from(away.as_secs()).unwrap());
            calls.outside.will(wrong);
            calls.bring().await.unwrap();
            assert_eq!(calls.alerts().len(), 1, "one alert is sent");
            calls.wait(900);
            calls.outside.will(answers(200, ACCEPTED));
            calls.bring().await.unwrap();
            let step = calls.step().await;
            assert_eq!(
                (&step["state"], &step["held_since"]),
                (&json!("DONE"), &Value::Null),
                "{cloud}"
            );
        }
    }
}

#[tokio::test]
async fn a_service_that_is_not_bound_is_not_called() {
    for cloud in BOTH {
        let mut calls = calls(cloud, "").await;
        let other = if cloud == "aws" { "azure" } else { "aws" };
        for bound in [&[][..], &[("bank", other)][..]] {
            calls.outside = Outside::new(bound);
            calls.bring().await.unwrap();
            assert!(calls.outside.asked().is_empty());
            calls.wait(900);
        }
        let step = calls.step().await;
        assert!(
            step["last_error"].as_str().unwrap().contains("not bound"),
            "{step}"
        );
        assert_ne!(step["held_since"], Value::Null);
    }
}

#[tokio::test]
async fn a_step_is_held_once_its_alert_was_sent() {
    for cloud in BOTH {
        let (down, choose) = switch("Alerts::raise", true);
        let world = match cloud {
            "aws" => World::new(OriginCloud::with_faults(choose), StepCloud::new()),
            _ => World::new(OriginCloud::new(), StepCloud::with_faults(choose)),
        };
        let mut calls = calls_in(world, cloud, "").await;
        calls.outside.will(answers(404, ""));
        calls.bring().await.unwrap();
        assert_eq!(
            calls.step().await["held_since"],
            Value::Null,
            "{cloud}: nobody has heard of it"
        );
        down.store(false, Ordering::SeqCst);
        calls.wait(900);
        calls.outside.will(answers(404, ""));
        calls.bring().await.unwrap();
        let step = calls.step().await;
        assert_ne!(step["held_since"], Value::Null, "{cloud}");
        assert_eq!(
            (calls.alerts().len(), &step["attempts"]),
            (1, &json!(2)),
            "{cloud}"
        );
    }
}

#[tokio::test]
async fn after_hold_after_without_a_decision_a_step_is_held() {
    for cloud in BOTH {
        let mut calls = calls(cloud, "hold_after = \"10m\"").await;
        calls.outside.will(lost());
        calls.bring().await.unwrap();
        assert_eq!(calls.step().await["held_since"], Value::Null);
        calls.wait(601);
        calls.outside.will(lost());
        calls.bring().await.unwrap();
        assert_ne!(calls.step().await["held_since"], Value::Null, "{cloud}");
        assert_eq!(calls.alerts().len(), 1);
    }
}

#[tokio::test]
async fn act_is_never_sent_again_once_the_service_may_have_forgotten_its_key() {
    for cloud in BOTH {
        let mut calls = calls(cloud, "key_lifetime = \"50s\"\nhold_after = \"20s\"").await;
        calls.outside.will(lost());
        calls.bring().await.unwrap();
        calls.wait(30);
        calls.outside.will(lost());
        calls.bring().await.unwrap();
        assert_eq!(calls.alerts().len(), 1, "held after 20 s");
        calls.wait(15);
        // 45 s after the intent, with an attempt of 10 s: it could reach the service after 50 s.
        for _ in 0..3 {
            calls.bring().await.unwrap();
            calls.wait(900);
        }
        assert_eq!(calls.outside.asked().len(), 2, "{cloud}");
        let step = calls.step().await;
        assert_eq!(
            (&step["state"], &step["next_attempt_at"]),
            (&json!("ACTING"), &Value::Null)
        );
        assert_eq!(step["attempts"], 2, "an attempt that was not made is not counted");
        assert_eq!(
            calls.alerts().len(),
            2,
            "that it is given up is news: {:?}",
            calls.alerts()
        );
    }
}

#[tokio::test]
async fn an_undo_before_the_outcome_is_known_is_not_sent_after_the_lifetime_of_the_key() {
    let mut calls = calls("aws", "recover = \"tombstone\"\nkey_lifetime = \"50s\"").await;
    calls.outside.will(lost());
    calls.bring().await.unwrap();
    calls.world.command(calls.saga, Command::Cancel).await;
    calls.world.settle().await;
    let (mailbox, undo) = calls.world.mailboxes.pop().expect("the undo");
    assert_eq!(undo["sagaverb"], "undo");
    calls.wait(60);
    calls.outside.bring(&calls.world, &mailbox, &undo).await.unwrap();
    assert_eq!(
        calls.outside.asked().len(),
        1,
        "a service that has forgotten finds nothing to undo"
    );
    let step = calls.step().await;
    assert_eq!(
        (&step["state"], &step["stopping"]),
        (&json!("ACTING"), &json!(true))
    );
    assert_ne!(step["held_since"], Value::Null);
}

#[tokio::test]
async fn an_old_attempt_does_not_delay_the_undo() {
    let mut calls = calls("aws", "recover = \"tombstone\"").await;
    // The act is under way when the saga is cancelled, and fails after that.
    calls.world.command(calls.saga, Command::Cancel).await;
    let failed = Undecided {
        verb: Some(CallVerb::Act),
        why: "it answered 404".to_owned(),
        hold: true,
        next: Some(calls.world.clock.now().plus_millis(300_000)),
        alerted: false,
        paused: false,
    };
    let learnt = Outside::learn(&calls.world, &calls.request, &Said::Undecided(failed)).await;
    assert_eq!(learnt, Outcome::Late);
    let step = calls.step().await;
    assert_eq!(
        (&step["attempts"], &step["next_attempt_at"]),
        (&json!(0), &Value::Null)
    );
    let (mailbox, undo) = calls.world.mailboxes.pop().expect("the undo");
    calls.outside.will(answers(200, UNDONE));
    calls.outside.bring(&calls.world, &mailbox, &undo).await.unwrap();
    assert_eq!(calls.step().await["state"], "UNDONE");
}

#[tokio::test]
async fn what_is_undone_is_shown_to_its_service() {
    let mut calls = calls("aws", "").await;
    calls.outside.will(answers(200, ACCEPTED));
    calls.bring().await.unwrap();
    calls.world.settle().await;
    let (mailbox, after) = calls.world.mailboxes.pop().expect("the next step asks");
    calls.outside.will(answers(200, REFUSED));
    calls.outside.bring(&calls.world, &mailbox, &after).await.unwrap();
    calls.world.settle().await;
    let (mailbox, undo) = calls.world.mailboxes.pop().expect("the undo");
    calls.outside.will(answers(200, UNDONE));
    calls.outside.bring(&calls.world, &mailbox, &undo).await.unwrap();
    let asked = calls.outside.asked();
    let (service, request) = asked.last().expect("the undo was asked");
    assert_eq!((service.as_str(), request.verb), ("bank", CallVerb::Undo));
    let body: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(body["outputs"]["work"], json!({"ref": "r-1"}));
    assert_eq!(
        (&body["reason"], calls.step().await["state"].as_str()),
        (&json!("no funds"), Some("UNDONE"))
    );
}

#[tokio::test]
async fn a_step_that_is_stopped_asks_as_before_and_is_shown_as_undone() {
    for cloud in BOTH {
        let mut calls = calls(cloud, "").await;
        calls.world.command(calls.saga, Command::Cancel).await;
        calls.world.settle().await;
        let (_, again) = calls.world.mailboxes.pop().expect("the step asks again");
        assert_eq!(
            again, calls.request,
            "{cloud}: the same event, with the same content"
        );
        calls.outside.will(answers(200, ACCEPTED));
        calls.bring().await.unwrap();
        calls.world.settle().await;
        let (mailbox, undo) = calls.world.mailboxes.pop().expect("the undo");
        calls.outside.will(answers(200, UNDONE));
        calls.outside.bring(&calls.world, &mailbox, &undo).await.unwrap();
        let step = calls.step().await;
        assert_eq!(
            (&step["state"], &step["reason"]),
            (&json!("UNDONE"), &json!("changed my mind")),
            "{cloud}"
        );
    }
}

#[tokio::test]
async fn a_saga_that_began_on_the_other_cloud_is_shown_before_anything_was_heard_of_it() {
    let mut calls = calls("azure", "").await;
    let text = "name = \"barred\"\nversion = 1\ndeadline = \"2d\"\n\
                [[step]]\nname = \"far\"\ncloud = \"azure\"\ncall = \"bank\"\n\
                [[step]]\nname = \"near\"\ncloud = \"aws\"\ncall = \"mail\"\nclass = \"pivot\"\n";
    calls
        .world
        .release([parse(text).expect("the definition is right")]);
    let started = calls.world.try_start_of("barred", "key", r#"{"order_id":"o-1"}"#);
    calls.saga = started.await.expect("it starts");
    // The pivot of the origin is barred at once, and nothing has come back from the first step.
    calls.world.resolve(calls.saga, Override::Cancelled).await;
    let saga = calls.world.aws.saga(calls.saga).expect("it exists");
    let view = saga_tests::shown::view(&calls.world.deployment, &saga);
    assert_eq!(
        (&view["steps"][0]["state"], &view["steps"][1]["state"]),
        (&json!("UNKNOWN"), &json!("REFUSED"))
    );
}

/// Two calls on Azure follow each other: a report of the first says what became of the second, and not why.
#[tokio::test]
async fn why_a_step_refused_is_shown_whichever_event_says_so_first() {
    let mut world = World::default();
    let text = "name = \"calls\"\nversion = 1\ndeadline = \"2d\"\n\
                [[step]]\nname = \"first\"\ncloud = \"azure\"\ncall = \"bank\"\n\
                [[step]]\nname = \"second\"\ncloud = \"azure\"\ncall = \"bank\"\n";
    world.release([parse(text).expect("the definition is right")]);
    let started = world.try_start_of("calls", "key", r#"{"order_id":"o-1"}"#);
    let saga = started.await.expect("it starts");
    let outside = Outside::new(&[("bank", "azure")]);
    for answer in [
        answers(200, ACCEPTED),
        answers(200, REFUSED),
        lost(),
        answers(200, UNDONE),
    ] {
        world.settle().await;
        let (mailbox, request) = world.mailboxes.last().expect("a step asks").clone();
        outside.will(answer);
        outside.bring(&world, &mailbox, &request).await.unwrap();
        world.clock.advance(900_000);
    }
    world.settle().await;
    let saga = world.aws.saga(saga).expect("it exists");
    let view = saga_tests::shown::view(&world.deployment, &saga);
    for (step, state) in [(0, "UNDONE"), (1, "REFUSED")] {
        let step = &view["steps"][step];
        assert_eq!(
            (&step["state"], &step["reason"]),
            (&json!(state), &json!("no funds")),
            "{step}"
        );
    }
}

#[tokio::test]
async fn an_acceptance_after_a_refusal_is_an_alert() {
    for cloud in BOTH {
        let mut calls = calls(cloud, "").await;
        calls.outside.will(answers(200, REFUSED));
        calls.bring().await.unwrap();
        assert!(calls.alerts().is_empty());
        // An attempt that was under way meanwhile: its record still said that it is owed.
        let said = Said::Answer(Reply::Accepted, Fields::new());
        let learnt = Outside::learn(&calls.world, &calls.request, &said).await;
        assert_eq!(learnt, Outcome::Late, "{cloud}");
        assert!(calls.alerts()[0].contains("accepted"), "{:?}", calls.alerts());
        assert_eq!(calls.step().await["state"], "REFUSED");
    }
}

#[tokio::test]
async fn a_request_that_reaches_no_caller_is_held_and_can_be_answered() {
    let mut calls = calls("aws", "hold_after = \"10m\"").await;
    calls.world.wait_and_sweep(601_000).await;
    let step = calls.step().await;
    assert_ne!(step["held_since"], Value::Null, "{step}");
    assert!(
        step["last_error"]
            .as_str()
            .unwrap()
            .contains("no request has reached its caller")
    );
    assert_eq!(calls.alerts().len(), 1);
    calls.world.wait_and_sweep(3_600_000).await;
    assert_eq!(calls.alerts().len(), 1, "one alert is sent");
    assert!(
        calls
            .world
            .aws
            .saga(calls.saga)
            .expect("it exists")
            .steps
            .values()
            .all(saga_core::participate::StepRecord::takes_answers)
    );
}

#[tokio::test]
async fn what_asks_nothing_of_a_service_is_quarantined_with_an_alert_where_nobody_watches() {
    for cloud in BOTH {
        let calls = calls(cloud, "").await;
        let mut other = calls.request.clone();
        other["type"] = json!("SagaStepWaiting");
        let handled = calls
            .outside
            .bring(&calls.world, &calls.mailbox, &other)
            .await
            .unwrap();
        assert!(matches!(handled, Handled::Quarantined(_)), "{handled:?}");
        assert_eq!(
            calls.alerts().len(),
            usize::from(cloud == "azure"),
            "{:?}",
            calls.alerts()
        );
        assert_eq!(calls.cloud, cloud);
    }
}
