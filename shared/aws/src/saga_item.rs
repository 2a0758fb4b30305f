//! A saga ↔ its item in the table `Sagas`. Names inside are short, and the input is kept once, so that an item stays
//! under 1 KB: each further kilobyte costs every write again.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use saga_app::ports::PortError;
use saga_core::definition::DefinitionRef;
use saga_core::document::Fields;
use saga_core::ids::{EventId, StepIndex, Timestamp};
use saga_core::lifecycle::{Lifecycle, Phase};
use saga_core::mark::{Mark, ParkedMessage};
use saga_core::participate::StepRecord;
use saga_core::progress::Progress;
use saga_core::reports::{Observed, Reports};
use saga_core::saga::{Saga, Status};
use saga_core::step::StepState;
use saga_core::timeline::Timeline;
use saga_wire::json;

use crate::item::{Item, corrupt, n, number, optional, parsed, put_some, s, text, time};
use crate::timeline_item::{read_entry, write_entry};

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
        ("Ends".into(), s(write_lifecycle(saga.lifecycle))),
        ("ListBucket".into(), s(bucket(saga.id.bucket(LIST_BUCKETS)))),
    ]);
    let steps = saga.steps.iter();
    let steps = steps.map(|(index, record)| (index.to_string(), write_step(record, &saga.input)));
    item.insert("Steps".into(), AttributeValue::M(steps.collect()));
    let own = format!("-{}-", saga.id);
    let lines = saga.timeline.entries.iter().map(|entry| write_entry(entry, &own));
    item.insert("Timeline".into(), AttributeValue::L(lines.collect()));
    let dropped = saga.timeline.dropped;
    put_some(&mut item, "Dropped", (dropped > 0).then(|| n(dropped)));
    put_some(&mut item, "Cancel", saga.cancel.as_ref().map(write_mark));
    put_some(&mut item, "Resolved", saga.resolved.as_ref().map(write_mark));
    // The newest has the name by which versions know it that knew one only.
    if let Some((newest, older)) = saga.parked.split_last() {
        item.insert("Parked".into(), write_parked(newest));
        if !older.is_empty() {
            let older = older.iter().map(write_parked).collect();
            item.insert("ParkedBefore".into(), AttributeValue::L(older));
        }
    }
    if !saga.timeline.observed.is_empty() {
        let far = saga.timeline.observed.iter();
        let far = far.map(|(index, said)| (index.to_string(), s(write_far(saga, *index, said))));
        item.insert("Far".into(), AttributeValue::M(far.collect()));
        let calls = saga.timeline.observed.iter().filter_map(|(index, said)| {
            let progress = said.progress.as_ref()?;
            Some((index.to_string(), s(progress.to_text())))
        });
        let calls: HashMap<_, _> = calls.collect();
        if !calls.is_empty() {
            item.insert("FarCalls".into(), AttributeValue::M(calls));
        }
    }
    // Versions that know only local steps have no word for it among those of `Ends`.
    let followed = saga.lifecycle.followed.then_some(AttributeValue::Bool(true));
    put_some(&mut item, "Followed", followed);
    put_some(&mut item, "Stuck", saga.stuck.map(|since| n(since.millis())));
    put_some(&mut item, "Nudges", (saga.nudges > 0).then(|| n(saga.nudges)));
    match saga.due {
        Some(due) => {
            item.insert("DueBucket".into(), s(bucket(saga.id.bucket(due_buckets))));
            item.insert("DueAt".into(), n(due.millis()));
        }
        None => {
            let last = saga.timeline.entries.last();
            let last = last.map_or(saga.created, |entry| entry.at);
            // Time to live is in seconds.
            let expires = last.plus_millis(KEPT_MILLIS).millis() / 1_000;
            item.insert("ExpiresAt".into(), n(expires));
        }
    }
    item
}

