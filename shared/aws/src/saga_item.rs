//! A saga ↔ its item in the table `Sagas`. Names inside are short, and the input is kept once, so that an item stays
//! under 1 KB: each further kilobyte costs every write again.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use saga_app::ports::PortError;
use saga_core::Outcome;
use saga_core::definition::{Cloud, DefinitionRef};
use saga_core::document::Fields;
use saga_core::ends::{Ends, Phase};
use saga_core::ids::{EventId, StepIndex, Timestamp};
use saga_core::participate::StepRecord;
use saga_core::saga::{Caller, Mark, Saga, Status};
use saga_core::step::StepState;
use saga_core::timeline::{Entry, Timeline};
use saga_wire::json;

use crate::item::{Item, corrupt, n, number, optional, parsed, s, text};

/// Sagas that have ended are kept for so long: longer than any retry of the bus (24 h), any dead-letter queue
/// (14 days) and the people who read them take.
const KEPT_MILLIS: i64 = 90 * 24 * 3_600 * 1_000;

/// How many partitions the index of all sagas has.
pub(crate) const LIST_BUCKETS: u16 = 4;

pub(crate) fn bucket(number: u16) -> String {
    format!("{number:02}")
}

/// The item. `due_buckets` is how many partitions the index of what is due has.
pub(crate) fn write(saga: &Saga, status: Status, revision: u64, due_buckets: u16) -> Item {
    let mut item = Item::from([
        ("SagaId".into(), s(saga.id.to_string())),
        ("Definition".into(), s(&saga.definition.name)),
        ("Ver".into(), n(saga.definition.version)),
        ("Status".into(), s(status.as_str())),
        ("Revision".into(), n(revision)),
        ("Input".into(), s(json::write_object(&saga.input))),
        ("CreatedAt".into(), n(saga.created.millis())),
        ("Deadline".into(), n(saga.deadline.millis())),
        ("Trace".into(), s(saga.trace.as_str())),
        ("Ends".into(), s(write_ends(saga.ends))),
        ("ListBucket".into(), s(bucket(saga.id.bucket(LIST_BUCKETS)))),
    ]);
    let steps = saga
        .steps
        .iter()
        .map(|(index, record)| (index.to_string(), write_step(record, &saga.input)));
    item.insert("Steps".into(), AttributeValue::M(steps.collect()));
    let own = format!("-{}-", saga.id);
    let lines = saga.timeline.entries.iter().map(|entry| write_entry(entry, &own));
    item.insert("Timeline".into(), AttributeValue::L(lines.collect()));
    if saga.timeline.dropped > 0 {
        item.insert("Dropped".into(), n(saga.timeline.dropped));
    }
    for (name, mark) in [
        ("Cancel", &saga.cancel),
        ("Resolved", &saga.resolved),
        ("Parked", &saga.parked),
    ] {
        if let Some(mark) = mark {
            let fields = [
                ("At", n(mark.at.millis())),
                ("By", s(&mark.by)),
                ("Why", s(&mark.reason)),
            ];
            item.insert(
                name.into(),
                AttributeValue::M(fields.map(|(k, v)| (k.to_owned(), v)).into()),
            );
        }
    }
    if let Some(since) = saga.stuck {
        item.insert("Stuck".into(), n(since.millis()));
    }
    if saga.nudges > 0 {
        item.insert("Nudges".into(), n(saga.nudges));
    }
    match saga.due {
        Some(due) => {
            item.insert("DueBucket".into(), s(bucket(saga.id.bucket(due_buckets))));
            item.insert("DueAt".into(), n(due.millis()));
        }
        None => {
            let last = saga
                .timeline
                .entries
                .last()
                .map_or(saga.created, |entry| entry.at);
            // Time to live is in seconds.
            item.insert(
                "ExpiresAt".into(),
                n(last.plus_millis(KEPT_MILLIS).millis() / 1_000),
            );
        }
    }
    item
}

/// The saga and its revision.
pub(crate) fn read(item: &Item) -> Result<(Saga, u64), PortError> {
    let id = parsed(item, "SagaId")?;
    let input = object(item, "Input")?;
    let own = format!("-{id}-");
    let map = |name: &str| match item.get(name) {
        None => Ok(None),
        Some(value) => value
            .as_m()
            .map(Some)
            .map_err(|_| corrupt(format!("attribute {name} is no map"))),
    };
    let mark = |name: &str| {
        map(name)?
            .map(|mark| {
                Ok(Mark {
                    at: time(mark, "At")?,
                    by: text(mark, "By")?.to_owned(),
                    reason: text(mark, "Why")?.to_owned(),
                })
            })
            .transpose()
    };
    let mut steps = BTreeMap::new();
    for (index, record) in map("Steps")?.into_iter().flatten() {
        let index = index
            .parse()
            .map(StepIndex::new)
            .map_err(|_| corrupt("a step's number is none"))?;
        let record = record.as_m().map_err(|_| corrupt("a step's record is no map"))?;
        steps.insert(index, read_step(record, &input)?);
    }
    let lines = item
        .get("Timeline")
        .and_then(|lines| lines.as_l().ok())
        .map(Vec::as_slice)
        .unwrap_or_default();
    let saga = Saga {
        id,
        definition: DefinitionRef {
            name: text(item, "Definition")?.to_owned(),
            version: number(item, "Ver")?,
        },
        input,
        created: time(item, "CreatedAt")?,
        deadline: time(item, "Deadline")?,
        trace: parsed(item, "Trace")?,
        ends: read_ends(text(item, "Ends")?)?,
        steps,
        cancel: mark("Cancel")?,
        resolved: mark("Resolved")?,
        parked: mark("Parked")?,
        stuck: optional(item, "Stuck", time)?,
        timeline: Timeline {
            entries: lines
                .iter()
                .map(|line| read_entry(line, &own))
                .collect::<Result<_, _>>()?,
            dropped: optional(item, "Dropped", number)?.unwrap_or(0),
        },
        due: optional(item, "DueAt", time)?,
        nudges: optional(item, "Nudges", number)?.unwrap_or(0),
    };
    Ok((saga, number(item, "Revision")?))
}

