//! The places of this deployment, from its environment. Those on Azure are there if `AZURE_STORAGE_ACCOUNT` is set, those of
//! requests to outside services if `SERVICE_DLQS` names a service or `CALLS_POISON_QUEUE` is set.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use lambda_runtime::Error;
use saga_app::dead_letters::DeadLetterSource;
use saga_app::dead_letters::ports::{Answer, Outlet};
use saga_app::ports::{Published, Refusal};
use saga_aws::dead_letters::archive::DynamoArchive;
use saga_aws::dead_letters::outlet::AwsOutlet;
use saga_aws::dead_letters::queue::DeadQueue;
use saga_aws::dead_letters::rows::DeadRows;
use saga_aws::dead_letters::services::ServiceQueues;
use saga_aws::web_identity::{ENTRA_AUDIENCE, WebIdentity};
use saga_azure::dead_letters::{Access, AzureOutlet, Calls};
use saga_azure::{Assertion, Config, Secret};
use saga_runtime::environment::{Misconfigured, optional, required};
use saga_wire::dead_letter::{DeadLetter, Destination, Source, destination, events, quarantine, stream};
use serde::Deserialize;

/// Why a source of Azure is not there.
pub const ABSENT: &str = "access to Azure is not set up for this function (AZURE_STORAGE_ACCOUNT)";

/// All places.
pub struct Places {
    pub sources: Vec<DeadLetterSource>,
    pub outlet: Outlets,
    pub archive: DynamoArchive,
}

/// The ways back on both clouds.
pub struct Outlets {
    aws: AwsOutlet,
    azure: Option<AzureOutlet>,
}

impl Outlet for Outlets {
    fn send<'a>(&'a self, to: Destination, one: &'a DeadLetter, message: &'a str) -> Answer<'a, Published> {
        let is_on_aws = match to {
            Destination::Bus | Destination::EventsQueue | Destination::ServiceQueue => true,
            Destination::Topic | Destination::ParticipantQueue | Destination::AzureServiceQueue => false,
        };
        match &self.azure {
            _ if is_on_aws => self.aws.send(to, one, message),
            Some(azure) => azure.send(to, one, message),
            None => Box::pin(async { Ok(Err(Refusal::Never(ABSENT.to_owned()))) }),
        }
    }
}

/// Builds them. `buckets`: how many the stores of both clouds have.
pub fn connect(config: &SdkConfig, buckets: u16) -> Result<Places, Error> {
    let outbox = required("OUTBOX_TABLE")?;
    let queue = |name, source, read| {
        let queue = DeadQueue::new(config, required(name)?, source, read);
        Ok::<_, Misconfigured>(DeadLetterSource::Queue(Box::new(queue)))
    };
    let mut sources: Vec<DeadLetterSource> = vec![
        DeadLetterSource::Outbox(Box::new(DeadRows::new(config, outbox.clone()))),
        queue("DESTINATION_DLQ_URL", Source::Destination, destination)?,
        queue("EVENTS_DLQ_URL", Source::Events, events)?,
        queue("OUTBOX_FAILURES_URL", Source::Stream, stream)?,
        queue("QUARANTINE_QUEUE_URL", Source::Quarantine, quarantine)?,
    ];
    let services = services()?;
    if !services.is_empty() {
        let queues = services.iter();
        let queues = queues.map(|(name, service)| (name.clone(), service.dlq_url.clone()));
        let queues = ServiceQueues::new(config, queues.collect());
        sources.push(DeadLetterSource::Queue(Box::new(queues)));
    }
    let queues = services.into_iter();
    let queues = queues.map(|(name, service)| (name, service.queue_url)).collect();
    let outlet = AwsOutlet::new(config, &required("EVENT_BUS")?, required("EVENTS_QUEUE_URL")?);
    let mut outlet = Outlets {
        aws: outlet.with_service_queues(queues),
        azure: None,
    };
    match optional("AZURE_STORAGE_ACCOUNT") {
        Some(account) => {
            let azure = access(config, account, buckets)?.connect()?;
            sources.extend(azure.sources);
            outlet.azure = Some(azure.outlet);
        }
        None => tracing::warn!("{ABSENT}: dead letters of AWS only"),
    }
    Ok(Places {
        sources,
        outlet,
        archive: DynamoArchive::new(config, outbox),
    })
}

/// The queues of a service that AWS calls.
#[derive(Deserialize)]
struct ServiceDlq {
    queue_url: String,
    dlq_url: String,
}

/// Those of each service, by its name.
fn services() -> Result<BTreeMap<String, ServiceDlq>, Misconfigured> {
    const NAME: &str = "SERVICE_DLQS";
    let Some(text) = optional(NAME) else {
        return Ok(BTreeMap::new());
    };
    serde_json::from_str(&text).map_err(|why| Misconfigured::invalid(NAME, why))
}

/// The queues of requests to services that Azure calls.
fn calls() -> Result<Option<Calls>, Misconfigured> {
    let Some(poison_queue) = optional("CALLS_POISON_QUEUE") else {
        return Ok(None);
    };
    let queue = required("CALLS_QUEUE")?;
    Ok(Some(Calls { queue, poison_queue }))
}

fn access(config: &SdkConfig, account: String, buckets: u16) -> Result<Access, Misconfigured> {
    let (key, topic_key) = (optional("AZURE_STORAGE_KEY"), optional("EVENTGRID_TOPIC_KEY"));
    let assertion = if key.is_some() && topic_key.is_some() {
        None
    } else {
        let identity = WebIdentity::new(config);
        let token = move || {
            let identity = identity.clone();
            async move { identity.token(ENTRA_AUDIENCE).await }
        };
        let tenant = required("AZURE_TENANT_ID")?;
        Some(Assertion::new(tenant, required("AZURE_CLIENT_ID")?, token))
    };
    Ok(Access {
        participant: Config {
            account,
            key: key.map(Secret::new),
            table_endpoint: required("AZURE_TABLE_ENDPOINT")?,
            queue_endpoint: required("AZURE_QUEUE_ENDPOINT")?,
            table: required("SAGA_TABLE")?,
            quarantine_queue: required("AZURE_QUARANTINE_QUEUE")?,
            topic_endpoint: required("EVENTGRID_TOPIC_ENDPOINT")?,
            topic_key: topic_key.map(Secret::new),
            client_id: None,
        },
        assertion,
        blob_endpoint: required("AZURE_BLOB_ENDPOINT")?,
        container: required("DEAD_LETTER_CONTAINER")?,
        queue: required("SAGA_QUEUE")?,
        poison_queue: required("POISON_QUEUE")?,
        calls: calls()?,
        buckets,
    })
}
