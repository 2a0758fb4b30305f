//! Where replayed dead letters go on AWS: the bus, or the events queue.

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use saga_app::dead_letters::ports::{Answer, Outlet};
use saga_app::ports::{Envelope, PortError, Published, Publisher, Refusal};
use saga_wire::dead_letter::{DeadLetter, Destination, Source};

use crate::event_bridge::Bus;
use crate::failure::failure;

/// The bus and the events queue.
#[derive(Debug, Clone)]
pub struct AwsOutlet {
    /// As the outbox' relay puts events on it.
    orchestrator: Bus,
    /// As the webhook does.
    ingress: Bus,
    client: Client,
    events_queue: String,
}

impl AwsOutlet {
    /// The bus of this name and the queue at this URL.
    #[must_use]
    pub fn new(config: &SdkConfig, bus: &str, events_queue: String) -> Self {
        Self {
            orchestrator: Bus::new(config, bus.to_owned(), saga_wire::cloud_event::ORIGIN_SOURCE),
            ingress: Bus::new(config, bus.to_owned(), "saga.ingress"),
            client: Client::new(config),
            events_queue,
        }
    }

    async fn put(&self, dead_letter: &DeadLetter, message: &str) -> Result<Published, PortError> {
        let facts = &dead_letter.facts;
        let (Some(id), Some(saga), Some(kind)) = (facts.event.clone(), facts.saga, facts.kind.clone()) else {
            return Ok(Err(Refusal::Never("it has no id, no type or no saga".to_owned())));
        };
        let body = message.to_owned();
        let event = Envelope { id, saga, kind, body };
        let bus = if dead_letter.id.source == Source::Quarantine {
            &self.ingress
        } else {
            &self.orchestrator
        };
        let answers = bus.publish(&[&event]).await?;
        let none = || PortError::unavailable("putting an event on the bus", "there is no answer for it");
        answers.into_iter().next().ok_or_else(none)
    }
}

impl Outlet for AwsOutlet {
    fn send<'a>(&'a self, to: Destination, one: &'a DeadLetter, message: &'a str) -> Answer<'a, Published> {
        Box::pin(async move {
            match to {
                Destination::Bus => self.put(one, message).await,
                Destination::EventsQueue => {
                    let send = self.client.send_message().queue_url(&self.events_queue);
                    let sent = send.message_body(message).send().await;
                    sent.map(|_| Ok(()))
                        .map_err(|error| failure("sending a dead letter to the events queue", error))
                }
                Destination::Topic | Destination::ParticipantQueue => {
                    Ok(Err(Refusal::Never("it is on the other cloud".to_owned())))
                }
            }
        })
    }
}
