//! One message at one step: the row of the table, made into a record to store and an event to send.
//!
//! Invariant: what leaves is a function of the stored record (and, for a passed-on cancel, of the cancel
//! itself), so a repeated message causes the same event again, with the same id and content.

use crate::Outcome;
use crate::definition::{Cloud, Definition, StepDefinition};
use crate::document::{Fields, carried};
use crate::event::Event;
use crate::ids::{SagaId, StepIndex, Timestamp};
pub use crate::message::Message;
use crate::participant::{
    Context, Decision, Entities, EntityKey, EntityWrite, Participant, Participants, Placement, Work,
};
use crate::progress::Progress;
pub use crate::record::{OUTPUTS, StepRecord};
use crate::reports::Reports;
use crate::step::{Answer, Effect, Emission, Kind, Recover, Reply, Rules, StepState, StepVerb, transition};

/// One step of one saga.
#[derive(Clone, Copy)]
pub struct Step<'a> {
    /// The saga.
    pub saga: SagaId,
    /// Its definition.
    pub definition: &'a Definition,
    /// Which step.
    pub index: StepIndex,
    step: &'a StepDefinition,
    participant: Option<&'a dyn Participant>,
}

/// Why there is no such step here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoStep {
    /// The definition has none of this index.
    #[error("the definition has no step {0}")]
    Unknown(String),
    /// The definition names a participant that this deployment does not have.
    #[error("participant `{0}` is not part of this deployment")]
    NoParticipant(String),
}

/// What is to be committed, in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepDecision {
    /// Which step.
    pub index: StepIndex,
    /// Applied, repeated, late (an answer that changes nothing), or noted (an attempt without a decision).
    pub outcome: Outcome,
    /// What happened inside the step.
    pub effect: Effect,
    /// The record to store, when it changes.
    pub record: Option<StepRecord>,
    /// The participant's entities to write.
    pub writes: Vec<EntityWrite>,
    /// The one event that leaves.
    pub emit: Option<Event>,
    /// Something that an operator must know.
    pub alert: Option<String>,
}

impl<'a> Step<'a> {
    /// The step of this index.
    ///
    /// # Errors
    /// [`NoStep`] when there is none, or its participant is missing.
    pub fn find(
        saga: SagaId,
        definition: &'a Definition,
        index: StepIndex,
        participants: &'a Participants,
    ) -> Result<Self, NoStep> {
        let step = definition
            .step(index)
            .ok_or_else(|| NoStep::Unknown(definition.describe(index)))?;
        let participant = match step.participant() {
            None => None,
            Some(name) => {
                let participant = participants.get(name);
                let missing = || NoStep::NoParticipant(name.to_owned());
                Some(participant.ok_or_else(missing)?.as_ref())
            }
        };
        Ok(Self {
            saga,
            definition,
            index,
            step,
            participant,
        })
    }

