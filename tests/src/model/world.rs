//! Core's records, made from a state of the model and taken apart again, and one action at a time between.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use saga_core::definition::{Definition, DefinitionRef, StepDefinition, StepWork};
use saga_core::document::{Fields, fields};
use saga_core::event::Emit;
use saga_core::lifecycle::Phase;
use saga_core::mark::{Asked, Mark};
use saga_core::money::Amounts;
use saga_core::origin::{Command, Decided, Origin, OriginDecision, Override, Start, start};
use saga_core::participant::Participants;
use saga_core::participant::{
    Context, Decision, Entities, EntityKey, EntityWrite, FieldError, Participant, Placement, Work,
};
use saga_core::participate::{Message, Step, StepRecord};
use saga_core::patience::Patience;
use saga_core::reports::Reports;
use saga_core::step::{Class, StepState, StepVerb};
use saga_core::timeline::Timeline;
use saga_core::{Address, Cloud, Event, Saga, SagaId, Status, StepIndex, Timestamp, TraceParent};
use saga_wire::saga_event::check;

use super::code::Code;
use super::state::{Broken, MAX, Messages, Network, State};
use crate::arbitrary::nth_saga;

/// Something that happens. Each is one local transaction on one cloud, so a process may crash between any two; it keeps
/// nothing but what is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// A message reaches whom it is for.
    Deliver(Address),
    /// A row of an outbox is published; the process dies before it deletes the row.
    Publish(Address),
    /// A row of an outbox is published and deleted.
    PublishAndDelete(Address),
    /// A message is lost.
    Lose(Address),
    /// The sweeper looks at the saga before its deadline.
    Sweep,
    /// The sweeper looks at the saga after its deadline.
    SweepAfterDeadline,
    /// A caller cancels.
    Cancel,
    /// An operator overrides.
    Resolve(Override),
    /// Another team's publisher wants the origin's step undone.
    OutsiderCompensates,
}

const NAMES: [&str; MAX] = ["p0", "p1", "p2", "p3"];

/// A participant whose effect and undo leave a trace in what is written.
struct Traced {
    step: usize,
    accepts: bool,
}

impl Traced {
    fn writes(&self, what: i64) -> Vec<EntityWrite> {
        vec![EntityWrite {
            key: EntityKey::new("trace", self.step),
            fields: fields([("what", what.into())]),
        }]
    }
}

const ACTED: i64 = 1;
const UNDONE: i64 = 2;

impl Participant for Traced {
    fn name(&self) -> &'static str {
        NAMES[self.step]
    }
    fn accepts(&self) -> &'static [&'static str] {
        &[]
    }
    fn check(&self, _: &Fields, _: Amounts) -> Vec<FieldError> {
        Vec::new()
    }
    fn placement(&self) -> Placement {
        Placement::BySaga
    }
    fn reads(&self, _: Work, _: Context<'_>) -> Vec<EntityKey> {
        Vec::new()
    }
    fn act(&self, _: Context<'_>, _: &Entities) -> Decision {
        if self.accepts {
            Decision::Accept {
                writes: self.writes(ACTED),
                output: Fields::new(),
            }
        } else {
            Decision::Refuse("no".to_owned())
        }
    }
    fn undo(&self, _: Context<'_>, _: &Entities) -> Vec<EntityWrite> {
        self.writes(UNDONE)
    }
}

/// What the origin makes of one action, on the part of the state that is its own.
#[derive(Clone, Copy)]
struct Answer {
    state: State,
    emitted: Option<Address>,
}

/// One saga of a given shape, and the code that decides about it.
pub struct World {
    code: Code,
    network: Network,
    definition: Definition,
    participants: Participants,
    /// Core's answers, by the origin's part of the state: there are few of those, and they are asked for often.
    known: RwLock<HashMap<(State, Action), Option<Answer>>>,
}

fn t0() -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000)
}

fn id() -> SagaId {
    nth_saga(1)
}

