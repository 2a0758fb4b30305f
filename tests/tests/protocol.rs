//! Payments, from the caller's request to the last message, with both clouds in memory and real texts between them.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

use saga_app::override_saga::Command;
use saga_core::lifecycle::Phase;
use saga_core::origin::Override;
use saga_core::step::StepState;
use saga_core::timeline::Timeline;
use saga_core::{Outcome, Saga, SagaId, Status};
use saga_tests::dead_letters::event_in;
use saga_tests::world::{Message, Place, QUANTITY, SKU, STOCK_BEFORE, World, envelope, order};
use saga_wire::definitions::parse;
use serde_json::Value;

/// Under the limit, and over it.
const SMALL: &str = "129.90";
const LARGE: &str = "10000.01";

/// The saga without its timeline: what a late message must not change.
fn facts(saga: &Saga) -> Saga {
    Saga {
        timeline: Timeline::default(),
        ..saga.clone()
    }
}

fn outcomes(saga: &Saga) -> Vec<(&str, Outcome, u32)> {
    let lines = saga.timeline.entries.iter();
    lines
        .map(|entry| (entry.verb.as_str(), entry.outcome, entry.times))
        .collect()
}

/// A payment that Azure has accepted, and whose answer is on the way.
async fn accepted(world: &mut World) -> SagaId {
    let id = world.start(SMALL).await;
    world.publish().await;
    world.deliver_at(0).await;
    assert_eq!(world.inventory(id).unwrap().state, StepState::Done);
    assert_eq!(world.on_the_way.len(), 1);
    id
}

#[tokio::test]
async fn a_payment_completes() {
    let mut world = World::default();
    let id = world.start(SMALL).await;
    assert_eq!(world.status(id), Status::PendingAzureConfirmation);
    assert_eq!(world.payment(id), "PENDING_AZURE_CONFIRMATION");
    world.settle().await;

    assert_eq!(world.status(id), Status::Completed);
    assert_eq!(world.stock(), STOCK_BEFORE - QUANTITY);
    world.check(&[id]);
    let lines = [
        ("advance", Outcome::Applied, 1),
        ("complete", Outcome::Applied, 1),
    ];
    assert_eq!(outcomes(&world.saga(id)), lines);
}

#[tokio::test]
async fn an_amount_over_the_limit_is_compensated_with_the_reason() {
    let mut world = World::default();
    let id = world.start(LARGE).await;
    world.settle().await;

    assert_eq!(world.status(id), Status::CancelledViaCompensation);
    assert_eq!(world.inventory(id).unwrap().state, StepState::Refused);
    world.check(&[id]);
    let last = world.saga(id).timeline.entries.pop().unwrap();
    assert_eq!(
        last.note.as_deref(),
        Some("the amount 10000.01 is over the limit of 10000")
    );
}

#[tokio::test]
async fn the_limit_itself_is_not_over_it() {
    let mut world = World::default();
    let id = world.start("10000.00").await;
    world.settle().await;
    assert_eq!(world.status(id), Status::Completed);
}

