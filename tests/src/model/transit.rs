//! What is on its way: events, requests to services and their replies, as a set that forgets nothing.

use std::fmt;

use saga_core::call::CallVerb;
use saga_core::origin::reply_of;
use saga_core::step::Reply;
use saga_core::{Address, Event, StepIndex};

use super::state::MAX;

/// Something on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transit {
    /// An event; every one but those that carry a word from outside.
    Event(Address),
    /// The event by which the origin forwards a word from outside to a step of the other cloud.
    Word(StepIndex, Reply),
    /// A request of a caller to a step's service.
    Request(StepIndex, CallVerb),
    /// A decision of a step's service, on its way to the step's record.
    Decision(StepIndex, Reply),
}

impl Transit {
    /// An event as it travels; `None` where it moves no step and no saga: a notification for people, or a report.
    #[must_use]
    pub fn of(event: &Event) -> Option<Self> {
        match event.address {
            Address::Waiting(_) | Address::Report(_) => None,
            Address::Answer(step) => reply_of(&event.data).map(|(reply, _)| Self::Word(step, reply)),
            address => Some(Self::Event(address)),
        }
    }

    fn bit(self) -> u32 {
        let at = |row: u32, step: StepIndex| row * MAX as u32 + u32::from(step.get());
        match self {
            Self::Event(Address::Complete) => 0,
            Self::Event(Address::Cancelled) => 1,
            Self::Event(Address::Advance(step)) => at(1, step),
            Self::Event(Address::Compensate(step)) => at(2, step),
            Self::Event(Address::Cancel(step)) => at(3, step),
            Self::Event(Address::Act(step)) => at(4, step),
            Self::Event(Address::Undo(step)) => at(5, step),
            Self::Event(Address::Contradiction(step)) => at(6, step),
            Self::Event(Address::Answer(step) | Address::Report(step) | Address::Waiting(step)) => {
                at(7, step)
            }
            Self::Word(step, reply) => at(8 + reply as u32, step),
            Self::Request(step, verb) => at(11 + verb as u32, step),
            Self::Decision(step, reply) => at(13 + reply as u32, step),
        }
    }

    fn of_bit(bit: u32) -> Self {
        const REPLIES: [Reply; 3] = [Reply::Accepted, Reply::Refused, Reply::Undone];
        let step = StepIndex::new((bit % MAX as u32) as u8);
        match bit / MAX as u32 {
            0 if bit == 0 => Self::Event(Address::Complete),
            0 => Self::Event(Address::Cancelled),
            1 => Self::Event(Address::Advance(step)),
            2 => Self::Event(Address::Compensate(step)),
            3 => Self::Event(Address::Cancel(step)),
            4 => Self::Event(Address::Act(step)),
            5 => Self::Event(Address::Undo(step)),
            6 => Self::Event(Address::Contradiction(step)),
            7 => Self::Event(Address::Report(step)),
            11 => Self::Request(step, CallVerb::Act),
            12 => Self::Request(step, CallVerb::Undo),
            row @ 8..11 => Self::Word(step, REPLIES[row as usize - 8]),
            row => Self::Decision(step, REPLIES[row as usize - 13]),
        }
    }
}

/// All that is on its way. What is in it may arrive now, later, again, or never.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Messages(u64);

impl Messages {
    /// Nothing.
    pub const NONE: Self = Self(0);

    /// The set without this.
    #[must_use]
    pub fn without(self, transit: Transit) -> Self {
        Self(self.0 & !(1 << transit.bit()))
    }

    /// The set with this, too.
    #[must_use]
    pub fn with(self, transit: Transit) -> Self {
        Self(self.0 | 1 << transit.bit())
    }

    /// All that is in the set.
    pub fn iter(self) -> impl Iterator<Item = Transit> {
        (0..u64::BITS)
            .filter(move |bit| self.0 & (1 << bit) != 0)
            .map(Transit::of_bit)
    }
}

impl fmt::Debug for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
