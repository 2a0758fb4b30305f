//! What reaches a step.

use crate::address::Address;
use crate::document::Fields;
use crate::event::Event;
use crate::ids::{StepIndex, Timestamp, TraceParent};
use crate::reports::Reports;
use crate::step::StepVerb;
use crate::text::shown;

/// A message, as far as a step needs it.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    /// What it asks.
    pub verb: StepVerb,
    /// The time that the message tells of.
    pub time: Timestamp,
    /// Its hop count.
    pub hop: u16,
    /// The caller's trace context.
    pub trace: &'a TraceParent,
    /// What travels with it.
    pub data: &'a Fields,
    /// What steps of the other cloud have said of themselves.
    pub reports: &'a Reports,
}

impl<'a> Message<'a> {
    /// The step and the message that an event is for; `None` for `complete` and `cancelled`.
    #[must_use]
    pub fn of(event: &'a Event) -> Option<(StepIndex, Self)> {
        let (step, verb) = match event.address {
            Address::Advance(step) => (step, StepVerb::Advance),
            Address::Compensate(step) => (step, StepVerb::Compensate),
            Address::Cancel(step) => (step, StepVerb::Cancel),
            _ => return None,
        };
        let message = Message {
            verb,
            time: event.time,
            hop: event.hop,
            trace: &event.trace,
            data: &event.data,
            reports: &event.reports,
        };
        Some((step, message))
    }

    /// A message that no event carries: of the origin to its own step, or an answer from outside.
    #[must_use]
    pub fn own(verb: StepVerb, time: Timestamp, trace: &'a TraceParent, data: &'a Fields) -> Self {
        Message {
            verb,
            time,
            hop: 0,
            trace,
            data,
            reports: Reports::NOTHING,
        }
    }

    pub(crate) fn reason(&self) -> Option<String> {
        self.data
            .get("reason")
            .and_then(|reason| reason.as_text())
            .map(shown)
    }
}
