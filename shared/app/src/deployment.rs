//! What this deployment consists of.

use saga_core::Catalogue;
use saga_core::definition::InvalidDefinition;
use saga_core::participant::Participants;
use saga_core::patience::Patience;
use saga_core::{Address, Definition, Event, StepDefinition, StepIndex, Timestamp};
use saga_participants::Settings;
use saga_wire::definitions;
use saga_wire::services::Services;

use crate::learnt::Learnt;
use crate::outbox::Rules;
use crate::ports::Envelope;
use crate::ports::outbox::{OutboxRow, Tries};

/// What this deployment consists of: its definitions, its participants, its patience.
pub struct Deployment {
    /// The definitions of this release.
    pub catalogue: Catalogue,
    /// What was learnt of definitions that are kept beside the sagas.
    pub learnt: Learnt,
    /// The participants.
    pub participants: Participants,
    /// How long the origin waits before it sends again.
    pub patience: Patience,
    /// How many shards an outbox has.
    pub shards: u16,
    /// How patient a relay is with a row that is not taken.
    pub relay: Rules,
    /// The services that are bound; `None` where this function is not told.
    pub services: Option<Services>,
}

impl Deployment {
    /// Loads the definitions and registers the participants.
    ///
    /// # Errors
    /// [`InvalidDefinition`] when a definition is wrong, or names a participant that is not registered.
    pub fn load(settings: &Settings, patience: Patience, shards: u16) -> Result<Self, InvalidDefinition> {
        let participants = saga_participants::all(settings);
        let catalogue = definitions::all()?;
        for definition in catalogue.iter() {
            definitions::check_participants(definition, &participants)?;
        }
        Ok(Self {
            catalogue,
            learnt: Learnt::default(),
            participants,
            patience,
            shards,
            relay: Rules::default(),
            services: None,
        })
    }

    /// The first step whose service is not bound, or is bound for another cloud.
    #[must_use]
    pub fn unbound<'d>(&self, definition: &'d Definition) -> Option<&'d StepDefinition> {
        let bound = self.services.as_ref()?;
        definition.steps().iter().find(|step| {
            let service = step.call().map(|call| bound.get(&call.service));
            service.is_some_and(|service| service.is_none_or(|service| service.cloud != step.cloud))
        })
    }

    /// The outbox row of an event of a saga of this definition that is emitted now.
    #[must_use]
    pub fn row(&self, event: &Event, definition: &Definition, now: Timestamp) -> OutboxRow {
        let opens = match event.address {
            Address::Advance(step) => step == definition.first_after_origin() && !opens_outside(definition),
            Address::Act(step) | Address::Waiting(step) => step == StepIndex::FIRST,
            _ => false,
        };
        OutboxRow {
            shard: event.saga.bucket(self.shards),
            event: Envelope::of(event),
            at: event.time,
            queued: now,
            follows: !opens,
            tries: Tries::default(),
        }
    }
}

/// Whether the first step's own event, to a service or to whoever is to answer, comes before all others.
fn opens_outside(definition: &Definition) -> bool {
    definition.steps()[0].participant().is_none()
}
