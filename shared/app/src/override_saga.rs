//! A caller's cancel, and an operator's override.

use std::sync::Arc;

use saga_core::lifecycle::{Transition, Trigger, transition};
use saga_core::mark::{Asked, Caller, Mark};
use saga_core::origin::{Misaddressed, Origin, Override, command_entry};
use saga_core::timeline::Entry;
use saga_core::{Definition, Outcome, Saga, SagaId};
use saga_wire::http::unknown_definition;

use crate::about;
use crate::definitions::find;
use crate::log::About;
use crate::ports::{Committed, PortError, SagaStore, Time, back_off};
use crate::{Deployment, MAX_CONFLICTS};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Cancel the saga, if it can still be cancelled: the first step that has not acted decides.
    Cancel,
    /// End the saga now, whatever the other cloud says; it follows.
    Resolve(Override),
}

/// What became of it.
#[derive(Debug)]
pub struct Commanded {
    /// Applied, repeated, or late.
    pub outcome: Outcome,
    /// The saga as it is now.
    pub saga: Saga,
    /// Its definition; `None` when the saga has ended and nobody here knows it any more.
    pub definition: Option<Arc<Definition>>,
}

/// Why a command was not carried out. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum NotCommanded {
    /// The deployment does not have the saga's definition.
    #[error("{0}")]
    UnknownDefinition(String),
    /// The saga's definition names a participant that this deployment does not have.
    #[error("{0}; nothing is lost: deploy a release that has it, and send the request again")]
    Misaddressed(#[from] Misaddressed),
    /// The store failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// What a command does to a saga of which no definition is known: it may have ended, which needs none.
fn without_definition(saga: &Saga, command: Command) -> Result<Outcome, NotCommanded> {
    let with = match command {
        Command::Cancel => Trigger::Cancel,
        Command::Resolve(Override::Completed) => Trigger::OverrideCompleted,
        Command::Resolve(Override::Cancelled) => Trigger::OverrideCancelled,
    };
    match transition(saga.lifecycle, with) {
        Transition::Late(None) => Ok(Outcome::Late),
        Transition::Repeated(None) => Ok(Outcome::Repeated),
        _ => Err(NotCommanded::UnknownDefinition(unknown_definition(
            &saga.definition,
        ))),
    }
}

/// Carries out a command; `None` when there is no such saga.
///
/// # Errors
/// [`NotCommanded`].
pub async fn command(
    deployment: &Deployment,
    store: &impl SagaStore,
    time: &impl Time,
    id: SagaId,
    command: Command,
    asked: Asked<'_>,
) -> Result<Option<Commanded>, NotCommanded> {
    for attempt in 1..=MAX_CONFLICTS {
        let Some(saga) = store.load(id).await? else {
            return Ok(None);
        };
        let found = find(deployment, store, time, &saga.value.definition).await?;
        let Some(definition) = found.as_deref() else {
            return Ok(Some(Commanded {
                outcome: without_definition(&saga.value, command)?,
                saga: saga.value,
                definition: None,
            }));
        };
        let now = time.now();
        let origin = Origin {
            saga: &saga.value,
            definition,
            participants: &deployment.participants,
            patience: deployment.patience,
            now,
        };
        let mark = Mark {
            at: now,
            by: asked.by.to_owned(),
            reason: asked.why.to_owned(),
        };
        let (name, read, decision) = match command {
            Command::Cancel => (
                "cancel",
                Default::default(),
                origin.cancel(mark.by.clone(), mark.reason.clone()),
            ),
            Command::Resolve(to) => {
                let keys = origin.reads_to_undo()?;
                let read = if keys.is_empty() {
                    Default::default()
                } else {
                    store.entities(&keys).await?
                };
                let decision = origin.resolve(to, mark.by.clone(), mark.reason.clone(), &read.entities);
                ("resolve", read, decision)
            }
        };
        let mut decision = decision?;
        let commanded = |saga: Saga, outcome: Outcome| {
            Ok(Some(Commanded {
                outcome,
                saga,
                definition: found.clone(),
            }))
        };
        if decision.outcome == Outcome::Late {
            return commanded(saga.value, Outcome::Late);
        }
        decision.saga.timeline.record(Entry {
            caller: asked.caller.cloned(),
            ..command_entry(name, &mark, decision.outcome)
        });
        let row = decision
            .emit
            .as_ref()
            .map(|event| deployment.row(event, definition, now));
        if store
            .commit(&decision, &saga.version, &read, row.as_ref())
            .await?
            == Committed::Conflict
        {
            back_off(time, attempt).await;
            continue;
        }
        let caller = asked.caller.map(Caller::as_str);
        about!(
            info,
            &About::saga(&decision.saga, decision.emit.as_ref()),
            command = name,
            caller,
            outcome = decision.outcome.as_str(),
            "command"
        );
        return commanded(decision.saga, decision.outcome);
    }
    Err(PortError::Contended {
        what: "the saga",
        attempts: MAX_CONFLICTS,
    }
    .into())
}