#[tokio::test]
async fn an_order_that_takes_the_last_stock_twice_is_served_once() {
    let mut world = World::default();
    let body = order(SMALL).replace(r#""quantity":3"#, r#""quantity":60"#);
    let first = world.try_start("first", &body).await.unwrap();
    let second = world.try_start("second", &body).await.unwrap();
    world.settle().await;

    let mut outcomes = [world.status(first), world.status(second)];
    outcomes.sort();
    assert_eq!(outcomes, [Status::Completed, Status::CancelledViaCompensation]);
    assert_eq!(world.stock(), STOCK_BEFORE - 60);
}

#[tokio::test]
async fn every_message_delivered_again_changes_nothing_but_the_timeline() {
    for amount in [SMALL, LARGE] {
        let mut world = World::default();
        let id = world.start(amount).await;
        let mut all = Vec::new();
        loop {
            world.publish().await;
            let Some(message) = world.on_the_way.first().cloned() else {
                break;
            };
            world.deliver_at(0).await;
            all.push(message);
        }
        assert_eq!(all.len(), 3, "queue, webhook, queue");
        let (saga, step, stock) = (world.saga(id), world.inventory(id), world.stock());

        for _ in 0..3 {
            for message in &all {
                world.deliver(message).await.unwrap();
                world.settle().await;
                assert_eq!(facts(&world.saga(id)), facts(&saga));
                assert_eq!((world.inventory(id), world.stock()), (step.clone(), stock));
            }
        }
        world.check(&[id]);
    }
}

#[tokio::test]
async fn a_repeated_message_is_answered_with_the_same_event() {
    for amount in [SMALL, LARGE] {
        let mut world = World::default();
        world.start(amount).await;
        world.publish().await;
        let opening = world.on_the_way[0].clone();
        world.deliver_at(0).await;
        let answer = world.on_the_way.pop().unwrap();
        world.clock.advance(60_000);
        world.deliver(&opening).await.unwrap();
        assert_eq!(world.on_the_way.pop().unwrap().body, answer.body);
    }
}

/// Given a pending payment of which Azure has not heard, when another team's publisher wants it undone.
async fn outsider_cancels_a_pending_payment(ask: fn(&mut World, SagaId)) {
    let mut world = World::default();
    let id = world.start(SMALL).await;
    world.publish().await;
    let opening = world.on_the_way.remove(0);
    ask(&mut world, id);
    world.deliver_at(0).await; // the webhook
    world.deliver_at(0).await; // the events queue

    assert_eq!(world.status(id), Status::CancelledViaCompensation);
    assert_eq!(world.payment(id), "CANCELLED_VIA_COMPENSATION");
    assert!(world.saga(id).lifecycle.closing);
    assert!(world.inventory(id).is_none());
    let mark = world.saga(id).resolved.unwrap();
    assert_eq!(mark.reason, "the card was stolen");
    assert!(mark.by.starts_with("publisher "), "{}", mark.by);

    world.settle().await; // the cancel chases Azure, and its answer closes the saga
    assert_eq!(world.inventory(id).unwrap().state, StepState::Refused);
    world.check(&[id]);

    world.deliver(&opening).await.unwrap(); // Azure hears of the payment only now
    world.settle().await;
    assert_eq!(world.inventory(id).unwrap().state, StepState::Refused);
    world.check(&[id]);
}

#[tokio::test]
async fn another_teams_cloud_event_cancels_a_pending_payment() {
    outsider_cancels_a_pending_payment(World::outsider_compensates).await;
}

#[tokio::test]
async fn another_teams_event_grid_event_cancels_a_pending_payment() {
    outsider_cancels_a_pending_payment(World::outsider_compensates_in_event_grid_schema).await;
}

#[tokio::test]
async fn an_override_after_azure_acted_makes_azure_follow() {
    let mut world = World::default();
    let id = accepted(&mut world).await;
    world.outsider_compensates(id);
    let webhook = world.on_the_way.len() - 1;
    world.deliver_at(webhook).await;
    let queue = world.on_the_way.len() - 1;
    world.deliver_at(queue).await;
    assert_eq!(world.status(id), Status::CancelledViaCompensation);
    assert_eq!(
        world.stock(),
        STOCK_BEFORE - QUANTITY,
        "Azure has not followed yet"
    );

    world.settle().await;
    assert_eq!(world.inventory(id).unwrap().state, StepState::Undone);
    world.check(&[id]);
}

#[tokio::test]
async fn after_the_end_another_teams_compensation_changes_nothing_but_the_timeline() {
    for (amount, outcome) in [(SMALL, Outcome::Late), (LARGE, Outcome::Repeated)] {
        let mut world = World::default();
        let id = world.start(amount).await;
        world.settle().await;
        let before = world.saga(id);
        for ask in [
            World::outsider_compensates,
            World::outsider_compensates_in_event_grid_schema,
        ] {
            ask(&mut world, id);
            world.settle().await;
            assert_eq!(facts(&world.saga(id)), facts(&before));
            let last = world.saga(id).timeline.entries.pop().unwrap();
            assert_eq!((last.verb.as_str(), last.outcome), ("compensate", outcome));
        }
        world.check(&[id]);
    }
}

#[tokio::test]
async fn a_cancel_before_azure_acted_stands_in_its_way() {
    let mut world = World::default();
    let id = world.start(SMALL).await;
    world.publish().await;
    let opening = world.on_the_way.remove(0);
    assert_eq!(world.command(id, Command::Cancel).await, Outcome::Applied);
    assert_eq!(
        world.status(id),
        Status::PendingAzureConfirmation,
        "a cancel is a wish"
    );
    world.settle().await;
    assert_eq!(world.status(id), Status::CancelledViaCompensation);

    world.on_the_way.push(opening);
    world.settle().await;
    assert_eq!(world.inventory(id).unwrap().state, StepState::Refused);
    world.check(&[id]);
    let undone = world.saga(id).steps.into_values().next().unwrap();
    assert_eq!(undone.reason.as_deref(), Some("changed my mind"));
}

#[tokio::test]
async fn a_cancel_after_azure_acted_comes_too_late() {
    let mut world = World::default();
    let id = accepted(&mut world).await;
    let answer = world.on_the_way.remove(0);
    assert_eq!(world.command(id, Command::Cancel).await, Outcome::Applied);
    world.settle().await; // the cancel reaches Azure first, and is answered with the completion

    assert_eq!(world.status(id), Status::Completed);
    world.on_the_way.push(answer);
    world.settle().await;
    world.check(&[id]);
    assert_eq!(world.command(id, Command::Cancel).await, Outcome::Late);
}

#[tokio::test]
async fn a_cancel_asked_for_twice_is_sent_as_one_event() {
    let mut world = World::default();
    let id = world.start(SMALL).await;
    world.publish().await;
    world.on_the_way.clear();
    assert_eq!(world.command(id, Command::Cancel).await, Outcome::Applied);
    assert_eq!(world.command(id, Command::Cancel).await, Outcome::Repeated);
    world.publish().await;
    assert_eq!(world.on_the_way.len(), 1);
    world.settle().await;
    world.check(&[id]);
}

#[tokio::test]
async fn of_two_overrides_the_first_wins() {
    use Override::{Cancelled, Completed};
    for (first, second) in [(Cancelled, Completed), (Completed, Cancelled)] {
        let mut world = World::default();
        let id = world.start(SMALL).await;
        assert_eq!(world.resolve(id, first).await, Outcome::Applied);
        let after_first = world.status(id);
        assert_eq!(world.resolve(id, second).await, Outcome::Late);
        assert_eq!(world.resolve(id, first).await, Outcome::Repeated);
        world.settle().await;
        assert_eq!(world.status(id), after_first);
        world.check(&[id]);
    }
}

#[tokio::test]
async fn two_overrides_at_once_agree_on_one_end() {
    let mut world = World::default();
    let id = world.start(SMALL).await;
    let (a, b) = tokio::join!(
        world.resolve(id, Override::Cancelled),
        world.resolve(id, Override::Completed)
    );
    let mut both = [a, b].map(Outcome::as_str);
    both.sort_unstable();
    assert_eq!(both, ["applied", "late"]);
    world.settle().await;
    world.check(&[id]);
}

#[tokio::test]
async fn an_override_races_with_the_completion_and_either_may_win() {
    for completion_first in [true, false] {
        let mut world = World::default();
        let id = accepted(&mut world).await;
        world.deliver_at(0).await; // the webhook; the completion is now on the events queue
        if completion_first {
            world.settle().await;
            assert_eq!(world.resolve(id, Override::Cancelled).await, Outcome::Late);
            assert_eq!(world.status(id), Status::Completed);
        } else {
            assert_eq!(world.resolve(id, Override::Cancelled).await, Outcome::Applied);
            assert_eq!(world.status(id), Status::CancelledViaCompensation);
        }
        world.settle().await;
        world.check(&[id]);
    }
}

#[tokio::test]
async fn a_refusal_after_an_override_to_completed_is_shown_and_reported() {
    let mut world = World::default();
    let id = world.start(LARGE).await;
    assert_eq!(world.resolve(id, Override::Completed).await, Outcome::Applied);
    assert_eq!(world.payment(id), "COMPLETED");
    let before = world.saga(id);
    world.settle().await;

    assert_eq!(facts(&world.saga(id)), facts(&before));
    let last = world.saga(id).timeline.entries.pop().unwrap();
    assert_eq!(
        (last.verb.as_str(), last.outcome),
        ("compensate", Outcome::Contradicted)
    );
    assert_eq!(world.aws.alerts().len(), 1);
}

#[tokio::test]
async fn a_saga_that_hears_nothing_is_cancelled_at_its_deadline_and_not_before() {
    let mut world = World::default();
    let id = world.start(SMALL).await;
    world.publish().await;
    world.on_the_way.clear();
    let deadline = world.saga(id).deadline;

    world.clock.set(deadline.plus_millis(-1));
    world.wait_and_sweep(0).await;
    let kinds = |world: &World| -> Vec<String> {
        world
            .on_the_way
            .iter()
            .map(|message| message.kind.clone())
            .collect()
    };
    assert_eq!(kinds(&world), ["PaymentReserved"]);
    world.on_the_way.clear();

    world.wait_and_sweep(1).await;
    assert_eq!(kinds(&world), ["InventoryCancelRequested"]);
    assert_eq!(
        world.status(id),
        Status::PendingAzureConfirmation,
        "never a local write of CANCELLED"
    );
    let lines = world.saga(id).timeline.entries;
    assert!(
        lines.iter().any(|line| line.verb == "cancel"
            && line.note.as_deref().is_some_and(|note| note.contains("deadline"))),
        "{lines:?}"
    );
    world.settle().await;
    assert_eq!(world.status(id), Status::CancelledViaCompensation);
    world.check(&[id]);
    assert_eq!(world.saga(id).cancel.unwrap().by, "deadline");
}

#[tokio::test]
async fn a_cancel_that_is_asked_for_again_is_sent_again() {
    let mut world = World::default();
    let id = world.start(SMALL).await;
    world.publish().await;
    let mut sent = Vec::new();
    for _ in 0..2 {
        world.on_the_way.clear();
        world.command(id, Command::Cancel).await;
        world.publish().await;
        let bodies: Vec<String> = world
            .on_the_way
            .iter()
            .map(|message| message.body.clone())
            .collect();
        sent.push(bodies);
    }
    assert_eq!(sent[0].len(), 1);
    assert_eq!(sent[0], sent[1], "the same event, with its id");
}

#[tokio::test]
async fn an_answer_at_the_deadline_completes_the_saga() {
    let mut world = World::default();
    let id = accepted(&mut world).await;
    let answer = world.on_the_way.remove(0);
    world.wait_and_sweep(3_600_000).await;
    world.on_the_way.insert(0, answer);
    world.settle().await;
    assert_eq!(world.status(id), Status::Completed);
    world.check(&[id]);
}

#[tokio::test]
async fn retransmissions_carry_the_same_event_and_become_rarer() {
    let mut world = World::default();
    let id = world.start(SMALL).await;
    world.publish().await;
    let opening = world.on_the_way.pop().unwrap().body;
    let mut waits = Vec::new();
    for _ in 0..3 {
        let due = world.saga(id).due.unwrap();
        waits.push(due.millis() - world.saga(id).created.millis());
        world.clock.set(due);
        world.wait_and_sweep(0).await;
        assert_eq!(world.on_the_way.pop().unwrap().body, opening);
        world.wait_and_sweep(0).await;
        assert!(world.on_the_way.is_empty(), "once per turn");
    }
    assert_eq!(waits, [60_000, 180_000, 420_000]);
}

#[tokio::test]
async fn a_message_for_nobody_is_kept_whole_and_reported() {
    let mut world = World::default();
    let id = world.start(SMALL).await;
    let unknown = saga_tests::arbitrary::nth_saga(999);
    for (body, reason) in [
        (
            format!(
                r#"{{"specversion":"1.0","id":"x","source":"s","type":"PaymentCompensationRequested","data":{{"saga_id":"{unknown}"}}}}"#
            ),
            format!("there is no saga {unknown}"),
        ),
        (
            format!(
                r#"{{"specversion":"1.0","id":"x","source":"s","type":"InventoryReleaseRequested","data":{{"saga_id":"{id}"}}}}"#
            ),
            "`InventoryReleaseRequested` is for azure".to_owned(),
        ),
        (
            format!(
                r#"{{"specversion":"1.0","id":"x","source":"s","type":"Unheard","data":{{"saga_id":"{id}"}}}}"#
            ),
            "`Unheard` is no event".to_owned(),
        ),
        (
            r#"{"specversion":"1.0"}"#.to_owned(),
            "attribute `id` is missing".to_owned(),
        ),
    ] {
        let message = saga_tests::world::Message {
            to: Place::Ingress,
            kind: String::new(),
            body,
        };
        let before = world.aws.quarantined().len();
        world.deliver(&message).await.unwrap();
        while let Some(at) = world
            .on_the_way
            .iter()
            .position(|message| message.to == Place::EventsQueue)
        {
            world.deliver_at(at).await;
        }
        let kept = world.aws.quarantined();
        assert_eq!(kept.len(), before + 1);
        assert!(kept[before].reason.contains(&reason), "{:?}", kept[before]);
    }
    world.settle().await;
    assert_eq!(world.status(id), Status::Completed);
}

#[tokio::test]
async fn a_participant_keeps_what_is_not_for_it() {
    let mut world = World::default();
    let id = world.start(SMALL).await;
    world.publish().await;
    let opening = world.on_the_way.remove(0);
    world.deliver(&opening).await.unwrap();
    let answer = world.on_the_way.remove(0);
    // The answer, which is for AWS, strays into Azure's queue.
    use base64::Engine;
    let event = &answer.body[1..answer.body.len() - 1];
    let stray = saga_tests::world::Message {
        to: Place::AzureQueue,
        body: base64::engine::general_purpose::STANDARD.encode(event),
        ..answer.clone()
    };
    world.deliver(&stray).await.unwrap();
    let kept = world.azure.quarantined();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].text(), event);
    assert_eq!(kept[0].reason, "the event is for aws, and this is azure");
    let alerts = world.azure.alerts();
    let [alert] = &alerts[..] else {
        panic!("{alerts:?}")
    };
    assert!(
        alert.subject.contains("quarantined at azure-participant"),
        "{alert:?}"
    );
    assert!(alert.text.starts_with(&kept[0].reason), "{alert:?}");
    assert_eq!(world.saga(id).lifecycle.phase, Phase::Open);
}

