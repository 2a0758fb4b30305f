//! The use cases: one file each, each a function of ports. Between the adapters, which decide nothing, and the
//! core, which does no I/O, this is the shell that loads, lets the core decide, and commits.

pub mod admit_events;
pub mod dead_letters;
pub mod definitions;
pub mod handle_event;
pub mod keep_definitions;
pub mod list_sagas;
pub mod log;
pub mod override_saga;
pub mod park_saga;
pub mod participate;
pub mod ports;
pub mod relay_outbox;
pub mod start_saga;
pub mod sweep_sagas;

use saga_core::Catalogue;
use saga_core::definition::InvalidDefinition;
use saga_core::origin::Participants;
use saga_core::outbox::{OutboxRow, Tries};
use saga_core::patience::Patience;
use saga_core::relay::Rules;
use saga_core::{Address, Definition, Event, Timestamp};
pub use saga_participants::Settings;

/// What this deployment consists of: its definitions, its participants, its patience.
pub struct Deployment {
    /// The definitions of this release.
    pub catalogue: Catalogue,
    /// What was learnt of definitions that are kept beside the sagas.
    pub learnt: definitions::Learnt,
    /// The participants.
    pub participants: Participants,
    /// How long the origin waits before it sends again.
    pub patience: Patience,
    /// How many shards an outbox has.
    pub shards: u16,
    /// How patient a relay is with a row that is not taken.
    pub relay: Rules,
}

impl Deployment {
    /// Loads the definitions and registers the participants.
    ///
    /// # Errors
    /// [`InvalidDefinition`] when a definition is wrong, or names a participant that is not registered.
    pub fn load(settings: &Settings, patience: Patience, shards: u16) -> Result<Self, InvalidDefinition> {
        let participants = saga_participants::all(settings);
        let catalogue = saga_wire::definitions::load(&|name| participants.contains_key(name))?;
        Ok(Self {
            catalogue,
            learnt: definitions::Learnt::default(),
            participants,
            patience,
            shards,
            relay: Rules::default(),
        })
    }

    /// The outbox row of an event of a saga of this definition that is emitted now.
    #[must_use]
    pub fn row(&self, event: &Event, definition: &Definition, now: Timestamp) -> OutboxRow {
        let opens = event.address == Address::Advance(definition.first_after_origin());
        OutboxRow {
            shard: event.saga.bucket(self.shards),
            id: event.id.clone(),
            saga: event.saga,
            kind: event.kind.clone(),
            body: saga_wire::cloud_event::write(event),
            at: event.time,
            queued: now,
            follows: !opens,
            tries: Tries::default(),
        }
    }
}

/// What became of a message. Both are acknowledged; only a port's failure leaves a message on its queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handled {
    /// It was decided and committed.
    Decided(saga_core::Outcome),
    /// It cannot be understood here: it is kept whole, with this reason.
    Quarantined(String),
}

/// How often a decision is made again when something else was committed first.
pub const MAX_CONFLICTS: u32 = 12;
