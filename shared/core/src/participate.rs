//! One message at one step: the row of the table, made into a record to store and an event to send.
//!
//! Invariant: what leaves is a function of the stored record (and, for a passed-on cancel, of the cancel
//! itself), so a repeated message causes the same event again, with the same id and content.

use crate::Outcome;
use crate::address::Address;
use crate::definition::{Cloud, Definition};
use crate::document::{Fields, carried};
use crate::event::{Emit, Event, reason_data};
use crate::ids::{SagaId, StepIndex, Timestamp, TraceParent};
use crate::participant::{Context, Decision, Entities, EntityKey, EntityWrite, Participant, Work};
use crate::reports::Reports;
use crate::step::{Answer, Effect, Emission, StepState, StepVerb, transition};
use crate::text::shown;

/// What a step keeps for ever: what it decided, and all that it needs to say so again or to undo it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRecord {
    /// What it decided.
    pub state: StepState,
    /// When.
    pub at: Timestamp,
    /// The hop count of what it emits.
    pub hop: u16,
    /// Why it refused or was undone.
    pub reason: Option<String>,
    /// The data it was given.
    pub data: Fields,
    /// The output of its participant.
    pub output: Fields,
    /// What other steps of its cloud had said when it decided; at the origin nothing, which hears of them itself.
    pub reports: Reports,
}

/// A message, as far as a step needs it.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    /// What it asks.
    pub verb: StepVerb,
    /// The time that the message tells of.
    pub time: Timestamp,
    /// Its hop count.
    pub hop: u16,
    /// The caller's trace context.
    pub trace: &'a TraceParent,
    /// What travels with it.
    pub data: &'a Fields,
    /// What steps of the other cloud have said of themselves.
    pub reports: &'a Reports,
}

impl<'a> Message<'a> {
    /// The step and the message that an event is for; `None` for `complete` and `cancelled`.
    #[must_use]
    pub fn of(event: &'a Event) -> Option<(StepIndex, Self)> {
        let (step, verb) = match event.address {
            Address::Advance(step) => (step, StepVerb::Advance),
            Address::Compensate(step) => (step, StepVerb::Compensate),
            Address::Cancel(step) => (step, StepVerb::Cancel),
            Address::Complete | Address::Cancelled => return None,
        };
        let message = Message {
            verb,
            time: event.time,
            hop: event.hop,
            trace: &event.trace,
            data: &event.data,
            reports: &event.reports,
        };
        Some((step, message))
    }

    /// A message of the origin to its own first step, which no event carries.
    pub(crate) fn own(verb: StepVerb, time: Timestamp, trace: &'a TraceParent, data: &'a Fields) -> Self {
        Message {
            verb,
            time,
            hop: 0,
            trace,
            data,
            reports: Reports::NOTHING,
        }
    }

    fn reason(&self) -> Option<String> {
        self.data
            .get("reason")
            .and_then(|reason| reason.as_text())
            .map(shown)
    }
}

/// One step of one saga.
#[derive(Clone, Copy)]
pub struct Step<'a> {
    /// The saga.
    pub saga: SagaId,
    /// Its definition.
    pub definition: &'a Definition,
    /// Which step.
    pub index: StepIndex,
    /// The cloud that owns it.
    pub cloud: Cloud,
    /// Who does the work.
    pub participant: &'a dyn Participant,
}

/// What is to be committed, in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepDecision {
    /// Applied, or repeated.
    pub outcome: Outcome,
    /// What happened inside the step.
    pub effect: Effect,
    /// The record to store, when it changes.
    pub record: Option<StepRecord>,
    /// The participant's entities to write.
    pub writes: Vec<EntityWrite>,
    /// The one event that leaves.
    pub emit: Option<Event>,
}

impl<'a> Step<'a> {
    /// The entities that must be read before [`Step::decide`] can decide about a message, when the step's record is `record`.
    #[must_use]
    pub fn reads(&self, record: Option<&'a StepRecord>, message: &Message<'a>) -> Vec<EntityKey> {
        let context = self.context(record, message);
        Self::work(record, message.verb)
            .map(|work| self.participant.reads(work, context))
            .unwrap_or_default()
    }

