//! What the use cases need from the outside. Each port says what an adapter MUST do; the store contract in the
//! workspace's tests holds every adapter to it.

mod cloud;
mod error;
pub mod outbox;
mod publisher;
pub mod services;

use std::collections::BTreeMap;
use std::future::Future;

use saga_core::document::Fields;
use saga_core::origin::OriginDecision;
use saga_core::participant::{Entities, EntityKey, EntityWrite};
use saga_core::participate::StepRecord;
use saga_core::{Definition, DefinitionRef, EventId, Saga, SagaId, ServiceState, StepIndex, Timestamp};
pub use saga_wire::notice::{Alert, Parked};
pub use saga_wire::quarantine::Quarantined;

pub use cloud::ParticipantCloud;
pub use error::{PortError, PortFuture, causes};
use outbox::OutboxRow;
pub use outbox::{Outbox, Page};
pub use publisher::{Envelope, Limits, Published, Publisher, Refusal};
pub use services::{Attempt, Authorise, CallQueue, ServiceClient, SigningSecrets};

/// A record's version, opaque to everybody but the adapter that gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(pub String);

/// A record and its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned<T> {
    /// The record.
    pub value: T,
    /// Its version.
    pub version: Version,
}

/// Entities as they were read, with their versions. What is in neither does not exist.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The entities.
    pub entities: Entities,
    /// The version of each.
    pub versions: BTreeMap<EntityKey, Version>,
}

impl Snapshot {
    /// Adds an entity that was read.
    pub fn insert(&mut self, key: EntityKey, fields: Fields, version: Version) {
        self.entities.insert(key.clone(), fields);
        self.versions.insert(key, version);
    }
}

/// What became of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed {
    /// All of it is committed.
    Yes,
    /// None of it is: something that it was decided from has changed. Read again and decide again.
    Conflict,
}

/// The definitions that are kept beside the sagas of a cloud, for the time after their files are gone.
///
/// What is kept under a name and version MUST stay as it is for ever. An adapter MUST answer with
/// [`PortError::Corrupt`] for what it cannot read, and MUST NOT let readers of sagas or steps meet a definition.
pub trait Definitions: Send + Sync {
    /// The definition that is kept under this name and version, if there is one.
    fn stored_definition(&self, reference: &DefinitionRef) -> impl PortFuture<Option<Definition>>;

    /// Keeps a definition unless one is kept under its name and version, and gives the one that is kept now.
    fn keep_definition(&self, definition: &Definition) -> impl PortFuture<Definition>;
}

/// Which definitions are kept.
pub trait DefinitionNames: Definitions {
    /// The names and versions of all that is kept. MUST name every one whose keeping was answered before.
    fn definition_names(&self) -> impl PortFuture<Vec<DefinitionRef>>;
}

/// Which outside services are paused.
///
/// An adapter MUST make reads see every change that was answered before, MUST answer with [`PortError::Corrupt`] for what it
/// cannot read, and MUST NOT let readers of sagas or steps meet a service.
pub trait ServiceStates: Send + Sync {
    /// The last change of the service of this name; `None` where there was none.
    fn service_state(&self, name: &str) -> impl PortFuture<Option<ServiceState>>;

    /// Keeps a state if its number is higher than that of the one that is kept. MUST answer `Conflict` otherwise; and may where
    /// another is kept at the same time.
    fn keep_service_state(&self, state: &ServiceState) -> impl PortFuture<Committed>;
}

/// The states of outside services on the cloud that decides about them.
pub trait ServiceChanges: ServiceStates {
    /// As [`ServiceStates::keep_service_state`]. MUST commit the event that tells of it in the same transaction.
    fn keep_and_send_service_state(
        &self,
        state: &ServiceState,
        row: &OutboxRow,
    ) -> impl PortFuture<Committed>;
}

/// What became of a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inserted {
    /// All of it is committed.
    Yes,
    /// None of it is: the saga exists, and this is it.
    Exists(Box<Saga>),
    /// None of it is: an entity of this saga exists, though the saga does not. It ended long ago and has expired.
    Spent,
    /// None of it is: another transaction touched the same records at the same time. Try again.
    Conflict,
}

