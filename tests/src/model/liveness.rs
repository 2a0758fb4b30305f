//! I3: from every reachable state an end can be reached, though everything that is on its way be lost first.
//!
//! Only what is bound to happen may help: the sweeper looks again (before the deadline only, or after it only), the time of a
//! wait passes, a message that is sent again and again arrives (a network that is fair-lossy), and a service that is
//! asked again and again answers. No caller, no operator. That an end stays reachable from everywhere, in a finite graph, is
//! what makes a fair run reach it. Losing everything is the worst case: a message more in the set only adds ways on.

use std::collections::{HashMap, HashSet, VecDeque};

use super::state::State;
use super::world::{Action, World};
use super::{Finding, invariant};

/// Looks for a state from which no end can be reached. How many states were looked at.
///
/// # Errors
/// Such a state.
pub fn dead_end(world: &World, reached: &HashSet<State>) -> Result<usize, Finding> {
    let before = dead_end_with(world, reached, &[Action::Sweep, Action::SweepAfterWaits])?;
    let after = dead_end_with(world, reached, &[Action::SweepAfterDeadline])?;
    Ok(before + after)
}

fn dead_end_with(world: &World, reached: &HashSet<State>, sweeps: &[Action]) -> Result<usize, Finding> {
    let mut numbers: HashMap<State, u32> = HashMap::new();
    let mut states: Vec<State> = Vec::new();
    let mut leads_here: Vec<Vec<u32>> = Vec::new();
    let mut number_of = |state: State, states: &mut Vec<State>, leads_here: &mut Vec<Vec<u32>>| {
        *numbers.entry(state).or_insert_with(|| {
            states.push(state);
            leads_here.push(Vec::new());
            (states.len() - 1) as u32
        })
    };
    for state in reached {
        number_of(*state, &mut states, &mut leads_here);
    }
    let mut at = 0;
    while at < states.len() {
        let state = states[at];
        let mut actions = sweeps.to_vec();
        actions.extend(state.sent.iter().map(Action::Deliver));
        if !state.is_over() {
            for next in actions
                .into_iter()
                .filter_map(|action| world.next(&state, action))
            {
                let next = number_of(next, &mut states, &mut leads_here);
                leads_here[next as usize].push(at as u32);
            }
        }
        at += 1;
    }

    let mut ends: Vec<bool> = states.iter().map(State::is_over).collect();
    let mut queue: VecDeque<u32> = (0..states.len() as u32).filter(|at| ends[*at as usize]).collect();
    while let Some(at) = queue.pop_front() {
        for before in &leads_here[at as usize] {
            if !std::mem::replace(&mut ends[*before as usize], true) {
                queue.push_back(*before);
            }
        }
    }
    match ends.iter().position(|ends| !ends) {
        None => Ok(states.len()),
        Some(dead) => Err(Finding {
            invariant: invariant::NO_LOST_START,
            story: vec![format!(
                "no end can be reached by {sweeps:?} and deliveries from: {:?}",
                states[dead]
            )],
        }),
    }
}