    fn work(record: Option<&StepRecord>, verb: StepVerb) -> Option<Work> {
        match transition(record.map(|r| r.state), verb, false, || Answer::Accepted).effect {
            Effect::Act | Effect::Refuse => Some(Work::Act),
            Effect::Undo => Some(Work::Undo),
            Effect::None | Effect::Tombstone => None,
        }
    }

    /// The data that the participant's work is about: the record's when there is one, else the message's.
    fn context(&self, record: Option<&'a StepRecord>, message: &Message<'a>) -> Context<'a> {
        Context {
            saga: self.saga,
            data: record.map_or(message.data, |record| &record.data),
        }
    }

    /// Decides what the message does. `now` is stored with a new record.
    ///
    /// # Examples
    /// A cancel that finds no record leaves a tombstone: an `advance` that comes later is refused.
    ///
    /// ```
    /// use saga_core::definition::{Cloud, Definition, DefinitionRef, StepDefinition};
    /// use saga_core::document::Fields;
    /// use saga_core::money::Amounts;
    /// use saga_core::participant::{
    ///     Context, Decision, Entities, EntityKey, EntityWrite, FieldError, Participant, Placement, Work,
    /// };
    /// use saga_core::participate::{Message, Step};
    /// use saga_core::reports::Reports;
    /// use saga_core::step::{StepState, StepVerb};
    /// use saga_core::{Address, IdempotencyKey, SagaId, StepIndex, Timestamp, TraceParent};
    ///
    /// struct AlwaysAccepts;
    /// impl Participant for AlwaysAccepts {
    ///     fn name(&self) -> &'static str { "greeter" }
    ///     fn accepts(&self) -> &'static [&'static str] { &[] }
    ///     fn check(&self, _: &Fields, _: Amounts) -> Vec<FieldError> { Vec::new() }
    ///     fn placement(&self) -> Placement { Placement::BySaga }
    ///     fn reads(&self, _: Work, _: Context<'_>) -> Vec<EntityKey> { Vec::new() }
    ///     fn act(&self, _: Context<'_>, _: &Entities) -> Decision {
    ///         Decision::Accept { writes: Vec::new(), output: Fields::new() }
    ///     }
    ///     fn undo(&self, _: Context<'_>, _: &Entities) -> Vec<EntityWrite> { Vec::new() }
    /// }
    /// # let named = |name: &str, cloud| StepDefinition {
    /// #     name: name.to_owned(),
    /// #     cloud,
    /// #     participant: "greeter".to_owned(),
    /// #     done: format!("{name}Done"),
    /// #     compensate: format!("{name}Undo"),
    /// #     cancel: format!("{name}Cancel"),
    /// # };
    /// # let steps = vec![named("First", Cloud::Aws), named("Second", Cloud::Azure)];
    /// # let reference = DefinitionRef { name: "greeting".to_owned(), version: 1 };
    /// # let definition = Definition::new(reference, 60_000, steps)?;
    /// # let key: IdempotencyKey = "greeting-1".parse()?;
    /// # let saga = SagaId::derive("greeting", &key);
    /// # let (now, trace, data) = (Timestamp::from_millis(1), TraceParent::for_saga(saga), Fields::new());
    /// let (index, cloud) = (StepIndex::new(1), Cloud::Azure);
    /// let step = Step { saga, definition: &definition, index, cloud, participant: &AlwaysAccepts };
    /// let message = |verb| Message { verb, time: now, hop: 1, trace: &trace, data: &data, reports: Reports::NOTHING };
    ///
    /// let cancelled = step.decide(None, &message(StepVerb::Cancel), &Entities::new(), now);
    /// let tombstone = cancelled.record.unwrap();
    /// assert_eq!(tombstone.state, StepState::Refused);
    ///
    /// let late = step.decide(Some(&tombstone), &message(StepVerb::Advance), &Entities::new(), now);
    /// assert_eq!(late.record, None);
    /// assert_eq!(late.emit.unwrap().address, Address::Compensate(StepIndex::FIRST));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn decide(
        &self,
        record: Option<&'a StepRecord>,
        message: &Message<'a>,
        entities: &Entities,
        now: Timestamp,
    ) -> StepDecision {
        let context = self.context(record, message);
        let last = self.index == self.definition.last();
        let mut answer = None;
        let row = transition(record.map(|r| r.state), message.verb, last, || {
            match answer.insert(self.participant.act(context, entities)) {
                Decision::Accept { .. } => Answer::Accepted,
                Decision::Refuse(_) => Answer::Refused,
            }
        });

        let decimals = self.participant.decimals().iter().copied().collect();
        let (mut writes, mut output, mut reason) = (Vec::new(), Fields::new(), None);
        match (row.effect, answer) {
            (
                Effect::Act,
                Some(Decision::Accept {
                    writes: accepted,
                    output: out,
                }),
            ) => {
                (writes, output) = (accepted, carried(out, &decimals));
            }
            (Effect::Refuse, Some(Decision::Refuse(why))) => reason = Some(why),
            (Effect::Undo, _) => {
                writes = self.participant.undo(context, entities);
                output = record.map(|r| r.output.clone()).unwrap_or_default();
                reason = message.reason();
            }
            (Effect::Tombstone, _) => reason = message.reason(),
            _ => {}
        }
        let new = row.state.map(|state| StepRecord {
            state,
            at: now,
            hop: message.hop.saturating_add(1),
            reason,
            data: match record {
                Some(record) => record.data.clone(),
                None => carried(message.data.clone(), &decimals),
            },
            output,
            reports: if self.cloud == Cloud::ORIGIN {
                Reports::default()
            } else {
                message.reports.of_others(self.index)
            },
        });
        let emit = new
            .as_ref()
            .or(record)
            .and_then(|record| self.emission(record, row.emit, message));
        let outcome = if new.is_some() {
            Outcome::Applied
        } else {
            Outcome::Repeated
        };
        StepDecision {
            outcome,
            effect: row.effect,
            record: new,
            writes,
            emit,
        }
    }

    /// The event by which a record speaks.
    fn emission(&self, record: &StepRecord, emission: Emission, message: &Message<'_>) -> Option<Event> {
        let (address, data) = match emission {
            Emission::Advance => {
                let mut data = record.data.clone();
                data.extend(record.output.clone());
                let last = self.index == self.definition.last();
                (
                    if last {
                        Address::Complete
                    } else {
                        Address::Advance(self.index.next())
                    },
                    data,
                )
            }
            Emission::Compensate => (
                self.index
                    .previous()
                    .map_or(Address::Cancelled, Address::Compensate),
                reason_data(&record.data, record.reason.as_deref()),
            ),
            Emission::Cancel => (
                Address::Cancel(self.index.next()),
                reason_data(&record.data, message.reason().as_deref()),
            ),
        };
        // A passed-on cancel changes no record, so it speaks with the time and hop of the cancel it passes on.
        let (time, hop) = match emission {
            Emission::Cancel => (message.time, message.hop.saturating_add(1)),
            Emission::Advance | Emission::Compensate => (record.at, record.hop),
        };
        Emit {
            saga: self.saga,
            definition: self.definition,
            address,
            sender: self.cloud,
            time,
            hop,
            trace: message.trace,
            data,
            reports: if self.cloud == Cloud::ORIGIN {
                Reports::default()
            } else {
                record.reports.and(self.index, record.state, record.at)
            },
        }
        .event()
    }
}

/// The alert for a step that was asked to undo something that it never did.
#[must_use]
pub fn undid_nothing(definition: &Definition, step: StepIndex) -> String {
    format!(
        "step {} was asked to undo what it never did",
        definition.describe(step)
    )
}
