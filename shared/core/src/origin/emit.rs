//! What the origin sends, each event the same whenever it is sent again.

use super::context::Origin;
use crate::address::Address;
use crate::definition::{Cloud, Definition};
use crate::document::Fields;
use crate::event::{Emit, Event, reason_data};
use crate::ids::{StepIndex, Timestamp};
use crate::participant::Entities;
use crate::participate::Message;
use crate::reports::Reports;
use crate::step::StepVerb;

impl Origin<'_> {
    /// The event that opened the first step after the origin's, as it was sent the first time.
    pub(super) fn opening_event(&self) -> Option<Event> {
        let saga = self.saga;
        if let Some(record) = saga.steps.get(&StepIndex::FIRST) {
            let message = Message::own(StepVerb::Advance, record.at, &saga.trace, &record.data);
            let step = self.owned(StepIndex::FIRST).ok()?;
            return step
                .decide(Some(record), &message, &Entities::new(), record.at)
                .emit;
        }
        let address = |definition: &Definition| Address::Advance(definition.first_after_origin());
        self.event(address, saga.created, 1, saga.input.clone())
    }

    /// The cancel that chases the saga: its time is that of the request, so it has one id however often it is sent.
    pub(super) fn cancel_event(&self) -> Option<Event> {
        let mark = self.saga.resolved.as_ref().or(self.saga.cancel.as_ref())?;
        let data = reason_data(&self.saga.input, Some(&mark.reason));
        let address = |definition: &Definition| Address::Cancel(definition.first_after_origin());
        self.event(address, mark.at, 1, data)
    }

    /// The answer to a `complete` that reaches a cancelled saga.
    pub(super) fn compensate_last(&self, hop: u16) -> Option<Event> {
        let mark = self.saga.resolved.as_ref().or(self.saga.cancel.as_ref());
        let data = reason_data(&self.saga.input, mark.map(|mark| mark.reason.as_str()));
        let time = mark.map_or(self.saga.created, |mark| mark.at);
        let address = |definition: &Definition| Address::Compensate(definition.last());
        self.event(address, time, hop.saturating_add(1), data)
    }

    pub(super) fn event(
        &self,
        address: impl Fn(&Definition) -> Address,
        time: Timestamp,
        hop: u16,
        data: Fields,
    ) -> Option<Event> {
        let definition = self.definition?;
        Emit {
            saga: self.saga.id,
            definition,
            address: address(definition),
            sender: Cloud::ORIGIN,
            time,
            hop,
            trace: &self.saga.trace,
            data,
            // The origin keeps the records of its own steps.
            reports: Reports::default(),
        }
        .event()
    }
}
