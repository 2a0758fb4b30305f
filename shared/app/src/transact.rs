//! Load, decide, commit: the one loop in which a stored saga changes. A step on another cloud has its own, in
//! [`crate::participate`], with the same bound and the same pauses ([`Conflicts`]).
//!
//! A commit is guarded by the versions that were read. When something else was committed first, everything is read and
//! decided again; the attempts are bounded and jittered.

use std::sync::Arc;

use saga_core::origin::{Command, Decided, Misaddressed, Origin};
use saga_core::participant::Participants;
use saga_core::patience::Patience;
use saga_core::{Definition, Saga, SagaId, Timestamp};

use crate::Deployment;
use crate::definitions::find;
use crate::ports::{Committed, PortError, SagaStore, Snapshot, Time};

/// How often a decision is made again when something else was committed first.
pub const MAX_CONFLICTS: u32 = 12;

/// The conflicts of one decision: between two attempts there is a pause, and after so many there is an error.
pub struct Conflicts<'a, T> {
    time: &'a T,
    what: &'static str,
    made: u32,
    attempts: u32,
}

impl<'a, T: Time> Conflicts<'a, T> {
    /// None yet, of at most `attempts` attempts. `what` is in the error's text.
    pub fn new(time: &'a T, what: &'static str, attempts: u32) -> Self {
        let made = 0;
        Self {
            time,
            what,
            made,
            attempts,
        }
    }

    /// Something else was committed first: waits before the next attempt.
    ///
    /// # Errors
    /// [`PortError::Contended`] when that was the last attempt.
    pub async fn one_more(&mut self) -> Result<(), PortError> {
        self.made += 1;
        if self.made >= self.attempts {
            return Err(PortError::Contended {
                what: self.what,
                attempts: self.made,
            });
        }
        back_off(self.time, self.made).await;
        Ok(())
    }
}

/// Waits after attempt `attempt` (from 1): full jitter over 20 ms, doubling to 1 s.
pub async fn back_off(time: &impl Time, attempt: u32) {
    let ceiling = 10_u64.saturating_mul(1 << attempt.min(7)).min(1_000);
    time.sleep(1 + time.below(ceiling)).await;
}

/// The sagas of a store, and all that is needed to decide about one of them.
pub struct Sagas<'a, S, T> {
    deployment: Option<&'a Deployment>,
    store: &'a S,
    time: &'a T,
    attempts: u32,
    commits: bool,
    meant: Option<&'a Meant<'a>>,
}

/// Says whether a saga is meant as it is read.
pub type Meant<'a> = dyn Fn(&Saga, Option<&Definition>) -> bool + Sync + 'a;

impl<S, T> Clone for Sagas<'_, S, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S, T> Copy for Sagas<'_, S, T> {}

impl<'a, S, T> Sagas<'a, S, T> {
    /// For every command.
    pub fn new(deployment: &'a Deployment, store: &'a S, time: &'a T) -> Self {
        Self {
            deployment: Some(deployment),
            ..Self::without_definitions(store, time)
        }
    }

    /// For commands that need no definition: none is looked up.
    pub fn without_definitions(store: &'a S, time: &'a T) -> Self {
        Self {
            deployment: None,
            store,
            time,
            attempts: MAX_CONFLICTS,
            commits: true,
            meant: None,
        }
    }

    /// With another bound on the attempts.
    #[must_use]
    pub fn attempts(self, attempts: u32) -> Self {
        Self { attempts, ..self }
    }

    /// Decides without committing anything: what would become of a command now.
    #[must_use]
    pub fn dry_run(self) -> Self {
        Self {
            commits: false,
            ..self
        }
    }

    /// Only those that are meant as they are when the command is decided: others are as if they were not there.
    #[must_use]
    pub fn only(self, meant: Option<&'a Meant<'a>>) -> Self {
        Self { meant, ..self }
    }

    /// Whether nothing is committed.
    pub fn is_dry_run(&self) -> bool {
        !self.commits
    }
}

/// A command that was carried out.
pub struct Transacted<'c> {
    /// The command.
    pub command: Command<'c>,
    /// The saga as it was read.
    pub before: Saga,
    /// Its definition, where it was looked up and is known.
    pub definition: Option<Arc<Definition>>,
    /// What was decided. It is committed, unless it is a dry run.
    pub decided: Decided,
    /// Nothing is committed.
    pub dry_run: bool,
    /// The time of the decision.
    pub now: Timestamp,
}

/// A command that the origin cannot apply. Nothing was changed.
#[derive(Debug)]
pub struct Refused {
    /// Why.
    pub why: Misaddressed,
    /// The saga as it was read.
    pub saga: Box<Saga>,
}

impl From<Refused> for PortError {
    fn from(refused: Refused) -> Self {
        PortError::Corrupt {
            what: "the saga store",
            why: refused.why.to_string(),
        }
    }
}

/// Carries out the command that `command` makes of the saga as it is read, of its definition and of the time. `None`
/// when there is no such saga, it is not meant, or `command` makes none of it.
///
/// # Errors
/// That of `command`, [`Refused`], or the [`PortError`] of the store.
pub async fn transact<'c, S: SagaStore, T: Time, E: From<PortError> + From<Refused>>(
    sagas: &Sagas<'_, S, T>,
    id: SagaId,
    command: impl Fn(&Saga, Option<&Definition>, Timestamp) -> Result<Option<Command<'c>>, E>,
) -> Result<Option<Transacted<'c>>, E> {
    static NONE: Participants = Participants::new();
    let Sagas {
        deployment,
        store,
        time,
        attempts,
        commits,
        meant,
    } = *sagas;
    let mut conflicts = Conflicts::new(time, "the saga", attempts);
    loop {
        let Some(found) = store.load(id).await? else {
            return Ok(None);
        };
        let (saga, version) = (found.value, found.version);
        let definition = match deployment {
            Some(deployment) => find(deployment, store, time, &saga.definition).await?,
            None => None,
        };
        if meant.is_some_and(|meant| !meant(&saga, definition.as_deref())) {
            return Ok(None);
        }
        let now = time.now();
        let Some(command) = command(&saga, definition.as_deref(), now)? else {
            return Ok(None);
        };
        let refused = |why| Refused {
            why,
            saga: Box::new(saga.clone()),
        };
        let origin = Origin {
            saga: &saga,
            definition: definition.as_deref(),
            participants: deployment.map_or(&NONE, |known| &known.participants),
            patience: deployment.map_or_else(Patience::default, |known| known.patience),
            now,
        };
        let keys = origin.reads(&command).map_err(refused)?;
        let read = if keys.is_empty() {
            Snapshot::default()
        } else {
            store.entities(&keys).await?
        };
        let decided = origin.apply(&command, &read.entities).map_err(refused)?;
        if let (true, Decided::Commit(decision)) = (commits, &decided) {
            let row = |event| Some(deployment?.row(event, definition.as_deref()?, now));
            let row = decision.emit.as_ref().and_then(row);
            if store.commit(decision, &version, &read, row.as_ref()).await? == Committed::Conflict {
                conflicts.one_more().await?;
                continue;
            }
        }
        return Ok(Some(Transacted {
            command,
            before: saga,
            definition,
            decided,
            dry_run: !commits,
            now,
        }));
    }
}
