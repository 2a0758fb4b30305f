//! The events by which a step speaks. Each is a function of the stored record, or of the message that is passed on, so that a
//! repeat has the id and content of the first.

use crate::address::Address;
use crate::definition::Cloud;
use crate::document::{Document, Fields};
use crate::event::{Emit, Event, reason_data};
use crate::ids::Timestamp;
use crate::message::Message;
use crate::participate::Step;
use crate::record::{OUTPUTS, StepRecord};
use crate::reports::Reports;
use crate::step::Emission;

/// The member of a `waiting` event's data that names the step.
const STEP: &str = "saga_step";

impl Step<'_> {
    /// The event by which a record speaks.
    pub(crate) fn emission(
        &self,
        record: &StepRecord,
        emission: Emission,
        message: &Message<'_>,
    ) -> Option<Event> {
        let (address, data) = match emission {
            Emission::Advance => {
                let last = self.index == self.definition.last();
                (
                    if last {
                        Address::Complete
                    } else {
                        Address::Advance(self.index.next())
                    },
                    self.outcome(record),
                )
            }
            Emission::Compensate => (
                self.index
                    .previous()
                    .map_or(Address::Cancelled, Address::Compensate),
                reason_data(&record.data, record.reason.as_deref()),
            ),
            Emission::Cancel => (
                Address::Cancel(self.index.next()),
                reason_data(&record.data, message.reason().as_deref()),
            ),
            Emission::Act => (Address::Act(self.index), reason_data(&record.data, None)),
            Emission::Undo => (
                Address::Undo(self.index),
                reason_data(&record.data, record.reason.as_deref()),
            ),
            Emission::Waiting => {
                let mut data = record.data.clone();
                data.insert(STEP.into(), self.step().name.as_str().into());
                (Address::Waiting(self.index), data)
            }
            Emission::Contradiction => return self.contradiction(&record.data, message),
        };
        // A passed-on cancel changes no record, so it speaks with the time and hop of the cancel it passes on. The request to
        // act is the same before and after the step is told to stop: see also the record's hop.
        let (time, hop) = match emission {
            Emission::Cancel => (message.time, message.hop.saturating_add(1)),
            Emission::Act => (record.began(), record.hop),
            _ => (record.at, record.hop),
        };
        self.event(address, time, hop, data, message, Some(record))
    }

    /// The data that goes on to the next step: what came in, and what this step adds.
    fn outcome(&self, record: &StepRecord) -> Fields {
        let mut data = record.data.clone();
        if self.step().participant().is_some() {
            data.extend(record.output.clone());
        } else if !record.output.is_empty() {
            let mut outputs = record.outputs();
            outputs.insert(self.step().name.clone(), Document::Map(record.output.clone()));
            data.insert(OUTPUTS.into(), Document::Map(outputs));
        }
        data
    }

    /// It changes no record either, so it speaks with the time of the message that it contradicts.
    pub(crate) fn contradiction(&self, data: &Fields, message: &Message<'_>) -> Option<Event> {
        let data = reason_data(data, message.reason().as_deref());
        let address = Address::Contradiction(self.index);
        self.event(
            address,
            message.time,
            message.hop.saturating_add(1),
            data,
            message,
            None,
        )
    }

    fn event(
        &self,
        address: Address,
        time: Timestamp,
        hop: u16,
        data: Fields,
        message: &Message<'_>,
        record: Option<&StepRecord>,
    ) -> Option<Event> {
        // The caller of a service is told nothing of the steps: the request is the same whatever they have become since.
        let to_caller = matches!(address, Address::Act(_) | Address::Undo(_));
        let said = record.filter(|_| self.cloud() != Cloud::ORIGIN && !to_caller);
        Emit {
            saga: self.saga,
            definition: self.definition,
            address,
            sender: self.cloud(),
            time,
            hop,
            trace: message.trace,
            data,
            reports: said.map_or_else(Reports::default, |record| {
                record.reports.and(self.index, record.state, record.at)
            }),
        }
        .event()
    }
}
