//! The records of the origin's own call steps: they are part of the saga.

use saga_core::call::Undecided;
use saga_core::origin::{Answer, Command, Decided};
use saga_core::participate::{Step, StepRecord};
use saga_core::{Cloud, Definition, Event, Outcome, Saga, SagaId, Timestamp};

use super::{CallSteps, Said};
use crate::Deployment;
use crate::about;
use crate::alerts::{needs_a_look, send};
use crate::log::About;
use crate::ports::{Alerts, PortError, SagaStore, ServiceStates, Time};
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

impl<S: SagaStore + ServiceStates, A: Alerts, T: Time> CallSteps for OriginSteps<'_, S, A, T> {
    type Store = S;

    fn cloud(&self) -> Cloud {
        Cloud::ORIGIN
    }

    fn store(&self) -> &S {
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
        let Some(decided) = self.carry_out(step.saga, command).await? else {
            return Ok(Outcome::Late);
        };
        let outcome = decided.outcome();
        let about = About::event(event);
        about!(info, &about, outcome = outcome.as_str(), "event");
        let Some(decision) = decided.decision() else {
            return Ok(outcome);
        };
        if let Some(text) = decision.alert
            && send(self.alerts, needs_a_look(step.saga, text), &about).await
            && let Some((step_index, attempt)) = decision.held
        {
            // Held once the alert was sent: a crash in between sends it twice, and never not at all.
            let attempt = Undecided {
                alerted: true,
                ..attempt
            };
            let command = Command::Undecided {
                step: step_index,
                attempt,
            };
            self.carry_out(step.saga, command).await?;
        }
        Ok(outcome)
    }

    async fn quarantined(&self, _: &str, _: &About) {
        // The watch of the dead letters raises one alert for all of a minute.
    }
}

impl<S: SagaStore, A: Alerts, T: Time> OriginSteps<'_, S, A, T> {
    async fn carry_out(&self, id: SagaId, command: Command<'_>) -> Result<Option<Decided>, PortError> {
        let sagas = Sagas::new(self.deployment, self.store, self.time);
        let always = |_: &Saga, _: Option<&Definition>, _| Ok::<_, Failed>(Some(command.clone()));
        let done = transact(&sagas, id, always)
            .await
            .map_err(|Failed(error)| error)?;
        Ok(done.map(|done| done.decided))
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
