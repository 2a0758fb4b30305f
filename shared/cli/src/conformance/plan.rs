//! What is tried, and with what.

use std::collections::BTreeMap;
use std::time::Duration;

use saga_core::document::Fields;
use saga_core::step::Recover;
use saga_wire::contract::signature::Secrets;
use url::Url;

/// What stands in a template for a text that is new in each act.
pub const UNIQUE: &str = "{unique}";

/// One run against one service.
pub struct Plan {
    pub url: Url,
    /// What the service promises.
    pub recover: Recover,
    /// Whether it takes work back.
    pub undo: bool,
    pub signing: Option<Signing>,
    /// Time of one attempt.
    pub timeout: Duration,
    /// Time until a request is decided.
    pub decide_within: Duration,
    /// JSON objects, in which [`UNIQUE`] stands for a new text.
    pub input: String,
    pub refuse: Option<String>,
    /// What earlier steps gave.
    pub outputs: BTreeMap<String, Fields>,
    pub definition: String,
    pub step: String,
    /// Whether the service may be asked for steps of other names, too.
    pub step_is_free: bool,
}

/// The secrets of a service that checks signatures.
pub struct Signing {
    /// As a caller signs.
    pub all: Secrets,
    /// One after the other.
    pub each: Vec<Secrets>,
}

impl Plan {
    /// Whether an undo may come while the outcome of its act is unknown, or before it.
    pub fn tombstone(&self) -> bool {
        self.recover == Recover::Tombstone
    }
}
