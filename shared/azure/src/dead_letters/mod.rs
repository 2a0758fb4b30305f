//! The dead letters on Azure, and the ways back from there, for a function on the other cloud. It gets at them by keys, as
//! on the local stack, or by a token of its own cloud that Entra takes as a client assertion, so that no secret is kept
//! anywhere (<https://learn.microsoft.com/entra/workload-id/workload-identity-federation>).

mod blobs;
mod outlet;
mod queue;
mod rows;

pub use outlet::AzureOutlet;

use saga_app::dead_letters::DeadLetterSource;
use saga_wire::dead_letter::{Source, azure_quarantine, azure_service_request, poison};

use crate::client::{Assertion, Connection, Container, Identity, Queue, StorageAccount, Table};
use crate::config::{Config, InvalidConfig};
use crate::event_grid::EventGrid;
use blobs::DeadBlobs;
use queue::DeadQueue;
use rows::DeadRows;

/// One deployment's account, names and endpoints, as far as dead letters need them.
#[derive(Clone)]
pub struct Access {
    /// Those of the participant.
    pub participant: Config,
    /// Who this function is on Azure, where not all keys are given.
    pub assertion: Option<Assertion>,
    /// `https://<account>.blob.core.windows.net`, or Azurite's.
    pub blob_endpoint: String,
    /// The container of Event Grid's dead-letter blobs.
    pub container: String,
    /// The queue of the participant.
    pub queue: String,
    /// Its poison queue.
    pub poison_queue: String,
    /// The queues of the requests to outside services, where Azure calls some.
    pub calls: Option<Calls>,
    /// How many buckets its table has.
    pub buckets: u16,
}

/// The names of the queues of requests to outside services.
#[derive(Debug, Clone)]
pub struct Calls {
    /// The queue of the requests.
    pub queue: String,
    /// Its poison queue.
    pub poison_queue: String,
}

/// Everything on Azure that has to do with dead letters.
pub struct Sources {
    /// The sources, in the order in which they are listed.
    pub sources: Vec<DeadLetterSource>,
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
        let config = &self.participant;
        let account = &StorageAccount {
            connection,
            name: &config.account,
            key: config.key.as_ref(),
        };
        let queue = |name: &str, what| Queue::new(account, &config.queue_endpoint, name, what);
        let dead_queue = |name: &str, source, read| {
            let queue = queue(name, "a queue of dead letters")?;
            let queue = DeadQueue { queue, source, read };
            Ok(DeadLetterSource::Queue(Box::new(queue)))
        };
        let table = Table::new(account, &config.table_endpoint, &config.table, rows::WHAT)?;
        let buckets = self.buckets;
        let container = Container::new(account, &self.blob_endpoint, &self.container, blobs::WHAT)?;
        let mut sources = vec![
            DeadLetterSource::Outbox(Box::new(DeadRows { table, buckets })),
            DeadLetterSource::Container(Box::new(DeadBlobs { container })),
            dead_queue(&self.poison_queue, Source::Poison, poison)?,
            dead_queue(
                &config.quarantine_queue,
                Source::AzureQuarantine,
                azure_quarantine,
            )?,
        ];
        let mut calls = None;
        if let Some(Calls {
            queue: name,
            poison_queue,
        }) = &self.calls
        {
            sources.push(dead_queue(
                poison_queue,
                Source::AzureServices,
                azure_service_request,
            )?);
            calls = Some(queue(name, "the queue of requests to outside services")?);
        }
        Ok(Sources {
            sources,
            outlet: AzureOutlet {
                events: EventGrid::new(connection, &config.topic_endpoint, config.topic_key.as_ref())?,
                queue: queue(&self.queue, "the participant's queue")?,
                calls,
            },
        })
    }
}
