//! An event that was changed in one field on its way does nothing: neither to its own saga, nor to any other.
//!
//! What an event asks and carries stands under a checksum, so the entrances put it into the quarantine, whole; the event
//! as it was sent comes, too, sooner or later, and the sagas end as if nothing had been. Five attributes mean nothing to a
//! saga ([`MEANS_NOTHING`]); with another value in one of them an event is the same event. All that may differ from a run
//! without the change is a line of the timeline.
//!
//! An event of another team's publisher has no checksum. It names its saga twice, by the saga's id and by what it says of
//! the order; where these contradict each other it does nothing. Its reason, its id and its source are its own word.
//!
//! Not shown here, because it does not hold: that an event is harmless whose checksum was written anew, too. Whoever can
//! publish on the topic speaks for Azure's steps, and to them for AWS; but nobody out there speaks for AWS to AWS.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use saga_app::override_saga::Command;
use saga_app::step_transact::partition;
use saga_core::document::Fields;
use saga_core::participant::{EntityKey, Placement};
use saga_core::participate::StepRecord;
use saga_core::timeline::Timeline;
use saga_core::{Saga, SagaId, StepIndex};
use saga_participants::payments::PAYMENT;
use saga_participants::receipts::RECEIPT;
use saga_participants::shipping::SHIPMENT;
use saga_tests::property::{holds, same};
use saga_tests::world::{Message, Place, SKU, World, envelope};
use serde_json::{Value, json};

/// Attributes for carriers and people.
const MEANS_NOTHING: [&str; 5] = ["id", "time", "subject", "traceparent", "datacontenttype"];

/// How the saga ends whose event is changed.
#[derive(Debug, Clone, Copy)]
enum End {
    Completed,
    Refused,
    Cancelled,
}

/// One run: the saga, which of its deliveries is changed, and whether the changed event comes before the one that was
/// sent, or when all is over.
#[derive(Debug, Clone, Copy)]
struct Case {
    definition: &'static str,
    end: End,
    delivery: usize,
    change: usize,
    early: bool,
}

fn cases() -> impl Strategy<Value = Case> {
    let definition = prop_oneof![Just("payment"), Just("order")];
    let end = prop_oneof![Just(End::Completed), Just(End::Refused), Just(End::Cancelled)];
    (definition, end, any::<usize>(), any::<usize>(), any::<bool>()).prop_map(
        |(definition, end, delivery, change, early)| Case {
            definition,
            end,
            delivery,
            change,
            early,
        },
    )
}

/// What the stores say of a saga, without the timeline.
#[derive(Debug, PartialEq)]
struct Facts {
    saga: Saga,
    steps: Vec<Option<StepRecord>>,
    entities: Vec<Option<Fields>>,
}

fn facts(world: &World, id: SagaId) -> Facts {
    let saga = Saga {
        timeline: Timeline::default(),
        ..world.saga(id)
    };
    let buckets = world.deployment.shards;
    let receipts = partition("receipts", Placement::BySaga, id, buckets);
    Facts {
        saga,
        steps: (0..4)
            .map(|index| world.azure.step(id, StepIndex::new(index)))
            .collect(),
        entities: vec![
            world.aws.entity(&EntityKey::new(PAYMENT, id)),
            world.aws.entity(&EntityKey::new(SHIPMENT, id)),
            world.azure.entity(&receipts, &EntityKey::new(RECEIPT, id)),
        ],
    }
}

fn body(order: &str, amount: &str, more: &str) -> String {
    format!(
        r#"{{"order_id":"{order}","amount":"{amount}","currency":"EUR"{more},"items":[{{"sku":"{SKU}","quantity":3}}]}}"#
    )
}

/// The event in a message.
fn event_in(message: &Message) -> Value {
    match message.to {
        Place::AzureQueue => serde_json::from_slice(&STANDARD.decode(&message.body).unwrap()).unwrap(),
        Place::Ingress => serde_json::from_str::<Value>(&message.body).unwrap()[0].take(),
        Place::EventsQueue => serde_json::from_str::<Value>(&message.body).unwrap()["detail"].take(),
    }
}

