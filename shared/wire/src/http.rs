//! The bodies of the HTTP API: the saga as callers see it, and the list.

use std::collections::BTreeMap;

use saga_core::definition::{Cloud, Definition, DefinitionRef, StepDefinition};
use saga_core::document::Fields;
use saga_core::mark::{Caller, Mark};
use saga_core::progress::Progress;
use saga_core::reports::Observed;
use saga_core::saga::{Flag, Saga, Status};
use saga_core::step::{Class, Kind, StepState};
use saga_core::{SagaId, StepIndex, Timestamp, text};
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
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<String>,
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
    held: bool,
    stuck: bool,
    #[serde(serialize_with = "shown")]
    resolved_by: Option<&'a str>,
}

#[derive(Serialize)]
struct Step<'a> {
    step: u8,
    name: Option<&'a str>,
    cloud: &'static str,
    participant: Option<&'a str>,
    state: &'static str,
    at: Option<String>,
    #[serde(serialize_with = "shown")]
    reason: Option<&'a str>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    outside: Option<Outside<'a>>,
}

/// What is to be known of a step that is answered from outside.
#[derive(Serialize)]
struct Outside<'a> {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    awaits: Option<&'static str>,
    stopping: bool,
    paused: bool,
    since: Option<String>,
    attempts: u32,
    #[serde(serialize_with = "shown")]
    last_error: Option<&'a str>,
    next_attempt_at: Option<String>,
    held_since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Box<RawValue>>,
}

impl<'a> Outside<'a> {
    fn of(
        definition: &'a StepDefinition,
        state: &str,
        progress: Option<&'a Progress>,
        output: Option<&Fields>,
    ) -> Option<Self> {
        let kind = match definition.kind() {
            Kind::Local => return None,
            Kind::Call(_) => "call",
            Kind::Wait => "wait",
        };
        let time = |at: Option<Timestamp>| at.map(time::format);
        let waits = progress.is_some() && state == StepState::Waiting.as_str();
        Some(Self {
            kind,
            service: definition.call().map(|call| call.service.as_str()),
            awaits: definition
                .wait()
                .filter(|_| waits)
                .map(|wait| wait.answerer.as_str()),
            stopping: state == StepState::Stopping.as_str(),
            paused: progress.is_some_and(|progress| progress.paused.is_some()),
            since: time(progress.map(|progress| progress.since)),
            attempts: progress.map_or(0, |progress| progress.attempts),
            last_error: progress.and_then(|progress| progress.error.as_deref()),
            next_attempt_at: time(progress.and_then(|progress| progress.next)),
            held_since: time(progress.and_then(|progress| progress.held)),
            output: output.filter(|output| !output.is_empty()).map(json::raw_object),
        })
    }
}

#[derive(Serialize)]
struct Line<'a> {
    at: String,
    #[serde(serialize_with = "shown_id")]
    event_id: &'a str,
    verb: &'a str,
    /// The step that the event is for: none for an event that is for the whole saga, and for a command.
    step: Option<u8>,
    step_name: Option<&'a str>,
    cloud: &'static str,
    outcome: &'static str,
    #[serde(serialize_with = "shown")]
    note: Option<&'a str>,
    times: u32,
    /// Of commands only, where the edge proves who calls.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "shown")]
    caller: Option<&'a str>,
    #[serde(skip_serializing_if = "is_false")]
    unverified: bool,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// Why nobody here can say what follows in a saga, and what to do.
#[must_use]
pub fn unknown_definition(definition: &DefinitionRef) -> String {
    format!(
        "this deployment does not know {definition}; nothing is lost: deploy a release that has its file, and the saga goes on"
    )
}

