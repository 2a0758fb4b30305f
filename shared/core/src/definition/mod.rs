//! Definitions are data: a name, a version, a deadline and the steps in order.

mod check;
mod reference;
mod step;

use std::collections::BTreeMap;

pub use self::reference::{Cloud, DefinitionRef, InvalidDefinition};
pub use self::step::{Answerer, Call, Condition, OnTimeout, StepDefinition, StepWork, Wait};
use crate::address::{Address, MAILBOX_OUTSIDE};
use crate::ids::StepIndex;
use crate::money::Amounts;
use crate::step::{Class, Rules};

/// A saga's definition, checked.
///
/// # Examples
/// ```
/// use saga_core::definition::StepWork;
/// use saga_core::step::Class;
/// use saga_core::{Address, Catalogue, Cloud, Definition, DefinitionRef, StepDefinition, StepIndex};
///
/// let step = |name: &str, cloud| StepDefinition {
///     name: name.to_owned(),
///     cloud,
///     work: StepWork::Local { participant: name.to_owned() },
///     class: Class::Compensatable,
///     done: format!("{name}-done"),
///     compensate: format!("{name}-undo"),
///     cancel: format!("{name}-cancel"),
/// };
/// let reference = DefinitionRef { name: "payment".to_owned(), version: 1 };
/// let steps = vec![step("payment", Cloud::Aws), step("inventory", Cloud::Azure)];
/// let definition = Definition::new(reference, 900_000, steps)?;
/// // The event that says that the payment is done asks the inventory to act.
/// assert_eq!(definition.address_of("payment-done"), Some(Address::Advance(StepIndex::new(1))));
/// assert_eq!(definition.target(Address::Complete), Some(Cloud::ORIGIN));
///
/// let catalogue = Catalogue::new([definition])?;
/// assert_eq!(catalogue.latest("payment").map(|latest| latest.reference().version), Some(1));
/// # Ok::<(), saga_core::definition::InvalidDefinition>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    reference: DefinitionRef,
    deadline_millis: i64,
    amounts: Amounts,
    steps: Vec<StepDefinition>,
}

impl Definition {
    /// At most so many steps: a forward and a backward chain stay within the hop bound of an event.
    pub const MAX_STEPS: usize = reference::MAX_STEPS;

    /// Checks a definition.
    ///
    /// # Errors
    /// [`InvalidDefinition`] names the first rule that it breaks.
    pub fn new(
        reference: DefinitionRef,
        deadline_millis: i64,
        steps: Vec<StepDefinition>,
    ) -> Result<Self, InvalidDefinition> {
        check::check(&reference, deadline_millis, &steps)?;
        Ok(Self {
            reference,
            deadline_millis,
            amounts: Amounts::default(),
            steps,
        })
    }

    /// The same, with amounts that are as exact as this.
    #[must_use]
    pub fn with_amounts(mut self, amounts: Amounts) -> Self {
        self.amounts = amounts;
        self
    }

    /// Its name and version.
    #[must_use]
    pub fn reference(&self) -> &DefinitionRef {
        &self.reference
    }

    /// How long a saga may take before it is cancelled, in milliseconds.
    #[must_use]
    pub fn deadline_millis(&self) -> i64 {
        self.deadline_millis
    }

    /// How exact the amounts of its sagas may be.
    #[must_use]
    pub fn amounts(&self) -> Amounts {
        self.amounts
    }

    /// The steps in order.
    #[must_use]
    pub fn steps(&self) -> &[StepDefinition] {
        &self.steps
    }

    /// The step at `index`, if there is one.
    #[must_use]
    pub fn step(&self, index: StepIndex) -> Option<&StepDefinition> {
        self.steps.get(usize::from(index.get()))
    }

    /// A step as a person reads of it: by its name; by its number, from 0, where there is no such step.
    #[must_use]
    pub fn describe(&self, index: StepIndex) -> String {
        self.step(index)
            .map_or_else(|| format!("number {index}"), |step| format!("`{}`", step.name))
    }

    /// The last step.
    #[must_use]
    pub fn last(&self) -> StepIndex {
        StepIndex::new((self.steps.len() - 1) as u8)
    }

    /// The first step that is not the origin's own opening step: where a saga's opening event goes.
    #[must_use]
    pub fn first_after_origin(&self) -> StepIndex {
        if self.opens_at_origin() {
            StepIndex::new(1)
        } else {
            StepIndex::FIRST
        }
    }

    /// Whether step 0 is the origin's own.
    #[must_use]
    pub fn opens_at_origin(&self) -> bool {
        self.steps[0].cloud == Cloud::ORIGIN
    }

    /// What the protocol's table needs to know about a step; `None` when there is no such step.
    #[must_use]
    pub fn rules(&self, index: StepIndex) -> Option<Rules> {
        self.step(index).map(|step| Rules {
            kind: step.kind(),
            class: step.class,
            last: index == self.last(),
        })
    }

    /// The step that cannot be undone, if there is one.
    #[must_use]
    pub fn pivot(&self) -> Option<StepIndex> {
        let pivot = self.steps.iter().position(|step| step.class == Class::Pivot)?;
        Some(StepIndex::new(pivot as u8))
    }

    /// The step's number of a message in events: past the last for `complete`, -1 for `cancelled`.
    #[must_use]
    pub fn step_number(&self, address: Address) -> i32 {
        match (address, address.step()) {
            (Address::Cancelled, _) => -1,
            (_, Some(step)) => i32::from(step.get()),
            (_, None) => i32::from(self.last().get()) + 1,
        }
    }

