//! Where replayed dead letters go on Azure: the Event Grid topic, or the queue of the participant or of the requests to
//! outside services.

use saga_app::dead_letters::ports::{Answer, Outlet};
use saga_app::ports::{Published, Refusal};
use saga_wire::dead_letter::{DeadLetter, Destination};

use crate::client::Queue;
use crate::event_grid::EventGrid;

/// The topic and the queues.
#[derive(Debug)]
pub struct AzureOutlet {
    pub(super) events: EventGrid,
    pub(super) queue: Queue,
    pub(super) calls: Option<Queue>,
}

impl Outlet for AzureOutlet {
    fn send<'a>(&'a self, to: Destination, _: &'a DeadLetter, message: &'a str) -> Answer<'a, Published> {
        Box::pin(async move {
            match to {
                Destination::Topic => self.events.publish_one(message.to_owned()).await,
                Destination::ParticipantQueue => self.queue.put(message.as_bytes()).await,
                Destination::AzureServiceQueue => match &self.calls {
                    Some(calls) => calls.put(message.as_bytes()).await,
                    None => Ok(Err(Refusal::Never(
                        "its queue is not known here (CALLS_QUEUE)".to_owned(),
                    ))),
                },
                Destination::Bus | Destination::EventsQueue | Destination::ServiceQueue => {
                    Ok(Err(Refusal::Never("it is on the other cloud".to_owned())))
                }
            }
        })
    }
}