fn record(state: StepState) -> StepRecord {
    StepRecord {
        progress: None,
        state,
        at: t0(),
        hop: 1,
        reason: None,
        data: Fields::new(),
        output: Fields::new(),
        reports: Reports::default(),
    }
}

impl World {
    /// A saga whose steps are owned by `clouds`, of which the step `refuses` refuses (if any does; steps after it
    /// are never asked).
    ///
    /// # Panics
    /// When the clouds are not 2 to [`MAX`].
    #[must_use]
    pub fn new(code: Code, network: Network, clouds: &[Cloud], refuses: Option<usize>) -> Self {
        assert!(clouds.len() <= MAX);
        let step = |(number, cloud): (usize, &Cloud)| StepDefinition {
            name: format!("s{number}"),
            cloud: *cloud,
            work: StepWork::Local {
                participant: NAMES[number].to_owned(),
            },
            class: Class::default(),
            done: format!("Done{number}"),
            compensate: format!("Compensate{number}"),
            cancel: format!("Cancel{number}"),
        };
        let reference = DefinitionRef {
            name: "model".to_owned(),
            version: 1,
        };
        let steps = clouds.iter().enumerate().map(step).collect();
        let definition = Definition::new(reference, 900_000, steps).expect("2 to 4 steps");
        let participant = |step: usize| -> Box<dyn Participant> {
            Box::new(Traced {
                step,
                accepts: refuses != Some(step),
            })
        };
        Self {
            code,
            network,
            participants: (0..clouds.len())
                .map(|step| (NAMES[step], participant(step)))
                .collect(),
            definition,
            known: RwLock::default(),
        }
    }

