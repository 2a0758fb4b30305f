//! One state of the model: what both clouds have committed, and what is on its way between them.

use std::fmt;

use saga_core::lifecycle::{Lifecycle, Phase};
use saga_core::step::StepState;
use saga_core::{Address, StepIndex};

/// The longest saga that the model can hold.
pub const MAX: usize = 4;

/// Messages, as a set. One that is in it may be delivered now, later, again, or never.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Messages(u128);

const COMPLETE: u32 = 72;
const CANCELLED: u32 = 73;

impl Messages {
    fn bit(address: Address) -> u32 {
        match address {
            Address::Advance(step) => u32::from(step.get()),
            Address::Compensate(step) => 8 + u32::from(step.get()),
            Address::Cancel(step) => 16 + u32::from(step.get()),
            Address::Act(step) => 24 + u32::from(step.get()),
            Address::Undo(step) => 32 + u32::from(step.get()),
            Address::Answer(step) => 40 + u32::from(step.get()),
            Address::Report(step) => 48 + u32::from(step.get()),
            Address::Contradiction(step) => 56 + u32::from(step.get()),
            Address::Waiting(step) => 64 + u32::from(step.get()),
            Address::Complete => COMPLETE,
            Address::Cancelled => CANCELLED,
        }
    }

    /// The set without this message.
    #[must_use]
    pub fn without(self, address: Address) -> Self {
        Self(self.0 & !(1 << Self::bit(address)))
    }

    /// The set with this message, too.
    #[must_use]
    pub fn with(self, address: Address) -> Self {
        Self(self.0 | 1 << Self::bit(address))
    }

    /// Every message in the set.
    pub fn iter(self) -> impl Iterator<Item = Address> {
        (0..=CANCELLED)
            .filter(move |bit| self.0 & (1 << bit) != 0)
            .map(|bit| {
                let step = StepIndex::new((bit % 8) as u8);
                match bit {
                    COMPLETE => Address::Complete,
                    CANCELLED => Address::Cancelled,
                    0..8 => Address::Advance(step),
                    8..16 => Address::Compensate(step),
                    16..24 => Address::Cancel(step),
                    24..32 => Address::Act(step),
                    32..40 => Address::Undo(step),
                    40..48 => Address::Answer(step),
                    48..56 => Address::Report(step),
                    56..64 => Address::Contradiction(step),
                    _ => Address::Waiting(step),
                }
            })
    }
}

impl fmt::Debug for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// A rule that one transition broke; the invariants that speak of transitions, not of states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Broken {
    /// I4: what was emitted does not climb (or fall) away from what was delivered.
    Bounce,
    /// I5: something came after the end and changed the origin.
    NotHarmless,
    /// I6: a cancel changed a step that had acted, did not stand in the way of one that had not, or was not passed on.
    Torn,
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
    /// The sweeper will look again.
    pub due: bool,
    /// How often each participant's effect was committed.
    pub acted: [u8; MAX],
    /// How often each participant's undo was committed.
    pub undone: [u8; MAX],
    /// Rows of the outboxes: committed, not deleted. Always empty where the network is abstract.
    pub outbox: Messages,
    /// What is on its way.
    pub sent: Messages,
    /// What the last transition broke.
    pub broken: Option<Broken>,
}

impl State {
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
            outbox: Messages::default(),
            sent: Messages::default(),
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
    Abstract,
    /// Outbox rows are published, again and again until they are deleted, and messages are lost, each as an action of
    /// its own. It must reach the same states of the stores, which a test checks.
    Explicit,
}
