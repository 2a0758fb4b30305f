//! What goes wrong at ports, for as long as things go wrong.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use saga_memory::Fault;

use super::chance::Chance;

/// What goes wrong at ports; shared by all of them.
#[derive(Clone)]
pub(super) struct Trouble {
    pub chance: Chance,
    /// How wild ports are: the smaller the wilder, and 0 is not at all.
    wild: usize,
    /// How rough services are, in the same way.
    pub rough: usize,
    over: Arc<AtomicBool>,
    services_work: Arc<AtomicBool>,
    injected: Arc<Mutex<(usize, Vec<String>)>>,
    reported: bool,
}

impl Trouble {
    pub fn new(chance: &Chance, reported: bool) -> Self {
        Self {
            chance: chance.clone(),
            wild: [0, 60, 25, 8][chance.below(4)],
            rough: [0, 30, 18, 12][chance.below(4)],
            over: Arc::default(),
            services_work: Arc::default(),
            injected: Arc::default(),
            reported,
        }
    }

    /// The fault of a call that is about to have its effect.
    pub fn fault(&self, call: &'static str) -> Fault {
        if self.wild == 0 || self.over.load(Ordering::Relaxed) {
            return Fault::None;
        }
        let fault = match self.chance.below(self.wild) {
            1 => Fault::FailBefore,
            2 => Fault::FailAfter,
            3 => Fault::Throttle,
            4 => Fault::Conflict,
            _ => return Fault::None,
        };
        let mut injected = self.injected.lock().expect("no process panicked");
        injected.0 += 1;
        if self.reported {
            injected.1.push(format!("  {call}: {fault:?}"));
        }
        fault
    }

    /// Ports work from now on.
    pub fn ports_work(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Services work from now on, too.
    pub fn services_work(&self) {
        self.services_work.store(true, Ordering::Relaxed);
    }

    pub fn is_over(&self) -> bool {
        self.services_work.load(Ordering::Relaxed)
    }

    /// How many faults there were.
    pub fn count(&self) -> usize {
        self.injected.lock().expect("no process panicked").0
    }

    /// What happened since the last time, for a reader.
    pub fn take_lines(&self) -> Vec<String> {
        std::mem::take(&mut self.injected.lock().expect("no process panicked").1)
    }
}