/// Another team's event of this type about a saga, as a carrier brings it to this place.
fn from_outside(to: Place, kind: &str, id: SagaId) -> Message {
    let event = format!(
        r#"{{"specversion":"1.0","id":"their-1","source":"billing.example","type":"{kind}",
            "data":{{"saga_id":"{id}","order_id":"order-1","reason":"not wanted"}}}}"#
    );
    Message {
        to,
        kind: kind.to_owned(),
        body: match to {
            Place::EventsQueue => envelope(kind, &event),
            _ => event,
        },
    }
}

#[tokio::test]
async fn another_teams_cancel_is_a_cancel() {
    let mut world = World::default();
    let id = world.start(SMALL).await;
    world.publish().await;
    world.on_the_way = vec![from_outside(Place::Ingress, "PaymentCancelRequested", id)];
    world.deliver_at(0).await;
    world.deliver_at(0).await;
    let mark = world.saga(id).cancel.expect("it is cancelled");
    assert_eq!(
        (mark.by.as_str(), mark.reason.as_str()),
        ("publisher billing.example", "not wanted")
    );
    assert_eq!(
        world.saga(id).lifecycle.phase,
        Phase::Open,
        "the next step decides"
    );
    world.heal(id).await;
    assert_eq!(world.status(id), Status::CancelledViaCompensation);
    world.check(&[id]);
}