/// The message with another event in it.
fn with(message: &Message, event: &Value) -> Message {
    let body = match message.to {
        Place::AzureQueue => STANDARD.encode(event.to_string()),
        Place::Ingress => json!([event]).to_string(),
        Place::EventsQueue => envelope(&message.kind, &event.to_string()),
    };
    Message {
        body,
        ..message.clone()
    }
}

/// Another value of the same type.
fn other(name: &str, value: &Value, another: SagaId) -> Vec<Value> {
    let words: &[&str] = match name {
        "sagaid" => {
            return vec![
                json!(another.to_string()),
                json!("00000000-0000-8000-8000-00000000000f"),
            ];
        }
        "sagaverb" => &["advance", "compensate", "cancel", "complete", "cancelled"],
        "sagatarget" | "sagaorigin" => &["aws", "azure"],
        "sagadef" => &["payment", "order", "nothing"],
        "source" => &["saga.orchestrator", "saga.participant.azure"],
        "type" => &[
            "PaymentReserved",
            "PaymentCompensationRequested",
            "InventoryReserved",
            "InventoryReleaseRequested",
            "InventoryCancelRequested",
            "StockReserved",
            "ReceiptStored",
        ],
        "sagasum" => &["", "0000000000000000"],
        "time" => &["2026-01-01T00:00:00.000Z"],
        "traceparent" => &["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
        _ => &[],
    };
    if !words.is_empty() {
        return words
            .iter()
            .map(|word| json!(word))
            .filter(|word| word != value)
            .collect();
    }
    match value {
        Value::Number(number) => {
            let number = number.as_i64().unwrap();
            [-1, 0, 1, 2, 16, 60, 64, 9_999]
                .map(|other| json!(other))
                .into_iter()
                .filter(|it| *it != json!(number))
                .collect()
        }
        Value::String(text) if text.parse::<f64>().is_ok() => vec![json!("0.01"), json!(format!("9{text}"))],
        Value::String(text) => vec![json!(format!("{text}x")), json!(7), Value::Null],
        _ => vec![json!([]), json!("x")],
    }
}

/// Every event that differs from this one in one field, with the field's name.
fn changes(event: &Value, another: SagaId) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    let members = |at: &str, object: &Value, all: &mut Vec<(String, Value)>| {
        for (name, value) in object.as_object().unwrap() {
            if name == "data" {
                continue;
            }
            let pointer = format!("{at}/{name}");
            let values = if pointer == "/data/saga_id" {
                vec![json!(another.to_string()), json!("x")]
            } else {
                other(name, value, another)
            };
            for value in values {
                let mut changed = event.clone();
                *changed.pointer_mut(&pointer).unwrap() = value;
                all.push((pointer.clone(), changed));
            }
        }
    };
    members("", event, &mut all);
    members("/data", &event["data"], &mut all);
    let mut more = event.clone();
    more["data"]["order_id "] = json!("more");
    all.push(("/data/more".to_owned(), more));
    for name in ["sagahop", "sagatarget", "sagaorigin", "sagaver", "data"] {
        let mut less = event.clone();
        less.as_object_mut().unwrap().remove(name);
        all.push((format!("without {name}"), less));
    }
    all
}

/// What the run came to: the two sagas, the stock, how many deliveries there were, and what was changed.
struct Ran {
    facts: [Facts; 2],
    stock: i64,
    deliveries: usize,
    field: String,
    quarantined: usize,
}

