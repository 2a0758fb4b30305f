//! What the origin sends, each event the same whenever it is sent again, and the lines of its timeline.

use crate::Outcome;
use crate::address::Address;
use crate::definition::{Cloud, Definition};
use crate::document::Fields;
use crate::event::{Emit, Event, reason_data};
use crate::ids::{EventId, StepIndex, Timestamp};
use crate::mark::Mark;
use crate::origin::{Participants, step_at};
use crate::participant::Entities;
use crate::participate::Message;
use crate::reports::Reports;
use crate::saga::Saga;
use crate::step::StepVerb;
use crate::text::shown;
use crate::timeline::Entry;

/// The event that opened the first step after the origin's, as it was sent the first time.
pub(crate) fn opening_event(
    saga: &Saga,
    definition: &Definition,
    participants: &Participants,
) -> Option<Event> {
    let (time, hop, data) = match saga.steps.get(&StepIndex::FIRST) {
        Some(record) => {
            let step = step_at(definition, participants, saga.id, StepIndex::FIRST).ok()?;
            let message = Message {
                verb: StepVerb::Advance,
                time: record.at,
                hop: 0,
                trace: &saga.trace,
                data: &record.data,
                reports: Reports::NOTHING,
            };
            return step
                .decide(Some(record), &message, &Entities::new(), record.at)
                .emit;
        }
        _ => (saga.created, 1, saga.input.clone()),
    };
    origin_event(
        saga,
        definition,
        Address::Advance(definition.first_after_origin()),
        time,
        hop,
        data,
    )
}

/// The cancel that chases the saga: its time is that of the wish, so it has one id however often it is sent.
pub(crate) fn cancel_event(saga: &Saga, definition: &Definition) -> Option<Event> {
    let mark = saga.resolved.as_ref().or(saga.cancel.as_ref())?;
    let data = reason_data(&saga.input, Some(&mark.reason));
    origin_event(
        saga,
        definition,
        Address::Cancel(definition.first_after_origin()),
        mark.at,
        1,
        data,
    )
}

/// The answer to a `complete` that reaches a cancelled saga.
pub(crate) fn compensate_last(saga: &Saga, definition: &Definition, hop: u16) -> Option<Event> {
    let mark = saga.resolved.as_ref().or(saga.cancel.as_ref());
    let data = reason_data(&saga.input, mark.map(|mark| mark.reason.as_str()));
    let time = mark.map_or(saga.created, |mark| mark.at);
    origin_event(
        saga,
        definition,
        Address::Compensate(definition.last()),
        time,
        hop.saturating_add(1),
        data,
    )
}

fn origin_event(
    saga: &Saga,
    definition: &Definition,
    address: Address,
    time: Timestamp,
    hop: u16,
    data: Fields,
) -> Option<Event> {
    let sender = Cloud::ORIGIN;
    Emit {
        saga: saga.id,
        definition,
        address,
        sender,
        time,
        hop,
        trace: &saga.trace,
        data,
        // The origin knows its own steps.
        reports: Reports::default(),
    }
    .event()
}

pub(crate) fn entry(event: &Event, at: Timestamp, outcome: Outcome, note: Option<&str>) -> Entry {
    Entry {
        at,
        event: event.id.clone(),
        verb: event.address.verb().to_owned(),
        step: event.step_number,
        cloud: event.sender,
        outcome,
        note: note.map(shown),
        times: 1,
        caller: None,
        unverified: event.unverified,
    }
}

/// A line of the timeline for a command, which has no event. Its id names the command and its time.
#[must_use]
pub fn command_entry(command: &str, mark: &Mark, outcome: Outcome) -> Entry {
    Entry {
        at: mark.at,
        event: EventId::of_command(mark.at, command),
        verb: command.to_owned(),
        step: 0,
        cloud: Cloud::ORIGIN,
        outcome,
        note: Some(shown(&format!("{}: {}", mark.by, mark.reason))),
        times: 1,
        caller: None,
        unverified: false,
    }
}
