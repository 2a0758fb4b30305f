//! The protocol, exhaustively: every state that one saga can reach, whatever the network, crashes, callers, operators
//! and the clock do, with core's own functions deciding every step of the way.
//!
//! Bounds: one saga of 2, 3 or 4 steps, every assignment of steps to clouds, every choice of the step that refuses.
//! Sagas share nothing but entities, which the stores guard by versions; that is the simulator's part.

mod code;
mod liveness;
mod state;
mod world;

use std::collections::HashSet;
use std::sync::Mutex;

pub use code::Code;
pub use liveness::dead_end;
use saga_core::Cloud;
use saga_core::lifecycle::Phase;
use saga_core::step::StepState;
pub use state::{Broken, MAX, Messages, Network, State};
use stateright::{Checker, Model, Property};
pub use world::{Action, World};

/// A shape of saga under proof.
pub struct Proof {
    world: World,
    /// The same for the liveness check, which begins where all messages are lost.
    abstractly: World,
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
    pub fn new(code: Code, network: Network, clouds: &[Cloud], refuses: Option<usize>) -> Self {
        Self {
            world: World::new(code, network, clouds, refuses),
            abstractly: World::new(code, Network::Abstract, clouds, refuses),
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
        let liveness_states = dead_end(&proof.abstractly, &reached)?;
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
    /// The sweeper sends again what is owed.
    pub const RETRANSMISSION: &str = "the sweeper sends what is owed, until nothing is";
    /// No step is asked to undo what it never did.
    pub const NO_NULL_COMPENSATION: &str = "no null compensation";
    /// Every event is understood where it goes.
    pub const UNDERSTOOD: &str = "every event is understood";
    /// The status is the fold of the facts.
    pub const STATUS: &str = "the status says what the facts say";
}

fn all_or_nothing(proof: &Proof, state: &State) -> bool {
    if !state.is_over() || state.is_completed_by_override() {
        return true;
    }
    let all = state.lifecycle.phase == Phase::Completed;
    (0..proof.world.steps()).all(|step| {
        let done = state.steps[step] == Some(StepState::Done);
        let in_effect = state.acted[step] > state.undone[step];
        (done, in_effect) == (all, all)
    })
}

fn at_most_once(_: &Proof, state: &State) -> bool {
    (0..MAX).all(|step| state.acted[step] <= 1 && state.undone[step] <= state.acted[step])
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
        vec![
            Property::always(invariant::ALL_OR_NOTHING, all_or_nothing),
            Property::always(invariant::AT_MOST_ONCE, at_most_once),
            Property::always(invariant::NO_BOUNCE, |_, state: &State| {
                state.broken != Some(Broken::Bounce)
            }),
            Property::always(invariant::LATE_IS_HARMLESS, |_, state: &State| {
                state.broken != Some(Broken::NotHarmless)
            }),
            Property::always(invariant::CANCEL_NEVER_TEARS, |_, state: &State| {
                state.broken != Some(Broken::Torn)
            }),
            Property::always(invariant::RETRANSMISSION, |_, state: &State| {
                state.broken != Some(Broken::WrongRetransmission)
            }),
            Property::always(invariant::NO_NULL_COMPENSATION, |_, state: &State| {
                state.broken != Some(Broken::NullCompensation)
            }),
            Property::always(invariant::UNDERSTOOD, |_, state: &State| {
                state.broken != Some(Broken::NotUnderstood)
            }),
            Property::always(invariant::STATUS, |_, state: &State| {
                state.broken != Some(Broken::WrongStatus)
            }),
        ]
    }
}

/// Every assignment of `steps` steps to the two clouds.
pub fn assignments(steps: usize) -> impl Iterator<Item = Vec<Cloud>> {
    (0..1_usize << steps).map(move |bits| {
        let cloud = |step: usize| {
            if bits & (1 << step) == 0 {
                Cloud::Aws
            } else {
                Cloud::Azure
            }
        };
        (0..steps).map(cloud).collect()
    })
}
