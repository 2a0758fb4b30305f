//! A dead letter: an event that was not delivered or not understood, and what a replay does with it.

use std::borrow::Cow;

use saga_core::Timestamp;

use super::facts::{Facts, event_of};
use super::id::{DeadLetterId, Source};

/// Stands between the service and the message in a key of [`Source::Services`]; an id of a message has none.
pub const SERVICE_SEPARATOR: char = '_';

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its id.
    pub id: DeadLetterId,
    /// What the event says of itself.
    pub facts: Facts,
    /// Why it is here. Others write reasons, too: it is as [`shown`](saga_core::text::shown) makes it.
    pub reason: String,
    /// How often it was tried, where that is known.
    pub attempts: Option<u32>,
    /// When it was first on its way.
    pub first: Option<Timestamp>,
    /// When it came here.
    pub last: Option<Timestamp>,
    /// The size of what lies here, in bytes.
    pub bytes: usize,
    /// What a replay does with it.
    pub forward: Forward,
}

impl DeadLetter {
    /// The dead letter without its body: a list shows none and keeps none in memory.
    #[must_use]
    pub fn without_body(mut self) -> Self {
        self.facts.text = String::new();
        if let Forward::Send { message, .. } = &mut self.forward {
            *message = String::new();
        }
        self
    }

    /// The event in the body, without what its carrier put around it.
    #[must_use]
    pub fn event(&self) -> Cow<'_, str> {
        event_of(self.id.source, &self.facts.text)
    }

    /// The outside service whose request it is. The queue that it lies on says it better than the event.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        match self.id.source {
            Source::Services => self
                .id
                .key
                .rsplit_once(SERVICE_SEPARATOR)
                .map(|(service, _)| service),
            _ => self.facts.service.as_deref(),
        }
    }

    /// When it is counted as having come here.
    #[must_use]
    pub fn arrived(&self) -> Timestamp {
        self.last.or(self.first).unwrap_or(Timestamp::from_millis(0))
    }
}

crate::words! {
    /// Where a replay sends a dead letter.
    pub enum Destination {
        /// The bus on AWS, whose rules route it.
        Bus = "bus",
        /// The queue of saga-events.
        EventsQueue = "events queue",
        /// The Event Grid topic, whose subscriptions route it.
        Topic = "Event Grid topic",
        /// The queue of the participant on Azure.
        ParticipantQueue = "participant queue",
        /// The queue of the service that the request is for, on AWS.
        ServiceQueue = "service queue",
        /// The one queue of all services that Azure calls.
        AzureServiceQueue = "Azure service queue",
    }
}

/// What a replay does with a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Forward {
    /// Sends this, and removes the dead letter once it was accepted.
    Send {
        /// Where.
        to: Destination,
        /// What, as it went the first time.
        message: String,
    },
    /// Makes the dead row a pending one, in one transaction: the outbox' relay sends it.
    Requeue,
    /// Nothing can be sent, for this reason.
    Nothing(String),
}
