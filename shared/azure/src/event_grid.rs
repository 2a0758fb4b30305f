//! Publishes events to the Event Grid topic, as CloudEvents.
//!
//! Event Grid takes a batch whole or not at all. Invariant: an event that it will never take does not hold back its
//! neighbours: a batch that is refused for what is in it is sent again one by one.

use std::sync::Arc;

use saga_app::ports::{Envelope, Limits, PortError, Published, Publisher, Refusal, causes};

use crate::client::{Assertion, Connection, Identity, Topic};
use crate::config::{InvalidConfig, Secret};

/// The topic. Clones share it.
#[derive(Debug, Clone)]
pub struct EventGrid {
    topic: Arc<Topic>,
}

impl EventGrid {
    /// A topic that is reached from the other cloud, as the identity that trusts its tokens.
    ///
    /// # Errors
    /// [`InvalidConfig`] names the setting that is wrong.
    pub fn federated(topic_endpoint: &str, assertion: &Assertion) -> Result<Self, InvalidConfig> {
        let connection = Connection::new(&Identity::Federated(assertion))?;
        Self::new(&connection, topic_endpoint, None)
    }

    pub(crate) fn new(
        connection: &Connection,
        topic_endpoint: &str,
        key: Option<&Secret>,
    ) -> Result<Self, InvalidConfig> {
        Ok(Self {
            topic: Arc::new(Topic::new(connection, topic_endpoint, key)?),
        })
    }

    /// Publishes one event. `Ok(Err(_))`: it will never be taken.
    ///
    /// # Errors
    /// [`PortError`]: nothing is known about the event; it may be taken another time.
    pub async fn publish_one(&self, event: String) -> Result<Published, PortError> {
        self.topic.publish(event).await
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
                if self.topic.publish_batch(&bodies).await?.is_ok() {
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
    use crate::support::{Reply, TestServer, azure};

    fn event(body: &str) -> Envelope {
        Envelope {
            body: body.into(),
            ..crate::support::row(0, "1").event
        }
    }

    fn topic(server: &TestServer) -> EventGrid {
        azure(server, ()).events
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
