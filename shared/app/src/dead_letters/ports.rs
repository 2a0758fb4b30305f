//! What the use cases of dead letters need from the outside.
//!
//! The futures are boxed, because which sources there are is known only when the process starts.

use std::collections::BTreeSet;
use std::pin::Pin;

use futures_util::Stream;
use saga_core::Timestamp;
use saga_core::mark::Asked;
use saga_wire::dead_letter::{DeadLetter, Destination, Source};

use crate::ports::{PortError, Published};

/// What a port answers, some time.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, PortError>> + Send + 'a>>;

/// Dead letters, page by page. A page may be empty and not the last.
pub type Pages<'a> = Pin<Box<dyn Stream<Item = Result<Vec<DeadLetter>, PortError>> + Send + 'a>>;

/// What a port answers to several questions, some time.
pub type Answers<'a, T> = Pin<Box<dyn Future<Output = Vec<Result<T, PortError>>> + Send + 'a>>;

/// What a queue needs to put a message back or to remove it. It is valid until the lease ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The message's id.
    pub message: String,
    /// The queue's word for this lease of it.
    pub handle: String,
}

/// A dead letter that a queue hides for whoever leased it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leased {
    /// The dead letter.
    pub dead_letter: DeadLetter,
    /// By which it is put back or removed.
    pub receipt: Receipt,
}

/// How many dead letters a queue says that it holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Those that it would give.
    pub visible: usize,
    /// Those that somebody holds at the moment.
    pub hidden: usize,
}

impl Depth {
    /// Both.
    #[must_use]
    pub fn all(self) -> usize {
        self.visible + self.hidden
    }
}

/// What became of a dead letter that was to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// It is gone, by this call.
    Removed,
    /// It was gone, or is held by somebody else since the receipt expired. This call changed nothing.
    NotOurs,
}

/// A queue of dead letters. It has no order and shows a message only by hiding it.
///
/// An adapter MUST NOT remove a dead letter but by `remove`; MUST give a dead letter at most once while its lease lasts;
/// MUST give one that it cannot read, too, with the reason; and what it hides MUST come back by itself when the lease
/// ends, so that a process that dies loses nothing.
pub trait DeadLetterQueue: Send + Sync {
    /// Which it is.
    fn source(&self) -> Source;

    /// How many dead letters there are.
    fn depth(&self) -> Answer<'_, Depth>;

    /// Some dead letters, hidden for so many seconds; none when it has no more. `before`: how many the last lease of the
    /// same walk gave, by which an adapter may tell that the queue is deep.
    fn lease(&self, seconds: u32, before: usize) -> Answer<'_, Vec<Leased>>;

    /// Shows what was hidden. What is gone or held by somebody else is no error.
    fn put_back(&self, receipts: Vec<Receipt>) -> Answer<'_, ()>;

    /// Removes some messages. MUST answer one by one, in their order.
    fn remove<'a>(&'a self, receipts: Vec<&'a Receipt>) -> Answers<'a, Removal>;
}

/// A table or a container of dead letters, which hides nothing and keeps them in the order of their keys.
///
/// An adapter MUST NOT remove a dead letter but by `remove` and [`DeadOutbox::requeue`], and MUST give one that it cannot
/// read, too, with the reason.
pub trait DeadLetterContainer: Send + Sync {
    /// Which it is.
    fn source(&self) -> Source;

    /// Those with greater keys than `after`, in their order, page by page. One that came before `since` may be left out,
    /// where the container can tell cheaply.
    fn pages(&self, after: Option<String>, since: Option<Timestamp>) -> Pages<'_>;

    /// The one with this key.
    fn find<'a>(&'a self, key: &'a str) -> Answer<'a, Option<DeadLetter>>;

    /// Removes the one with this key.
    fn remove<'a>(&'a self, key: &'a str) -> Answer<'a, Removal>;
}

/// The dead rows of an outbox.
pub trait DeadOutbox: DeadLetterContainer {
    /// Makes the dead row with this key a pending one, in one transaction.
    fn requeue<'a>(&'a self, key: &'a str, now: Timestamp) -> Answer<'a, Removal>;
}

/// Where replayed dead letters go.
pub trait Outlet: Send + Sync {
    /// Sends the message of a dead letter. MUST answer `Ok(Ok(()))` only when the service took it, and `Ok(Err(_))` only
    /// when it never will.
    fn send<'a>(&'a self, to: Destination, one: &'a DeadLetter, message: &'a str) -> Answer<'a, Published>;
}

/// Where discarded dead letters are kept. An adapter MUST keep the body whole.
pub trait Archive: Send + Sync {
    /// Keeps a dead letter that was discarded at this time. Keeping it twice is no error.
    fn keep<'a>(&'a self, dead_letter: &'a DeadLetter, at: Timestamp, asked: Asked<'a>) -> Answer<'a, ()>;
}

/// Up to where a source has been watched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watched {
    /// The newest arrival that an alert was sent for, in milliseconds since 1970.
    pub until: i64,
    /// Marks of those that came shortly before it: no second alert may be sent for them.
    pub announced: BTreeSet<String>,
    /// How many dead letters a queue had; 0 for a container.
    pub depth: usize,
}

/// Remembers which dead letters an alert was sent for.
pub trait Memory: Send + Sync {
    /// What is remembered of a source.
    fn load(&self, source: Source) -> Answer<'_, Watched>;

    /// Remembers it.
    fn save<'a>(&'a self, source: Source, watched: &'a Watched) -> Answer<'a, ()>;
}
