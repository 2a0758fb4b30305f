//! Dead letters: found, read, replayed, discarded, and told.
//!
//! Invariant: a letter leaves its source only after whatever takes its place was acknowledged: the event by the
//! service that it went to, the copy by the archive. So a process that ends anywhere leaves a letter twice at worst.

mod act;
pub mod command;
mod find;
mod foresee;
mod list;
mod pace;
pub mod ports;
mod record;
mod report;
mod run;
mod timeline;
mod watch;

pub use find::{Found, find};
pub use foresee::{Known, Prospect, prospect};
pub use list::{MAX_PAGE, Page, list};
pub use pace::{Bounds, End};
pub use report::{Disposition, Item, Notice, Report};
pub use run::run;
pub(crate) use timeline::is_dealt_with;
pub use watch::watch;

use saga_wire::dead_letter::Source;

use crate::Deployment;
use ports::{Archive, LetterSource, Outlet};

/// What the use cases need.
pub struct Ports<'a, S, T> {
    /// Definitions, by which an event is understood or not.
    pub deployment: &'a Deployment,
    /// The sources of this deployment, in the order of [`Source::ALL`].
    pub sources: &'a [Box<dyn LetterSource>],
    /// Why the other sources are not there.
    pub absent: &'a str,
    /// Where replayed letters go.
    pub outlet: &'a dyn Outlet,
    /// Where discarded letters go.
    pub archive: &'a dyn Archive,
    /// The sagas.
    pub store: &'a S,
    /// Time and chance.
    pub time: &'a T,
}

impl<S, T> Ports<'_, S, T> {
    /// The sources that are meant, and a notice for each that is not there.
    fn chosen(&self, wanted: impl Fn(Source) -> bool) -> (Vec<&dyn LetterSource>, Vec<Notice>) {
        let here: Vec<&dyn LetterSource> = self
            .sources
            .iter()
            .map(AsRef::as_ref)
            .filter(|source| wanted(source.source()))
            .collect();
        let missing = Source::ALL.into_iter().filter(|source| wanted(*source));
        let missing = missing.filter(|source| here.iter().all(|found| found.source() != *source));
        let notices = missing
            .map(|source| notice(source, self.absent.to_owned()))
            .collect();
        (here, notices)
    }
}

fn notice(source: Source, problem: String) -> Notice {
    Notice { source, problem }
}

/// What a person is told of a port that failed; the log has the whole chain.
fn problem(source: Source, error: &crate::ports::PortError) -> Notice {
    tracing::warn!(
        source = source.as_str(),
        error = crate::ports::causes(error),
        "dead letters"
    );
    // Only operators ask, and the cause is what they need.
    notice(source, crate::ports::causes(error))
}

/// For so long a walk may hold what a queue gave it.
const LEASE_SECONDS: u32 = 75;
/// A walk that only looks ends after so long, well before what it holds comes back.
const LOOK_MILLIS: i64 = 45_000;
/// A walk that only looks begins at most so much later because somebody else holds letters.
const COURTESY_MILLIS: i64 = 10_000;
/// A run waits at most so long, all in all, for letters that somebody else holds.
const PATIENCE_MILLIS: u64 = 20_000;
/// After so long it is looked again.
const WAIT_MILLIS: u64 = 500;
/// A walk holds at most so many letters of a queue. It bounds the memory, whatever the queue's depth.
const MAX_HELD: usize = 20_000;
