//! One side of the bridge: its stores, its outbox and what has left it, behind one lock.

use std::sync::{Mutex, MutexGuard, PoisonError};

use saga_app::ports::PortError;
use saga_app::ports::outbox::OutboxRow;

use crate::faults::{Fault, Faults, call};
use crate::state::State;

/// A cloud that keeps `S`: [`crate::Sagas`] or [`crate::Steps`].
pub struct Cloud<S> {
    state: Mutex<State<S>>,
    faults: Box<dyn Faults>,
}

impl<S: Default> Cloud<S> {
    /// An empty cloud where nothing goes wrong.
    #[must_use]
    pub fn new() -> Self {
        Self::with_faults(|_: &'static str| Fault::None)
    }

    /// An empty cloud where `faults` chooses what goes wrong.
    #[must_use]
    pub fn with_faults(faults: impl Faults + 'static) -> Self {
        Self {
            state: Mutex::default(),
            faults: Box::new(faults),
        }
    }
}

impl<S: Default> Default for Cloud<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Cloud<S> {
    /// The rows that are committed and not yet deleted, of every shard, oldest first.
    pub fn outbox(&self) -> Vec<OutboxRow> {
        self.lock().outbox.all()
    }

    /// Whether nothing is pending.
    pub fn outbox_is_empty(&self) -> bool {
        self.outbox().is_empty()
    }

    /// The rows that were given up, by id.
    pub fn dead(&self) -> Vec<OutboxRow> {
        self.lock().outbox.dead.values().cloned().collect()
    }

    /// How many leases there are.
    pub fn leases(&self) -> usize {
        self.lock().outbox.leases.len()
    }

    /// Adds a row past every port, as a commit would have.
    pub fn put_row(&self, row: &OutboxRow) {
        self.lock().outbox.put(Some(row));
    }

    /// One call of a port. The lock is held for the effect only, never while the call gives way.
    pub(crate) async fn call<T>(
        &self,
        name: &'static str,
        conflict: Option<T>,
        effect: impl FnOnce(&mut State<S>) -> Result<T, PortError>,
    ) -> Result<T, PortError> {
        call(self.faults.as_ref(), name, conflict, || effect(&mut self.lock())).await
    }

    /// The state. A test that panicked while it held the lock has failed already; the others go on.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
