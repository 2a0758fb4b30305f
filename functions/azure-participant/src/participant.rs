//! What the two functions share.

use saga_app::Deployment;
use saga_app::ports::PortError;
use tokio::sync::Semaphore;

use crate::calls::Calls;

/// So many messages are worked on at once; the host sends at most 24 (`batchSize` and `newBatchThreshold`).
const MAX_CONCURRENT: usize = 16;

pub(crate) type Outcome = Result<String, PortError>;

/// The deployment and its cloud, with the limits on concurrent work.
pub(crate) struct Participant<C> {
    pub(crate) deployment: Deployment,
    pub(crate) cloud: C,
    pub(crate) calls: Option<Calls>,
    pub(crate) steps: Semaphore,
    pub(crate) sweeps: Semaphore,
}

impl<C> Participant<C> {
    pub(crate) fn new(deployment: Deployment, cloud: C, calls: Option<Calls>) -> Self {
        Self {
            deployment,
            cloud,
            calls,
            steps: Semaphore::new(MAX_CONCURRENT),
            sweeps: Semaphore::new(1),
        }
    }
}