/// The saga and its revision.
pub(crate) fn read(item: &Item) -> Result<(Saga, u64), PortError> {
    let id = parsed(item, "SagaId")?;
    let input = object(item, "Input")?;
    let own = format!("-{id}-");
    let map = |name: &str| {
        let map = item.get(name).map(AttributeValue::as_m).transpose();
        map.map_err(|_| corrupt(format!("attribute {name} is no map")))
    };
    let mark = |name: &str| map(name)?.map(read_mark).transpose();
    let list = |name: &str| {
        let list = item.get(name).and_then(|list| list.as_l().ok());
        list.map(Vec::as_slice).unwrap_or_default()
    };
    let older = list("ParkedBefore").iter().map(|mark| {
        let mark = mark.as_m().map_err(|_| corrupt("a parked message is no map"))?;
        read_parked(mark)
    });
    let parked = older.chain(map("Parked")?.map(read_parked));
    let parked = parked.collect::<Result<_, PortError>>()?;
    let mut steps = BTreeMap::new();
    for (index, record) in map("Steps")?.into_iter().flatten() {
        let index = read_index(index)?;
        let record = record.as_m().map_err(|_| corrupt("a step's record is no map"))?;
        steps.insert(index, read_step(record, &input)?);
    }
    let mut observed = BTreeMap::new();
    for (index, said) in map("Far")?.into_iter().flatten() {
        let index = read_index(index)?;
        let said = said.as_s().map_err(|_| corrupt("what a step said is no text"))?;
        observed.insert(index, read_far(&steps, index, said)?);
    }
    let far_calls = map("FarCalls")?;
    for (index, said) in &mut observed {
        let calls = far_calls.filter(|calls| calls.contains_key(&index.to_string()));
        said.progress = calls
            .map(|calls| progress(calls, &index.to_string()))
            .transpose()?;
    }
    let entries = list("Timeline").iter().map(|line| read_entry(line, &own));
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
        lifecycle: Lifecycle {
            followed: item.contains_key("Followed"),
            ..read_lifecycle(text(item, "Ends")?)?
        },
        steps,
        cancel: mark("Cancel")?,
        resolved: mark("Resolved")?,
        parked,
        stuck: optional(item, "Stuck", time)?,
        shown: parsed(item, "Status")?,
        timeline: Timeline {
            entries: entries.collect::<Result<_, _>>()?,
            dropped: optional(item, "Dropped", number)?.unwrap_or(0),
            observed,
        },
        due: optional(item, "DueAt", time)?,
        nudges: optional(item, "Nudges", number)?.unwrap_or(0),
    };
    Ok((saga, number(item, "Revision")?))
}

fn write_mark(mark: &Mark) -> AttributeValue {
    marked(mark.at, &mark.by, &mark.reason)
}

/// The event's id is in `By`, where every version reads it.
fn write_parked(parked: &ParkedMessage) -> AttributeValue {
    marked(parked.at, parked.event.as_str(), &parked.reason)
}

fn marked(at: Timestamp, by: &str, why: &str) -> AttributeValue {
    let fields = [("At", n(at.millis())), ("By", s(by)), ("Why", s(why))];
    AttributeValue::M(fields.map(|(k, v)| (k.to_owned(), v)).into())
}

fn read_parked(mark: &Item) -> Result<ParkedMessage, PortError> {
    let Mark { at, by, reason } = read_mark(mark)?;
    let event = EventId::stored(by);
    Ok(ParkedMessage { event, at, reason })
}

fn read_mark(mark: &Item) -> Result<Mark, PortError> {
    Ok(Mark {
        at: time(mark, "At")?,
        by: text(mark, "By")?.to_owned(),
        reason: text(mark, "Why")?.to_owned(),
    })
}

fn read_index(text: &str) -> Result<StepIndex, PortError> {
    text.parse()
        .map(StepIndex::new)
        .map_err(|_| corrupt("a step's number is none"))
}

