//! Publishes events to the Event Grid topic, as CloudEvents
//! (<https://learn.microsoft.com/azure/event-grid/cloud-event-schema>).
//!
//! Event Grid takes a batch whole or not at all. Invariant: an event that it will never take does not hold back its
//! neighbours: a batch that is refused for what is in it is sent again one by one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{Context, Method, Request};
use saga_app::ports::{Envelope, Limits, PortError, Published, Publisher, Refusal, causes};
use saga_wire::cloud_event;

use crate::config::{Config, InvalidConfig, Secret, endpoint};
use crate::federation::Assertion;
use crate::service::{Answer, Call, Http, Repeat, Service};

const WHAT: &str = "Event Grid";
const SCOPE: &str = "https://eventgrid.azure.net/.default";
/// All of it ends well within the time in which a row is its writer's: the outbox tries again anyway.
const ATTEMPT: Duration = Duration::from_secs(4);
const ATTEMPTS: u32 = 2;
const BATCH_TYPE: &str = "application/cloudevents-batch+json; charset=utf-8";

/// The topic. Clones share it.
#[derive(Debug, Clone)]
pub struct EventGrid {
    service: Arc<Service>,
}

/// Authorises by the topic's access key.
struct TopicKey(Secret);

impl fmt::Debug for TopicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TopicKey")
    }
}

#[async_trait]
impl Policy for TopicKey {
    async fn send(&self, context: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        request.insert_header("aeg-sas-key", self.0.secret().to_owned());
        next[0].send(context, request, &next[1..]).await
    }
}

impl EventGrid {
    /// A topic on a connection of its own.
    ///
    /// # Errors
    /// [`InvalidConfig`] names the setting that is wrong.
    pub fn new(config: &Config) -> Result<Self, InvalidConfig> {
        Self::on(&Http::new(config)?, config)
    }

    /// A topic that is reached from the other cloud, as the identity that trusts its tokens.
    ///
    /// # Errors
    /// [`InvalidConfig`] names the setting that is wrong.
    pub fn federated(topic_endpoint: &str, assertion: &Assertion) -> Result<Self, InvalidConfig> {
        let http = assertion.http()?;
        Self::with(&http, topic_endpoint, http.bearer(SCOPE)?)
    }

    pub(crate) fn on(http: &Http, config: &Config) -> Result<Self, InvalidConfig> {
        let authorization: Arc<dyn Policy> = match &config.topic_key {
            Some(key) => Arc::new(TopicKey(key.clone())),
            None => http.bearer(SCOPE)?,
        };
        Self::with(http, &config.topic_endpoint, authorization)
    }

    fn with(
        http: &Http,
        topic_endpoint: &str,
        authorization: Arc<dyn Policy>,
    ) -> Result<Self, InvalidConfig> {
        let base = endpoint("topic", topic_endpoint)?;
        let mut service = Service::new(http, base, authorization);
        service.limits.attempt = service.limits.attempt.min(ATTEMPT);
        service.limits.attempts = service.limits.attempts.min(ATTEMPTS);
        Ok(Self {
            service: Arc::new(service),
        })
    }

    async fn post(&self, content_type: &str, body: String) -> Result<Answer, PortError> {
        let call = Call {
            what: WHAT,
            method: Method::Post,
            path: "?api-version=2018-01-01".to_owned(),
            headers: vec![("content-type", content_type.to_owned())],
            body,
            // An event that comes twice is known by its id.
            repeat: Repeat::Freely,
        };
        self.service.send(&call).await
    }

    /// Publishes one event. `Ok(Err(_))`: it will never be taken.
    ///
    /// # Errors
    /// [`PortError`]: nothing is known about the event; it may be taken another time.
    pub async fn publish_one(&self, event: String) -> Result<Published, PortError> {
        let content_type = format!("{}; charset=utf-8", cloud_event::CONTENT_TYPE);
        verdict(&self.post(&content_type, event).await?)
    }
}

/// What an answer means for the events of its request.
fn verdict(answer: &Answer) -> Result<Published, PortError> {
    match answer.status {
        200..300 => Ok(Ok(())),
        // No right (yet), no topic (yet): nothing about these events.
        401 | 403 | 404 | 410 => Err(answer.refused(WHAT)),
        400..500 => Ok(Err(Refusal::Never(format!(
            "Event Grid refuses it for good: {} {}",
            answer.status,
            answer.code()
        )))),
        _ => Err(answer.refused(WHAT)),
    }
}

