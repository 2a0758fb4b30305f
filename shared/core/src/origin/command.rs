//! All that a saga's origin can be asked to do with a saga that exists.

use crate::call::Undecided;
use crate::definition::Cloud;
use crate::document::Fields;
use crate::event::Event;
use crate::ids::{EventId, StepIndex, Timestamp};
use crate::lifecycle::Trigger;
use crate::mark::{Asked, Caller, ParkedMessage};
use crate::step::Reply;

/// A request to the origin. The line that it adds to the saga's timeline is part of the decision about it.
#[derive(Debug, Clone)]
pub enum Command<'a> {
    /// An event of the saga has arrived.
    Event {
        /// The event.
        event: Box<Event>,
        /// The outside publisher that sent it; `None` for an event of one of our participants. A compensation of an
        /// outside publisher is an override.
        publisher: Option<&'a str>,
    },
    /// A caller wants the saga cancelled, if it still can be: the first step that has not acted decides.
    Cancel(Asked<'a>),
    /// An operator ends the saga now; the other cloud follows.
    Resolve {
        /// The end.
        to: Override,
        /// Also where a step that cannot be undone may be done already, which leaves a contradiction.
        force: bool,
        /// Who asks.
        asked: Asked<'a>,
    },
    /// Somebody wants what the sweeper would send again to be sent at once.
    Retransmit(Asked<'a>),
    /// A step is answered: by its service, or by somebody outside.
    Answer(Answer<'a>),
    /// An attempt to call the service of a step of the origin's cloud ended without a decision.
    Undecided {
        /// The step.
        step: StepIndex,
        /// What became of it.
        attempt: Undecided,
    },
    /// The saga may be due: its deadline is enacted, or its opening event is sent again. The decision's alert says that
    /// it is stuck, and [`Command::FlagStuck`] shows it once the alert was sent.
    Sweep,
    /// The saga is due and this deployment has not its definition, or a participant of it: it is looked at again later.
    Hold {
        /// The alert about it was sent: the saga is shown as stuck.
        alerted: bool,
    },
    /// The alert that the saga is stuck was sent.
    FlagStuck,
    /// A message of the saga lies in a dead-letter store.
    Park(ParkedMessage),
    /// An operator did something with messages that lay in dead-letter stores.
    Annotate(Vec<Note>),
    /// No message of the saga lay in any dead-letter store.
    Unpark {
        /// When that was: messages that were parked later stay.
        looked: Timestamp,
        /// Who looked.
        asked: Asked<'a>,
    },
}

/// An answer for a step.
#[derive(Debug, Clone)]
pub struct Answer<'a> {
    /// The step.
    pub step: StepIndex,
    /// What is said.
    pub reply: Reply,
    /// The output, or the member `reason`.
    pub data: Fields,
    /// Who says so; `None` for the step's service itself.
    pub asked: Option<Asked<'a>>,
}

/// The end that an override gives a saga.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Override {
    /// COMPLETED.
    Completed,
    /// CANCELLED_VIA_COMPENSATION.
    Cancelled,
}

impl Override {
    pub(super) fn trigger(self) -> Trigger {
        match self {
            Override::Completed => Trigger::OverrideCompleted,
            Override::Cancelled => Trigger::OverrideCancelled,
        }
    }
}

/// A line for the timeline about something that did not move the saga.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The id of the line.
    pub id: EventId,
    /// When it happened.
    pub at: Timestamp,
    /// What happened: one of [`NOTES`](crate::timeline::NOTES).
    pub verb: &'static str,
    /// The step's number, as in events.
    pub step: i32,
    /// The cloud on which it happened.
    pub cloud: Cloud,
    /// Who did it, and why.
    pub text: String,
    /// Who that was, where the edge proves it.
    pub caller: Option<Caller>,
    /// The message that is no longer parked.
    pub unparks: Option<EventId>,
}