fn time(item: &Item, name: &str) -> Result<Timestamp, PortError> {
    number(item, name).map(Timestamp::from_millis)
}

fn object(item: &Item, name: &str) -> Result<Fields, PortError> {
    json::parse_object(text(item, name)?).map_err(|error| corrupt(format!("attribute {name}: {error}")))
}

fn write_ends(ends: Ends) -> String {
    let phase = match ends.phase {
        Phase::Open => "OPEN",
        Phase::Completed => "COMPLETED",
        Phase::Cancelled => "CANCELLED",
    };
    let flags = [
        (ends.closing, "closing"),
        (ends.cancelling, "cancelling"),
        (ends.overridden, "overridden"),
    ];
    let set = flags.into_iter().filter(|(set, _)| *set).map(|(_, name)| name);
    std::iter::once(phase).chain(set).collect::<Vec<_>>().join(" ")
}

fn read_ends(text: &str) -> Result<Ends, PortError> {
    let mut words = text.split(' ');
    let phase = match words.next() {
        Some("OPEN") => Phase::Open,
        Some("COMPLETED") => Phase::Completed,
        Some("CANCELLED") => Phase::Cancelled,
        _ => return Err(corrupt(format!("`{text}` says no end of a saga"))),
    };
    let mut ends = Ends {
        phase,
        ..Ends::default()
    };
    for word in words {
        match word {
            "closing" => ends.closing = true,
            "cancelling" => ends.cancelling = true,
            "overridden" => ends.overridden = true,
            _ => return Err(corrupt(format!("`{word}` is no flag of a saga"))),
        }
    }
    Ok(ends)
}

fn write_step(record: &StepRecord, input: &Fields) -> AttributeValue {
    let state = match record.state {
        StepState::Done => "DONE",
        StepState::Refused => "REFUSED",
        StepState::Undone => "UNDONE",
    };
    let mut item = Item::from([
        ("State".into(), s(state)),
        ("At".into(), n(record.at.millis())),
        ("Hop".into(), n(record.hop)),
    ]);
    if let Some(reason) = &record.reason {
        item.insert("Why".into(), s(reason));
    }
    if record.data != *input {
        item.insert("Data".into(), s(json::write_object(&record.data)));
    }
    if !record.output.is_empty() {
        item.insert("Out".into(), s(json::write_object(&record.output)));
    }
    AttributeValue::M(item)
}

fn read_step(item: &Item, input: &Fields) -> Result<StepRecord, PortError> {
    let state = match text(item, "State")? {
        "DONE" => StepState::Done,
        "REFUSED" => StepState::Refused,
        "UNDONE" => StepState::Undone,
        other => return Err(corrupt(format!("`{other}` is no state of a step"))),
    };
    Ok(StepRecord {
        state,
        at: time(item, "At")?,
        hop: number(item, "Hop")?,
        reason: optional(item, "Why", text)?.map(str::to_owned),
        data: optional(item, "Data", object)?.unwrap_or_else(|| input.clone()),
        output: optional(item, "Out", object)?.unwrap_or_default(),
    })
}

/// Our own event ids hold the saga's id, which the item has already: then `e` is what stands before it and `f` what
/// stands behind it. Other publishers' ids stand whole in `e`.
fn write_entry(entry: &Entry, own: &str) -> AttributeValue {
    let id = entry.event.as_str();
    let (head, tail) = id
        .split_once(own)
        .map_or((id, None), |(head, tail)| (head, Some(tail)));
    let mut item = Item::from([
        ("t".into(), n(entry.at.millis())),
        ("e".into(), s(head)),
        ("v".into(), s(&entry.verb)),
        ("k".into(), n(entry.step)),
        ("c".into(), s(entry.cloud.as_str())),
    ]);
    if let Some(tail) = tail {
        item.insert("f".into(), s(tail));
    }
    if entry.outcome != Outcome::Applied {
        item.insert("o".into(), s(entry.outcome.as_str()));
    }
    if let Some(note) = &entry.note {
        item.insert("n".into(), s(note));
    }
    if entry.times != 1 {
        item.insert("x".into(), n(entry.times));
    }
    if let Some(caller) = &entry.caller {
        item.insert("a".into(), s(caller.as_str()));
    }
    AttributeValue::M(item)
}

fn read_entry(value: &AttributeValue, own: &str) -> Result<Entry, PortError> {
    let item = value
        .as_m()
        .map_err(|_| corrupt("a line of the timeline is no map"))?;
    let head = text(item, "e")?;
    let event = optional(item, "f", text)?.map_or(head.to_owned(), |tail| format!("{head}{own}{tail}"));
    let outcome = match optional(item, "o", text)? {
        None => Outcome::Applied,
        Some(word) => [Outcome::Repeated, Outcome::Late, Outcome::Contradicted]
            .into_iter()
            .find(|outcome| outcome.as_str() == word)
            .ok_or_else(|| corrupt(format!("`{word}` is no outcome")))?,
    };
    Ok(Entry {
        at: time(item, "t")?,
        event: EventId::stored(event),
        verb: text(item, "v")?.to_owned(),
        step: number(item, "k")?,
        cloud: parsed::<Cloud>(item, "c")?,
        outcome,
        note: optional(item, "n", text)?.map(str::to_owned),
        times: optional(item, "x", number)?.unwrap_or(1),
        caller: optional(item, "a", text)?.and_then(Caller::new),
    })
}
