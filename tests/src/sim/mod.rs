//! The deployed use cases under everything that can go wrong, repeatably.
//!
//! Both clouds are in memory, time is virtual, and every process is a future that the [`run`] polls when it likes. At
//! each port call chance may let it fail before its effect, fail after its effect, be throttled or find a conflict; a
//! process may be left alone for an hour or die between any two polls; messages repeat, overtake each other and get lost;
//! the clock jumps. When that is over, everything works again, sweeps go on until nothing moves, and the stores are
//! read: see [`crate::accounts`]. What passes through the ports is watched the whole time: see [`witness`].
//!
//! One seed is all of a run's chance. A failing one is made smaller by taking chance away from it.

mod caller;
mod carried;
pub mod chance;
mod judge;
mod operator;
mod outcome;
mod plan;
mod process;
mod provider;
mod run;
mod settle;
mod stage;
mod tick;
mod trouble;
pub mod watched;
pub mod witness;

pub use outcome::Outcome;
pub use plan::Plan;
pub use run::run;

use chance::{Chance, Draws, shrink};

/// A seed that fails.
#[derive(Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// Why.
    pub why: String,
    /// What happened in the smallest run that was found to fail for the same rule.
    pub story: Vec<String>,
}

/// The rule that a failure names: what comes before the first colon.
fn rule(why: &str) -> &str {
    why.split(':').next().unwrap_or(why)
}

/// Runs one seed, and makes it small when it fails.
///
/// # Errors
/// [`Failure`].
pub fn check(plan: &Plan, seed: u64) -> Result<Outcome, Box<Failure>> {
    let chance = Chance::of_seed(seed);
    let why = match run(plan, &chance, false) {
        Ok(outcome) => return Ok(outcome),
        Err((why, _)) => why,
    };
    let fails = |draws: &Draws| {
        let again = run(plan, &Chance::of_draws(draws.clone()), false);
        again.is_err_and(|(other, _)| rule(&other) == rule(&why))
    };
    let smallest = shrink(chance.drawn(), 3_000, fails);
    let story = match run(plan, &Chance::of_draws(smallest), true) {
        Err((why, mut story)) => {
            story.push(format!("and so: {why}"));
            story
        }
        Ok(_) => vec!["the smallest run does not fail when it is told".to_owned()],
    };
    Err(Box::new(Failure { seed, why, story }))
}
