//! Core's records, made from a state of the model, and core's decisions, made into one. Core's answers are remembered: they
//! depend on few facts, and are asked for often.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{PoisonError, RwLock};

use saga_core::call::{CallVerb, Owed, Undecided};
use saga_core::document::Fields;
use saga_core::event::Emit;
use saga_core::lifecycle::Phase;
use saga_core::mark::{Asked, Mark};
use saga_core::origin::{self, Command, Decided, Misaddressed, Origin, OriginDecision, Start};
use saga_core::participant::Entities;
use saga_core::participate::{Message, Step, StepDecision, StepRecord};
use saga_core::patience::Patience;
use saga_core::progress::Progress;
use saga_core::reports::{Observed, Reports};
use saga_core::step::{Kind, StepState, StepVerb};
use saga_core::timeline::Timeline;
use saga_core::{Address, Cloud, Event, Outcome, Saga, SagaId, Status, StepIndex, Timestamp, TraceParent};
use saga_wire::saga_event::check;

use super::participant::count;
use super::state::{Broken, MAX, State};
use super::transit::Transit;
use super::world::{Action, WITHIN, World};
use crate::arbitrary::nth_saga;

/// What became of an action.
#[derive(Clone, Copy)]
pub(super) struct Answer {
    pub state: State,
    pub emitted: Option<Transit>,
    /// A step said that it cannot be undone, or said of a completed saga that it was.
    pub contradicted: bool,
}

/// Core's answers.
#[derive(Default)]
pub(super) struct Memory {
    /// By the origin's part of the state, and whether the other cloud's pivot is known never to act.
    origin: Remembered<(State, bool, Action), Option<Answer>>,
    /// By the record of a step of the other cloud, and whether a saga has just begun.
    azure: Remembered<(StepIndex, Option<StepState>, StepVerb), Answer>,
    owed: Remembered<(StepIndex, Option<StepState>, CallVerb, bool), bool>,
    undecided: Remembered<(StepIndex, Option<StepState>), bool>,
}

struct Remembered<K, V>(RwLock<HashMap<K, V>>);

impl<K, V> Default for Remembered<K, V> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<K: Copy + Eq + Hash, V: Copy> Remembered<K, V> {
    fn get(&self, key: K, ask: impl FnOnce() -> V) -> V {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let known = all.get(&key).copied();
        drop(all);
        known.unwrap_or_else(|| {
            let value = ask();
            let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
            all.insert(key, value);
            value
        })
    }
}

/// The time of every record.
fn t0() -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000)
}

/// The time of every decision that the clock does not cause.
fn t1() -> Timestamp {
    t0().plus_millis(1)
}

fn id() -> SagaId {
    nth_saga(1)
}

impl World {
    pub(super) fn started(&self) -> Option<Answer> {
        let begin = Start {
            saga: id(),
            input: Fields::new(),
            trace: TraceParent::for_saga(id()),
            now: t1(),
        };
        let decision = origin::start(&self.definition, &self.participants, Patience::default(), begin)
            .expect("all participants are there")
            .ok()?;
        Some(self.answer(State::NOTHING, &decision, t1()))
    }

    /// Something reaches a step of the other cloud.
    pub(super) fn at_azure(&self, before: &State, index: StepIndex, verb: StepVerb) -> Answer {
        let number = usize::from(index.get());
        let known = before.steps[number];
        let answer = self
            .memory
            .azure
            .get((index, known, verb), || self.decide_at_azure(index, known, verb));
        let mut after = *before;
        after.steps[number] = answer.state.steps[number];
        self.add(&mut after, &answer.state);
        after.broken = answer.state.broken;
        Answer {
            state: after,
            ..answer
        }
    }

