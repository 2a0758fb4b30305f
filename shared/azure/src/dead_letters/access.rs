//! How a function on the other cloud gets at this one: by keys, as on the local stack, or by a token of its own cloud
//! that Entra takes as a client assertion, so that no secret is kept anywhere
//! (<https://learn.microsoft.com/entra/workload-id/workload-identity-federation>).

use std::sync::Arc;

use saga_app::dead_letters::ports::LetterSource;
use saga_wire::dead_letter::Source;
use saga_wire::dead_letter::{azure_quarantine, poison};

use super::{AzureOutlet, DeadBlobs, DeadQueue, DeadRows};
use crate::config::{Config, InvalidConfig, Secret, endpoint};
use crate::federation::Assertion;
use crate::service::{Http, Service, transport};
use crate::shared_key::{Dialect, SharedKey};
use crate::table_store::SCOPE;

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
        let http = self.http()?;
        let queue = |name: &str, source, read| DeadQueue::on(&http, self, name, source, read);
        let sources: Vec<Box<dyn LetterSource>> = vec![
            Box::new(DeadRows::on(&http, self)?),
            Box::new(DeadBlobs::on(&http, self)?),
            Box::new(queue(&self.poison_queue, Source::Poison, poison)?),
            Box::new(queue(
                &self.quarantine_queue,
                Source::AzureQuarantine,
                azure_quarantine,
            )?),
        ];
        Ok(Sources {
            sources,
            outlet: AzureOutlet::on(&http, self)?,
        })
    }

    pub(crate) fn http(&self) -> Result<Http, InvalidConfig> {
        let transport = transport()?;
        let credential = self
            .assertion
            .as_ref()
            .map(|assertion| assertion.credential(&transport));
        Ok(Http::with(transport, credential.transpose()?))
    }

    /// A service of the storage account.
    pub(crate) fn storage(
        &self,
        http: &Http,
        what: &'static str,
        url: &str,
        dialect: Dialect,
    ) -> Result<Service, InvalidConfig> {
        let base = endpoint(what, url)?;
        Ok(match &self.key {
            Some(key) => {
                let policy = SharedKey::new(dialect, &self.account, key)?;
                Service::new(http, base, Arc::new(policy))
            }
            None => Service::new(http, base, http.bearer(SCOPE)?),
        })
    }

    /// The same deployment in the words of the participant's adapters.
    pub(crate) fn config(&self) -> Config {
        Config {
            account: self.account.clone(),
            key: self.key.clone(),
            table_endpoint: self.table_endpoint.clone(),
            queue_endpoint: self.queue_endpoint.clone(),
            table: self.table.clone(),
            quarantine_queue: self.quarantine_queue.clone(),
            topic_endpoint: self.topic_endpoint.clone(),
            topic_key: self.topic_key.clone(),
            client_id: None,
        }
    }
}
