//! A process of the deployment: a future that is polled when chance likes, and that may die between two polls.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use saga_app::ports::PortError;
use saga_core::Timestamp;

use super::carried::Carried;
use super::provider::LONGEST_PROCESS;

pub(super) type Work<'a> = Pin<Box<dyn Future<Output = Result<(), PortError>> + 'a>>;

/// What a process works on, so that its carrier brings it again should the process fail or die.
pub(super) struct Process<'a> {
    pub name: String,
    pub message: Option<Carried>,
    /// It may call a service.
    pub calls: bool,
    pub began: Timestamp,
    pub work: Work<'a>,
}

impl Process<'_> {
    /// Polls it once.
    pub fn poll(&mut self) -> Poll<Result<(), PortError>> {
        self.work.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    /// Whether its function is ended because it takes too long. That matters for callers only: what they are about to ask was
    /// owed when they looked.
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        self.calls && self.began.plus_millis(LONGEST_PROCESS) < now
    }
}
