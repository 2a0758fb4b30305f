//! A caller's cancel, an operator's override, and a retransmission that is not to wait for the sweeper.

use std::sync::Arc;

use saga_core::mark::{Asked, Caller};
use saga_core::origin::{self, Decided, Misaddressed, Override, PastPivot};
use saga_core::{Definition, Outcome, Saga, SagaId, Status};
use saga_wire::http::unknown_definition;

use crate::Deployment;
use crate::about;
use crate::log::About;
use crate::ports::{PortError, SagaStore, Time};
use crate::transact::{Refused, Sagas, transact};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Cancel the saga, if it can still be cancelled: the first step that has not acted decides.
    Cancel,
    /// Send again at once what carries the saga on.
    Retransmit,
    /// End the saga now, whatever the other cloud says; it follows.
    Resolve {
        /// The end.
        to: Override,
        /// Also where a step that cannot be undone may be done.
        force: bool,
    },
}

/// What became of it.
#[derive(Debug)]
pub struct Commanded {
    /// Applied, repeated, or late.
    pub outcome: Outcome,
    /// The status before.
    pub was: Status,
    /// The saga as it is now; in a dry run, as it would be.
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
    Misaddressed(Misaddressed),
    /// It would undo a step that cannot be undone.
    #[error(transparent)]
    Pivot(PastPivot),
    /// The store failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl From<Refused> for NotCommanded {
    fn from(refused: Refused) -> Self {
        match refused.why {
            Misaddressed::NoDefinition(reference) => Self::UnknownDefinition(unknown_definition(&reference)),
            Misaddressed::Pivot(why) => Self::Pivot(why),
            why => Self::Misaddressed(why),
        }
    }
}

impl Commanded {
    /// Why the command came too late.
    #[must_use]
    pub fn too_late(&self) -> Option<TooLate> {
        let status = self.saga.status_with(self.definition.as_deref());
        let ended = status.is_terminal();
        (self.outcome == Outcome::Late).then_some(if ended {
            TooLate::Ended(status)
        } else {
            TooLate::PastPivot(status)
        })
    }
}

/// Why a command changes nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooLate {
    /// The saga has ended.
    #[error("the saga has ended: {0}; nothing was changed")]
    Ended(Status),
    /// It can only go forward.
    #[error(
        "the saga is {0}, and a step of it that cannot be undone is done: it can only go forward; nothing was changed"
    )]
    PastPivot(Status),
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
    command_one(&Sagas::new(deployment, store, time), id, command, asked).await
}

/// The same for one of these sagas.
///
/// # Errors
/// [`NotCommanded`].
pub async fn command_one(
    sagas: &Sagas<'_, impl SagaStore, impl Time>,
    id: SagaId,
    command: Command,
    asked: Asked<'_>,
) -> Result<Option<Commanded>, NotCommanded> {
    let (name, command) = match command {
        Command::Cancel => ("cancel", origin::Command::Cancel(asked)),
        Command::Retransmit => ("retransmit", origin::Command::Retransmit(asked)),
        Command::Resolve { to, force } => ("resolve", origin::Command::Resolve { to, force, asked }),
    };
    let done = transact(sagas, id, |_, _, _| Ok::<_, NotCommanded>(Some(command.clone()))).await?;
    Ok(done.map(|done| {
        let outcome = done.decided.outcome();
        let was = done.before.status_with(done.definition.as_deref());
        let saga = match done.decided {
            Decided::Nothing(_) => done.before,
            Decided::Commit(decision) if done.dry_run => decision.saga,
            Decided::Commit(decision) => {
                about!(
                    info,
                    &About::saga(&decision.saga, decision.emit.as_ref()),
                    command = name,
                    caller = asked.caller.map(Caller::as_str),
                    outcome = outcome.as_str(),
                    "command"
                );
                decision.saga
            }
        };
        Commanded {
            outcome,
            was,
            saga,
            definition: done.definition,
        }
    }))
}