    /// How many steps.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.definition.steps().len()
    }

    /// The saga as it is started; `None` when its own first step refuses, and nothing is stored.
    #[must_use]
    pub fn start(&self) -> Option<State> {
        let begin = Start {
            saga: id(),
            input: Fields::new(),
            trace: TraceParent::for_saga(id()),
            now: t0(),
        };
        let decision = start(&self.definition, &self.participants, Patience::default(), begin)
            .expect("all participants are there")
            .ok()?;
        let nothing = State {
            steps: [None; MAX],
            lifecycle: saga_core::lifecycle::Lifecycle::default(),
            asked: false,
            resolved: false,
            due: false,
            acted: [0; MAX],
            undone: [0; MAX],
            outbox: Messages::default(),
            sent: Messages::default(),
            broken: None,
        };
        let Answer { mut state, emitted } = self.answer(nothing, &decision);
        self.send(&mut state, emitted);
        Some(state)
    }

    /// What was committed to be sent.
    fn send(&self, state: &mut State, emitted: Option<Address>) {
        if let Some(address) = emitted {
            match self.network {
                Network::Abstract => state.sent = state.sent.with(address),
                Network::Explicit => state.outbox = state.outbox.with(address),
            }
        }
    }

    /// What is possible.
    pub fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.extend(state.sent.iter().map(Action::Deliver));
        actions.extend(
            state
                .outbox
                .iter()
                .flat_map(|row| [Action::Publish(row), Action::PublishAndDelete(row)]),
        );
        if self.network == Network::Explicit {
            actions.extend(state.sent.iter().map(Action::Lose));
        }
        actions.extend([
            Action::Sweep,
            Action::SweepAfterDeadline,
            Action::Cancel,
            Action::Resolve(Override::Cancelled),
            Action::Resolve(Override::Completed),
        ]);
        if self.definition.opens_at_origin() {
            actions.push(Action::OutsiderCompensates);
        }
    }

    /// What an action leads to; `None` when nothing changes.
    #[must_use]
    pub fn next(&self, before: &State, action: Action) -> Option<State> {
        let (mut after, emitted) = match action {
            Action::Publish(row) | Action::PublishAndDelete(row) => {
                let published = State {
                    sent: before.sent.with(row),
                    ..*before
                };
                let deleted = State {
                    outbox: before.outbox.without(row),
                    ..published
                };
                let after = if action == Action::Publish(row) {
                    published
                } else {
                    deleted
                };
                return (after != *before).then_some(after);
            }
            Action::Lose(message) => {
                return Some(State {
                    sent: before.sent.without(message),
                    ..*before
                });
            }
            Action::Deliver(address) if self.definition.target(address) == Some(Cloud::Azure) => {
                self.at_azure(before, address)
            }
            action => {
                let answer = self.at_origin(before, action)?;
                (self.merged(before, answer.state), answer.emitted)
            }
        };
        self.send(&mut after, emitted);
        if after.broken.is_none() {
            after.broken = self.broken(before, &after, action, emitted);
        }
        (after != *before).then_some(after)
    }

    /// A message at a step of the other cloud.
    fn at_azure(&self, before: &State, address: Address) -> (State, Option<Address>) {
        let mut after = *before;
        let event = self.event(address);
        let Some((index, message)) = Message::of(&event) else {
            after.broken = Some(Broken::NotUnderstood);
            return (after, None);
        };
        let number = usize::from(index.get());
        let Ok(step) = Step::find(id(), &self.definition, index, &self.participants) else {
            after.broken = Some(Broken::NotUnderstood);
            return (after, None);
        };
        let known = before.steps[number].map(record);
        let decision = (self.code.step)(&step, known.as_ref(), &message, &Entities::new(), t0());
        if let Some(record) = decision.record {
            after.steps[number] = Some(record.state);
        }
        count(&mut after, &decision.writes);
        self.understood(&mut after, decision.emit.as_ref());
        (after, decision.emit.map(|event| event.address))
    }

    /// Something at the origin. Only its own part of the state decides, so the answer is remembered for that.
    fn at_origin(&self, before: &State, action: Action) -> Option<Answer> {
        let mut own = before.silent();
        for (number, step) in self.definition.steps().iter().enumerate() {
            if step.cloud != Cloud::ORIGIN {
                own.steps[number] = None;
            }
        }
        (own.acted, own.undone) = ([0; MAX], [0; MAX]);
        let key = (own, action);
        if let Some(answer) = self
            .known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
        {
            return *answer;
        }
        let answer = self.decide(own, action);
        self.known
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, answer);
        answer
    }

    fn decide(&self, own: State, action: Action) -> Option<Answer> {
        let saga = self.saga(&own);
        let late = action == Action::SweepAfterDeadline;
        let origin = Origin {
            saga: &saga,
            definition: Some(&self.definition),
            participants: &self.participants,
            patience: Patience::default(),
            now: if late { saga.deadline } else { t0() },
        };
        let event = |address, publisher| Command::Event {
            event: Box::new(self.event(address)),
            publisher,
        };
        let asked = |by, why| Asked {
            by,
            caller: None,
            why,
        };
        let command = match action {
            Action::Deliver(address) => event(address, None),
            Action::Sweep | Action::SweepAfterDeadline => Command::Sweep,
            Action::Publish(_) | Action::PublishAndDelete(_) | Action::Lose(_) => return None,
            Action::Cancel => Command::Cancel(asked("somebody", "a cancel")),
            Action::Resolve(to) => Command::Resolve {
                force: false,
                to,
                asked: asked("an operator", "an override"),
            },
            Action::OutsiderCompensates => {
                event(Address::Compensate(StepIndex::FIRST), Some("somebody.example"))
            }
        };
        match (self.code.origin)(&origin, &command) {
            Ok(Decided::Commit(decision)) => Some(self.answer(own, &decision)),
            Ok(Decided::Nothing(_)) => None,
            Err(_) => Some(Answer {
                state: State {
                    broken: Some(Broken::NotUnderstood),
                    ..own
                },
                emitted: None,
            }),
        }
    }

    /// A decision of the origin, as a state.
    fn answer(&self, own: State, decision: &OriginDecision) -> Answer {
        let saga = &decision.saga;
        let mut state = State {
            lifecycle: saga.lifecycle,
            asked: saga.cancel.is_some(),
            resolved: saga.resolved.is_some(),
            due: saga.due.is_some(),
            ..own
        };
        for (index, record) in &saga.steps {
            state.steps[usize::from(index.get())] = Some(record.state);
        }
        count(&mut state, &decision.writes);
        self.understood(&mut state, decision.emit.as_ref());
        if decision.status != self.expected_status(&state) {
            state.broken = Some(Broken::WrongStatus);
        }
        Answer {
            state,
            emitted: decision.emit.as_ref().map(|event| event.address),
        }
    }

    /// The origin's part of `own` over the whole of `before`.
    fn merged(&self, before: &State, own: State) -> State {
        let mut after = State {
            lifecycle: own.lifecycle,
            asked: own.asked,
            resolved: own.resolved,
            due: own.due,
            broken: own.broken,
            ..*before
        };
        for (number, step) in self.definition.steps().iter().enumerate() {
            if step.cloud == Cloud::ORIGIN {
                after.steps[number] = own.steps[number];
            }
            after.acted[number] = (before.acted[number] + own.acted[number]).min(2);
            after.undone[number] = (before.undone[number] + own.undone[number]).min(2);
        }
        after
    }

    /// The saga as core knows it.
    fn saga(&self, own: &State) -> Saga {
        let mark = |reason: &str| Mark {
            at: t0(),
            by: "somebody".to_owned(),
            reason: reason.to_owned(),
        };
        let steps = (0..MAX).filter_map(|number| {
            own.steps[number].map(|state| (StepIndex::new(number as u8), record(state)))
        });
        Saga {
            id: id(),
            definition: self.definition.reference().clone(),
            input: Fields::new(),
            created: t0(),
            deadline: t0().plus_millis(self.definition.deadline_millis()),
            trace: TraceParent::for_saga(id()),
            lifecycle: own.lifecycle,
            steps: steps.collect(),
            cancel: own.asked.then(|| mark("a cancel")),
            resolved: own.resolved.then(|| mark("an override")),
            parked: Vec::new(),
            stuck: None,
            shown: self.expected_status(own),
            timeline: Timeline::default(),
            due: own.due.then(t0),
            nudges: 0,
        }
    }

    fn event(&self, address: Address) -> Event {
        let emit = Emit {
            saga: id(),
            definition: &self.definition,
            address,
            sender: Cloud::ORIGIN,
            time: t0(),
            hop: 1,
            trace: &TraceParent::for_saga(id()),
            data: Fields::new(),
            reports: Reports::default(),
        };
        emit.event().expect("the definition has such a step")
    }

    /// Whether whoever an event is for will understand it.
    fn understood(&self, state: &mut State, event: Option<&Event>) {
        if event.is_some_and(|event| check(event, &self.definition).is_err()) {
            state.broken = Some(Broken::NotUnderstood);
        }
    }

    /// The status in the words of the design: a fold of what the origin knows.
    fn expected_status(&self, own: &State) -> Status {
        let ours = |number: &usize| self.definition.steps()[*number].cloud == Cloud::ORIGIN;
        let known: Vec<usize> = (0..self.steps())
            .filter(ours)
            .filter(|number| own.steps[*number].is_some())
            .collect();
        let owes = known.last().map_or(0, |last| last + 1);
        match own.lifecycle.phase {
            Phase::Completed => Status::Completed,
            Phase::Cancelled => Status::CancelledViaCompensation,
            Phase::Open
                if known
                    .iter()
                    .any(|number| own.steps[*number] != Some(StepState::Done)) =>
            {
                Status::Compensating
            }
            Phase::Open
                if self
                    .definition
                    .steps()
                    .get(owes)
                    .is_some_and(|step| step.cloud == Cloud::Azure) =>
            {
                Status::PendingAzureConfirmation
            }
            Phase::Open => Status::PendingAwsConfirmation,
        }
    }

    /// What a transition broke of the invariants that speak of transitions.
    fn broken(
        &self,
        before: &State,
        after: &State,
        action: Action,
        emitted: Option<Address>,
    ) -> Option<Broken> {
        let first = self.definition.first_after_origin();
        let delivered = match action {
            // I3 and I6. What is sent again is what is owed: the wish to cancel, once there is one, else the opening.
            Action::Sweep | Action::SweepAfterDeadline => {
                let late = action == Action::SweepAfterDeadline;
                let owed = if before.is_over() {
                    None
                } else if late || before.lifecycle.cancelling || before.lifecycle.closing {
                    Some(Address::Cancel(first))
                } else {
                    Some(Address::Advance(first))
                };
                let looks_again = after.due != after.is_over();
                return (emitted != owed || !looks_again).then_some(Broken::WrongRetransmission);
            }
            Action::Deliver(address) => address,
            Action::OutsiderCompensates => Address::Compensate(StepIndex::FIRST),
            // A command that comes too late changes nothing at all.
            _ if before.is_over() && (after.steps, after.lifecycle) != (before.steps, before.lifecycle) => {
                return Some(Broken::NotHarmless);
            }
            _ => return None,
        };
        // I4. Climbing first, then falling, and never back: so every chain of messages ends.
        let height = |address: Address| match address {
            Address::Advance(step) | Address::Cancel(step) => (0, i16::from(step.get())),
            Address::Complete => (0, self.steps() as i16),
            Address::Compensate(step) => (1, -i16::from(step.get())),
            Address::Cancelled => (1, 1),
            _ => (0, 0),
        };
        let outsider = action == Action::OutsiderCompensates;
        if !outsider && emitted.is_some_and(|emitted| height(emitted) <= height(delivered)) {
            return Some(Broken::Bounce);
        }
        // I5. Once the saga has ended, the lifecycle stays as it is, but for the flag that the closing takes down; and once
        // that is down (and no operator completed it against the facts) nothing moves anywhere any more.
        let ended = before.lifecycle.phase != Phase::Open;
        let closed = saga_core::lifecycle::Lifecycle {
            closing: before.lifecycle.closing && after.lifecycle.closing,
            ..before.lifecycle
        };
        let first = self.definition.opens_at_origin() && before.steps[0] != after.steps[0];
        if ended && (after.lifecycle != closed || first) {
            return Some(Broken::NotHarmless);
        }
        if before.is_over() && !before.is_completed_by_override() && after.steps != before.steps {
            return Some(Broken::NotHarmless);
        }
        let at = delivered.step().map(|step| usize::from(step.get()))?;
        let step = (before.steps[at], after.steps[at]);
        let ends_here = at == 0 && self.definition.opens_at_origin();
        match saga_core::participate::Message::of(&self.event(delivered))?
            .1
            .verb
        {
            // I6. A cancel stands in the way of a step that has not acted, and touches no other.
            StepVerb::Cancel
                if !ends_here && !matches!(step, (None, Some(StepState::Refused))) && step.0 != step.1 =>
            {
                Some(Broken::Torn)
            }
            StepVerb::Cancel if !ends_here && step.0.is_none() && step.1.is_none() => Some(Broken::Torn),
            StepVerb::Cancel if !ends_here && step.0 == Some(StepState::Done) => {
                let last = at + 1 == self.steps();
                let onward = Address::Cancel(StepIndex::new(at as u8).next());
                // From the last step the saga completes: at the origin in the same transaction, else by a message.
                let chases = if last {
                    emitted == Some(Address::Complete) || after.lifecycle.phase != Phase::Open
                } else {
                    emitted == Some(onward)
                };
                (!chases).then_some(Broken::Torn)
            }
            StepVerb::Compensate if !outsider && step.0.is_none() => Some(Broken::NullCompensation),
            _ => None,
        }
    }
}

/// Counts the participants' effects and undos that are committed.
fn count(state: &mut State, writes: &[EntityWrite]) {
    for write in writes {
        let number: usize = write.key.id.parse().expect("the key of a trace is its step");
        let what = write.fields["what"]
            .as_number()
            .and_then(|number| number.as_i64());
        let counter = if what == Some(ACTED) {
            &mut state.acted[number]
        } else {
            &mut state.undone[number]
        };
        *counter = (*counter + 1).min(2);
    }
}
