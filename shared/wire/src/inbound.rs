//! What arrived: one function for each carrier, which never fails. What cannot be understood says why, for the quarantine.

use saga_core::ServiceState;

use crate::cloud_event::attributes::Attributes;
use crate::notice::{self, Alert, Parked};
use crate::saga_event::SagaEvent;
use crate::{Malformed, cloud_event, custom_handler, event_bridge, event_grid};

/// What arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inbound {
    /// An event about a saga: ours, or another team's.
    Event(Box<SagaEvent>),
    /// Azure's functions say that a message of a saga was parked.
    Parked(Parked),
    /// Azure's functions have something to say to the operators.
    Alert(Alert),
    /// The origin says that a service is paused, or is not any more.
    Service(ServiceState),
    /// Event Grid deleted the subscription that delivers here.
    SubscriptionDeleted,
    /// None of these, for this reason.
    NotUnderstood(String),
}

impl Inbound {
    /// Its type, as far as it was understood.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Event(event) => event.kind(),
            Self::Parked(_) => notice::PARKED,
            Self::Alert(_) => notice::ALERT,
            Self::Service(state) => notice::type_of_service(state),
            Self::SubscriptionDeleted => event_grid::DELETED,
            Self::NotUnderstood(_) => "unknown type",
        }
    }
}

/// A message of AWS's queue of events, in EventBridge's envelope or without it.
#[must_use]
pub fn events_queue(body: &str) -> Inbound {
    let read = || {
        let attributes = Attributes::of(event_bridge::event_in(body)?)?;
        match notice(&attributes) {
            Some(notice) => Ok(notice),
            None => cloud_event::read(&attributes).map(event),
        }
    };
    understood(read())
}

/// One event that Event Grid delivered to the webhook. It comes from outside, so it must not claim to be the origin's.
#[must_use]
pub fn webhook(element: &[u8]) -> Inbound {
    let read = || {
        let text = std::str::from_utf8(element).map_err(|_| event_grid::no_text())?;
        let attributes = Attributes::of(text)?;
        // A source of another type is for the reader to refuse.
        if let Ok(Some(source)) = attributes.text("source") {
            not_the_origin(&source)?;
        }
        let inbound = either_schema(&attributes, text)?;
        if let Inbound::Event(event) = &inbound
            && let SagaEvent::Outside(event) = event.as_ref()
        {
            // In Event Grid's own schema it is the topic.
            not_the_origin(&event.source)?;
        }
        Ok(inbound)
    };
    understood(read())
}

/// A message of the participant's queue on Azure, with whatever the host and others put around it.
#[must_use]
pub fn participant_queue(message: &[u8]) -> Inbound {
    match std::str::from_utf8(message) {
        Ok(message) => text(&custom_handler::event_in(message)),
        Err(_) => Inbound::NotUnderstood("the message is no UTF-8, as JSON has to be".to_owned()),
    }
}

/// One event without its carrier, in either schema.
#[must_use]
pub fn text(text: &str) -> Inbound {
    understood(Attributes::of(text).and_then(|attributes| either_schema(&attributes, text)))
}

fn understood(read: Result<Inbound, Malformed>) -> Inbound {
    read.unwrap_or_else(|Malformed(reason)| Inbound::NotUnderstood(reason))
}

fn either_schema(attributes: &Attributes<'_>, text: &str) -> Result<Inbound, Malformed> {
    if event_grid::is_deletion(attributes) {
        return Ok(Inbound::SubscriptionDeleted);
    }
    match notice(attributes) {
        Some(notice) => Ok(notice),
        None => event_grid::read(attributes, text).map(event),
    }
}

fn notice(attributes: &Attributes<'_>) -> Option<Inbound> {
    let alert = notice::alert(attributes).map(Inbound::Alert);
    alert
        .or_else(|| notice::parked(attributes).map(Inbound::Parked))
        .or_else(|| notice::service(attributes).map(Inbound::Service))
}

fn event(event: SagaEvent) -> Inbound {
    Inbound::Event(Box::new(event))
}

fn not_the_origin(source: &str) -> Result<(), Malformed> {
    let origin = cloud_event::ORIGIN_SOURCE;
    if source.trim().eq_ignore_ascii_case(origin) {
        return Err(Malformed(format!("nobody out there speaks as `{origin}`")));
    }
    Ok(())
}
