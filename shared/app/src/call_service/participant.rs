//! The records of call steps on a cloud that does not keep the sagas.

use saga_core::call::Undecided;
use saga_core::document::Fields;
use saga_core::participate::{Message, Step, StepRecord};
use saga_core::step::StepVerb;
use saga_core::{Cloud, Event, Outcome, Timestamp};

use super::{CallSteps, Said};
use crate::Deployment;
use crate::log::About;
use crate::participate::alert_quarantined;
use crate::ports::{ParticipantCloud, PortError, StepStore, Time};
use crate::step_transact::{Steps, partition_of};

/// The call steps of a cloud that owns steps.
pub struct ParticipantSteps<'a, C> {
    /// The definitions and participants.
    pub deployment: &'a Deployment,
    /// The cloud's ports.
    pub ports: &'a C,
    /// Which cloud it is.
    pub cloud: Cloud,
}

impl<C: ParticipantCloud> CallSteps for ParticipantSteps<'_, C> {
    type Store = C::Store;

    fn cloud(&self) -> Cloud {
        self.cloud
    }

    fn store(&self) -> &C::Store {
        self.ports.store()
    }

    /// The saga's own deadline is the origin's to know: this is the last time at which it can be.
    async fn record(&self, step: &Step<'_>) -> Result<Option<(StepRecord, Timestamp)>, PortError> {
        let partition = partition_of(step, self.deployment.shards);
        let found = self.ports.store().load(&partition, step.saga, step.index).await?;
        Ok(found.map(|found| {
            let latest = found.value.began().plus_millis(step.definition.deadline_millis());
            (found.value, latest)
        }))
    }

    async fn learn(&self, step: &Step<'_>, event: &Event, said: &Said) -> Result<Outcome, PortError> {
        let ports = self.ports;
        let steps = Steps {
            deployment: self.deployment,
            store: ports.store(),
            publisher: ports.publisher(),
            alerts: ports.alerts(),
            parking: ports.alerts(),
            time: ports.time(),
        };
        let none = Fields::new();
        let (verb, data) = match said {
            Said::Answer(reply, data) => (StepVerb::Answer(*reply), data),
            Said::Undecided(_) => (StepVerb::Advance, &none),
        };
        let message = Message::own(verb, ports.time().now(), &event.trace, data);
        let about = About::event(event);
        let commit = async |said: &Said| {
            let decided = steps.decide(step, &about, None, |record, entities, now| match said {
                Said::Answer(..) => Some(step.decide(record, &message, entities, now)),
                Said::Undecided(attempt) => step.undecided(record?, &message, attempt, now),
            });
            decided.await
        };
        let Some(decision) = commit(said).await? else {
            return Ok(Outcome::Late);
        };
        if let (Some(_), Said::Undecided(attempt)) = (&decision.alert, said) {
            // Held once the alert was sent: a crash in between sends it twice, and never not at all.
            let attempt = Undecided {
                alerted: true,
                ..attempt.clone()
            };
            commit(&Said::Undecided(attempt)).await?;
        }
        Ok(decision.outcome)
    }

    async fn quarantined(&self, reason: &str, about: &About) {
        alert_quarantined(self.ports.alerts(), "service-call", reason, about).await;
    }
}