    fn decide_at_azure(&self, index: StepIndex, known: Option<StepState>, verb: StepVerb) -> Answer {
        let number = usize::from(index.get());
        let mut after = State::NOTHING;
        after.steps[number] = known;
        let (trace, data) = (TraceParent::for_saga(id()), Fields::new());
        let event = match verb {
            StepVerb::Advance => Some(self.event(Address::Advance(index))),
            StepVerb::Compensate => Some(self.event(Address::Compensate(index))),
            StepVerb::Cancel => Some(self.event(Address::Cancel(index))),
            StepVerb::Answer(_) => None,
        };
        let message = match &event {
            Some(event) => Message::of(event).map(|(_, message)| message),
            None => Some(Message::own(verb, t1(), &trace, &data)),
        };
        let step = Step::find(id(), &self.definition, index, &self.participants);
        let (Ok(step), Some(message)) = (step, message) else {
            after.broken = Some(Broken::NotUnderstood);
            return Answer {
                state: after,
                emitted: None,
                contradicted: false,
            };
        };
        let record = known.map(|state| self.record(number, state));
        let decision = (self.code.step)(&step, record.as_ref(), &message, &Entities::new(), t1());
        if let Some(record) = &decision.record {
            after.steps[number] = Some(record.state);
            self.key_lifetime(&mut after, number, known, record, t1());
        }
        count(&mut after.acted, &mut after.undone, &decision.writes);
        self.understood(&mut after, decision.emit.as_ref());
        Answer {
            state: after,
            emitted: decision.emit.as_ref().and_then(Transit::of),
            contradicted: false,
        }
    }

    /// Something at the origin. Only its own part of the state decides.
    pub(super) fn at_origin(&self, before: &State, action: Action) -> Option<Answer> {
        let mut own = State {
            steps: before.steps,
            lifecycle: before.lifecycle,
            asked: before.asked,
            resolved: before.resolved,
            due: before.due,
            turn: before.turn,
            ..State::NOTHING
        };
        for number in 0..self.steps() {
            if self.cloud(number) != Cloud::ORIGIN {
                own.steps[number] = None;
            }
        }
        // What a step said that will never act is true for ever, so it may have been heard at any time since.
        let pivot = self.far_pivot().and_then(|pivot| before.steps[pivot]);
        let void = pivot.is_some_and(StepState::is_void);
        let answer = self
            .memory
            .origin
            .get((own, void, action), || self.decide_at_origin(own, void, action))?;
        let mut after = State {
            lifecycle: answer.state.lifecycle,
            asked: answer.state.asked,
            resolved: answer.state.resolved,
            due: answer.state.due,
            turn: answer.state.turn,
            broken: answer.state.broken,
            ..*before
        };
        for number in 0..self.steps() {
            if self.cloud(number) == Cloud::ORIGIN {
                after.steps[number] = answer.state.steps[number];
            }
        }
        self.add(&mut after, &answer.state);
        Some(Answer {
            state: after,
            ..answer
        })
    }

    fn add(&self, after: &mut State, made: &State) {
        for number in 0..self.steps() {
            after.acted[number] = (after.acted[number] + made.acted[number]).min(2);
            after.undone[number] = (after.undone[number] + made.undone[number]).min(2);
        }
    }