/// The event that opened a saga, as a tool might write it to have the first step act once more.
fn started_again(opening: &str, target: &str) -> String {
    let mut event: Value = serde_json::from_str(opening).unwrap();
    for (name, value) in [
        ("type", "SagaStarted"),
        ("sagaverb", "advance"),
        ("sagatarget", target),
        ("sagaorigin", "aws"),
    ] {
        event[name] = value.into();
    }
    event["sagastep"] = 0.into();
    event.as_object_mut().unwrap().remove("sagasum");
    envelope("SagaStarted", &event.to_string())
}

#[tokio::test]
async fn the_first_step_does_not_act_again() {
    let mut world = World::default();
    let id = world.start(SMALL).await;
    world.publish().await;
    let opening = world.on_the_way.remove(0);
    let before = facts(&world.saga(id));
    let again = Message {
        to: Place::EventsQueue,
        kind: "SagaStarted".to_owned(),
        body: started_again(&event_in(&opening), "aws"),
    };
    world.deliver(&again).await.unwrap();
    assert_eq!(facts(&world.saga(id)), before);
    assert_eq!(
        outcomes(&world.saga(id)),
        [("advance", Outcome::Applied, 1), ("advance", Outcome::Late, 1)]
    );
    assert_eq!(world.aws.outbox(), []);
    world.on_the_way.push(opening);
    world.settle().await;
    world.check(&[id]);
}

