//! The records of the origin's own call steps: they are part of the saga.

use saga_core::origin::{Answer, Command};
use saga_core::participate::{Step, StepRecord};
use saga_core::{Cloud, Definition, Event, Outcome, Saga, Timestamp};

use super::{CallSteps, Said};
use crate::Deployment;
use crate::about;
use crate::log::About;
use crate::ports::{Alert, Alerts, PortError, SagaStore, Time, causes};
use crate::transact::{Refused, Sagas, transact};

/// The call steps of the cloud that keeps the sagas.
pub struct OriginSteps<'a, S, A, T> {
    /// The definitions and participants.
    pub deployment: &'a Deployment,
    /// The sagas.
    pub store: &'a S,
    /// The monitoring channel.
    pub alerts: &'a A,
    /// Time and chance.
    pub time: &'a T,
}

impl<S: SagaStore, A: Alerts, T: Time> CallSteps for OriginSteps<'_, S, A, T> {
    type Definitions = S;

    fn cloud(&self) -> Cloud {
        Cloud::ORIGIN
    }

    fn definitions(&self) -> &S {
        self.store
    }

    async fn record(&self, step: &Step<'_>) -> Result<Option<(StepRecord, Timestamp)>, PortError> {
        let saga = self.store.load(step.saga).await?;
        Ok(saga.and_then(|saga| {
            let record = saga.value.steps.get(&step.index)?.clone();
            Some((record, saga.value.deadline))
        }))
    }

    async fn learn(&self, step: &Step<'_>, event: &Event, said: &Said) -> Result<Outcome, PortError> {
        let sagas = Sagas::new(self.deployment, self.store, self.time);
        let command = match said {
            Said::Answer(reply, data) => Command::Answer(Answer {
                step: step.index,
                reply: *reply,
                data: data.clone(),
                asked: None,
            }),
            Said::Undecided(attempt) => Command::Undecided {
                step: step.index,
                attempt: attempt.clone(),
            },
        };
        let always = |_: &Saga, _: Option<&Definition>, _| Ok::<_, Failed>(Some(command.clone()));
        let Some(done) = transact(&sagas, step.saga, always)
            .await
            .map_err(|Failed(error)| error)?
        else {
            return Ok(Outcome::Late);
        };
        let outcome = done.decided.outcome();
        let about = About::event(event);
        about!(info, &about, outcome = outcome.as_str(), "event");
        if let Some(text) = done.decided.decision().and_then(|decision| decision.alert) {
            let alert = Alert {
                subject: format!("saga-bridge: saga {} needs a look", step.saga),
                text,
            };
            if let Err(error) = self.alerts.raise(alert).await {
                let error = causes(&error);
                about!(error, &about, error, outcome = "not told", "alert not sent");
            }
        }
        Ok(outcome)
    }
}

struct Failed(PortError);

impl From<PortError> for Failed {
    fn from(error: PortError) -> Self {
        Self(error)
    }
}

impl From<Refused> for Failed {
    fn from(refused: Refused) -> Self {
        Self(refused.into())
    }
}