    /// The longest chain of answers that a message with this address can cause: up to the end, and down again.
    #[must_use]
    pub fn answers(&self, address: Address) -> u16 {
        let steps = u16::from(self.last().get()) + 1;
        let down = |from: u16| from + 1;
        match address {
            Address::Advance(step)
            | Address::Cancel(step)
            | Address::Act(step)
            | Address::Undo(step)
            | Address::Answer(step) => steps.saturating_sub(u16::from(step.get())) + down(steps),
            Address::Complete => down(steps),
            Address::Compensate(step) => down(u16::from(step.get())),
            Address::Cancelled | Address::Report(_) | Address::Contradiction(_) | Address::Waiting(_) => 0,
        }
    }

    /// Which cloud a message with this address goes to; `None` when the definition has no such step.
    #[must_use]
    pub fn target(&self, address: Address) -> Option<Cloud> {
        let owner = |step| self.step(step).map(|step| step.cloud);
        match address {
            Address::Complete | Address::Cancelled => Some(Cloud::ORIGIN),
            Address::Report(step) | Address::Contradiction(step) | Address::Waiting(step) => {
                owner(step).map(|_| Cloud::ORIGIN)
            }
            Address::Advance(step)
            | Address::Compensate(step)
            | Address::Cancel(step)
            | Address::Answer(step)
            | Address::Act(step)
            | Address::Undo(step) => owner(step),
        }
    }

    /// The mailbox of its target that a message with this address goes to; `None` for that of the cloud's own steps.
    #[must_use]
    pub fn mailbox(&self, address: Address) -> Option<&str> {
        match address {
            Address::Act(step) | Address::Undo(step) => Some(&self.step(step)?.call()?.service),
            Address::Waiting(_) => Some(MAILBOX_OUTSIDE),
            _ => None,
        }
    }

    /// Which clouds may send a message with this address: the owner of the step that emits it, and the
    /// origin, which opens, retransmits and overrides.
    #[must_use]
    pub fn may_send(&self, address: Address, sender: Cloud) -> bool {
        let (from, or_origin) = match address {
            Address::Advance(step) | Address::Cancel(step) => (step.previous(), true),
            Address::Compensate(step) => (Some(step.next()), true),
            Address::Complete => (Some(self.last()), false),
            Address::Cancelled => (Some(StepIndex::FIRST), false),
            Address::Answer(_) => (None, true),
            Address::Act(step)
            | Address::Undo(step)
            | Address::Report(step)
            | Address::Contradiction(step)
            | Address::Waiting(step) => (Some(step), false),
        };
        let owner = from.and_then(|step| self.step(step)).map(|step| step.cloud);
        owner == Some(sender) || or_origin && sender == Cloud::ORIGIN
    }

    /// The type of a message with this address; `None` when the definition has no such step.
    #[must_use]
    pub fn type_of(&self, address: Address) -> Option<&str> {
        let step = match address.step() {
            Some(step) => Some(self.step(step)?),
            None => None,
        };
        match address {
            Address::Advance(index) => match index.previous() {
                Some(previous) => self.step(previous).map(|step| step.done.as_str()),
                None => Some("SagaStarted"),
            },
            Address::Complete => self.steps.last().map(|step| step.done.as_str()),
            Address::Compensate(_) => step.map(|step| step.compensate.as_str()),
            Address::Cancel(_) => step.map(|step| step.cancel.as_str()),
            _ => address.fixed_type(),
        }
    }

    /// What an event of this type, from somebody who does not know our attributes, is addressed to.
    #[must_use]
    pub fn address_of(&self, kind: &str) -> Option<Address> {
        let mut found = self.steps.iter().enumerate().filter_map(|(index, step)| {
            let index = StepIndex::new(index as u8);
            if step.done == kind {
                Some(if index == self.last() {
                    Address::Complete
                } else {
                    Address::Advance(index.next())
                })
            } else if step.compensate == kind {
                Some(Address::Compensate(index))
            } else if step.cancel == kind {
                Some(Address::Cancel(index))
            } else {
                None
            }
        });
        found.next()
    }
}

/// The definitions of a release, by name and version.
#[derive(Debug, Clone, Default)]
pub struct Catalogue(BTreeMap<DefinitionRef, Definition>);

impl Catalogue {
    /// Collects definitions.
    ///
    /// # Errors
    /// [`InvalidDefinition`] when a name and version stand twice.
    pub fn new(definitions: impl IntoIterator<Item = Definition>) -> Result<Self, InvalidDefinition> {
        let mut all = BTreeMap::new();
        for definition in definitions {
            let reference = definition.reference.clone();
            if all.insert(reference.clone(), definition).is_some() {
                return Err(InvalidDefinition(format!("{reference} is defined twice")));
            }
        }
        Ok(Self(all))
    }

    /// The definition of this name and version.
    #[must_use]
    pub fn get(&self, reference: &DefinitionRef) -> Option<&Definition> {
        self.0.get(reference)
    }

    /// The definition that a new saga of this name starts with: the highest version.
    #[must_use]
    pub fn latest(&self, name: &str) -> Option<&Definition> {
        self.0
            .values()
            .rfind(|definition| definition.reference.name == name)
    }

    /// Every definition.
    pub fn iter(&self) -> impl Iterator<Item = &Definition> {
        self.0.values()
    }
}
