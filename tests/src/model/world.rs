//! One saga of a given shape with its services, and one action at a time.

use saga_core::call::CallVerb;
use saga_core::definition::{
    Answerer, Call, Definition, DefinitionRef, OnTimeout, StepDefinition, StepWork, Wait,
};
use saga_core::lifecycle::Phase;
use saga_core::origin::Override;
use saga_core::participant::Participants;
use saga_core::step::{Class, Kind, Recover, Reply, StepState, StepVerb};
use saga_core::{Address, Cloud, StepIndex};

use super::code::Code;
use super::core::{Answer, Memory};
use super::participant::{NAMES, traced};
use super::service::Service;
use super::shape::{Shape, StepShape};
use super::state::{Broken, MAX, Network, State};
use super::transit::Transit;
use crate::invariants::intends;

/// Something that happens. Each is one local transaction on one cloud, so a process may crash between any two; it keeps
/// nothing but what is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// A message reaches whom it is for.
    Deliver(Transit),
    /// A request to act reaches the caller after the service may have forgotten the key.
    DeliverTooLate(StepIndex),
    /// An attempt to call ends without a decision, and the step is held.
    Undecided(StepIndex),
    /// A row of an outbox is published; the process dies before it deletes the row.
    Publish(Transit),
    /// A row of an outbox is published and deleted.
    PublishAndDelete(Transit),
    /// A message is lost.
    Lose(Transit),
    /// The sweeper looks at the saga before its deadline, and before any wait is over.
    Sweep,
    /// The sweeper looks at the saga before its deadline, and after the time of each wait.
    SweepAfterWaits,
    /// The sweeper looks at the saga after its deadline.
    SweepAfterDeadline,
    /// A caller cancels.
    Cancel,
    /// An operator overrides.
    Resolve {
        /// The end.
        to: Override,
        /// Though a pivot of the other cloud may be done.
        force: bool,
    },
    /// Somebody outside answers a step.
    Outside(StepIndex, Reply),
    /// Another team's publisher wants the origin's step undone.
    OutsiderCompensates,
}

/// One saga of a given shape, and the code that decides about it.
pub struct World {
    pub(super) code: Code,
    network: Network,
    pub(super) definition: Definition,
    pub(super) participants: Participants,
    refuses: Option<usize>,
    pub(super) memory: Memory,
}

/// How long a step of the model waits, in milliseconds.
pub(super) const WITHIN: i64 = 60_000;

fn work(number: usize, step: &StepShape) -> StepWork {
    match step.kind {
        Kind::Local => StepWork::Local {
            participant: NAMES[number].to_owned(),
        },
        Kind::Call(recover) => StepWork::Call(Call {
            recover,
            ..Call::of(NAMES[number])
        }),
        Kind::Wait => StepWork::Wait(Wait {
            answerer: Answerer::Approval,
            within_millis: Some(WITHIN),
            on_timeout: match step.class {
                Class::Retriable => OnTimeout::Accept,
                Class::Compensatable | Class::Pivot => OnTimeout::Refuse,
            },
            when: None,
        }),
    }
}

impl World {
    /// A saga of this shape.
    ///
    /// # Panics
    /// When the shape has not 2 to [`MAX`] steps, or a definition of it would be refused.
    #[must_use]
    pub fn new(code: Code, network: Network, shape: &Shape) -> Self {
        assert!(shape.steps.len() <= MAX);
        let step = |(number, step): (usize, &StepShape)| StepDefinition {
            name: format!("s{number}"),
            cloud: step.cloud,
            work: work(number, step),
            class: step.class,
            done: format!("Done{number}"),
            compensate: format!("Compensate{number}"),
            cancel: format!("Cancel{number}"),
        };
        let reference = DefinitionRef {
            name: "model".to_owned(),
            version: 1,
        };
        let steps = shape.steps.iter().enumerate().map(step).collect();
        Self {
            code,
            network,
            participants: (0..shape.steps.len())
                .map(|step| (NAMES[step], traced(step, shape.refuses != Some(step))))
                .collect(),
            definition: Definition::new(reference, 900_000, steps).expect("the shape is allowed"),
            refuses: shape.refuses,
            memory: Memory::default(),
        }
    }

