//! The ports of a cloud that owns steps, as one value.

use super::outbox::Outbox;
use super::{Alerts, Parking, Publisher, Quarantine, ServiceStates, StepStore, Time};

/// The ports of a cloud that owns steps and does not keep the saga. `main.rs` wires them once.
pub trait ParticipantCloud: Send + Sync {
    /// Steps and entities, with the outbox and the states of services beside them.
    type Store: StepStore + Outbox + ServiceStates;
    /// Carries events away.
    type Publisher: Publisher;
    /// Keeps messages that cannot be understood.
    type Quarantine: Quarantine;
    /// The monitoring channel, which is also the way to the origin for messages that came to rest.
    type Alerts: Alerts + Parking;
    /// Time and chance.
    type Time: Time;

    /// Steps and entities, with the outbox beside them.
    fn store(&self) -> &Self::Store;
    /// Carries events away.
    fn publisher(&self) -> &Self::Publisher;
    /// Keeps messages that cannot be understood.
    fn quarantine(&self) -> &Self::Quarantine;
    /// The monitoring channel and the way to the origin.
    fn alerts(&self) -> &Self::Alerts;
    /// Time and chance.
    fn time(&self) -> &Self::Time;
}
