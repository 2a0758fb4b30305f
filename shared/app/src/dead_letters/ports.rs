//! What the use cases of dead letters need from the outside.
//!
//! The futures are boxed, because which sources there are is known only when the process starts.

use std::collections::BTreeSet;
use std::pin::Pin;

use futures_util::future::join_all;
use saga_core::Timestamp;
use saga_core::mark::Asked;
use saga_wire::dead_letter::{DeadLetter, Destination, Source};

use crate::ports::{PortError, Published};

/// What a port answers, some time.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, PortError>> + Send + 'a>>;

/// What a port answers to several questions, some time.
pub type Answers<'a, T> = Pin<Box<dyn Future<Output = Vec<Result<T, PortError>>> + Send + 'a>>;

/// What a source needs to find a letter again that it gave; opaque to everybody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt(pub String);

/// A letter that a walk came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The letter.
    pub letter: DeadLetter,
    /// By which it is put back or removed.
    pub receipt: Receipt,
}

/// One pass over a source.
#[derive(Debug, Clone, Default)]
pub struct Walk {
    /// Only letters with a greater key are wanted. A queue has no order and may give others, too.
    pub after: Option<String>,
    /// Only letters with these keys are wanted. A source that cannot look them up may give others, too.
    pub only: Option<BTreeSet<String>>,
    /// Only letters that came then or later are wanted. A source that cannot tell cheaply may give others, too.
    pub since: Option<Timestamp>,
    /// For so long a queue hides what it gives.
    pub lease_seconds: u32,
    /// Where the source stands; its own.
    pub position: Option<String>,
    /// The source has given all; its own.
    pub ended: bool,
}

/// How many letters there are, as far as the source can say without looking at each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Letters that a walk would come to.
    pub visible: usize,
    /// Letters that somebody else holds at the moment.
    pub hidden: usize,
}

impl Depth {
    /// Both.
    #[must_use]
    pub fn all(self) -> usize {
        self.visible + self.hidden
    }
}

/// What became of a letter that was to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// It is gone, by this call.
    Removed,
    /// It was gone, or is held by somebody else since the receipt expired. This call changed nothing.
    NotOurs,
}

/// A place where dead letters lie.
///
/// An adapter MUST NOT remove a letter but by `remove` and `requeue`; MUST give a letter at most once in one walk, as
/// long as the lease lasts; MUST give a letter that it cannot read, too, with the reason; and what it hides MUST come
/// back by itself when the lease ends, so that a process that dies loses nothing.
pub trait LetterSource: Send + Sync {
    /// Which it is.
    fn source(&self) -> Source;

    /// Whether it is a queue, which hides what it gives and has no order. What is no queue hides nothing, and gives
    /// its letters in the order of their keys.
    fn is_queue(&self) -> bool;

    /// How many letters there are.
    fn depth(&self) -> Answer<'_, Depth>;

    /// The next letters of the walk; none when it has come to the end.
    fn next<'a>(&'a self, walk: &'a mut Walk) -> Answer<'a, Vec<Held>>;

    /// Shows what was hidden. What is gone or held by somebody else is no error. What is no queue has nothing to do.
    fn put_back(&self, receipts: Vec<Receipt>) -> Answer<'_, ()>;

    /// Removes a letter.
    fn remove<'a>(&'a self, held: &'a Held) -> Answer<'a, Removal>;

    /// Removes some letters, each as [`LetterSource::remove`] does; with fewer requests where the source can. MUST answer
    /// one by one, in their order.
    fn remove_all<'a>(&'a self, held: Vec<&'a Held>) -> Answers<'a, Removal> {
        Box::pin(async move { join_all(held.into_iter().map(|one| self.remove(one))).await })
    }

    /// Makes a dead row a pending one, in one transaction. Sources whose letters say
    /// [`Forward::Requeue`](saga_wire::dead_letter::Forward::Requeue) MUST have it.
    fn requeue<'a>(&'a self, held: &'a Held, now: Timestamp) -> Answer<'a, Removal>;
}

/// Where replayed letters go.
pub trait Outlet: Send + Sync {
    /// Sends the message of a letter. MUST answer `Ok(Ok(()))` only when the service took it, and `Ok(Err(_))` only
    /// when it never will.
    fn send<'a>(&'a self, to: Destination, letter: &'a DeadLetter, message: &'a str)
    -> Answer<'a, Published>;
}

/// A discarded letter, and who discarded it.
#[derive(Debug, Clone, Copy)]
pub struct Discarded<'a> {
    /// The letter, with its body.
    pub letter: &'a DeadLetter,
    /// When.
    pub at: Timestamp,
    /// Who asked, and why.
    pub asked: Asked<'a>,
}

/// Where discarded letters are kept. An adapter MUST keep the body whole.
pub trait Archive: Send + Sync {
    /// Keeps a letter. Keeping it twice is no error.
    fn keep<'a>(&'a self, discarded: Discarded<'a>) -> Answer<'a, ()>;
}

/// Up to where a source has been watched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watched {
    /// The newest arrival that was told, in milliseconds since 1970.
    pub until: i64,
    /// Marks of the letters told that came shortly before it: they must not be told again.
    pub told: BTreeSet<String>,
    /// How many letters there were.
    pub depth: usize,
}

/// Remembers what was told.
pub trait Memory: Send + Sync {
    /// What is remembered of a source.
    fn load(&self, source: Source) -> Answer<'_, Watched>;

    /// Remembers it.
    fn save<'a>(&'a self, source: Source, watched: &'a Watched) -> Answer<'a, ()>;
}
