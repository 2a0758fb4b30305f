//! The protocol, exhaustively: every state that one saga can reach, whatever the network, crashes, callers, operators
//! and the clock do, with core's own functions deciding every step of the way.
//!
//! Bounds: one saga of 2, 3 or 4 steps; every mix of local steps, calls and waits on both clouds; every position of the pivot;
//! every choice of the step that refuses. Services are models of their promise. Sagas share nothing but entities, which the
//! stores guard by versions; that is the simulator's part.

mod code;
mod core;
mod judge;
mod liveness;
mod participant;
mod service;
mod shape;
mod state;
mod transit;
mod world;

use std::collections::HashSet;
use std::sync::Mutex;

pub use code::Code;
pub use liveness::dead_end;
use saga_core::lifecycle::Phase;
use saga_core::step::Kind;
pub use service::Service;
pub use shape::{Shape, StepShape, local_shapes, shapes};
pub use state::{Broken, MAX, Network, State};
use stateright::{Checker, Model, Property};
pub use transit::{Messages, Transit};
pub use world::{Action, World};

use crate::invariants;

/// A shape of saga under proof.
pub struct Proof {
    world: World,
    /// The same for the liveness check, which begins where all messages are lost.
    strictly: World,
    /// Every reachable state, without the messages: where the liveness check begins.
    reached: Mutex<HashSet<State>>,
}

/// What was found.
#[derive(Debug)]
pub struct Finding {
    /// The invariant, by its name.
    pub invariant: &'static str,
    /// How the saga got there.
    pub story: Vec<String>,
}

/// What was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Explored {
    /// Distinct states of the safety check.
    pub states: usize,
    /// Distinct states of the stores, whatever is on the way.
    pub committed_states: usize,
    /// Distinct states of the liveness check.
    pub liveness_states: usize,
}

impl Proof {
    /// A saga of this shape.
    #[must_use]
    pub fn new(code: Code, network: Network, shape: &Shape) -> Self {
        Self {
            world: World::new(code, network, shape),
            strictly: World::new(code, Network::Strict, shape),
            reached: Mutex::default(),
        }
    }

    /// Looks at every state.
    ///
    /// # Errors
    /// The first invariant that does not hold, and the shortest story that shows it.
    ///
    /// # Panics
    /// When a thread of the checker did.
    pub fn check(self) -> Result<Explored, Finding> {
        let checker = self.checker().threads(2).spawn_bfs().join();
        let found = checker
            .discoveries()
            .into_iter()
            .min_by_key(|(_, path)| path.clone().into_actions().len());
        if let Some((invariant, path)) = found {
            let last = *path.last_state();
            let mut story: Vec<String> = path
                .into_actions()
                .iter()
                .map(|action| format!("{action:?}"))
                .collect();
            story.push(format!("and then: {last:?}"));
            return Err(Finding { invariant, story });
        }
        let proof = checker.model();
        let reached = proof.reached.lock().expect("no thread panicked");
        let liveness_states = dead_end(&proof.strictly, &reached)?;
        Ok(Explored {
            states: checker.unique_state_count(),
            committed_states: reached.len(),
            liveness_states,
        })
    }
}

/// The names by which the design calls what is proven.
pub mod invariant {
    /// Both clouds agree on the end.
    pub const ALL_OR_NOTHING: &str = "I1 all or nothing";
    /// No effect and no undo is committed twice.
    pub const AT_MOST_ONCE: &str = "I2 at most once";
    /// Every saga can still end, whatever was lost.
    pub const NO_LOST_START: &str = "I3 no lost start";
    /// Every chain of messages ends.
    pub const NO_BOUNCE: &str = "I4 no bounce";
    /// What comes after the end changes nothing.
    pub const LATE_IS_HARMLESS: &str = "I5 late is harmless";
    /// A cancel is decided by the first step that has not acted.
    pub const CANCEL_NEVER_TEARS: &str = "I6 cancel never tears";
    /// No service is called before a committed record says so.
    pub const INTENT_BEFORE_EFFECT: &str = "I7 intent before effect";
    /// A service's effect exists if and only if the saga completed.
    pub const NO_ORPHAN_EFFECT: &str = "I8 no orphan effect";
    /// A pivot is never undone, and nothing after it refuses.
    pub const PIVOT_STAYS: &str = "I9 a pivot is never undone";
    /// No service is asked to act after it may have forgotten the key.
    pub const KEY_LIFETIME: &str = "no act after the lifetime of its key";
    /// A service that promises `key` is asked to undo only what it accepted.
    pub const ONLY_ACCEPTED_IS_UNDONE: &str = "only what was accepted is undone";
    /// An attempt without a decision moves nothing.
    pub const UNDECIDED: &str = "an attempt without a decision moves nothing";
    /// The sweeper sends again what is owed.
    pub const RETRANSMISSION: &str = "the sweeper sends what is owed, until nothing is";
    /// No step is asked to undo what it never did.
    pub const NO_NULL_COMPENSATION: &str = "no null compensation";
    /// Every event is understood where it goes.
    pub const UNDERSTOOD: &str = "every event is understood";
    /// The status is the fold of the facts.
    pub const STATUS: &str = "the status says what the facts say";
}

