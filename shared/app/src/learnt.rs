//! What a process has learnt of the definitions that are kept beside the sagas.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use saga_core::{Definition, DefinitionRef, Timestamp};

/// What this process has learnt from the store.
#[derive(Default)]
pub struct Learnt {
    memory: Mutex<Memory>,
    /// Many messages may want the same answer at once: one of them asks, the others wait for it.
    pub(crate) asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) stored: BTreeMap<DefinitionRef, Arc<Definition>>,
    /// What the store does not have, and when it is asked again.
    pub(crate) absent: BTreeMap<DefinitionRef, Timestamp>,
    /// When it is asked again which definitions it has.
    pub(crate) names_after: Option<Timestamp>,
    /// Definitions of which the release has another text; an alert was sent for each.
    pub(crate) reported: Vec<DefinitionRef>,
}

impl Learnt {
    /// What was learnt. A thread that panicked while it held the lock had written all of it or nothing.
    pub(crate) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
