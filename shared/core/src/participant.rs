//! What a participant is: a pure decision about business entities.
//!
//! No I/O, no clock, no cloud. The shell loads what [`Participant::reads`] names, the participant decides, and
//! the shell commits step record, entities and outgoing event in one transaction guarded by versions. So the
//! same participant runs on either cloud, in memory, and under the simulator.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::definition::Definition;
use crate::document::Fields;
use crate::ids::SagaId;
use crate::money::Amounts;

/// A business entity's key: what it is, and which one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityKey {
    /// What it is, such as `stock`.
    pub kind: String,
    /// Which one.
    pub id: String,
}

impl EntityKey {
    /// A key of this kind.
    pub fn new(kind: &str, id: impl fmt::Display) -> Self {
        Self {
            kind: kind.to_owned(),
            id: id.to_string(),
        }
    }
}

impl fmt::Display for EntityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.id)
    }
}

/// The entities that were read; what is not in it does not exist.
pub type Entities = BTreeMap<EntityKey, Fields>;

/// A write of one whole entity. One that was read is replaced if it has not changed since; one that was not
/// read, or did not exist, is inserted and must not exist. Otherwise the whole decision is made again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityWrite {
    /// Which entity.
    pub key: EntityKey,
    /// All its fields.
    pub fields: Fields,
}

/// Who asks, and with what.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The saga.
    pub saga: SagaId,
    /// The saga's input and the outputs of the steps before.
    pub data: &'a Fields,
}

/// The participants of this deployment, by name.
pub type Participants = BTreeMap<&'static str, Box<dyn Participant>>;

/// The decimal fields of a saga of this definition, as all its participants know them.
#[must_use]
pub fn decimals(definition: &Definition, participants: &Participants) -> BTreeSet<&'static str> {
    let steps = definition.steps().iter();
    steps
        .filter_map(|step| participants.get(step.participant()?))
        .flat_map(|participant| participant.decimals())
        .copied()
        .collect()
}

/// What a participant is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Its part.
    Act,
    /// Take it back.
    Undo,
}

/// The answer to "do your part".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Yes: write these, and let this output travel on.
    Accept {
        /// The entities as they are to be.
        writes: Vec<EntityWrite>,
        /// A small output for the steps after.
        output: Fields,
    },
    /// No, and why, in words for the caller and the operator.
    Refuse(String),
}

/// A field of the input that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Where, such as `items[2].quantity`.
    pub field: String,
    /// What to change.
    pub problem: String,
}

impl FieldError {
    /// A problem with `field`.
    pub fn new(field: impl Into<String>, problem: impl fmt::Display) -> Self {
        Self {
            field: field.into(),
            problem: problem.to_string(),
        }
    }
}

/// Where the steps and entities of a participant are kept together, so that one transaction reaches them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// Each saga's entities are its own: spread by saga.
    BySaga,
    /// Sagas share entities, such as stock: all together.
    Together,
}

/// A participant. All functions are pure.
pub trait Participant: Send + Sync {
    /// The name by which definitions call it.
    fn name(&self) -> &'static str;

    /// The fields of the input that it knows.
    fn accepts(&self) -> &'static [&'static str];

    /// The fields of the data that are decimal numbers, such as amounts of money, its own outputs among them. They are compared by
    /// value and travel as text, so that no software on the way changes a digit; any other number that a float may not hold
    /// exactly travels as text, too, and is read by [`Document::as_number`](crate::Document::as_number).
    fn decimals(&self) -> &'static [&'static str] {
        &[]
    }

    /// What is wrong with the input of a new saga, as far as this participant knows it; `amounts` is how exact its
    /// definition lets amounts of money be. Asked at the start only: what stricter rules would refuse today may be in flight,
    /// and `act` must not refuse it for that.
    fn check(&self, input: &Fields, amounts: Amounts) -> Vec<FieldError>;

    /// Where its steps and entities are kept.
    fn placement(&self) -> Placement;

    /// The entities that it must see for this work.
    fn reads(&self, work: Work, context: Context<'_>) -> Vec<EntityKey>;

    /// Does its part, or refuses.
    fn act(&self, context: Context<'_>, entities: &Entities) -> Decision;

    /// Whether it never refuses: only such a participant can come after a pivot.
    fn never_refuses(&self) -> bool {
        false
    }

    /// Takes its part back. It cannot refuse.
    fn undo(&self, context: Context<'_>, entities: &Entities) -> Vec<EntityWrite>;

    /// Fields to set on entities it has written, in the transaction that completes the saga. Asked only
    /// for steps of the cloud that keeps the saga; most participants have none.
    fn settle(&self, context: Context<'_>) -> Vec<EntityWrite> {
        let _ = context;
        Vec::new()
    }
}
