//! One state of the model: what both clouds and every service have committed, and what is on its way between them.

use saga_core::lifecycle::{Lifecycle, Phase};
use saga_core::step::StepState;

use super::service::Service;
use super::transit::Messages;

/// The longest saga that the model can hold.
pub const MAX: usize = 4;

/// A rule that one transition broke; the invariants that speak of transitions, not of states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Broken {
    /// I4: what was emitted does not climb (or fall) away from what was delivered.
    Bounce,
    /// I5: something came after the end and changed the origin.
    NotHarmless,
    /// I6: a cancel changed a step that had acted, did not stand in the way of one that had not, or was not passed on.
    Torn,
    /// I7: a service was asked for what no committed record asks for.
    NoIntent,
    /// A service was asked to act after it may have forgotten the key, or the time that this counts from moved.
    KeyForgotten,
    /// A service that promises `key` was asked to undo what it never accepted.
    NeverAccepted,
    /// I9: a pivot was undone or was asked to be undone, or a step after it refused.
    PivotUndone,
    /// An attempt without a decision moved something.
    UndecidedMoved,
    /// The sweeper sent something else than what is owed, or will not look again though something is.
    WrongRetransmission,
    /// A step was asked to undo what it never did.
    NullCompensation,
    /// One of our own events would be quarantined where it goes, or a message met a step that is not there.
    NotUnderstood,
    /// The status is not what the facts say.
    WrongStatus,
}

/// All that is committed and emitted. Small, because there are many; the records of core are made from it and taken
/// apart again at every action, with all times alike and without the timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct State {
    /// The record of each step, on whichever cloud.
    pub steps: [Option<StepState>; MAX],
    /// The lifecycle, as the origin knows it.
    pub lifecycle: Lifecycle,
    /// A cancel was asked for.
    pub asked: bool,
    /// An override was given.
    pub resolved: bool,
    /// The override was forced past a pivot of the other cloud, which may be done.
    pub forced: bool,
    /// The origin was told that a step cannot be undone, after such an override.
    pub contradicted: bool,
    /// The sweeper will look again.
    pub due: bool,
    /// While the saga is closing: whose turn the sweeper's next retransmission is.
    pub turn: bool,
    /// How often each participant's effect was committed.
    pub acted: [u8; MAX],
    /// How often each participant's undo was committed.
    pub undone: [u8; MAX],
    /// What the service of each call step has decided.
    pub services: [Service; MAX],
    /// Rows of the outboxes: committed, not deleted. Always empty where the network is abstract.
    pub outbox: Messages,
    /// What is on its way.
    pub sent: Messages,
    /// What the last transition broke.
    pub broken: Option<Broken>,
}

impl State {
    /// Before the saga is started.
    pub const NOTHING: Self = Self {
        steps: [None; MAX],
        lifecycle: Lifecycle {
            phase: Phase::Open,
            closing: false,
            followed: false,
            cancelling: false,
            overridden: false,
        },
        asked: false,
        resolved: false,
        forced: false,
        contradicted: false,
        due: false,
        turn: false,
        acted: [0; MAX],
        undone: [0; MAX],
        services: [Service::Unseen; MAX],
        outbox: Messages::NONE,
        sent: Messages::NONE,
        broken: None,
    };

    /// Terminal and closed: nothing is owed any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.lifecycle.phase != Phase::Open && !self.lifecycle.closing
    }

    /// An operator's word made it COMPLETED: that end is his, the protocol does not vouch for it.
    #[must_use]
    pub fn is_completed_by_override(&self) -> bool {
        self.lifecycle.overridden && self.lifecycle.phase == Phase::Completed
    }

    /// The same with every message lost.
    #[must_use]
    pub fn silent(self) -> Self {
        Self {
            outbox: Messages::NONE,
            sent: Messages::NONE,
            ..self
        }
    }
}

/// How the way between commit and delivery is modelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// What was emitted stays in one set for ever, and may be delivered or not at any time. That stands for everything
    /// that outboxes and carriers do: a row that is not yet published, or a message that is late or lost, is one that is
    /// not delivered; a row that is published twice, or a message that is brought twice, is one that is delivered twice.
    ///
    /// What concerns services is freer still, so that there are fewer states: their callers may look at any time, without an
    /// event that says so, and what a service has decided may be heard at any time, from itself or from an operator. Requests
    /// on their way are in the set.
    Abstract,
    /// As [`Network::Abstract`], and nobody calls or answers without having been asked: where it counts that something comes.
    Strict,
    /// As [`Network::Strict`], and outbox rows are published, again and again until they are deleted, and messages are lost,
    /// each as an action of its own. It must reach the same states of the stores, which a test checks.
    Explicit,
}
