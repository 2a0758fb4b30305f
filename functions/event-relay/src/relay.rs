//! What becomes of one message: its event is published as it is, or the message fails and its queue decides.
//!
//! Nothing is acknowledged that the topic did not take. The queue tries for a day and then lays the message in its
//! dead-letter queue; so does an event that Event Grid will never take, since what refuses it may be a setting of the
//! topic that somebody mends. The log has the reason at every try.

use saga_app::about;
use saga_app::log::About;
use saga_app::ports::{PortError, Refusal};
use saga_azure::EventGrid;
use saga_wire::saga_event::SagaEvent;
use saga_wire::{Malformed, cloud_event, event_bridge};

/// Why a message stays on its queue.
#[derive(Debug, thiserror::Error)]
pub enum NotRelayed {
    /// It holds no event.
    #[error("the message holds no event")]
    Unreadable(#[source] Malformed),
    /// It holds an event that will not be taken as it is.
    #[error("{event} is refused: {reason}")]
    Refused { event: String, reason: String },
    /// Nothing is known about the event.
    #[error("{event} is not published")]
    Port {
        event: String,
        #[source]
        source: PortError,
    },
}

/// Publishes the event in this message.
pub async fn relay(topic: &EventGrid, body: &str) -> Result<(), NotRelayed> {
    let event = event_bridge::event_in(body).map_err(NotRelayed::Unreadable)?;
    // Read for the log alone: what an event has to be is for the topic to say.
    let read = cloud_event::parse(event).ok();
    let (saga_id, event_id) = (
        read.as_ref().map(SagaEvent::saga),
        read.as_ref().map(SagaEvent::id),
    );
    let name = || match (event_id, saga_id) {
        (Some(event), Some(saga)) => format!("event {event} of saga {saga}"),
        _ => "an event that is none of ours".to_owned(),
    };
    match topic.publish_one(event.to_owned()).await {
        Ok(Ok(())) => {
            about!(info, &About::message(event), outcome = "relayed", "event");
            Ok(())
        }
        Ok(Err(Refusal::Never(reason) | Refusal::Later(reason))) => Err(NotRelayed::Refused {
            event: name(),
            reason,
        }),
        Ok(Err(Refusal::Throttled)) => Err(NotRelayed::Port {
            event: name(),
            source: Refusal::Throttled.into_error("the topic"),
        }),
        Err(source) => Err(NotRelayed::Port {
            event: name(),
            source,
        }),
    }
}
