//! How a function on the other cloud gets at this one: by keys, as on the local stack, or by a token of its own cloud
//! that Entra takes as a client assertion, so that no secret is kept anywhere
//! (<https://learn.microsoft.com/entra/workload-id/workload-identity-federation>).

use saga_app::dead_letters::ports::LetterSource;
use saga_wire::dead_letter::Source;
use saga_wire::dead_letter::{azure_quarantine, poison};

use super::{AzureOutlet, DeadBlobs, DeadQueue, DeadRows, blobs, outlet, queue, rows};
use crate::client::{Assertion, Connection, Container, Identity, Queue, StorageAccount, Table};
use crate::config::{InvalidConfig, Secret};
use crate::event_grid::EventGrid;

/// One deployment's account, names and endpoints, as far as dead letters need them.
#[derive(Clone)]
pub struct Access {
    /// The storage account's name.
    pub account: String,
    /// The storage account's key, in base64. Without it the assertion is used.
    pub key: Option<Secret>,
    /// The topic's access key. Without it the assertion is used.
    pub topic_key: Option<Secret>,
    /// Who this function is on Azure, where no keys are given.
    pub assertion: Option<Assertion>,
    /// `https://<account>.blob.core.windows.net`, or Azurite's.
    pub blob_endpoint: String,
    /// `https://<account>.queue.core.windows.net`, or Azurite's.
    pub queue_endpoint: String,
    /// `https://<account>.table.core.windows.net`, or Azurite's.
    pub table_endpoint: String,
    /// The Event Grid topic.
    pub topic_endpoint: String,
    /// The container of Event Grid's dead-letter blobs.
    pub container: String,
    /// The queue of the participant.
    pub queue: String,
    /// Its poison queue.
    pub poison_queue: String,
    /// Its quarantine.
    pub quarantine_queue: String,
    /// Its table.
    pub table: String,
    /// How many buckets the table has.
    pub buckets: u16,
}

/// Everything on Azure that has to do with dead letters.
pub struct Sources {
    /// The sources, in the order in which they are listed.
    pub sources: Vec<Box<dyn LetterSource>>,
    /// The ways back.
    pub outlet: AzureOutlet,
}

impl Access {
    /// Builds the adapters. Nothing is sent before their first use.
    ///
    /// # Errors
    /// [`InvalidConfig`] names the setting that is wrong.
    pub fn connect(&self) -> Result<Sources, InvalidConfig> {
        let identity = self.assertion.as_ref();
        let connection = &Connection::new(&identity.map_or(Identity::Keys, Identity::Federated))?;
        let account = &StorageAccount {
            connection,
            name: &self.account,
            key: self.key.as_ref(),
        };
        let table = Table::new(account, &self.table_endpoint, &self.table, rows::WHAT)?;
        let container = Container::new(account, &self.blob_endpoint, &self.container, blobs::WHAT)?;
        let queue = |name: &str, what| Queue::new(account, &self.queue_endpoint, name, what);
        let poison_queue = queue(&self.poison_queue, queue::WHAT)?;
        let quarantine = queue(&self.quarantine_queue, queue::WHAT)?;
        Ok(Sources {
            sources: vec![
                Box::new(DeadRows::new(table, self.buckets)),
                Box::new(DeadBlobs::new(container)),
                Box::new(DeadQueue::new(poison_queue, Source::Poison, poison)),
                Box::new(DeadQueue::new(
                    quarantine,
                    Source::AzureQuarantine,
                    azure_quarantine,
                )),
            ],
            outlet: AzureOutlet::new(
                EventGrid::new(connection, &self.topic_endpoint, self.topic_key.as_ref())?,
                queue(&self.queue, outlet::WHAT)?,
            ),
        })
    }
}
