//! What a cloud keeps in memory, and what has left it.

use std::collections::BTreeMap;

use saga_app::ports::{Alert, Envelope, Parked};
use saga_core::{DefinitionRef, Timestamp};

use crate::rows::Rows;

/// All that a cloud keeps.
#[derive(Default)]
pub(crate) struct State<S> {
    pub(crate) stored: S,
    pub(crate) outbox: Rows,
    pub(crate) carriers: Carriers,
    pub(crate) definitions: BTreeMap<DefinitionRef, String>,
    revision: u64,
}

impl<S> State<S> {
    /// A version that no record has had.
    pub(crate) fn next_revision(&mut self) -> u64 {
        self.revision += 1;
        self.revision
    }
}

/// What has left a cloud.
#[derive(Default)]
pub(crate) struct Carriers {
    pub(crate) published: Vec<Envelope>,
    pub(crate) quarantined: Vec<Kept>,
    pub(crate) alerts: Vec<Alert>,
    pub(crate) parked: Vec<Parked>,
}

/// A message in the quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Where it came in.
    pub entrance: &'static str,
    /// Why it is here.
    pub reason: String,
    /// The headers that it came with.
    pub headers: BTreeMap<String, String>,
    /// The message, whole.
    pub body: Vec<u8>,
    /// When it came.
    pub at: Timestamp,
}

impl Kept {
    /// The message, as far as it is text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