async fn run(case: Case, change: bool) -> Ran {
    let mut world = World::default();
    world.clock.advance(1_000);
    let bystander = world
        .try_start("a bystander", &body("order-2", "5.00", ""))
        .await
        .unwrap();
    let amount = if matches!(case.end, End::Refused) {
        "10000.01"
    } else {
        "129.90"
    };
    let more = if case.definition == "order" {
        r#","destination":"DE""#
    } else {
        ""
    };
    let id = world
        .try_start_of(case.definition, "addressed", &body("order-1", amount, more))
        .await
        .unwrap();
    if matches!(case.end, End::Cancelled) {
        world.command(id, Command::Cancel).await;
    }
    let (mut deliveries, mut field, mut late) = (0, String::new(), None);
    loop {
        world.publish().await;
        // The bystander's events wait, so that a changed event finds its saga pending.
        let own = world
            .on_the_way
            .iter()
            .position(|message| event_in(message)["sagaid"] == json!(id.to_string()));
        let Some(index) = own else { break };
        if change && deliveries == case.delivery {
            let message = world.on_the_way[index].clone();
            let mut all = changes(&event_in(&message), bystander);
            let (name, event) = all.swap_remove(case.change % all.len());
            field = name;
            let changed = with(&message, &event);
            if case.early {
                world.deliver(&changed).await.unwrap();
            } else {
                late = Some(changed);
            }
        }
        world.deliver_at(index).await;
        deliveries += 1;
    }
    if let Some(changed) = late {
        world.deliver(&changed).await.unwrap();
    }
    world.settle().await;
    world.heal(id).await;
    world.heal(bystander).await;
    Ran {
        facts: [facts(&world, id), facts(&world, bystander)],
        stock: world.stock(),
        deliveries,
        field,
        quarantined: world.aws.quarantined().len() + world.azure.quarantined().len(),
    }
}

#[tokio::test]
async fn a_changed_event_changes_no_saga() {
    let mut seen = std::collections::BTreeSet::new();
    holds(150, cases(), async |case| {
        let intact = run(case, false).await;
        let case = Case {
            delivery: case.delivery % intact.deliveries,
            ..case
        };
        let changed = run(case, true).await;
        let about = |what: &str, why: String| format!("{} changed {what}: {why}", changed.field);
        same(&changed.facts[1], &intact.facts[1]).map_err(|why| about("another saga", why))?;
        same(&changed.facts[0], &intact.facts[0]).map_err(|why| about("its saga", why))?;
        same(&changed.stock, &intact.stock).map_err(|why| about("the stock", why))?;
        let means_nothing = MEANS_NOTHING
            .iter()
            .any(|name| changed.field == format!("/{name}"));
        let kept = changed.quarantined - intact.quarantined;
        seen.insert(changed.field.clone());
        // A value of another type may be quarantined, too, where the attribute itself means nothing.
        same(&(kept == 1 || means_nothing), &true).map_err(|why| about("what is kept", why))
    })
    .await;
    for field in [
        "sagaid",
        "sagastep",
        "sagaverb",
        "sagatarget",
        "sagaorigin",
        "sagahop",
        "data/amount",
        "data/reserved_amount",
    ] {
        assert!(
            seen.contains(&format!("/{field}")),
            "{field} was never changed: {seen:?}"
        );
    }
}

/// A compensation of another team, changed by `change`: what it did to its saga, and that it did nothing to another.
async fn outside(change: impl Fn(&mut Value, SagaId)) -> (bool, usize) {
    outside_of("order-1", change).await
}

async fn outside_of(order: &str, change: impl Fn(&mut Value, SagaId)) -> (bool, usize) {
    let mut world = World::default();
    let id = world.try_start("one", &body(order, "129.90", "")).await.unwrap();
    let bystander = world
        .try_start("two", &body("order-2", "5.00", ""))
        .await
        .unwrap();
    let before = [facts(&world, id), facts(&world, bystander)];
    let mut event = json!({
        "specversion": "1.0", "id": "their-1", "source": "billing.example", "type": "PaymentCompensationRequested",
        "subject": format!("saga/{id}/compensation"),
        "data": { "saga_id": id.to_string(), "order_id": order, "reason": "the card was stolen" },
    });
    change(&mut event, bystander);
    let message = Message {
        to: Place::Ingress,
        kind: "PaymentCompensationRequested".to_owned(),
        body: json!([event]).to_string(),
    };
    world.deliver(&message).await.unwrap();
    // Only what the bus took goes on; the sagas' own events wait.
    while let Some(index) = world
        .on_the_way
        .iter()
        .position(|message| message.to == Place::EventsQueue)
    {
        world.deliver_at(index).await;
    }
    assert_eq!(facts(&world, bystander), before[1], "{event}");
    let moved = facts(&world, id) != before[0];
    world.heal(id).await;
    world.heal(bystander).await;
    (moved, world.aws.quarantined().len())
}