/// The reason of the origin's own step before, which was undone for the same one: it is kept once.
fn reason_below(steps: &BTreeMap<StepIndex, StepRecord>, index: StepIndex) -> Option<&str> {
    let (_, record) = steps.range(..index).next_back()?;
    record.reason.as_deref()
}

/// What a step of the other cloud is, by the character that says it.
const STATES: [(&str, Option<StepState>); 8] = [
    ("D", Some(StepState::Done)),
    ("R", Some(StepState::Refused)),
    ("U", Some(StepState::Undone)),
    ("W", Some(StepState::Waiting)),
    ("A", Some(StepState::Acting)),
    ("S", Some(StepState::Stopping)),
    ("B", Some(StepState::Undoing)),
    ("N", None),
];

/// The state, the time in milliseconds, and behind a blank the reason; the reason is `=` when it is that of the
/// origin's own step before, and in `'` otherwise. What is not known is left out.
fn write_far(saga: &Saga, index: StepIndex, said: &Observed) -> String {
    let known = STATES.iter().find(|(_, state)| *state == said.state);
    let state = known.map_or("N", |(name, _)| name);
    let at = said.at.map_or(String::new(), |at| at.millis().to_string());
    match said.reason.as_deref() {
        None => format!("{state}{at}"),
        reason if reason == reason_below(&saga.steps, index) => format!("{state}{at} ="),
        Some(reason) => format!("{state}{at} '{reason}"),
    }
}

fn read_far(
    steps: &BTreeMap<StepIndex, StepRecord>,
    index: StepIndex,
    text: &str,
) -> Result<Observed, PortError> {
    let strange = || corrupt("what a step of the other cloud said cannot be read");
    let (head, reason) = match text.split_once(' ') {
        Some((head, reason)) => (head, Some(reason)),
        None => (text, None),
    };
    let (state, at) = head.split_at_checked(1).ok_or_else(strange)?;
    let known = STATES.iter().find(|(name, _)| *name == state);
    let (_, state) = known.ok_or_else(strange)?;
    let at = match at {
        "" => None,
        millis => Some(Timestamp::from_millis(millis.parse().map_err(|_| strange())?)),
    };
    let reason = match reason {
        None => None,
        Some("=") => reason_below(steps, index),
        Some(reason) => Some(reason.strip_prefix('\'').ok_or_else(strange)?),
    };
    Ok(Observed {
        state: *state,
        at,
        reason: reason.map(str::to_owned),
        progress: None,
    })
}

fn progress(item: &Item, name: &str) -> Result<Progress, PortError> {
    let unreadable = || corrupt(format!("attribute {name} does not say how far a step has come"));
    Progress::of_text(text(item, name)?).ok_or_else(unreadable)
}

fn object(item: &Item, name: &str) -> Result<Fields, PortError> {
    json::parse_object(text(item, name)?).map_err(|error| corrupt(format!("attribute {name}: {error}")))
}

fn write_lifecycle(lifecycle: Lifecycle) -> String {
    let phase = match lifecycle.phase {
        Phase::Open => "OPEN",
        Phase::Completed => "COMPLETED",
        Phase::Cancelled => "CANCELLED",
    };
    let flags = [
        (lifecycle.closing, "closing"),
        (lifecycle.cancelling, "cancelling"),
        (lifecycle.overridden, "overridden"),
    ];
    let set = flags.into_iter().filter(|(set, _)| *set).map(|(_, name)| name);
    std::iter::once(phase).chain(set).collect::<Vec<_>>().join(" ")
}

fn read_lifecycle(text: &str) -> Result<Lifecycle, PortError> {
    let mut words = text.split(' ');
    let phase = match words.next() {
        Some("OPEN") => Phase::Open,
        Some("COMPLETED") => Phase::Completed,
        Some("CANCELLED") => Phase::Cancelled,
        _ => return Err(corrupt(format!("`{text}` says no end of a saga"))),
    };
    let mut lifecycle = Lifecycle {
        phase,
        ..Lifecycle::default()
    };
    for word in words {
        match word {
            "closing" => lifecycle.closing = true,
            "cancelling" => lifecycle.cancelling = true,
            "overridden" => lifecycle.overridden = true,
            _ => return Err(corrupt(format!("`{word}` is no flag of a saga"))),
        }
    }
    Ok(lifecycle)
}

