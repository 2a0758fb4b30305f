//! Dead letters: listed, shown, replayed, discarded, and watched.
//!
//! Invariant: a dead letter leaves its source only after its replacement was acknowledged: the event by the service that
//! it was sent to, the copy by the archive. So a process that ends anywhere leaves a dead letter twice at worst.

mod act;
pub mod command;
mod find;
mod foresee;
mod list;
mod look;
pub mod ports;
mod report;
mod request;
mod run;
mod source;
mod timeline;
mod watch;

pub use find::{Found, find};
pub use foresee::prospect;
pub use list::{MAX_PAGE, Page, list};
pub use report::{Disposition, Item, Notice, Prospect, Report};
pub use run::run;
pub use source::DeadLetterSource;
pub(crate) use timeline::is_dealt_with;
pub use watch::watch;

use saga_wire::dead_letter::Source;

use crate::Deployment;
use crate::ports::{PortError, causes};
use ports::{Archive, Outlet};

/// What the use cases need.
pub struct Ports<'a, S, T> {
    /// Definitions, by which an event is understood or not.
    pub deployment: &'a Deployment,
    /// The sources of this deployment, in the order of [`Source::ALL`].
    pub sources: &'a [DeadLetterSource],
    /// Why a cloud's sources are not there.
    pub absent: &'a str,
    /// Where replayed dead letters go.
    pub outlet: &'a dyn Outlet,
    /// Where discarded dead letters go.
    pub archive: &'a dyn Archive,
    /// The sagas.
    pub store: &'a S,
    /// Time and chance.
    pub time: &'a T,
}

impl<S, T> Ports<'_, S, T> {
    /// The sources that are meant, and a notice for each that should be there and is not.
    fn chosen(&self, wanted: impl Fn(Source) -> bool) -> (Vec<&DeadLetterSource>, Vec<Notice>) {
        let (mut here, mut notices) = (Vec::new(), Vec::new());
        let all: Vec<Source> = Source::ALL.into_iter().filter(|source| wanted(*source)).collect();
        for &source in &all {
            match self.sources.iter().find(|one| one.source() == source) {
                Some(found) => here.push(found),
                // A deployment without outside services misses nothing, unless somebody asks for them.
                None if all.len() > 1 && self.calls_no_services(source) => {}
                None => notices.push(Notice::new(source, self.why_absent(source).to_owned())),
            }
        }
        (here, notices)
    }

    /// Why there is no such source.
    fn why_absent(&self, source: Source) -> &str {
        if self.calls_no_services(source) {
            "this deployment calls no outside service from there"
        } else {
            self.absent
        }
    }

    /// Whether the source is not there because no service is called from its cloud, whose other sources are there.
    fn calls_no_services(&self, source: Source) -> bool {
        let mut others = self.sources.iter();
        matches!(source, Source::Services | Source::AzureServices)
            && others.any(|one| one.source().cloud() == source.cloud())
    }
}

/// The notice of a port that failed: only operators ask, and the causes are what they need.
fn problem(source: Source, error: &PortError) -> Notice {
    let error = causes(error);
    tracing::warn!(source = source.as_str(), error, "dead letters");
    Notice::new(source, error)
}
