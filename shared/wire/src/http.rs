//! The bodies of the HTTP API: the saga as callers see it, and the list.

use saga_core::definition::{Cloud, Definition};
use saga_core::saga::{Caller, Flag, Mark, Saga, Status};
use saga_core::step::StepState;
use saga_core::text;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::{json, time};

#[derive(Serialize)]
struct View<'a> {
    saga_id: String,
    definition: &'a str,
    version: u32,
    status: &'static str,
    #[serde(serialize_with = "shown")]
    reason: Option<&'a str>,
    flags: Flags<'a>,
    created_at: String,
    deadline_at: String,
    trace_id: &'a str,
    input: Box<RawValue>,
    steps: Vec<Step<'a>>,
    timeline: Vec<Line<'a>>,
    #[serde(skip_serializing_if = "is_zero")]
    timeline_dropped: u32,
}

/// Others wrote it, and a person reads it.
fn shown<S: Serializer>(theirs: &Option<&str>, serializer: S) -> Result<S::Ok, S::Error> {
    theirs.map(text::shown_whole).serialize(serializer)
}

fn shown_id<S: Serializer>(id: &&str, serializer: S) -> Result<S::Ok, S::Error> {
    text::shown_whole(id).serialize(serializer)
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

#[derive(Serialize)]
struct Flags<'a> {
    cancel_requested: bool,
    closing: bool,
    #[serde(serialize_with = "shown")]
    parked: Option<&'a str>,
    stuck: bool,
    #[serde(serialize_with = "shown")]
    resolved_by: Option<&'a str>,
}

#[derive(Serialize)]
struct Step<'a> {
    step: u8,
    name: &'a str,
    cloud: &'static str,
    participant: &'a str,
    state: &'static str,
    at: Option<String>,
    #[serde(serialize_with = "shown")]
    reason: Option<&'a str>,
}

#[derive(Serialize)]
struct Line<'a> {
    at: String,
    #[serde(serialize_with = "shown_id")]
    event_id: &'a str,
    verb: &'a str,
    step: i32,
    cloud: &'static str,
    outcome: &'static str,
    #[serde(serialize_with = "shown")]
    note: Option<&'a str>,
    times: u32,
    /// Of commands only, where the edge proves who calls.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "shown")]
    caller: Option<&'a str>,
}

/// The saga as callers see it.
#[must_use]
pub fn saga(saga: &Saga, definition: &Definition) -> String {
    let status = saga.status(definition);
    let mark = saga.resolved.as_ref().or(saga.cancel.as_ref());
    let undone = saga.steps.values().find(|record| record.state != StepState::Done);
    let steps = definition.steps().iter().zip(0_u8..).map(|(step, index)| {
        let record = saga.steps.get(&saga_core::StepIndex::new(index));
        Step {
            step: index,
            name: &step.name,
            cloud: step.cloud.as_str(),
            participant: &step.participant,
            state: match record.map(|record| record.state) {
                Some(StepState::Done) => "DONE",
                Some(StepState::Refused) => "REFUSED",
                Some(StepState::Undone) => "UNDONE",
                None => elsewhere(saga, status, step.cloud),
            },
            at: record.map(|record| time::format(record.at)),
            reason: record.and_then(|record| record.reason.as_deref()),
        }
    });
    let view = View {
        saga_id: saga.id.to_string(),
        definition: &saga.definition.name,
        version: saga.definition.version,
        status: status.as_str(),
        reason: undone
            .and_then(|record| record.reason.as_deref())
            .or(mark.map(|mark| mark.reason.as_str())),
        flags: Flags {
            cancel_requested: saga.cancel.is_some(),
            closing: saga.ends.closing,
            parked: saga.parked.as_ref().map(|mark| mark.reason.as_str()),
            stuck: saga.stuck.is_some(),
            resolved_by: saga.resolved.as_ref().map(|mark: &Mark| mark.by.as_str()),
        },
        created_at: time::format(saga.created),
        deadline_at: time::format(saga.deadline),
        trace_id: saga.trace.trace_id(),
        input: json::raw_object(&saga.input),
        steps: steps.collect(),
        timeline: saga
            .timeline
            .entries
            .iter()
            .map(|entry| Line {
                at: time::format(entry.at),
                event_id: entry.event.as_str(),
                verb: &entry.verb,
                step: entry.step,
                cloud: entry.cloud.as_str(),
                outcome: entry.outcome.as_str(),
                note: entry.note.as_deref(),
                times: entry.times,
                caller: entry.caller.as_ref().map(Caller::as_str),
            })
            .collect(),
        timeline_dropped: saga.timeline.dropped,
    };
    serde_json::to_string(&view).unwrap_or_default()
}

/// What the origin knows of a step that it does not keep: an end of the saga says it, before that nobody does.
fn elsewhere(saga: &Saga, status: Status, cloud: Cloud) -> &'static str {
    match status {
        Status::Completed if !saga.ends.overridden => "DONE",
        Status::CancelledViaCompensation if !saga.ends.closing => "NOT_DONE",
        _ if cloud == Cloud::ORIGIN => "WAITING",
        _ => "UNKNOWN",
    }
}

/// One line of the list of sagas.
#[derive(Debug, Serialize)]
pub struct Listed {
    /// The saga's id.
    pub saga_id: String,
    /// Its definition.
    pub definition: String,
    /// Its status.
    pub status: &'static str,
    /// Its flags: `cancel_requested`, `closing`, `parked`, `stuck`, `resolved`.
    pub flags: Vec<&'static str>,
    /// When it started.
    pub created_at: String,
}

impl Listed {
    /// The line of `saga`; without a status when its definition is not known here.
    #[must_use]
    pub fn of(saga: &Saga, status: Option<Status>) -> Self {
        Self {
            saga_id: saga.id.to_string(),
            definition: saga.definition.name.clone(),
            status: status.map_or("UNKNOWN", Status::as_str),
            flags: saga.flags().map(Flag::as_str).collect(),
            created_at: time::format(saga.created),
        }
    }
}

/// A page of the list, newest first. `next` is the cursor of the page after, if there may be one.
#[derive(Debug, Serialize)]
pub struct Page {
    /// The sagas.
    pub sagas: Vec<Listed>,
    /// Give this as `cursor` to go on.
    pub next: Option<String>,
}