    /// How many steps.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.definition.steps().len()
    }

    /// Who does the work of a step.
    #[must_use]
    pub fn kind(&self, step: usize) -> Kind {
        self.definition.steps()[step].kind()
    }

    /// Whether a step can be undone, and refuse.
    #[must_use]
    pub fn class(&self, step: usize) -> Class {
        self.definition.steps()[step].class
    }

    pub(super) fn cloud(&self, step: usize) -> Cloud {
        self.definition.steps()[step].cloud
    }

    fn promise(&self, step: usize) -> Option<Recover> {
        match self.kind(step) {
            Kind::Call(recover) => Some(recover),
            Kind::Local | Kind::Wait => None,
        }
    }

    /// The pivot, where it is the other cloud's: the origin does not know how far it is.
    pub(super) fn far_pivot(&self) -> Option<usize> {
        let pivot = usize::from(self.definition.pivot()?.get());
        (self.cloud(pivot) != Cloud::ORIGIN).then_some(pivot)
    }

    /// The saga as it is started; `None` when its own first step refuses, and nothing is stored.
    #[must_use]
    pub fn start(&self) -> Option<State> {
        let Answer {
            mut state, emitted, ..
        } = self.started()?;
        self.send(&mut state, emitted);
        Some(state)
    }

    /// What was committed to be sent.
    fn send(&self, state: &mut State, emitted: Option<Transit>) {
        if let Some(transit) = emitted {
            let implied = matches!(
                transit,
                Transit::Event(Address::Act(_) | Address::Undo(_))
                    | Transit::Word(..)
                    | Transit::Decision(..)
            );
            match self.network {
                Network::Abstract if implied => {}
                Network::Abstract | Network::Strict => state.sent = state.sent.with(transit),
                Network::Explicit => state.outbox = state.outbox.with(transit),
            }
        }
    }

    /// What is possible.
    pub fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for transit in state.sent.iter() {
            actions.push(Action::Deliver(transit));
            if self.network == Network::Explicit {
                actions.push(Action::Lose(transit));
            }
        }
        actions.extend(
            state
                .outbox
                .iter()
                .flat_map(|row| [Action::Publish(row), Action::PublishAndDelete(row)]),
        );
        actions.extend([Action::Sweep, Action::SweepAfterDeadline, Action::Cancel]);
        let resolve = |to, force| Action::Resolve { to, force };
        actions.extend([
            resolve(Override::Cancelled, false),
            resolve(Override::Completed, false),
        ]);
        if self.far_pivot().is_some() {
            actions.push(resolve(Override::Cancelled, true));
        }
        if (0..self.steps()).any(|step| self.kind(step) == Kind::Wait) {
            actions.push(Action::SweepAfterWaits);
        }
        if self.definition.opens_at_origin() {
            actions.push(Action::OutsiderCompensates);
        }
        for number in 0..self.steps() {
            let step = StepIndex::new(number as u8);
            let calls = state.steps[number].is_some_and(StepState::is_calling);
            if calls {
                actions.extend([Action::Undecided(step), Action::DeliverTooLate(step)]);
            }
            if self.network == Network::Abstract && self.promise(number).is_some() {
                let requests = [Address::Act(step), Address::Undo(step)];
                actions.extend(requests.map(|request| Action::Deliver(Transit::Event(request))));
                let said = state.services[number].said();
                actions.extend(
                    said.iter()
                        .map(|reply| Action::Deliver(Transit::Decision(step, *reply))),
                );
            }
            if calls || self.kind(number) == Kind::Wait {
                let words = [Reply::Accepted, Reply::Refused, Reply::Undone];
                actions.extend(words.map(|word| Action::Outside(step, word)));
            }
        }
    }

    /// What an action leads to; `None` when nothing changes.
    #[must_use]
    pub fn next(&self, before: &State, action: Action) -> Option<State> {
        let after = match action {
            Action::Publish(row) | Action::PublishAndDelete(row) => {
                let published = State {
                    sent: before.sent.with(row),
                    ..*before
                };
                match action {
                    Action::Publish(_) => published,
                    _ => State {
                        outbox: before.outbox.without(row),
                        ..published
                    },
                }
            }
            Action::Lose(message) => State {
                sent: before.sent.without(message),
                ..*before
            },
            Action::Deliver(Transit::Event(Address::Act(step))) => self.calls(before, step, CallVerb::Act),
            Action::Deliver(Transit::Event(Address::Undo(step))) => self.calls(before, step, CallVerb::Undo),
            Action::Deliver(Transit::Request(step, verb)) => self.is_asked(before, step, verb),
            Action::DeliverTooLate(step) => {
                let asked = self.owes(before, step, CallVerb::Act, true);
                broken_if(before, asked, Broken::KeyForgotten)
            }
            Action::Undecided(step) => {
                let moved = !self.undecided_is_harmless(before, step);
                broken_if(before, moved, Broken::UndecidedMoved)
            }
            action => self.decided(before, action)?,
        };
        (after != *before).then_some(after)
    }

    /// A request's event reaches the caller of the service, which asks only for what the record owes.
    fn calls(&self, before: &State, step: StepIndex, verb: CallVerb) -> State {
        if !self.owes(before, step, verb, false) {
            return *before;
        }
        let number = usize::from(step.get());
        let intended = self
            .promise(number)
            .zip(before.steps[number])
            .is_some_and(|(promise, state)| intends(state, promise, verb));
        let asked = State {
            sent: before.sent.with(Transit::Request(step, verb)),
            ..*before
        };
        broken_if(&asked, !intended, Broken::NoIntent)
    }

    /// A request reaches the service, whenever that is.
    fn is_asked(&self, before: &State, step: StepIndex, verb: CallVerb) -> State {
        let number = usize::from(step.get());
        let Some(promise) = self.promise(number) else {
            return broken_if(before, true, Broken::NoIntent);
        };
        let known = before.services[number];
        let (service, reply) = known.asked(verb, promise, self.refuses == Some(number));
        let mut after = *before;
        after.services[number] = service;
        if self.network != Network::Abstract {
            after.sent = after.sent.with(Transit::Decision(step, reply));
        }
        let unasked = verb == CallVerb::Undo && !known.can_undo(promise);
        broken_if(&after, unasked, Broken::NeverAccepted)
    }

    /// An action that a step of the other cloud, or the origin, decides.
    fn decided(&self, before: &State, action: Action) -> Option<State> {
        let mut before = *before;
        if let Action::Outside(step, word) = action {
            self.tell(&mut before, step, word)?;
        }
        let before = &before;
        let far = |step: StepIndex| {
            self.definition
                .step(step)
                .is_some_and(|step| step.cloud == Cloud::Azure)
        };
        let answer = match action {
            Action::Deliver(Transit::Word(step, reply)) => {
                Some(self.at_azure(before, step, StepVerb::Answer(reply)))
            }
            Action::Deliver(Transit::Decision(step, reply)) if far(step) => {
                Some(self.at_azure(before, step, StepVerb::Answer(reply)))
            }
            Action::Deliver(Transit::Event(Address::Advance(step))) if far(step) => {
                Some(self.at_azure(before, step, StepVerb::Advance))
            }
            Action::Deliver(Transit::Event(Address::Compensate(step))) if far(step) => {
                Some(self.at_azure(before, step, StepVerb::Compensate))
            }
            Action::Deliver(Transit::Event(Address::Cancel(step))) if far(step) => {
                Some(self.at_azure(before, step, StepVerb::Cancel))
            }
            action => self.at_origin(before, action),
        };
        let Some(Answer {
            state: mut after,
            emitted,
            contradicted,
        }) = answer
        else {
            return Some(*before);
        };
        let far_pivot = self.far_pivot();
        if let Action::Resolve { force: true, .. } = action {
            let void = far_pivot
                .and_then(|pivot| before.steps[pivot])
                .is_some_and(StepState::is_void);
            after.forced |= before.lifecycle.phase == Phase::Open && !void;
        }
        if contradicted && after.lifecycle.phase != Phase::Completed {
            after.contradicted |= after.forced;
            after = broken_if(&after, !after.forced, Broken::PivotUndone);
        }
        self.send(&mut after, emitted);
        if after.broken.is_none() {
            after.broken = self.broken(before, &after, action, emitted);
        }
        Some(after)
    }

    /// Whoever answers for a service says what is true of it: what it has decided, or what it is told with the same words.
    fn tell(&self, state: &mut State, step: StepIndex, word: Reply) -> Option<()> {
        let number = usize::from(step.get());
        if self.kind(number) == Kind::Wait {
            return Some(());
        }
        // A service that is asked after the pivot keeps its promise not to refuse, whoever speaks for it.
        if self.class(number) == Class::Retriable && word != Reply::Accepted {
            return None;
        }
        let stops = matches!(
            state.steps[number],
            Some(StepState::Stopping | StepState::Undoing)
        );
        state.services[number] = Service::answered_for(state.services[number], word, stops)?;
        Some(())
    }
}

pub(super) fn broken_if(state: &State, is_broken: bool, how: Broken) -> State {
    State {
        broken: state.broken.or(is_broken.then_some(how)),
        ..*state
    }
}