    fn decide_at_origin(&self, own: State, void: bool, action: Action) -> Option<Answer> {
        let saga = self.saga(&own, void);
        let now = match action {
            Action::SweepAfterWaits => t0().plus_millis(WITHIN),
            Action::SweepAfterDeadline => saga.deadline,
            _ => t1(),
        };
        let origin = Origin {
            saga: &saga,
            definition: Some(&self.definition),
            participants: &self.participants,
            patience: Patience::default(),
            now,
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
        let answered = |step, reply, asked| {
            Command::Answer(origin::Answer {
                step,
                reply,
                data: Fields::new(),
                asked,
            })
        };
        let command = match action {
            Action::Deliver(Transit::Event(address)) => event(address, None),
            Action::Deliver(Transit::Decision(step, reply)) => answered(step, reply, None),
            Action::Sweep | Action::SweepAfterWaits | Action::SweepAfterDeadline => Command::Sweep,
            Action::Cancel => Command::Cancel(asked("somebody", "a cancel")),
            Action::Resolve { to, force } => Command::Resolve {
                force,
                to,
                asked: asked("an operator", "an override"),
            },
            Action::Outside(step, reply) => answered(step, reply, Some(asked("a person", "a word"))),
            Action::OutsiderCompensates => {
                event(Address::Compensate(StepIndex::FIRST), Some("somebody.example"))
            }
            Action::Undecided(step) => Command::Undecided {
                step,
                attempt: attempt(),
            },
            Action::Publish(_)
            | Action::PublishAndDelete(_)
            | Action::Lose(_)
            | Action::DeliverTooLate(_)
            | Action::Deliver(_) => return None,
        };
        match (self.code.origin)(&origin, &command) {
            Ok(Decided::Commit(decision)) => Some(self.answer(own, &decision, now)),
            Ok(Decided::Nothing(_)) | Err(Misaddressed::Pivot(_)) => None,
            Err(_) => Some(Answer {
                state: State {
                    broken: Some(Broken::NotUnderstood),
                    ..own
                },
                emitted: None,
                contradicted: false,
            }),
        }
    }

    /// A decision of the origin, as a state.
    fn answer(&self, own: State, decision: &OriginDecision, now: Timestamp) -> Answer {
        let saga = &decision.saga;
        let first = saga.steps.get(&StepIndex::FIRST);
        let turns = saga.lifecycle.closing
            && !saga.lifecycle.followed
            && first.is_some_and(|record| record.state.is_calling());
        let mut state = State {
            lifecycle: saga.lifecycle,
            asked: saga.cancel.is_some(),
            resolved: saga.resolved.is_some(),
            due: saga.due.is_some(),
            turn: turns && saga.nudges % 2 == 1,
            ..own
        };
        for (index, record) in &saga.steps {
            let number = usize::from(index.get());
            state.steps[number] = Some(record.state);
            self.key_lifetime(&mut state, number, own.steps[number], record, now);
        }
        count(&mut state.acted, &mut state.undone, &decision.writes);
        self.understood(&mut state, decision.emit.as_ref());
        if decision.status != self.expected_status(&state) {
            state.broken = Some(Broken::WrongStatus);
        }
        Answer {
            state,
            emitted: decision.emit.as_ref().and_then(Transit::of),
            contradicted: decision.outcome == Outcome::Contradicted,
        }
    }

    /// The time in which a service knows its keys counts from the intent, whatever happens to the step since.
    fn key_lifetime(
        &self,
        state: &mut State,
        number: usize,
        before: Option<StepState>,
        record: &StepRecord,
        now: Timestamp,
    ) {
        let since = if before.is_some() { t0() } else { now };
        let calls = matches!(self.kind(number), Kind::Call(_)) && record.state.is_calling();
        if calls && record.began() != since {
            state.broken = Some(Broken::KeyForgotten);
        }
    }

    /// Whether the caller asks a service when a request arrives, `late` or in time.
    pub(super) fn owes(&self, before: &State, index: StepIndex, verb: CallVerb, late: bool) -> bool {
        let number = usize::from(index.get());
        let known = before.steps[number];
        self.memory.owed.get((index, known, verb, late), || {
            let step = Step::find(id(), &self.definition, index, &self.participants);
            let step = step.expect("the definition has such a step");
            let record = known.map(|state| self.record(number, state));
            let lifetime = step.step().call().map_or(0, |call| call.key_lifetime_millis);
            let now = if late { t0().plus_millis(lifetime) } else { t1() };
            (self.code.owed)(&step, record.as_ref(), verb, now) == Owed::Request(verb)
        })
    }

    /// Whether an attempt without a decision leaves everything as it is but how far the step has come.
    pub(super) fn undecided_is_harmless(&self, before: &State, index: StepIndex) -> bool {
        let number = usize::from(index.get());
        if self.cloud(number) == Cloud::ORIGIN {
            let answer = self.at_origin(before, Action::Undecided(index));
            return answer.is_some_and(|answer| answer.state == *before && answer.emitted.is_none());
        }
        let known = before.steps[number];
        self.memory.undecided.get((index, known), || {
            let step = Step::find(id(), &self.definition, index, &self.participants);
            let step = step.expect("the definition has such a step");
            let record = known.map(|state| self.record(number, state));
            let (trace, data) = (TraceParent::for_saga(id()), Fields::new());
            let message = Message::own(StepVerb::Advance, t1(), &trace, &data);
            let undecided = record
                .as_ref()
                .and_then(|record| step.undecided(record, &message, &attempt(), t1()));
            undecided.is_some_and(|decision| self.only_tells(known, &decision))
        })
    }

    fn only_tells(&self, known: Option<StepState>, decision: &StepDecision) -> bool {
        let state = decision.record.as_ref().map(|record| record.state);
        let event = decision.emit.as_ref();
        state == known
            && decision
                .record
                .as_ref()
                .is_some_and(|record| record.began() == t0())
            && event
                .is_none_or(|event| Transit::of(event).is_none() && check(event, &self.definition).is_ok())
    }

    fn record(&self, number: usize, state: StepState) -> StepRecord {
        let progress = Progress {
            attempts: 1,
            ..Progress::since(t0())
        };
        StepRecord {
            progress: (self.kind(number) != Kind::Local).then_some(progress),
            state,
            at: t0(),
            hop: 1,
            reason: None,
            data: Fields::new(),
            output: Fields::new(),
            reports: Reports::default(),
        }
    }

    /// The saga as core knows it.
    fn saga(&self, own: &State, void: bool) -> Saga {
        let mark = |reason: &str| Mark {
            at: t0(),
            by: "somebody".to_owned(),
            reason: reason.to_owned(),
        };
        let steps = (0..MAX).filter_map(|number| {
            own.steps[number].map(|state| (StepIndex::new(number as u8), self.record(number, state)))
        });
        let mut timeline = Timeline::default();
        if let (Some(pivot), true) = (self.definition.pivot(), void) {
            let observed = Observed {
                state: Some(StepState::Refused),
                at: Some(t0()),
                reason: None,
                progress: None,
            };
            timeline.observed.insert(pivot, observed);
        }
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
            timeline,
            due: own.due.then(t0),
            nudges: u32::from(own.turn),
        }
    }