const STOCK_FIRST: &str = r#"
    name = "stock-first"
    version = 1
    deadline = "15m"

    [[step]]
    name = "inventory"
    cloud = "azure"
    participant = "inventory"
    done = "StockTaken"
    compensate = "StockReleaseRequested"
    cancel = "StockCancelRequested"

    [[step]]
    name = "payment"
    cloud = "aws"
    participant = "payments"
    done = "PaymentTaken"
    compensate = "PaymentVoidRequested"
    cancel = "PaymentVoidCancelRequested"
"#;

/// The first step is Azure's: the origin only opens the saga, and what is for that step is not for the origin.
#[tokio::test]
async fn a_saga_may_begin_on_the_other_cloud() {
    for (amount, end, left) in [
        (SMALL, Status::Completed, STOCK_BEFORE - QUANTITY),
        (LARGE, Status::CancelledViaCompensation, STOCK_BEFORE),
    ] {
        let mut world = World::default();
        world.release([parse(STOCK_FIRST).unwrap()]);
        let id = world
            .try_start_of("stock-first", "key", &order(amount))
            .await
            .unwrap();
        assert_eq!(world.status(id), Status::PendingAzureConfirmation);
        world.publish().await;
        let opening = world.on_the_way.remove(0);
        assert_eq!(
            (opening.to, opening.kind.as_str()),
            (Place::AzureQueue, "SagaStarted")
        );
        let before = world.saga(id);
        let again = Message {
            to: Place::EventsQueue,
            kind: "SagaStarted".to_owned(),
            body: started_again(&event_in(&opening), "azure"),
        };
        let elsewhere = "step `inventory` is not a step of this cloud";
        for (stray, why) in [
            (
                from_outside(Place::EventsQueue, "StockCancelRequested", id),
                elsewhere,
            ),
            (
                from_outside(Place::EventsQueue, "StockReleaseRequested", id),
                elsewhere,
            ),
            (again, "the event is for azure, and this is aws"),
        ] {
            let kept = world.aws.quarantined().len();
            world.deliver(&stray).await.unwrap();
            let kept = world.aws.quarantined().split_off(kept);
            assert_eq!(kept.len(), 1, "{stray:?}");
            assert!(kept[0].reason.contains(why), "{}", kept[0].reason);
            assert_eq!(world.saga(id), before);
        }
        world.on_the_way.push(opening);
        world.heal(id).await;
        assert_eq!((world.status(id), world.stock()), (end, left));
    }
}

#[tokio::test]
async fn lines_of_one_article_are_taken_together() {
    let body = format!(
        r#"{{"order_id":"o","amount":"10","currency":"EUR","items":[{{"sku":"{SKU}","quantity":2}},{{"sku":"other","quantity":1}},{{"sku":"{SKU}","quantity":3}}]}}"#
    );
    for (items, left) in [
        (
            body.replace(r#"{"sku":"other","quantity":1},"#, ""),
            STOCK_BEFORE - 5,
        ),
        // Of the other article there is none: then nothing is taken at all.
        (body, STOCK_BEFORE),
    ] {
        let mut world = World::default();
        let id = world.try_start("key", &items).await.unwrap();
        world.heal(id).await;
        assert_eq!(world.stock(), left);
    }
}