fn write_step(record: &StepRecord, input: &Fields) -> AttributeValue {
    let mut item = Item::from([
        ("State".into(), s(record.state.as_str())),
        ("At".into(), n(record.at.millis())),
        ("Hop".into(), n(record.hop)),
    ]);
    let object = |fields| s(json::write_object(fields));
    put_some(&mut item, "Why", record.reason.as_ref().map(s));
    put_some(
        &mut item,
        "Data",
        (record.data != *input).then(|| object(&record.data)),
    );
    put_some(
        &mut item,
        "Out",
        (!record.output.is_empty()).then(|| object(&record.output)),
    );
    let calls = record.progress.as_ref().map(|progress| s(progress.to_text()));
    put_some(&mut item, "Calls", calls);
    AttributeValue::M(item)
}

fn read_step(item: &Item, input: &Fields) -> Result<StepRecord, PortError> {
    Ok(StepRecord {
        state: parsed(item, "State")?,
        at: time(item, "At")?,
        hop: number(item, "Hop")?,
        reason: optional(item, "Why", text)?.map(str::to_owned),
        data: optional(item, "Data", object)?.unwrap_or_else(|| input.clone()),
        output: optional(item, "Out", object)?.unwrap_or_default(),
        progress: optional(item, "Calls", progress)?,
        // The origin hears of the other cloud's steps itself: `Far`.
        reports: Reports::default(),
    })
}

#[cfg(test)]
mod tests {
    use saga_core::document::fields;
    use saga_core::ids::TraceParent;
    use saga_core::timeline::Entry;
    use saga_core::{Cloud, Outcome};

    use super::*;