    /// Its part of the definition.
    #[must_use]
    pub fn step(&self) -> &'a StepDefinition {
        self.step
    }

    /// The cloud that owns it.
    #[must_use]
    pub fn cloud(&self) -> Cloud {
        self.step.cloud
    }

    /// What the protocol's table needs to know of it.
    #[must_use]
    pub fn rules(&self) -> Rules {
        Rules {
            kind: self.step.kind(),
            class: self.step.class,
            last: self.index == self.definition.last(),
        }
    }

    /// Where its record is kept, with the entities that it shares a transaction with.
    #[must_use]
    pub fn placement(&self) -> Placement {
        self.participant
            .map_or(Placement::BySaga, |participant| participant.placement())
    }

    /// The entities that must be read before [`Step::decide`] can decide about a message, when the step's record is `record`.
    #[must_use]
    pub fn reads(&self, record: Option<&StepRecord>, message: &Message<'_>) -> Vec<EntityKey> {
        let state = record.map(|record| record.state);
        let work = match transition(self.rules(), state, message.verb, || Answer::Accepted).effect {
            Effect::Act => Work::Act,
            Effect::Undo => Work::Undo,
            _ => return Vec::new(),
        };
        let context = self.context(record, message);
        self.participant
            .map(|participant| participant.reads(work, context))
            .unwrap_or_default()
    }

    /// The fields that its participant sets on its entities when the saga completes.
    pub(crate) fn settle(&self, context: Context<'_>) -> Vec<EntityWrite> {
        self.participant
            .map(|participant| participant.settle(context))
            .unwrap_or_default()
    }

    /// The data that the step's work is about: the record's when there is one, else the message's.
    fn context<'c>(&self, record: Option<&'c StepRecord>, message: &Message<'c>) -> Context<'c> {
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
    /// use saga_core::definition::{Cloud, Definition, DefinitionRef, StepDefinition, StepWork};
    /// use saga_core::document::Fields;
    /// use saga_core::money::Amounts;
    /// use saga_core::participant::{
    ///     Context, Decision, Entities, EntityKey, EntityWrite, FieldError, Participant, Participants, Placement, Work,
    /// };
    /// use saga_core::participate::{Message, Step};
    /// use saga_core::reports::Reports;
    /// use saga_core::step::{Class, StepState, StepVerb};
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
    /// #     work: StepWork::Local { participant: "greeter".to_owned() },
    /// #     class: Class::default(),
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
    /// let participants = Participants::from([("greeter", Box::new(AlwaysAccepts) as Box<dyn Participant>)]);
    /// let step = Step::find(saga, &definition, StepIndex::new(1), &participants)?;
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
        record: Option<&StepRecord>,
        message: &Message<'_>,
        entities: &Entities,
        now: Timestamp,
    ) -> StepDecision {
        let context = self.context(record, message);
        let mut answer = None;
        let row = transition(self.rules(), record.map(|r| r.state), message.verb, || {
            let Some(participant) = self.participant else {
                let waits = self.step.wait().and_then(|wait| wait.when.as_ref());
                let skipped = waits.is_some_and(|when| !when.holds(message.data));
                return if skipped { Answer::Accepted } else { Answer::Later };
            };
            match answer.insert(participant.act(context, entities)) {
                Decision::Accept { .. } => Answer::Accepted,
                Decision::Refuse(_) => Answer::Refused,
            }
        });

        let decimals = self
            .participant
            .map_or(&[][..], |participant| participant.decimals());
        let decimals = decimals.iter().copied().collect();
        let (mut writes, mut output) = (Vec::new(), Fields::new());
        let mut reason = record.and_then(|record| record.reason.clone());
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
            (Effect::Undo | Effect::Recall, _) => {
                if let (Effect::Undo, Some(participant)) = (row.effect, self.participant) {
                    writes = participant.undo(context, entities);
                }
                output = record.map(|r| r.output.clone()).unwrap_or_default();
                reason = message.reason().or(reason);
            }
            (Effect::Tombstone, _) => reason = message.reason(),
            (Effect::Settle, _) if message.verb == StepVerb::Answer(Reply::Accepted) => {
                output = carried(message.data.clone(), &decimals);
            }
            (Effect::Settle, _) => {
                output = record.map(|r| r.output.clone()).unwrap_or_default();
                reason = reason.or(message.reason());
            }
            _ => {}
        }
        let new = row.state.map(|state| StepRecord {
            state,
            at: now,
            // An answer from outside is no message of another step, and a request that is sent again is the one that it was.
            hop: match (message.verb, record) {
                (StepVerb::Answer(_), Some(record)) => record.hop,
                (_, Some(record)) if row.emit == Some(Emission::Act) => record.hop,
                _ => message.hop.saturating_add(1),
            },
            reason,
            data: match record {
                Some(record) => record.data.clone(),
                None => carried(message.data.clone(), &decimals),
            },
            output,
            progress: self.progress(record, state, now),
            reports: match record.filter(|_| matches!(message.verb, StepVerb::Answer(_))) {
                Some(record) => record.reports.clone(),
                None if self.cloud() == Cloud::ORIGIN => Reports::default(),
                None => message.reports.of_others(self.index),
            },
        });
        let said = new.as_ref().or(record);
        let emit = match (said, row.emit) {
            (Some(record), Some(emission)) => self.emission(record, emission, message),
            (None, Some(Emission::Contradiction)) => self.contradiction(message.data, message),
            _ => None,
        };
        let outcome = match (&new, message.verb) {
            (Some(_), _) => Outcome::Applied,
            (None, StepVerb::Answer(_)) => Outcome::Late,
            (None, _) => Outcome::Repeated,
        };
        let undid_nothing =
            row.effect == Effect::Tombstone && message.verb == StepVerb::Compensate && record.is_none();
        StepDecision {
            index: self.index,
            outcome,
            effect: row.effect,
            record: new,
            writes,
            emit,
            alert: if undid_nothing {
                Some(undid_nothing_alert(self.definition, self.index))
            } else {
                self.accepted_too_late(record, message)
            },
        }
    }

    /// A service says that it acted, and the step is refused: somebody has said so who was wrong.
    fn accepted_too_late(&self, record: Option<&StepRecord>, message: &Message<'_>) -> Option<String> {
        let refused = record.is_some_and(|record| record.state == StepState::Refused);
        (refused && message.verb == StepVerb::Answer(Reply::Accepted)).then(|| {
            format!(
                "step {} is refused, and its service says now that it accepted: an effect may exist that no saga accounts for. \
                 Look at the service and take the effect back there",
                self.definition.describe(self.index)
            )
        })
    }

    /// How far the step has come once it is in `state`. Each kind of request is counted for itself.
    fn progress(&self, record: Option<&StepRecord>, state: StepState, now: Timestamp) -> Option<Progress> {
        let known = record.and_then(|record| record.progress.clone());
        let same_request = |progress: &Progress| Progress {
            held: progress.held.filter(|_| state.is_calling()),
            next: progress.next.filter(|_| state.is_calling()),
            paused: progress.paused.filter(|_| state.is_calling()),
            // What is said of a pause is no error of an attempt: it goes with the pause.
            error: progress
                .error
                .clone()
                .filter(|_| state.is_calling() || progress.paused.is_none()),
            ..progress.clone()
        };
        match (state, self.step.kind()) {
            (StepState::Acting | StepState::Waiting, _) => Some(Progress::since(now)),
            (StepState::Stopping, Kind::Call(Recover::Tombstone)) | (StepState::Undoing, _) => {
                let since = known.map_or(now, |progress| progress.since);
                Some(Progress::since(since))
            }
            _ => known.as_ref().map(same_request),
        }
    }
}

/// The alert for a step that was asked to undo something that it never did.
fn undid_nothing_alert(definition: &Definition, step: StepIndex) -> String {
    format!(
        "step {} was asked to undo what it never did",
        definition.describe(step)
    )
}