/// The store of the cloud that keeps the sagas, and their definitions beside them.
///
/// An adapter MUST commit all of a decision (saga, entities, outbox row) in one atomic transaction or nothing of
/// it; MUST make reads see every commit that was answered before; MUST answer a failed condition with
/// `Conflict` or `Exists` and never with an error; and MUST NOT report success for what is not committed.
pub trait SagaStore: Definitions {
    /// Stores a new saga. MUST store nothing when the saga exists, and give the one that does.
    fn insert(&self, decision: &OriginDecision, row: Option<&OutboxRow>) -> impl PortFuture<Inserted>;

    /// The saga, if there is one.
    fn load(&self, id: SagaId) -> impl PortFuture<Option<Versioned<Saga>>>;

    /// Those of the entities that exist.
    fn entities(&self, keys: &[EntityKey]) -> impl PortFuture<Snapshot>;

    /// Commits a decision if the saga still has `version` and the written entities are as in `read`.
    /// `decision.settle` sets fields of entities that MUST exist.
    fn commit(
        &self,
        decision: &OriginDecision,
        version: &Version,
        read: &Snapshot,
        row: Option<&OutboxRow>,
    ) -> impl PortFuture<Committed>;

    /// Up to `limit` sagas started before `before` and not before `since`, newest first (by start, then id).
    fn list(
        &self,
        since: Option<Timestamp>,
        before: Option<(Timestamp, SagaId)>,
        limit: usize,
    ) -> impl PortFuture<Vec<Saga>>;

    /// Up to `limit` ids of sagas of this bucket that are due at `now`, longest due first.
    fn due(&self, bucket: u16, now: Timestamp, limit: usize) -> impl PortFuture<Vec<SagaId>>;
}

/// A partition: what is in one can be committed in one transaction.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Partition(pub u16);

/// What is to be committed at a step of a cloud that does not keep the saga.
#[derive(Debug, Clone)]
pub struct StepCommit<'a> {
    /// Where.
    pub partition: &'a Partition,
    /// The saga.
    pub saga: SagaId,
    /// The step.
    pub index: StepIndex,
    /// The step's record as it is to be; `None` when it stays.
    pub record: Option<&'a StepRecord>,
    /// The version of the record that was read; `None` when there was none.
    pub version: Option<&'a Version>,
    /// Entities to write.
    pub writes: &'a [EntityWrite],
    /// The entities that were read.
    pub read: &'a Snapshot,
    /// The event that leaves.
    pub row: Option<&'a OutboxRow>,
}

/// The store of a cloud that owns steps and does not keep the saga. The rules of [`SagaStore`] hold.
pub trait StepStore: Definitions {
    /// The step's record, if it has acted.
    fn load(
        &self,
        partition: &Partition,
        saga: SagaId,
        index: StepIndex,
    ) -> impl PortFuture<Option<Versioned<StepRecord>>>;

    /// Those of the entities that exist.
    fn entities(&self, partition: &Partition, keys: &[EntityKey]) -> impl PortFuture<Snapshot>;

    /// Commits record, entities and outbox row.
    fn commit(&self, commit: StepCommit<'_>) -> impl PortFuture<Committed>;
}

/// The way to the origin for parked messages, so that their sagas show it.
pub trait Parking: Send + Sync {
    /// Whether the saga already shows that this message is parked; `false` where that cannot be known.
    fn is_parked(&self, saga: SagaId, event: &EventId) -> impl PortFuture<bool> {
        let _ = (saga, event);
        async { Ok(false) }
    }

    /// Marks the saga as parked. A saga that does not exist is no error.
    fn park(&self, parked: &Parked) -> impl PortFuture<()>;
}

/// Where messages are kept that cannot be understood. An adapter MUST keep the body byte for byte, whatever the bytes
/// are: what its queue does not take is kept in another encoding, and what one message does not hold in several. MUST
/// answer `Ok` only when all of it is kept.
pub trait Quarantine: Send + Sync {
    /// Keeps a message.
    fn keep(&self, message: Quarantined<'_>) -> impl PortFuture<()>;
}

/// The monitoring channel.
pub trait Alerts: Send + Sync {
    /// Sends an alert.
    fn raise(&self, alert: Alert) -> impl PortFuture<()>;
}

/// Time and chance.
pub trait Time: Send + Sync {
    /// The time.
    fn now(&self) -> Timestamp;

    /// Waits.
    fn sleep(&self, millis: u64) -> impl Future<Output = ()> + Send;

    /// Some number below `bound`, evenly.
    fn below(&self, bound: u64) -> u64;
}
