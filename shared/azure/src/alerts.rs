//! Tells the one monitoring channel, which is on the cloud that keeps the sagas: an alert goes there as an event of
//! its own kind, the way all events go.

use saga_app::ports::{Alert, Alerts, Parked, Parking, PortError, Time};
use saga_wire::{notice, quarantine::sha256};

use crate::event_grid::EventGrid;

/// Alerts by way of the topic.
#[derive(Debug)]
pub struct EventGridAlerts<T> {
    events: EventGrid,
    time: T,
}

impl<T> EventGridAlerts<T> {
    pub(crate) fn new(events: EventGrid, time: T) -> Self {
        Self { events, time }
    }

    async fn publish(&self, notice: String) -> Result<(), PortError> {
        let published = self.events.publish_one(notice).await?;
        published.map_err(|refusal| refusal.into_error("Event Grid"))
    }
}

impl<T: Time> Alerts for EventGridAlerts<T> {
    async fn raise(&self, alert: Alert) -> Result<(), PortError> {
        let now = self.time.now();
        // The same alert in the same millisecond is the same alert.
        let mark = sha256(format!("{}\n{}", alert.subject, alert.text).as_bytes());
        let id = format!("{:013}-alert-{}", now.millis(), &mark[..16]);
        self.publish(notice::write_alert(&id, &alert, now)).await
    }
}

impl<T: Time> Parking for EventGridAlerts<T> {
    async fn park(&self, parked: &Parked) -> Result<(), PortError> {
        self.publish(notice::write_parked(parked)).await
    }
}

#[cfg(test)]
mod tests {
    use saga_core::Timestamp;
    use saga_wire::inbound::{self, Inbound};

    use super::*;
    use crate::support::{Reply, TestServer, azure};

    #[derive(Debug, Clone)]
    struct Noon;

    impl Time for Noon {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(1_795_262_400_000)
        }
        async fn sleep(&self, _: u64) {}
        fn below(&self, _: u64) -> u64 {
            0
        }
    }

    #[tokio::test]
    async fn an_alert_goes_out_as_an_event_that_the_other_side_reads() {
        let server = TestServer::start(vec![Reply::status(200)]).await;
        let alert = Alert {
            subject: "s".into(),
            text: "t".into(),
        };
        azure(&server, Noon).alerts.raise(alert.clone()).await.unwrap();
        let request = server.requests().remove(0);
        let (_, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(body.contains("\"id\":\"1795262400000-alert-"), "{body}");
        assert_eq!(inbound::text(body), Inbound::Alert(alert));
    }
}