/// The saga as callers see it. Without its definition: its status as it was last stored, and the steps that were heard of.
#[must_use]
pub fn saga(saga: &Saga, definition: Option<&Definition>) -> String {
    let status = saga.status_with(definition);
    let observed = match definition {
        Some(definition) => saga.observed(definition),
        None => saga.timeline.observed.clone(),
    };
    let known: Vec<(StepIndex, Cloud, Option<&StepDefinition>)> = match definition {
        Some(definition) => {
            let steps = (0..).map(StepIndex::new).zip(definition.steps());
            steps
                .map(|(index, step)| (index, step.cloud, Some(step)))
                .collect()
        }
        None => {
            // The origin keeps its own steps, and observes those of the other cloud.
            let own = saga.steps.keys().map(|index| (*index, Cloud::ORIGIN));
            let others = observed.keys().map(|index| (*index, Cloud::Azure));
            let heard: BTreeMap<StepIndex, Cloud> = others.chain(own).collect();
            let heard = heard.into_iter();
            heard.map(|(index, cloud)| (index, cloud, None)).collect()
        }
    };
    let steps = known.into_iter().map(|(index, cloud, step)| {
        let class = step.map_or(Class::default(), |step| step.class);
        let (known, at, reason) = as_known(saga, status, &observed, (index, class), cloud);
        let record = saga.steps.get(&index);
        let progress = record.map_or_else(
            || observed.get(&index)?.progress.as_ref(),
            |record| record.progress.as_ref(),
        );
        let output = record.map(|record| &record.output);
        // `ACTING`, and told to stop.
        let state = match known {
            "STOPPING" => StepState::Acting.as_str(),
            state => state,
        };
        Step {
            step: index.get(),
            name: step.map(|step| step.name.as_str()),
            cloud: cloud.as_str(),
            participant: step.and_then(StepDefinition::participant),
            state,
            at: at.map(time::format),
            reason,
            outside: step.and_then(|step| Outside::of(step, known, progress, output)),
        }
    });
    let lines = saga.timeline.entries.iter().map(|entry| {
        let step = entry.addressed();
        let step = step.filter(|step| definition.is_none_or(|known| known.step(*step).is_some()));
        let name = step.and_then(|step| definition?.step(step));
        Line {
            at: time::format(entry.at),
            event_id: entry.event.as_str(),
            verb: &entry.verb,
            step: step.map(StepIndex::get),
            step_name: name.map(|step| step.name.as_str()),
            cloud: entry.cloud.as_str(),
            outcome: entry.outcome.as_str(),
            note: entry.note.as_deref(),
            times: entry.times,
            caller: entry.caller.as_ref().map(Caller::as_str),
            unverified: entry.unverified,
        }
    });
    let view = View {
        saga_id: saga.id.to_string(),
        definition: &saga.definition.name,
        version: saga.definition.version,
        status: status.as_str(),
        reason: saga.reason(),
        flags: Flags {
            cancel_requested: saga.cancel.is_some(),
            closing: saga.lifecycle.closing,
            parked: saga.parked.last().map(|mark| mark.reason.as_str()),
            held: saga.is_held(),
            stuck: saga.stuck.is_some(),
            resolved_by: saga.resolved.as_ref().map(|mark: &Mark| mark.by.as_str()),
        },
        created_at: time::format(saga.created),
        deadline_at: time::format(saga.deadline),
        trace_id: saga.trace.trace_id(),
        input: json::raw_object(&saga.input),
        steps: steps.collect(),
        timeline: lines.collect(),
        notice: definition.is_none().then(|| unknown_definition(&saga.definition)),
        timeline_dropped: saga.timeline.dropped,
    };
    serde_json::to_string(&view).unwrap_or_default()
}

/// The word for where a step stands, as far as the origin knows: a [`StepState`], `WAITING` before it is asked, `NOT_DONE` or
/// `UNKNOWN`.
#[must_use]
pub fn step_state(saga: &Saga, definition: &Definition, index: StepIndex) -> &'static str {
    let step = definition.step(index);
    let cloud = step.map_or(Cloud::ORIGIN, |step| step.cloud);
    let class = step.map_or(Class::default(), |step| step.class);
    as_known(
        saga,
        saga.status(definition),
        &saga.observed(definition),
        (index, class),
        cloud,
    )
    .0
}