#[tokio::test]
async fn another_teams_event_with_two_meanings_has_none() {
    assert_eq!(outside(|_, _| ()).await, (true, 0));
    assert_eq!(
        outside(|event, _| event["data"]["reason"] = json!("x")).await,
        (true, 0)
    );
    assert_eq!(
        outside(|event, _| event["subject"] = json!("about a saga")).await,
        (true, 0)
    );
    let nothing = (false, 1);
    assert_eq!(
        outside(|event, other| event["data"]["saga_id"] = json!(other.to_string())).await,
        nothing
    );
    assert_eq!(
        outside(|event, other| {
            event["data"]["saga_id"] = json!(other.to_string());
            event.as_object_mut().unwrap().remove("subject");
        })
        .await,
        nothing
    );
    assert_eq!(
        outside(|event, other| event["subject"] = json!(format!("saga/{other}/x"))).await,
        nothing
    );
    assert_eq!(
        outside(|event, _| event["data"]["order_id"] = json!("order-3")).await,
        nothing
    );
    assert_eq!(
        outside(|event, _| event["data"]["amount"] = json!("1")).await,
        nothing
    );
    assert_eq!(
        outside(|event, _| event["source"] = json!("saga.orchestrator")).await,
        nothing
    );
    assert_eq!(
        outside(|event, _| event["type"] = json!("PaymentReserved")).await,
        nothing
    );
    assert_eq!(
        outside(|event, _| event["source"] = json!(" Saga.Orchestrator ")).await,
        nothing
    );
    for (topic, expected) in [("billing.example", (true, 0)), ("saga.orchestrator", nothing)] {
        let in_event_grids_schema = |event: &mut Value, _| {
            *event = json!({
                "id": "their-1", "topic": topic, "subject": event["subject"], "eventType": event["type"],
                "eventTime": "2026-11-21T02:00:00Z", "dataVersion": "1", "data": event["data"],
            });
        };
        assert_eq!(outside(in_event_grids_schema).await, expected, "{topic}");
    }
    // Texts are what they are, whatever number they look like.
    for (order, other) in [("007", "7"), ("12e34567", "99e99999"), ("1e5", "10e4")] {
        assert_eq!(outside_of(order, |_, _| ()).await, (true, 0), "{order}");
        let changed = outside_of(order, |event, _| event["data"]["order_id"] = json!(other));
        assert_eq!(changed.await, nothing, "{order}");
    }
    // The same amount written as a number, and a field that the saga does not have.
    assert_eq!(
        outside(|event, _| event["data"]["amount"] = json!(129.9)).await,
        (true, 0)
    );
    assert_eq!(
        outside(|event, _| event["data"]["note"] = json!("x")).await,
        (true, 0)
    );
}

#[tokio::test]
async fn an_event_after_which_no_answer_could_arrive_is_not_acted_on() {
    let mut world = World::default();
    let id = world.start("129.90").await;
    world.publish().await;
    let message = world.on_the_way[0].clone();
    let mut event = event_in(&message);
    event.as_object_mut().unwrap().remove("sagasum");
    for hop in [62, 64] {
        event["sagahop"] = json!(hop);
        world.deliver(&with(&message, &event)).await.unwrap();
        assert_eq!(world.inventory(id), None, "after {hop} hops");
    }
    event["sagahop"] = json!(40);
    world.deliver(&with(&message, &event)).await.unwrap();
    world.heal(id).await;
    assert_eq!(world.payment(id), "COMPLETED");
}
