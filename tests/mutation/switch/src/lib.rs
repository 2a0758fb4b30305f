//! Which of the mutants that are built in is active: the one whose number is in `MUTANT`, or none. Where `MUTANT_TRACE` names
//! a file, the number of each mutant whose place is reached is written to it, once.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

static ACTIVE: LazyLock<Option<usize>> = LazyLock::new(|| std::env::var("MUTANT").ok()?.parse().ok());

static TRACE: LazyLock<Option<Mutex<File>>> = LazyLock::new(|| {
    let path = std::env::var_os("MUTANT_TRACE")?;
    let file = OpenOptions::new().create(true).append(true).open(path);
    Some(Mutex::new(file.expect("the trace can be written")))
});

const MOST: usize = 16_384;
static REACHED: [AtomicBool; MOST] = [const { AtomicBool::new(false) }; MOST];

/// Whether this mutant is the active one.
#[must_use]
pub fn on(mutant: usize) -> bool {
    if let Some(trace) = TRACE.as_ref()
        && !REACHED[mutant].swap(true, Ordering::Relaxed)
    {
        let mut trace = trace.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(trace, "{mutant}").expect("the trace can be written");
    }
    *ACTIVE == Some(mutant)
}
