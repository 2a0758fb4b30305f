//! The deployed use cases on stores in memory, under faults, thousands of times.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]
#![allow(clippy::print_stdout, reason = "what was looked at is part of the result")]

use std::thread;

use saga_tests::sim::{Outcome, Plan, check};

/// The command that runs one seed again, and tells its story.
fn replay(seed: u64) -> String {
    format!("SEED={seed} cargo test -p saga-tests --test simulator -- --nocapture --include-ignored one_seed")
}

fn seeds(count: u64) {
    const THREADS: u64 = 2;
    let work = |thread: u64| {
        let mut total = Outcome::default();
        for seed in (thread..count).step_by(THREADS as usize) {
            match check(&Plan::default(), seed) {
                Ok(outcome) => total += outcome,
                Err(failure) => panic!(
                    "seed {seed} fails: {}\n\n{}\n\nrun it again: {}\n",
                    failure.why,
                    failure.story.join("\n"),
                    replay(seed)
                ),
            }
        }
        total
    };
    let mut total = Outcome::default();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| scope.spawn(move || work(thread)))
            .collect();
        for thread in threads {
            total += thread.join().unwrap();
        }
    });
    println!("simulator: seeds 0 to {}: {total}", count - 1);
    let share = total.completed * 100 / total.sagas;
    assert!(
        (10..90).contains(&share),
        "{share} of 100 sagas completed: the runs are all alike"
    );
    // What never happened was not checked.
    for (what, count) in total.counts() {
        assert!(count > 0, "none: {what}");
    }
}

#[test]
fn two_thousand_seeds() {
    seeds(2_000);
}

#[test]
#[ignore = "`make prove`"]
fn a_hundred_thousand_seeds() {
    seeds(100_000);
}

/// `SEED=…` says which; what happens is told whether it holds or not.
#[test]
#[ignore = "runs again what a failing run has named"]
#[allow(clippy::disallowed_methods, reason = "a test's own switch")]
fn one_seed() {
    let seed = std::env::var("SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(0);
    match check(&Plan::default(), seed) {
        Ok(outcome) => println!("seed {seed} holds: {outcome:?}"),
        Err(failure) => panic!(
            "seed {seed} fails: {}\n\n{}\n",
            failure.why,
            failure.story.join("\n")
        ),
    }
}
