//! The cloud that keeps the saga: it starts it, learns of its steps, ends it, and sends again what was lost.
//!
//! [`Origin::reads`] and [`Origin::apply`] are the only entrance for a saga that exists, and [`start`] makes a new one.
//! Each takes the saga as it is and gives back the saga as it is to be, with everything that must be committed in the
//! same transaction. Invariants: a decision emits at most one event; a store writes only what a decision says; the end
//! of a saga is decided by [`crate::lifecycle::transition`] and a step by [`crate::step::transition`], nowhere else.

mod answer;
mod command;
mod context;
mod emit;
mod ending;
mod notes;
mod receive;
mod start;
mod sweep;

pub use self::answer::reply_of;
pub use self::command::{Answer, Command, Note, Override};
pub use self::context::{Decided, Misaddressed, Origin, OriginDecision, PastPivot};
pub use self::start::{Start, start};
use crate::lifecycle::Trigger;
use crate::participant::{Entities, EntityKey};

impl Origin<'_> {
    /// The entities that must be read before [`Origin::apply`] can decide about this command.
    ///
    /// # Errors
    /// [`Misaddressed`] when the command cannot be applied.
    pub fn reads(&self, command: &Command<'_>) -> Result<Vec<EntityKey>, Misaddressed> {
        match command {
            Command::Event { event, publisher } => self.reads_for(event, *publisher),
            Command::Resolve { .. } if self.definition.is_some() => self.reads_to_undo(),
            _ => Ok(Vec::new()),
        }
    }

    /// Decides what a command does to the saga. `entities` are those of [`Origin::reads`], as they were read.
    ///
    /// # Errors
    /// [`Misaddressed`] when an event is for a step of another cloud or contradicts the saga, or the deployment has not
    /// what the command needs.
    ///
    /// # Examples
    /// A caller's cancel sends `cancel` after the saga; the first step that has not acted decides it.
    ///
    /// ```
    /// use saga_core::definition::{Call, Cloud, Definition, DefinitionRef, StepDefinition, StepWork};
    /// use saga_core::mark::Asked;
    /// use saga_core::origin::{Command, Decided, Origin, Start, start};
    /// use saga_core::participant::{Entities, Participants};
    /// use saga_core::patience::Patience;
    /// use saga_core::step::Class;
    /// use saga_core::{Address, IdempotencyKey, Outcome, SagaId, StepIndex, Timestamp, TraceParent};
    ///
    /// let step = |name: &str| StepDefinition {
    ///     name: name.to_owned(),
    ///     cloud: Cloud::Azure,
    ///     work: StepWork::Call(Call::of("inventory")),
    ///     class: Class::default(),
    ///     done: format!("{name}Done"),
    ///     compensate: format!("{name}CompensationRequested"),
    ///     cancel: format!("{name}CancelRequested"),
    /// };
    /// let reference = DefinitionRef { name: "order".to_owned(), version: 1 };
    /// let definition = Definition::new(reference, 900_000, vec![step("Reserve"), step("Pack")])?;
    /// let (participants, patience) = (Participants::new(), Patience::default());
    ///
    /// let key: IdempotencyKey = "order-4711".parse()?;
    /// let id = SagaId::derive("order", &key);
    /// let now = Timestamp::from_millis(1_790_000_000_000);
    /// let begin = Start { saga: id, input: Default::default(), trace: TraceParent::for_saga(id), now };
    /// let started = start(&definition, &participants, patience, begin)?.expect("no step of the origin refuses");
    ///
    /// let saga = started.saga;
    /// let origin = Origin { saga: &saga, definition: Some(&definition), participants: &participants, patience, now };
    /// let asked = Asked { by: "caller", caller: None, why: "the customer has changed her mind" };
    /// let Decided::Commit(decision) = origin.apply(&Command::Cancel(asked), &Entities::new())? else { panic!() };
    /// assert_eq!(decision.outcome, Outcome::Applied);
    /// assert_eq!(decision.emit.unwrap().address, Address::Cancel(StepIndex::FIRST));
    /// assert!(decision.saga.lifecycle.cancelling);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn apply(&self, command: &Command<'_>, entities: &Entities) -> Result<Decided, Misaddressed> {
        match command {
            Command::Event { event, publisher } => {
                self.receive(event, *publisher, entities).map(Decided::from)
            }
            Command::Cancel(asked) => self.commanded("cancel", *asked, Trigger::Cancel, || {
                self.cancel(asked.by, asked.why)
            }),
            Command::Resolve { to, force, asked } => self.commanded("resolve", *asked, to.trigger(), || {
                self.resolve(*to, *force, asked.by, asked.why, entities)
            }),
            Command::Retransmit(asked) => self.retransmit(*asked),
            Command::Answer(answer) => self.answer(answer),
            Command::Undecided { step, attempt } => self.undecided(*step, attempt),
            Command::Sweep => self.sweep(),
            Command::Hold { alerted } => Ok(self.hold(*alerted)),
            Command::FlagStuck => Ok(self.flag_stuck()),
            Command::Park(message) => Ok(self.park(message)),
            Command::Annotate(notes) => Ok(self.annotate(notes)),
            Command::Unpark { looked, asked } => Ok(self.unpark(*looked, *asked)),
        }
    }
}
