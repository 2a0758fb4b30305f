//! The way out for events: what leaves, and what the other side answers.

use saga_core::service::is_of_service;
use saga_core::{Event, EventId, SagaId};
use saga_wire::cloud_event;

use super::error::{PortError, PortFuture};

/// An event as it leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The event's id.
    pub id: EventId,
    /// The saga, or what stands for a service: the events of one are sent in their order.
    pub saga: SagaId,
    /// The event's type.
    pub kind: String,
    /// The whole event, as every carrier takes it.
    pub body: String,
}

impl Envelope {
    /// The envelope of an event of ours.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        Self {
            id: event.id.clone(),
            saga: event.saga,
            kind: event.kind.clone(),
            body: cloud_event::write(event),
        }
    }

    /// The saga that it is about; `None` for an event about a service.
    #[must_use]
    pub fn about_saga(&self) -> Option<SagaId> {
        (!is_of_service(&self.id)).then_some(self.saga)
    }
}

/// What became of one published event.
pub type Published = Result<(), Refusal>;

/// Sends events on their way.
///
/// An adapter MUST answer for each event, in order; `Ok` only when the service took that event.
pub trait Publisher: Send + Sync {
    /// What one call takes.
    const LIMITS: Limits;

    /// Publishes at most one call's worth of events.
    ///
    /// # Errors
    /// [`PortError`]: it says nothing about a single event; none of them is known to be taken.
    fn publish(&self, events: &[&Envelope]) -> impl PortFuture<Vec<Published>>;
}

/// Why an event was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The other side has no time for it now.
    Throttled,
    /// It may be taken another time.
    Later(String),
    /// It will never be taken as it is.
    Never(String),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Throttled => f.write_str("it is throttled"),
            Self::Later(reason) | Self::Never(reason) => f.write_str(reason),
        }
    }
}

impl Refusal {
    /// The error of whoever has only one answer to give.
    #[must_use]
    pub fn into_error(self, what: &'static str) -> PortError {
        match self {
            Self::Throttled => PortError::Throttled { what },
            Self::Later(reason) | Self::Never(reason) => PortError::unavailable(what, reason),
        }
    }
}

/// What one call of a publisher takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Events.
    pub events: usize,
    /// Bytes of all their bodies.
    pub bytes: usize,
}

impl Limits {
    /// Whether a call with so many events and bytes has no room for another of so many bytes. An empty call has room for any.
    pub(crate) fn is_full(self, events: usize, bytes: usize, more: usize) -> bool {
        events > 0 && (events >= self.events || bytes + more > self.bytes)
    }

    /// How many of these events, from the first on, one call takes.
    #[must_use]
    pub fn first_call<'a>(self, all: impl IntoIterator<Item = &'a Envelope>) -> usize {
        let (mut events, mut bytes) = (0, 0);
        for event in all {
            if self.is_full(events, bytes, event.body.len()) {
                break;
            }
            (events, bytes) = (events + 1, bytes + event.body.len());
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_takes_as_many_events_as_fit_and_one_at_least() {
        let first_call = |sizes: &[usize]| {
            let event = |bytes: &usize| Envelope {
                id: EventId::stored("1".to_owned()),
                saga: SagaId::derive("any", &"saga 1".parse().unwrap()),
                kind: "Any".to_owned(),
                body: "b".repeat(*bytes),
            };
            let events: Vec<Envelope> = sizes.iter().map(event).collect();
            Limits { events: 3, bytes: 10 }.first_call(&events)
        };
        assert_eq!(first_call(&[]), 0);
        assert_eq!(first_call(&[4, 6]), 2);
        assert_eq!(first_call(&[4, 7]), 1);
        assert_eq!(first_call(&[11, 1]), 1);
        assert_eq!(first_call(&[1, 1, 1, 1]), 3);
    }
}
