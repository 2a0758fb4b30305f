//! What becomes of one message: its event is published as it is, or the message fails and its queue decides.
//!
//! Nothing is acknowledged that the topic did not take. The queue tries for a day and then lays the message in its
//! dead-letter queue; so does an event that Event Grid will never take, since what refuses it may be a setting of the
//! topic that somebody mends. The log has the reason at every try.

use saga_app::about;
use saga_app::log::About;
use saga_app::ports::{PortError, Refusal};
use saga_azure::EventGrid;
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
    let event_of_saga = read.map(|read| format!("event {} of saga {}", read.id(), read.saga()));
    let name = || event_of_saga.unwrap_or_else(|| "an event that is none of ours".to_owned());
    let source = match topic.publish_one(event.to_owned()).await {
        Ok(Ok(())) => {
            about!(info, &About::message(event), outcome = "relayed", "event");
            return Ok(());
        }
        Ok(Err(Refusal::Never(reason) | Refusal::Later(reason))) => {
            let event = name();
            return Err(NotRelayed::Refused { event, reason });
        }
        Ok(Err(throttled)) => throttled.into_error("the topic"),
        Err(source) => source,
    };
    let event = name();
    Err(NotRelayed::Port { event, source })
}
