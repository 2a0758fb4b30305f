//! Where replayed letters go on Azure: the Event Grid topic, or the queue of the participant.

use azure_core::http::Method;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use saga_app::dead_letters::ports::{Answer, Outlet};
use saga_app::ports::{PortError, Published, Refusal};
use saga_wire::dead_letter::{DeadLetter, Destination};

use super::access::Access;
use super::queue::VERSION;
use crate::config::{InvalidConfig, queue_name};
use crate::event_grid::EventGrid;
use crate::service::{Call, Http, Repeat, Service};
use crate::shared_key::Dialect;

const WHAT: &str = "the participant's queue";

/// The topic and the participant's queue.
#[derive(Debug)]
pub struct AzureOutlet {
    topic: EventGrid,
    queues: Service,
    queue: String,
}

impl AzureOutlet {
    pub(super) fn on(http: &Http, access: &Access) -> Result<Self, InvalidConfig> {
        Ok(Self {
            topic: EventGrid::on(http, &access.config())?,
            queues: access.storage(http, "queue", &access.queue_endpoint, Dialect::Queue)?,
            queue: queue_name(&access.queue)?.to_owned(),
        })
    }

    async fn put(&self, message: &str) -> Result<Published, PortError> {
        let text = STANDARD.encode(message);
        let call = Call {
            what: WHAT,
            method: Method::Post,
            // A message lives seven days unless it is told to stay.
            path: format!("/{}/messages?messagettl=-1", self.queue),
            headers: vec![
                ("x-ms-version", VERSION.to_owned()),
                ("content-type", "application/xml".to_owned()),
            ],
            body: format!("<QueueMessage><MessageText>{text}</MessageText></QueueMessage>"),
            // An event that comes twice is known by its id.
            repeat: Repeat::Freely,
        };
        let answer = self.queues.send(&call).await?;
        match answer.status {
            200..300 => Ok(Ok(())),
            400 | 413 => Ok(Err(Refusal::Never(format!(
                "{} {}",
                answer.status,
                answer.code()
            )))),
            _ => Err(answer.refused(WHAT)),
        }
    }
}

impl Outlet for AzureOutlet {
    fn send<'a>(&'a self, to: Destination, _: &'a DeadLetter, message: &'a str) -> Answer<'a, Published> {
        Box::pin(async move {
            match to {
                Destination::Topic => self.topic.publish_one(message.to_owned()).await,
                Destination::ParticipantQueue => self.put(message).await,
                Destination::Bus | Destination::EventsQueue => {
                    Ok(Err(Refusal::Never("it is on the other cloud".to_owned())))
                }
            }
        })
    }
}
