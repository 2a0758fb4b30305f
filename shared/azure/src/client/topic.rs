//! The client of an Event Grid topic
//! (<https://learn.microsoft.com/azure/event-grid/cloud-event-schema>).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::credentials::Secret;
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{Context, Method, Request};
use saga_app::ports::{PortError, Published, Refusal};
use saga_wire::cloud_event;

use super::connection::Connection;
use super::service::{Call, Service};
use crate::config::{InvalidConfig, endpoint};

pub(crate) const WHAT: &str = "Event Grid";
const SCOPE: &str = "https://eventgrid.azure.net/.default";
/// All of it ends well within the time in which a row is its writer's: the outbox tries again anyway.
const ATTEMPT: Duration = Duration::from_secs(4);
const ATTEMPTS: u32 = 2;
const BATCH_TYPE: &str = "application/cloudevents-batch+json; charset=utf-8";

#[derive(Debug)]
pub(crate) struct Topic {
    service: Service,
}

impl Topic {
    /// Without an access key the connection's identity is used.
    pub(crate) fn new(
        connection: &Connection,
        topic_endpoint: &str,
        key: Option<&Secret>,
    ) -> Result<Self, InvalidConfig> {
        let authorization: Arc<dyn Policy> = match key {
            Some(key) => Arc::new(TopicKey(key.clone())),
            None => connection.bearer(SCOPE)?,
        };
        let base = endpoint("topic", topic_endpoint)?;
        let mut limits = connection.limits;
        limits.attempt = limits.attempt.min(ATTEMPT);
        limits.attempts = limits.attempts.min(ATTEMPTS);
        Ok(Self {
            service: connection.service(WHAT, limits, base, authorization),
        })
    }

    /// Publishes one event. `Ok(Err(_))`: it will never be taken.
    pub(crate) async fn publish(&self, event: String) -> Result<Published, PortError> {
        let content_type = format!("{}; charset=utf-8", cloud_event::CONTENT_TYPE);
        self.post(&content_type, event).await
    }

    /// Publishes events as one batch, all or none. `Ok(Err(_))`: this batch will never be taken.
    pub(crate) async fn publish_batch(&self, events: &[&str]) -> Result<Published, PortError> {
        self.post(BATCH_TYPE, format!("[{}]", events.join(","))).await
    }

    async fn post(&self, content_type: &str, body: String) -> Result<Published, PortError> {
        // An event that comes twice is known by its id.
        let call = Call::new(Method::Post, "?api-version=2018-01-01".to_owned()).body(content_type, body);
        let answer = self.service.send(&call).await?;
        match answer.status {
            200..300 => Ok(Ok(())),
            // No right (yet), no topic (yet): nothing about these events.
            401 | 403 | 404 | 410 => Err(self.service.refused(&answer)),
            400..500 => Ok(Err(Refusal::Never(format!(
                "Event Grid refuses it for good: {} {}",
                answer.status,
                answer.code()
            )))),
            _ => Err(self.service.refused(&answer)),
        }
    }
}

/// Authorises by the topic's access key, which it does not show.
#[derive(Debug)]
struct TopicKey(Secret);

#[async_trait]
impl Policy for TopicKey {
    async fn send(&self, context: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        request.insert_header("aeg-sas-key", self.0.secret().to_owned());
        next[0].send(context, request, &next[1..]).await
    }
}