fn refusal(error: &PortError) -> Refusal {
    match error {
        PortError::Throttled { .. } => Refusal::Throttled,
        _ => Refusal::Later(causes(error)),
    }
}

impl Publisher for EventGrid {
    /// A request may hold 1 MB.
    const LIMITS: Limits = Limits {
        events: 10,
        bytes: 900 * 1024,
    };

    async fn publish(&self, events: &[&Envelope]) -> Result<Vec<Published>, PortError> {
        match events {
            [] => Ok(Vec::new()),
            [only] => Ok(vec![self.publish_one(only.body.clone()).await?]),
            _ => {
                let bodies: Vec<&str> = events.iter().map(|event| event.body.as_str()).collect();
                let answer = self.post(BATCH_TYPE, format!("[{}]", bodies.join(","))).await?;
                if verdict(&answer)?.is_ok() {
                    return Ok(vec![Ok(()); events.len()]);
                }
                let mut each = Vec::with_capacity(events.len());
                for event in events {
                    // What an outage cuts off stays for the next time; what was taken before it is known.
                    let one = self.publish_one(event.body.clone()).await;
                    each.push(one.unwrap_or_else(|error| Err(refusal(&error))));
                }
                Ok(each)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_server::{Reply, TestServer, config, quick};

    fn event(body: &str) -> Envelope {
        Envelope {
            body: body.into(),
            ..crate::test_table::row(0, "1").event
        }
    }

    fn topic(server: &TestServer) -> EventGrid {
        let mut config = config(server);
        config.topic_key = Some(Secret::new("the-key"));
        EventGrid::on(&quick(&config), &config).unwrap()
    }

    #[tokio::test]
    async fn one_event_goes_alone_and_several_in_a_batch() {
        let server = TestServer::start(vec![Reply::status(200), Reply::status(200)]).await;
        let topic = topic(&server);
        assert_eq!(topic.publish(&[&event("{\"a\":1}")]).await.unwrap(), [Ok(())]);
        assert_eq!(
            topic.publish(&[&event("{}"), &event("[]")]).await.unwrap(),
            [Ok(()), Ok(())]
        );
        let [one, batch] = &server.requests()[..] else {
            panic!()
        };
        assert!(
            one.starts_with("POST /acc?api-version=2018-01-01 HTTP/1.1"),
            "{one}"
        );
        assert!(
            one.contains("content-type: application/cloudevents+json; charset=utf-8"),
            "{one}"
        );
        assert!(
            one.contains("aeg-sas-key: the-key") && one.ends_with("{\"a\":1}"),
            "{one}"
        );
        assert!(
            batch.contains("application/cloudevents-batch+json") && batch.ends_with("[{},[]]"),
            "{batch}"
        );
    }

    #[tokio::test]
    async fn an_event_that_is_never_taken_does_not_hold_back_the_others() {
        let bad = || Reply::body(400, "{\"error\":{\"code\":\"BadRequest\"}}");
        let server = TestServer::start(vec![bad(), Reply::status(200), bad()]).await;
        let answers = topic(&server)
            .publish(&[&event("{}"), &event("x")])
            .await
            .unwrap();
        assert_eq!(answers[0], Ok(()));
        assert!(
            matches!(&answers[1], Err(Refusal::Never(reason)) if reason.contains("400 BadRequest")),
            "{answers:?}"
        );
    }

    #[tokio::test]
    async fn what_is_not_about_the_events_is_an_error_of_the_port() {
        for status in [401, 403, 404, 500] {
            let server = TestServer::start(vec![Reply::status(status); 3]).await;
            let error = topic(&server).publish(&[&event("{}")]).await.unwrap_err();
            assert!(
                matches!(error, PortError::Unavailable { .. }),
                "{status}: {error:?}"
            );
        }
        let server = TestServer::start(vec![Reply::status(429); 3]).await;
        let error = topic(&server).publish(&[&event("{}")]).await.unwrap_err();
        assert!(matches!(error, PortError::Throttled { .. }), "{error:?}");
    }
}