/// What is shown of a step: the origin's own record of it, or what it said of itself; its state, since when, and why.
fn as_known<'a>(
    saga: &'a Saga,
    status: Status,
    observed: &'a BTreeMap<StepIndex, Observed>,
    (step, class): (StepIndex, Class),
    cloud: Cloud,
) -> (&'static str, Option<Timestamp>, Option<&'a str>) {
    if let Some(record) = saga.steps.get(&step) {
        return (record.state.as_str(), Some(record.at), record.reason.as_deref());
    }
    // An override by force may leave the effect of what cannot be undone.
    let can_be_undone = class == Class::Compensatable;
    let undone = status == Status::CancelledViaCompensation && !saga.lifecycle.closing && can_be_undone;
    match observed.get(&step) {
        // Nobody said so of this one, but all have followed.
        Some(said) if said.state == Some(StepState::Done) && undone => {
            (StepState::Undone.as_str(), None, saga.reason())
        }
        Some(said) => {
            let state = said.state.map_or("NOT_DONE", StepState::as_str);
            (state, said.at, said.reason.as_deref())
        }
        None => (unheard(saga, status, observed, step, cloud), None, None),
    }
}

/// What follows for a step of which nothing was heard.
fn unheard(
    saga: &Saga,
    status: Status,
    observed: &BTreeMap<StepIndex, Observed>,
    step: StepIndex,
    cloud: Cloud,
) -> &'static str {
    // What refused never lets a later step act; what was undone was asked to by the step after it. Only the first step may
    // be undone by an override, which says nothing of the others.
    let own = saga
        .steps
        .range(..step)
        .skip_while(|(index, _)| **index == StepIndex::FIRST);
    let before = own.map(|(_, record)| Some(record.state));
    let mut before = before.chain(observed.range(..step).map(|(_, said)| said.state));
    let first = saga.steps.get(&StepIndex::FIRST).map(|record| record.state);
    let acts = |state: StepState| matches!(state, StepState::Acting | StepState::Waiting);
    match before.find(|state| *state != Some(StepState::Done)) {
        Some(Some(state)) if acts(state) => return StepState::Waiting.as_str(),
        Some(_) => return "NOT_DONE",
        None if first.is_some_and(acts) => return StepState::Waiting.as_str(),
        None => {}
    }
    match status {
        Status::Completed if !saga.lifecycle.overridden => "DONE",
        Status::CancelledViaCompensation if !saga.lifecycle.closing => "NOT_DONE",
        _ if cloud == Cloud::ORIGIN => StepState::Waiting.as_str(),
        _ => "UNKNOWN",
    }
}

#[derive(Serialize)]
struct Listed<'a> {
    saga_id: String,
    definition: &'a str,
    status: &'static str,
    flags: Vec<&'static str>,
    created_at: String,
}

#[derive(Serialize)]
struct Page<'a> {
    sagas: Vec<Listed<'a>>,
    next: Option<String>,
}

/// A page of the list: the sagas, each with its status, and the place where the next page begins.
#[must_use]
pub fn page(sagas: &[(Saga, Status)], next: Option<(Timestamp, SagaId)>) -> String {
    let listed = sagas.iter().map(|(saga, status)| Listed {
        saga_id: saga.id.to_string(),
        definition: &saga.definition.name,
        status: status.as_str(),
        flags: saga.flags().map(Flag::as_str).collect(),
        created_at: time::format(saga.created),
    });
    let page = Page {
        sagas: listed.collect(),
        next: next.map(cursor_text),
    };
    serde_json::to_string(&page).unwrap_or_default()
}

/// A place in the list of sagas, as callers give it back: the start of the last saga before it, and its id.
#[must_use]
pub fn cursor_text((created, id): (Timestamp, SagaId)) -> String {
    format!("{}_{id}", created.millis())
}

/// Reads a cursor that a page gave.
#[must_use]
pub fn parse_cursor(text: &str) -> Option<(Timestamp, SagaId)> {
    let (millis, id) = text.split_once('_')?;
    Some((Timestamp::from_millis(millis.parse().ok()?), id.parse().ok()?))
}