    pub(super) fn event(&self, address: Address) -> Event {
        let sender = match address {
            Address::Contradiction(step) => self.definition.step(step).map(|step| step.cloud),
            _ => None,
        };
        let emit = Emit {
            saga: id(),
            definition: &self.definition,
            address,
            sender: sender.unwrap_or(Cloud::ORIGIN),
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
        match own.lifecycle.phase {
            Phase::Completed => return Status::Completed,
            Phase::Cancelled => return Status::CancelledViaCompensation,
            Phase::Open => {}
        }
        let ours = |number: &usize| self.cloud(*number) == Cloud::ORIGIN && own.steps[*number].is_some();
        let known: Vec<usize> = (0..self.steps()).filter(ours).collect();
        let back = [
            StepState::Refused,
            StepState::Undone,
            StepState::Stopping,
            StepState::Undoing,
        ];
        if known
            .iter()
            .any(|number| back.map(Some).contains(&own.steps[*number]))
        {
            return Status::Compensating;
        }
        let owes = match known.last() {
            None => 0,
            Some(last) if own.steps[*last] == Some(StepState::Done) => last + 1,
            Some(last) => *last,
        };
        match self.definition.steps().get(owes) {
            Some(step) if step.cloud == Cloud::Azure => Status::PendingAzureConfirmation,
            _ => Status::PendingAwsConfirmation,
        }
    }
}

/// An attempt without a decision for which the step is held.
fn attempt() -> Undecided {
    Undecided {
        verb: None,
        alerted: true,
        why: "no answer in 10 s".to_owned(),
        hold: true,
        next: None,
        paused: false,
    }
}
