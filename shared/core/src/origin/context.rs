//! What the origin knows when it decides about a saga, and what it decides.

use crate::Outcome;
use crate::call::Undecided;
use crate::definition::{Cloud, Definition, DefinitionRef};
use crate::event::Event;
use crate::ids::{StepIndex, Timestamp};
use crate::participant::{EntityWrite, Participants};
use crate::participate::{NoStep, Step};
use crate::patience::Patience;
use crate::saga::{Saga, Status};

/// A saga as it was read, and all that its origin needs to decide about it.
#[derive(Clone, Copy)]
pub struct Origin<'a> {
    /// The saga as it was read.
    pub saga: &'a Saga,
    /// Its definition; `None` where this deployment does not have it, or the command needs none.
    pub definition: Option<&'a Definition>,
    /// The participants of this deployment.
    pub participants: &'a Participants,
    /// How long to wait before sending again.
    pub patience: Patience,
    /// The time.
    pub now: Timestamp,
}

/// What is to be committed, in one transaction, guarded by the revision of the saga that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginDecision {
    /// What became of the message or the command.
    pub outcome: Outcome,
    /// The saga as it is to be.
    pub saga: Saga,
    /// Its status, for the store to show to readers that do not know the definition.
    pub status: Status,
    /// Entities to write.
    pub writes: Vec<EntityWrite>,
    /// Fields to set on entities that exist.
    pub settle: Vec<EntityWrite>,
    /// The one event that is sent, or sent again.
    pub emit: Option<Event>,
    /// Something an operator must know.
    pub alert: Option<String>,
    /// The step that the alert is about, where one needs a person: it is held once the alert was sent.
    pub held: Option<(StepIndex, Undecided)>,
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decided {
    /// This is to be committed.
    Commit(Box<OriginDecision>),
    /// Nothing is to be committed: the command is known already, or comes too late.
    Nothing(Outcome),
}

impl Decided {
    /// The decision, when there is something to commit.
    #[must_use]
    pub fn decision(self) -> Option<OriginDecision> {
        match self {
            Decided::Commit(decision) => Some(*decision),
            Decided::Nothing(_) => None,
        }
    }

    /// What became of the command.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Decided::Commit(decision) => decision.outcome,
            Decided::Nothing(outcome) => *outcome,
        }
    }
}

impl From<OriginDecision> for Decided {
    fn from(decision: OriginDecision) -> Self {
        Decided::Commit(Box::new(decision))
    }
}

/// Why nothing is decided. A message that causes this is quarantined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misaddressed {
    /// The definition has no such step, or the step is another cloud's.
    #[error("step {0} is not a step of this cloud")]
    NotOurs(String),
    /// An outside publisher's event would make a step act whose turn it is not known to be.
    #[error("only a participant of the saga can advance it")]
    OutOfTurn,
    /// The event's data is not what the saga was started with: the publisher means another saga.
    #[error("the event's `{0}` is not the saga's")]
    Contradicts(String),
    /// The event names another definition than the saga has.
    #[error("the event says {said}, the saga is {is}")]
    OtherDefinition {
        /// The event's.
        said: DefinitionRef,
        /// The saga's.
        is: DefinitionRef,
    },
    /// The deployment does not have the saga's definition, which this command needs.
    #[error("definition {0} is not known here")]
    NoDefinition(DefinitionRef),
    /// The definition names a participant that this deployment does not have.
    #[error("participant `{0}` is not part of this deployment")]
    NoParticipant(String),
    /// An override to CANCELLED cannot, or may not, undo a step that is a pivot.
    #[error(transparent)]
    Pivot(PastPivot),
}

/// Why an override to CANCELLED is refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PastPivot {
    /// The origin's own pivot has acted, or is asked to.
    #[error(
        "step {0} cannot be undone, and has acted or may have: the saga can only go forward; mend what holds it up, or \
         resolve it as completed"
    )]
    Own(String),
    /// A pivot of the other cloud may have acted.
    #[error(
        "step {0} cannot be undone, and may have acted: cancelled now, the saga could end torn; ask its service first, and \
         repeat the request with `\"force\": true` if its effect does not exist"
    )]
    MayBeDone(String),
}

impl From<NoStep> for Misaddressed {
    fn from(missing: NoStep) -> Self {
        match missing {
            NoStep::Unknown(step) => Self::NotOurs(step),
            NoStep::NoParticipant(name) => Self::NoParticipant(name),
        }
    }
}

impl Origin<'_> {
    pub(super) fn known(&self) -> Result<&Definition, Misaddressed> {
        let missing = || Misaddressed::NoDefinition(self.saga.definition.clone());
        self.definition.ok_or_else(missing)
    }

    /// A step of the origin's cloud.
    pub(super) fn owned(&self, index: StepIndex) -> Result<Step<'_>, Misaddressed> {
        let definition = self.known()?;
        let step = Step::find(self.saga.id, definition, index, self.participants)?;
        if step.cloud() == Cloud::ORIGIN {
            Ok(step)
        } else {
            Err(Misaddressed::NotOurs(definition.describe(index)))
        }
    }

    /// A decision that leaves the saga as it is.
    pub(super) fn unchanged(&self, outcome: Outcome) -> OriginDecision {
        OriginDecision {
            outcome,
            status: self.saga.status_with(self.definition),
            saga: self.saga.clone(),
            writes: Vec::new(),
            settle: Vec::new(),
            emit: None,
            alert: None,
            held: None,
        }
    }
}
