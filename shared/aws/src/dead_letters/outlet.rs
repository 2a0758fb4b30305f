//! Where replayed dead letters go on AWS: the bus, the events queue, or the queue of an outside service.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use saga_app::dead_letters::ports::{Answer, Outlet};
use saga_app::ports::{Envelope, PortError, Published, Publisher, Refusal};
use saga_wire::dead_letter::{DeadLetter, Destination, Source};

use crate::event_bridge::Bus;
use crate::failure::failure;

/// The bus, the events queue, and the queues of the services.
#[derive(Debug, Clone)]
pub struct AwsOutlet {
    /// As the outbox' relay puts events on it.
    orchestrator: Bus,
    /// As the webhook does.
    ingress: Bus,
    client: Client,
    events_queue: String,
    /// By the names of the services.
    service_queues: BTreeMap<String, String>,
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
            service_queues: BTreeMap::new(),
        }
    }

    /// The same, with the URL of each service's queue by the service's name.
    #[must_use]
    pub fn with_service_queues(self, service_queues: BTreeMap<String, String>) -> Self {
        Self {
            service_queues,
            ..self
        }
    }

    async fn queue(&self, what: &'static str, url: &str, message: &str) -> Result<Published, PortError> {
        let send = self.client.send_message().queue_url(url).message_body(message);
        let sent = send.send().await;
        sent.map(|_| Ok(())).map_err(|error| failure(what, error))
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
                    let what = "sending a dead letter to the events queue";
                    self.queue(what, &self.events_queue, message).await
                }
                Destination::ServiceQueue => {
                    let service = one.service().unwrap_or_default();
                    let Some(url) = self.service_queues.get(service) else {
                        let why = format!("no queue of service `{service}` is known here (SERVICE_DLQS)");
                        return Ok(Err(Refusal::Never(why)));
                    };
                    let what = "sending a dead letter to the queue of its service";
                    self.queue(what, url, message).await
                }
                Destination::Topic | Destination::ParticipantQueue | Destination::AzureServiceQueue => {
                    Ok(Err(Refusal::Never("it is on the other cloud".to_owned())))
                }
            }
        })
    }
}