/// Whether nothing is to be said of it: it has not ended, or has in a way that the protocol does not vouch for.
fn is_exempt(state: &State) -> bool {
    !state.is_over() || invariants::is_exempt(state.lifecycle, state.contradicted)
}

fn all_or_nothing(proof: &Proof, state: &State) -> bool {
    let all = state.lifecycle.phase == Phase::Completed;
    is_exempt(state)
        || (0..proof.world.steps()).all(|step| {
            let local = proof.world.kind(step) == Kind::Local;
            let in_effect = state.acted[step] > state.undone[step];
            invariants::is_whole(all, state.steps[step]) && (!local || in_effect == all)
        })
}

fn no_orphan_effect(proof: &Proof, state: &State) -> bool {
    let all = state.lifecycle.phase == Phase::Completed;
    is_exempt(state)
        || (0..proof.world.steps()).all(|step| {
            let calls = matches!(proof.world.kind(step), Kind::Call(_));
            !calls || state.services[step].in_effect() == all
        })
}

fn pivot_stays(proof: &Proof, state: &State) -> bool {
    let cancelled = state.lifecycle.overridden && state.lifecycle.phase == Phase::Cancelled;
    (0..proof.world.steps()).all(|step| {
        let undone =
            state.undone[step] > 0 || matches!(state.services[step], Service::Undone | Service::Tombstoned);
        invariants::pivot_stays(proof.world.class(step), state.steps[step], undone, cancelled)
    })
}

fn at_most_once(_: &Proof, state: &State) -> bool {
    (0..MAX).all(|step| invariants::at_most_once(state.acted[step].into(), state.undone[step].into()))
}

impl Model for Proof {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let start = self.world.start();
        let mut reached = self.reached.lock().expect("no thread panicked");
        reached.extend(start.map(State::silent));
        start.into_iter().collect()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken.is_none() {
            self.world.actions(state, actions);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let next = self.world.next(state, action)?;
        let silent = next.silent();
        if silent != state.silent() {
            self.reached.lock().expect("no thread panicked").insert(silent);
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        /// A property of transitions: none of them broke this rule.
        macro_rules! never {
            ($name:expr, $broken:ident) => {
                Property::always($name, |_, state: &State| {
                    state.broken != Some(Broken::$broken)
                })
            };
        }
        vec![
            Property::always(invariant::ALL_OR_NOTHING, all_or_nothing),
            Property::always(invariant::AT_MOST_ONCE, at_most_once),
            never!(invariant::NO_BOUNCE, Bounce),
            never!(invariant::LATE_IS_HARMLESS, NotHarmless),
            never!(invariant::CANCEL_NEVER_TEARS, Torn),
            never!(invariant::INTENT_BEFORE_EFFECT, NoIntent),
            Property::always(invariant::NO_ORPHAN_EFFECT, no_orphan_effect),
            Property::always(invariant::PIVOT_STAYS, |proof: &Proof, state: &State| {
                state.broken != Some(Broken::PivotUndone) && pivot_stays(proof, state)
            }),
            never!(invariant::KEY_LIFETIME, KeyForgotten),
            never!(invariant::ONLY_ACCEPTED_IS_UNDONE, NeverAccepted),
            never!(invariant::UNDECIDED, UndecidedMoved),
            never!(invariant::RETRANSMISSION, WrongRetransmission),
            never!(invariant::NO_NULL_COMPENSATION, NullCompensation),
            never!(invariant::UNDERSTOOD, NotUnderstood),
            never!(invariant::STATUS, WrongStatus),
        ]
    }
}