    const SAGA: &str = "0193e0b1-0000-8000-8000-000000000001";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_790_000_000_000 + seconds * 1_000)
    }

    fn line(seconds: i64, label: &str, verb: &str, step: i32, cloud: Cloud, note: Option<&str>) -> Entry {
        Entry {
            at: at(seconds),
            event: format!("{:013}-{SAGA}-{label}", at(seconds).millis())
                .parse()
                .unwrap(),
            verb: verb.to_owned(),
            step,
            cloud,
            outcome: Outcome::Applied,
            note: note.map(str::to_owned),
            times: 1,
            caller: None,
            unverified: false,
        }
    }

    /// A payment as it ends: completed, or refused by the other cloud.
    fn payment(refusal: Option<&str>) -> (Saga, Status) {
        let input = fields([
            ("order_id", "order-0123456789ab".into()),
            ("amount", "129.90".into()),
            ("currency", "EUR".into()),
        ]);
        let (state, step_at, status, phase) = match refusal {
            None => (StepState::Done, at(0), Status::Completed, Phase::Completed),
            Some(_) => (
                StepState::Undone,
                at(2),
                Status::CancelledViaCompensation,
                Phase::Cancelled,
            ),
        };
        let record = StepRecord {
            progress: None,
            state,
            at: step_at,
            hop: 1,
            reason: refusal.map(str::to_owned),
            data: input.clone(),
            output: fields([("reserved_amount", "129.90".into())]),
            reports: Reports::default(),
        };
        let said = Observed {
            progress: None,
            state: Some(if refusal.is_some() {
                StepState::Refused
            } else {
                StepState::Done
            }),
            at: Some(at(1)),
            reason: refusal.map(str::to_owned),
        };
        let answer = match refusal {
            None => line(1, "complete2", "complete", 2, Cloud::Azure, None),
            Some(reason) => line(1, "compensate0", "compensate", 0, Cloud::Azure, Some(reason)),
        };
        let id = SAGA.parse().unwrap();
        let saga = Saga {
            id,
            definition: DefinitionRef {
                name: "payment".to_owned(),
                version: 1,
            },
            input,
            created: at(0),
            deadline: at(900),
            trace: TraceParent::for_saga(id),
            lifecycle: Lifecycle {
                phase,
                ..Lifecycle::default()
            },
            steps: BTreeMap::from([(StepIndex::FIRST, record)]),
            cancel: None,
            resolved: None,
            parked: Vec::new(),
            stuck: None,
            shown: status,
            timeline: Timeline {
                entries: vec![line(0, "advance1", "advance", 1, Cloud::Aws, None), answer],
                dropped: 0,
                observed: BTreeMap::from([(StepIndex::new(1), said)]),
            },
            due: None,
            nudges: 0,
        };
        (saga, status)
    }

    /// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>
    fn bytes(item: &Item) -> usize {
        item.iter()
            .map(|(name, value)| name.len() + bytes_of(value))
            .sum()
    }

    fn bytes_of(value: &AttributeValue) -> usize {
        match value {
            AttributeValue::S(text) => text.len(),
            AttributeValue::N(number) => number.len().div_ceil(2) + 1,
            AttributeValue::Bool(_) => 1,
            AttributeValue::M(map) => 3 + map.len() + bytes(map),
            AttributeValue::L(list) => 3 + list.len() + list.iter().map(bytes_of).sum::<usize>(),
            other => panic!("no attribute of a saga: {other:?}"),
        }
    }

    #[test]
    fn a_payment_stays_under_a_kilobyte_however_it_ends() {
        let reason = "there are 3 of sku `keyboard-de-105-keys` left, and the order takes 12";
        for refusal in [None, Some(reason)] {
            let (saga, status) = payment(refusal);
            let item = write(&saga, status, 2, 16);
            let bytes = bytes(&item);
            assert!(bytes < 1_024, "{bytes} bytes: {item:?}");
            assert_eq!(read(&item).unwrap(), (saga, 2));
        }
    }

    #[test]
    fn the_reason_of_a_step_is_kept_once_and_comes_back_whatever_it_is() {
        for (own, other) in [
            (None, None),
            (Some("="), Some("=")),
            (Some("a"), Some("'a")),
            (None, Some("=")),
            (Some("a b"), Some("a b")),
            (Some("a"), None),
        ] {
            let (mut saga, status) = payment(own);
            let said = saga.timeline.observed.get_mut(&StepIndex::new(1)).unwrap();
            said.reason = other.map(str::to_owned);
            let item = write(&saga, status, 1, 16);
            assert_eq!(read(&item).unwrap().0, saga, "{own:?} {other:?}");
        }
        let (saga, status) = payment(Some("the reason"));
        let item = write(&saga, status, 1, 16);
        let far = &item["Far"].as_m().unwrap()["1"];
        assert_eq!(far, &s(format!("R{} =", at(1).millis())));
    }

    #[test]
    fn an_item_of_an_earlier_version_is_read_and_an_earlier_version_finds_the_last_parked_message() {
        let (mut saga, status) = payment(None);
        saga.parked = vec![
            ParkedMessage::new(EventId::stored("first".to_owned()), at(1), "why"),
            ParkedMessage::new(EventId::stored("second".to_owned()), at(2), "why then"),
        ];
        let mut item = write(&saga, status, 1, 16);
        assert_eq!(item["Parked"].as_m().unwrap()["By"], s("second"));
        // As the version before writes it: one message, and nothing of the other cloud's steps.
        for name in ["ParkedBefore", "Far"] {
            assert!(item.remove(name).is_some());
        }
        saga.parked.remove(0);
        saga.timeline.observed.clear();
        assert_eq!(read(&item).unwrap().0, saga);
    }
}
