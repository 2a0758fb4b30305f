//! What the scenarios of the contract begin with.

use std::collections::BTreeMap;

use saga_app::ports::outbox::{DEFAULT_SHARDS, OutboxRow, Tries};
use saga_app::ports::{Envelope, Outbox};
use saga_core::definition::DefinitionRef;
use saga_core::document::{Fields, fields};
use saga_core::lifecycle::Lifecycle;
use saga_core::mark::Asked;
use saga_core::origin::{Command, Origin, OriginDecision};
use saga_core::participant::{Entities, EntityKey, EntityWrite, Participants};
use saga_core::participate::StepRecord;
use saga_core::patience::Patience;
use saga_core::reports::Reports;
use saga_core::step::StepState;
use saga_core::timeline::Timeline;
use saga_core::{Outcome, Saga, Status, Timestamp, TraceParent};

use crate::arbitrary::nth_saga;

/// Somebody who changed their mind, where nobody checks who calls.
pub const ASKED: Asked<'static> = Asked {
    by: "somebody",
    caller: None,
    why: "changed my mind",
};

/// Characters that some store, queue or library refuses, drops or rewrites.
pub const AWKWARD: [char; 27] = [
    '\0',
    '\u{1}',
    '\t',
    '\n',
    '\u{b}',
    '\r',
    '\u{1b}',
    '"',
    '\'',
    '\\',
    '<',
    '&',
    '\u{7f}',
    '\u{85}',
    '\u{ad}',
    '\u{200b}',
    '\u{202e}',
    '\u{2028}',
    '\u{2029}',
    '\u{fdd0}',
    '\u{feff}',
    '\u{fffd}',
    '\u{fffe}',
    '\u{ffff}',
    '\u{1fffe}',
    '\u{1f600}',
    '\u{10ffff}',
];

/// A time in 2026, so many milliseconds after the scenarios begin.
#[must_use]
pub fn time(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000).plus_millis(millis)
}

/// After everything that a scenario does.
#[must_use]
pub fn much_later() -> Timestamp {
    time(1_000_000_000)
}

/// The saga of this number, new at `created`.
#[must_use]
pub fn saga(number: u64, created: Timestamp) -> Saga {
    let id = nth_saga(number);
    Saga {
        id,
        definition: DefinitionRef {
            name: "payment".to_owned(),
            version: 1,
        },
        input: fields([("order_id", format!("order {number}").into())]),
        created,
        deadline: created.plus_millis(900_000),
        trace: TraceParent::for_saga(id),
        lifecycle: Lifecycle::default(),
        steps: BTreeMap::new(),
        cancel: None,
        resolved: None,
        parked: Vec::new(),
        stuck: None,
        shown: Status::PendingAzureConfirmation,
        timeline: Timeline::default(),
        due: Some(created.plus_millis(60_000)),
        nudges: 0,
    }
}

/// The same saga, changed.
#[must_use]
pub fn changed(saga: &Saga) -> Saga {
    Saga {
        nudges: saga.nudges + 1,
        ..saga.clone()
    }
}

/// A decision to store this saga and nothing else.
#[must_use]
pub fn decision(saga: &Saga) -> OriginDecision {
    OriginDecision {
        held: None,
        outcome: Outcome::Applied,
        saga: saga.clone(),
        status: saga.shown,
        writes: Vec::new(),
        settle: Vec::new(),
        emit: None,
        alert: None,
    }
}

/// A step's record.
#[must_use]
pub fn record(reason: &str) -> StepRecord {
    StepRecord {
        progress: None,
        state: StepState::Done,
        at: time(0),
        hop: 1,
        reason: Some(reason.to_owned()),
        data: fields([("order_id", "order".into())]),
        output: Fields::new(),
        reports: Reports::default(),
    }
}

/// The key of the thing of this name.
#[must_use]
pub fn key(name: &str) -> EntityKey {
    EntityKey::new("thing", name)
}

/// A write of the thing of this name, with so many left and a colour.
#[must_use]
pub fn write(name: &str, left: i64) -> EntityWrite {
    EntityWrite {
        key: key(name),
        fields: fields([("Left", left.into()), ("Colour", "blue".into())]),
    }
}

/// An event of the saga of this number that waits to be published, in the shard of its saga.
#[must_use]
pub fn row(number: u64, at: Timestamp, label: &str) -> OutboxRow {
    let saga = nth_saga(number);
    OutboxRow {
        shard: saga.bucket(DEFAULT_SHARDS),
        event: Envelope {
            id: format!("{:013}-{saga}-{label}", at.millis()).parse().unwrap(),
            saga,
            kind: "PaymentReserved".to_owned(),
            body: format!(r#"{{"label":"{label}","text":"ü\n"}}"#),
        },
        at,
        queued: at.plus_millis(3),
        follows: label != "advance1",
        tries: Tries::default(),
    }
}

/// All that is pending in this shard.
pub async fn pending(outbox: &impl Outbox, shard: u16) -> Vec<OutboxRow> {
    outbox.read(shard, None, much_later(), 100).await.unwrap().rows
}

/// The decision about a command that needs no definition; `None` when there is nothing to commit.
///
/// # Panics
/// When the command needs a definition.
#[must_use]
pub fn decided(saga: &Saga, now: Timestamp, command: &Command<'_>) -> Option<OriginDecision> {
    let origin = Origin {
        saga,
        definition: None,
        participants: &Participants::new(),
        patience: Patience::default(),
        now,
    };
    origin.apply(command, &Entities::new()).unwrap().decision()
}
