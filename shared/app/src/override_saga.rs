//! A caller's cancel, and an operator's override.

use saga_core::origin::{Origin, Override, command_entry};
use saga_core::saga::{Asked, Caller, Mark};
use saga_core::timeline::Entry;
use saga_core::{Definition, Outcome, Saga, SagaId};

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
pub struct Commanded<'a> {
    /// Applied, repeated, or late.
    pub outcome: Outcome,
    /// The saga as it is now.
    pub saga: Saga,
    /// Its definition.
    pub definition: &'a Definition,
}

/// Carries out a command; `None` when there is no such saga.
///
/// # Errors
/// [`PortError`] when the store fails.
pub async fn command<'a>(
    deployment: &'a Deployment,
    store: &impl SagaStore,
    time: &impl Time,
    id: SagaId,
    command: Command,
    asked: Asked<'_>,
) -> Result<Option<Commanded<'a>>, PortError> {
    let corrupt = |why: String| PortError::Corrupt {
        what: "the saga store",
        why,
    };
    for attempt in 1..=MAX_CONFLICTS {
        let Some(saga) = store.load(id).await? else {
            return Ok(None);
        };
        let definition = deployment.catalogue.get(&saga.value.definition);
        let definition =
            definition.ok_or_else(|| corrupt(format!("{} is not known here", saga.value.definition)))?;
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
                let keys = origin
                    .reads_to_undo()
                    .map_err(|error| corrupt(error.to_string()))?;
                let read = if keys.is_empty() {
                    Default::default()
                } else {
                    store.entities(&keys).await?
                };
                let decision = origin.resolve(to, mark.by.clone(), mark.reason.clone(), &read.entities);
                ("resolve", read, decision)
            }
        };
        let mut decision = decision.map_err(|error| corrupt(error.to_string()))?;
        let commanded = |saga: Saga, outcome: Outcome| {
            Ok(Some(Commanded {
                outcome,
                saga,
                definition,
            }))
        };
        if decision.outcome == Outcome::Late {
            return commanded(saga.value, Outcome::Late);
        }
        decision.saga.timeline.record(Entry {
            caller: asked.caller.cloned(),
            ..command_entry(name, &mark, decision.outcome)
        });
        let row = decision.emit.as_ref().map(|event| deployment.row(event, now));
        if store
            .commit(&decision, &saga.version, &read, row.as_ref())
            .await?
            == Committed::Conflict
        {
            back_off(time, attempt).await;
            continue;
        }
        let caller = asked.caller.map(Caller::as_str);
        tracing::info!(saga_id = %id, command = name, caller, outcome = decision.outcome.as_str(), "command");
        return commanded(decision.saga, decision.outcome);
    }
    Err(PortError::Contended {
        what: "the saga",
        attempts: MAX_CONFLICTS,
    })
}
