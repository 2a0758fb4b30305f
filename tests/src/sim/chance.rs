//! All chance of a run: numbers that are drawn from a seed, recorded, and can be played again, also shortened.
//!
//! They stand in chapters, one for each thing that happens, so that taking one away leaves the others as they are. A draw
//! of 0 always means that nothing bad happens, and a chapter that has run out gives 0 for ever.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The draws of a run, by chapter.
pub type Draws = Vec<Vec<u32>>;

struct State {
    /// What is played, if anything is; else the state of the generator.
    played: Option<Draws>,
    generator: u64,
    drawn: Draws,
}

/// A source of chance, shared by everything that happens in a run.
#[derive(Clone)]
pub struct Chance(Arc<Mutex<State>>);

impl Chance {
    /// New numbers from a seed.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        Self::new(None, seed)
    }

    /// These numbers, then zeros.
    #[must_use]
    pub fn of_draws(draws: Draws) -> Self {
        Self::new(Some(draws), 0)
    }

    fn new(played: Option<Draws>, generator: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            played,
            generator,
            drawn: vec![Vec::new()],
        })))
    }

    /// Begins the next chapter. False: there is none any more.
    pub fn turn_the_page(&self) -> bool {
        let mut state = self.lock();
        state.drawn.push(Vec::new());
        state
            .played
            .as_ref()
            .is_none_or(|played| played.len() >= state.drawn.len())
    }

    /// Some number below `bound`.
    pub fn below(&self, bound: usize) -> usize {
        let mut state = self.lock();
        let chapter = state.drawn.len() - 1;
        let at = state.drawn[chapter].len();
        let bound = bound.max(1) as u32;
        let drawn = match &state.played {
            Some(played) => {
                played
                    .get(chapter)
                    .and_then(|draws| draws.get(at))
                    .copied()
                    .unwrap_or(0)
                    % bound
            }
            None => {
                // SplitMix64 (https://prng.di.unimi.it/splitmix64.c).
                state.generator = state.generator.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut z = state.generator;
                z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                ((z ^ (z >> 31)) % u64::from(bound)) as u32
            }
        };
        state.drawn[chapter].push(drawn);
        drawn as usize
    }

    /// What was drawn so far.
    #[must_use]
    pub fn drawn(&self) -> Draws {
        self.lock().drawn.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a failing run simpler, with at most `budget` runs: takes chapters away, then sets single draws to 0.
pub fn shrink(mut draws: Draws, budget: usize, fails: impl Fn(&Draws) -> bool) -> Draws {
    let mut left = budget;
    let mut try_it = |candidate: Draws, draws: &mut Draws| {
        if left == 0 || candidate == *draws {
            return false;
        }
        left -= 1;
        let simpler = fails(&candidate);
        if simpler {
            *draws = candidate;
        }
        simpler
    };
    let mut size = draws.len().div_ceil(2);
    while size > 0 {
        // From the end: what happened last is the likeliest to be of no matter. The first chapter sets the stage.
        let mut end = draws.len();
        while end > 1 {
            let start = end.saturating_sub(size).max(1);
            let mut without = draws.clone();
            without.drain(start..end);
            try_it(without, &mut draws);
            end = start.min(draws.len());
        }
        size /= 2;
    }
    for chapter in 0..draws.len() {
        for at in 0..draws[chapter].len() {
            let mut zeroed = draws.clone();
            zeroed[chapter][at] = 0;
            try_it(zeroed, &mut draws);
        }
    }
    draws
}
