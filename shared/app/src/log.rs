//! What every log line about an event or a saga says beside its own words, under the same names: so that one search shows
//! one saga on both clouds.

use saga_core::{Address, Event, EventId, Saga, SagaId, StepIndex};
use saga_wire::custom_handler;
use saga_wire::dead_letter::{Facts, said};
use saga_wire::event_bridge::event_in;

use crate::about;
use crate::ports::{Envelope, PortError, causes};

/// What a line is about, as far as it is known. [`about!`](crate::about) writes it.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// The saga.
    pub saga_id: Option<String>,
    /// The number of the step that the event is for; none for `complete` and `cancelled`, which are for the saga.
    pub step: Option<u8>,
    /// What the event asks.
    pub verb: Option<&'static str>,
    /// The event.
    pub event_id: Option<String>,
    /// The caller's trace.
    pub trace_id: Option<String>,
}

impl About {
    /// An event.
    #[must_use]
    pub fn event(event: &Event) -> Self {
        Self {
            saga_id: Some(event.saga.to_string()),
            event_id: Some(event.id.as_str().to_owned()),
            trace_id: Some(event.trace.trace_id().to_owned()),
            ..Self::default()
        }
        .addressed(Some(event.address))
    }

    /// An event as it leaves. Where its body does not say whom it is for, its id does: a parked notice has the id of the
    /// message that was parked.
    #[must_use]
    pub fn envelope(event: &Envelope) -> Self {
        let facts = said(&event.body);
        Self {
            saga_id: event.about_saga().map(|saga| saga.to_string()),
            event_id: Some(event.id.as_str().to_owned()),
            ..Self::facts(&facts)
        }
        .addressed(facts.address().or_else(|| Address::of_id(&event.id, event.saga)))
    }

    /// A message, whatever is in it: an event, in the envelope of the bus or in the encoding of a queue, or none.
    #[must_use]
    pub fn message(text: &str) -> Self {
        Self::facts(&said(&custom_handler::event_in(event_in(text).unwrap_or(text))))
    }

    /// What an event says of itself.
    #[must_use]
    pub fn facts(facts: &Facts) -> Self {
        Self {
            saga_id: facts.saga.map(|saga| saga.to_string()),
            event_id: facts.event.as_ref().map(|event| event.as_str().to_owned()),
            trace_id: facts.trace.as_ref().map(|trace| trace.trace_id().to_owned()),
            ..Self::default()
        }
        .addressed(facts.address())
    }

    /// A saga, and the event that leaves it, if one does.
    #[must_use]
    pub fn saga(saga: &Saga, event: Option<&Event>) -> Self {
        Self {
            saga_id: Some(saga.id.to_string()),
            trace_id: Some(saga.trace.trace_id().to_owned()),
            ..event.map(Self::event).unwrap_or_default()
        }
    }

    /// An event of which no more is at hand than its name. The name of one of ours says what it asks.
    #[must_use]
    pub fn named(saga: SagaId, event: &EventId) -> Self {
        Self {
            saga_id: Some(saga.to_string()),
            event_id: Some(event.as_str().to_owned()),
            ..Self::default()
        }
        .addressed(Address::of_id(event, saga))
    }

    /// The same, of a saga that is at hand.
    #[must_use]
    pub fn within(self, saga: &Saga) -> Self {
        Self {
            trace_id: Some(saga.trace.trace_id().to_owned()),
            ..self
        }
    }

    fn addressed(self, address: Option<Address>) -> Self {
        Self {
            step: address.and_then(Address::step).map(StepIndex::get),
            verb: address.map(Address::verb),
            ..self
        }
    }
}

/// A message is parked, and its saga could not be marked.
pub(crate) fn not_shown(about: &About, error: &PortError) {
    let (error, outcome) = (causes(error), "not shown");
    about!(
        error,
        about,
        error,
        outcome,
        "the saga does not show that it is parked"
    );
}

/// Writes a line about an event or a saga: `about!(info, &About::envelope(&row), outcome = "published", "outbox")`.
#[macro_export]
macro_rules! about {
    ($level:ident, $about:expr, $($rest:tt)+) => {{
        let about: &$crate::log::About = $about;
        tracing::$level!(
            saga_id = about.saga_id.as_deref(),
            step = about.step,
            verb = about.verb,
            event_id = about.event_id.as_deref(),
            trace_id = about.trace_id.as_deref(),
            $($rest)+
        );
    }};
}
