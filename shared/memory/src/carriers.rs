//! What leaves a cloud: published events, quarantined messages, alerts. The test takes them from here and brings
//! them on.

use saga_app::ports::{
    Alert, Alerts, Envelope, Limits, Parked, Parking, PortError, Published, Publisher, Quarantine,
    Quarantined, Refusal,
};

use crate::cloud::Cloud;
use crate::state::Kept;

impl<S> Cloud<S> {
    /// Takes the events that were published since the last time, in order.
    pub fn take_published(&self) -> Vec<Envelope> {
        std::mem::take(&mut self.lock().carriers.published)
    }

    /// The messages in the quarantine, in order.
    pub fn quarantined(&self) -> Vec<Kept> {
        self.lock().carriers.quarantined.clone()
    }

    /// What was said to have come to rest since the last time, in order.
    pub fn take_parked(&self) -> Vec<Parked> {
        std::mem::take(&mut self.lock().carriers.parked)
    }

    /// The alerts that were raised, in order.
    pub fn alerts(&self) -> Vec<Alert> {
        self.lock().carriers.alerts.clone()
    }
}

impl<S: Send> Publisher for Cloud<S> {
    /// As EventBridge's PutEvents
    /// (<https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>).
    const LIMITS: Limits = Limits {
        events: 10,
        bytes: 240 * 1024,
    };

    async fn publish(&self, events: &[&Envelope]) -> Result<Vec<Published>, PortError> {
        let refused = vec![Err(Refusal::Later("injected".to_owned())); events.len()];
        self.call("Publisher::publish", Some(refused), |state| {
            let bytes: usize = events.iter().map(|event| event.body.len()).sum();
            if events.len() > Self::LIMITS.events || events.len() > 1 && bytes > Self::LIMITS.bytes {
                return Err(PortError::unavailable("the bus", "more than one call takes"));
            }
            state.carriers.published.extend(events.iter().copied().cloned());
            Ok(vec![Ok(()); events.len()])
        })
        .await
    }
}

impl<S: Send> Quarantine for Cloud<S> {
    async fn keep(&self, message: Quarantined<'_>) -> Result<(), PortError> {
        self.call("Quarantine::keep", None, |state| {
            state.carriers.quarantined.push(Kept {
                entrance: message.entrance,
                reason: message.reason.to_owned(),
                headers: message.headers.clone(),
                body: message.body.to_owned(),
                at: message.at,
            });
            Ok(())
        })
        .await
    }
}

impl<S: Send> Parking for Cloud<S> {
    async fn park(&self, parked: &Parked) -> Result<(), PortError> {
        self.call("Parking::park", None, |state| {
            state.carriers.parked.push(parked.clone());
            Ok(())
        })
        .await
    }
}

impl<S: Send> Alerts for Cloud<S> {
    async fn raise(&self, alert: Alert) -> Result<(), PortError> {
        self.call("Alerts::raise", None, |state| {
            state.carriers.alerts.push(alert);
            Ok(())
        })
        .await
    }
}
