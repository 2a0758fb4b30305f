//! What others can send as often as they like does not grow: a saga's timeline folds repeats into one line each, and keeps
//! the lines that tell how it began and what came last.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

use saga_core::timeline::Timeline;
use saga_core::{Saga, SagaId};
use saga_tests::world::{Message, Place, World, envelope};
use serde_json::json;

const MANY: u32 = 10_000;
/// Different ones cost more to make up, and the bound is long passed.
const DIFFERENT: u32 = 1_000;
/// A store's item has at most 400 KB; with all that a timeline can hold, a saga stays far below.
const MAX_BYTES: usize = 64 * 1024;

fn outside(kind: &str, id: &str, saga: SagaId, data: serde_json::Value) -> Message {
    let mut event = json!({ "specversion": "1.0", "id": id, "source": "s".repeat(256), "type": kind, "sagatarget": "aws", "data": data });
    event["data"]["saga_id"] = json!(saga.to_string());
    Message {
        to: Place::EventsQueue,
        kind: kind.to_owned(),
        body: envelope(kind, &event.to_string()),
    }
}

fn is_bounded(saga: &Saga) {
    let timeline = &saga.timeline;
    assert!(timeline.entries.len() <= Timeline::MAX_ENTRIES, "{timeline:#?}");
    let bytes: usize = timeline
        .entries
        .iter()
        .map(|line| {
            line.event.as_str().len() + line.verb.len() + line.note.as_ref().map_or(0, String::len) + 64
        })
        .sum();
    let marks = [&saga.cancel, &saga.resolved].into_iter().flatten();
    let parked = saga.parked.iter();
    let marks: usize = marks
        .map(|mark| mark.by.len() + mark.reason.len())
        .chain(parked.map(|parked| parked.event.as_str().len() + parked.reason.len()))
        .sum();
    assert!(bytes + marks < MAX_BYTES, "{} bytes", bytes + marks);
}

#[tokio::test]
async fn ten_thousand_repeats_of_one_event_are_one_line() {
    let mut world = World::default();
    let id = world.start("129.90").await;
    world.publish().await;
    world.deliver_at(0).await;
    world.deliver_at(0).await;
    let complete = world.on_the_way.pop().unwrap();
    assert_eq!(complete.to, Place::EventsQueue);
    world.deliver(&complete).await.unwrap();
    let ended = world.saga(id);
    for _ in 0..MANY {
        world.deliver(&complete).await.unwrap();
    }
    let saga = world.saga(id);
    let times: Vec<_> = saga
        .timeline
        .entries
        .iter()
        .map(|line| (line.verb.as_str(), line.times))
        .collect();
    assert_eq!(times, [("advance", 1), ("complete", 1), ("complete", MANY)]);
    let without = |saga: &Saga| Saga {
        timeline: Timeline::default(),
        ..saga.clone()
    };
    assert_eq!(without(&saga), without(&ended));
    is_bounded(&saga);
    world.check(&[id]);
}

#[tokio::test]
async fn of_a_thousand_events_the_first_lines_and_the_last_are_kept() {
    let mut world = World::default();
    let id = world.start("129.90").await;
    world.settle().await;
    let began = world.saga(id).timeline.entries;
    for number in 0..DIFFERENT {
        let long = format!("{number:05}{}", "ä".repeat(125));
        let data = json!({ "reason": "ü".repeat(5_000) });
        let message = outside("PaymentCompensationRequested", &long, id, data);
        world.deliver(&message).await.unwrap();
    }
    let saga = world.saga(id);
    is_bounded(&saga);
    let lines = &saga.timeline.entries;
    assert_eq!(lines[..began.len()], began);
    assert!(lines.last().unwrap().event.as_str().starts_with("00999"));
    let all = lines.len() + usize::try_from(saga.timeline.dropped).unwrap();
    assert_eq!(all, began.len() + usize::try_from(DIFFERENT).unwrap());
    world.check(&[id]);
}

#[tokio::test]
async fn a_saga_keeps_the_last_of_many_parked_messages() {
    let mut world = World::default();
    let id = world.start("129.90").await;
    for number in 0..1_000 {
        let event = json!({
            "specversion": "1.0", "id": "parked", "source": "saga.participant.azure", "type": "SagaMessageParked",
            "sagatarget": "aws",
            "data": {
                "saga_id": id.to_string(), "event_id": format!("{number:04}{}", "x".repeat(252)), "reason": "ü".repeat(5_000),
            },
        });
        let message = Message {
            to: Place::EventsQueue,
            kind: "SagaMessageParked".to_owned(),
            body: envelope("SagaMessageParked", &event.to_string()),
        };
        world.deliver(&message).await.unwrap();
    }
    let saga = world.saga(id);
    is_bounded(&saga);
    let shown: Vec<&str> = saga
        .parked
        .iter()
        .map(|parked| &parked.event.as_str()[..4])
        .collect();
    let last: Vec<String> = (1_000 - Saga::MAX_PARKED..1_000)
        .map(|number| format!("{number:04}"))
        .collect();
    assert_eq!(shown, last);
    assert_eq!(saga.timeline.entries[0].verb, "advance");
}
