//! The Storage queue of requests to services, as their caller writes to it.

use std::time::Duration;

use saga_app::ports::{CallQueue, PortError};

use crate::client::{Connection, Identity, Queue, StorageAccount};
use crate::config::{Config, InvalidConfig};

const WHAT: &str = "the queue of requests to services";

/// The queue of requests to all services.
#[derive(Debug)]
pub struct CallsQueue {
    queue: Queue,
}

impl CallsQueue {
    /// The queue of this name. Nothing is sent before its first use.
    ///
    /// # Errors
    /// [`InvalidConfig`] names the setting that is wrong.
    pub fn connect(config: &Config, name: &str) -> Result<Self, InvalidConfig> {
        let connection = Connection::new(&Identity::of(config))?;
        let account = StorageAccount {
            connection: &connection,
            name: &config.account,
            key: config.key.as_ref(),
        };
        let queue = Queue::new(&account, &config.queue_endpoint, name, WHAT)?;
        Ok(Self { queue })
    }
}

impl CallQueue for CallsQueue {
    async fn put(&self, body: &[u8], delay: Duration) -> Result<(), PortError> {
        let seconds = delay.as_millis().div_ceil(1_000);
        let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
        let put = self.queue.put_later(body, seconds).await?;
        put.map_err(|refusal| refusal.into_error(WHAT))
    }
}
