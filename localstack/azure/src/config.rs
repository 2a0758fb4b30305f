//! The configuration of the stand-in, read at start.
//!
//! Invariant: a [`Config`] that [`Config::load`] returned can be served. What the real services refuse
//! when a subscription is created is refused here, with the field that is wrong, and never at run time.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::Deserialize;

/// The whole configuration file. Unknown fields are errors, so a typing mistake cannot be ignored.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address of the topic, the issuer and the status page. Loopback only; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Folder of the journal of accepted events. Logs of the handler go to `logs` beside it.
    pub state_dir: PathBuf,
    /// JSON file whose `pids.azure_participant` follows the handler's process, when it exists.
    #[serde(default)]
    pub endpoints_file: Option<PathBuf>,
    /// The storage account of queues and dead letters.
    pub storage: Storage,
    /// The custom topic.
    pub topic: Topic,
    /// Factor on the documented retry schedule and on the time to live; 1.0 is the real thing.
    #[serde(default = "one")]
    pub retry_scale: f64,
    /// The topic's subscriptions.
    #[serde(default)]
    pub subscriptions: Vec<Subscription>,
    /// The token issuer.
    pub oidc: Oidc,
    /// The function app, when there is one to host.
    #[serde(default)]
    pub functions: Option<Functions>,
}

/// A storage account, reached with its shared key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    /// Name of the account.
    pub account: String,
    /// Its key, base64.
    pub key: String,
    /// Base URL of the blob service, with the account's name where the emulator wants it.
    pub blob: String,
    /// Base URL of the queue service, likewise.
    pub queue: String,
}

/// An Event Grid custom topic with the CloudEvents 1.0 input schema.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// The access key that publishers send as `aeg-sas-key`.
    pub key: String,
}

/// An event subscription. Exactly one of `storage_queue` and `webhook` is its destination.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscription {
    /// Its name; unique, 3 to 64 letters, digits and hyphens.
    pub name: String,
    /// Name of the Storage queue to deliver to.
    #[serde(default)]
    pub storage_queue: Option<String>,
    /// The webhook to deliver to.
    #[serde(default)]
    pub webhook: Option<Webhook>,
    /// The schema of what is delivered.
    #[serde(default)]
    pub delivery_schema: DeliverySchema,
    /// Event types to deliver; all when empty.
    #[serde(default)]
    pub included_event_types: Vec<String>,
    /// Advanced filters; an event must pass every one.
    #[serde(default)]
    pub filters: Vec<Filter>,
    /// Delivery attempts, 1 to 30.
    #[serde(default = "thirty")]
    pub max_attempts: u32,
    /// Time to live, 1 to 1440 minutes (before scaling).
    #[serde(default = "one_day")]
    pub ttl_minutes: u32,
    /// Container of the dead letters; without one an undeliverable event is lost.
    #[serde(default)]
    pub dead_letter_container: Option<String>,
}

/// A webhook destination.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Where to deliver.
    pub url: String,
    /// Whether deliveries and the handshake carry an Entra token.
    #[serde(default)]
    pub entra: bool,
    /// The token's audience; needed with `entra`.
    #[serde(default)]
    pub audience: Option<String>,
    /// Above 1, events are delivered as arrays.
    #[serde(default = "one_event")]
    pub max_events_per_batch: usize,
}

/// The schemas a subscription can deliver in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum DeliverySchema {
    /// CloudEvents 1.0 as published.
    #[default]
    #[serde(rename = "CloudEventSchemaV1_0")]
    CloudEvents,
    /// Event Grid's own schema.
    #[serde(rename = "EventGridSchema")]
    EventGrid,
}

/// One advanced filter on an attribute of the event.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// How the values are compared.
    pub operator: FilterOperator,
    /// A top-level attribute, or `data.x.y`.
    pub key: String,
    /// The values compared with, without regard to case.
    pub values: Vec<String>,
}

/// The string operators of Event Grid's advanced filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "the names are Event Grid's and say it")]
pub enum FilterOperator {
    StringIn,
    StringNotIn,
    StringBeginsWith,
    StringNotBeginsWith,
    StringEndsWith,
    StringNotEndsWith,
    StringContains,
    StringNotContains,
}

/// The OIDC issuer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oidc {
    /// Value of `iss`; ends in `/<tenant>/v2.0`, and what stands before is where this program is reached.
    pub issuer: String,
    /// The tenant's id.
    pub tenant: String,
    /// Audience of the protected webhook: tokens for it are given as Event Grid gets them.
    pub audience: String,
    /// The one client that may ask for tokens.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// PKCS#8 RSA private key, PEM.
    pub key_file: PathBuf,
}

/// A function app with a custom handler.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Functions {
    /// Folder of `host.json` and of one folder a function.
    pub app_dir: PathBuf,
    /// Port given to the handler; 0 picks a free one.
    #[serde(default)]
    pub handler_port: u16,
    /// The app's settings: the handler's environment, and what `%NAME%` refers to.
    #[serde(default)]
    pub app_settings: BTreeMap<String, String>,
}

/// Why a configuration cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {file}: {source}")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is not a configuration.
    #[error("the configuration {file} is not understood: {source}")]
    Malformed {
        /// The file.
        file: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A value is outside what the real services accept.
    #[error("configuration: {0}")]
    Invalid(String),
}

impl Config {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// When it cannot be read, parsed, or holds a value the real services would refuse.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file).map_err(|source| ConfigError::Unreadable {
            file: file.to_owned(),
            source,
        })?;
        let config: Self = serde_json::from_str(&text).map_err(|source| ConfigError::Malformed {
            file: file.to_owned(),
            source,
        })?;
        config.check()?;
        Ok(config)
    }

    /// Checks what the types do not.
    ///
    /// # Errors
    /// The first value found that the real services would refuse.
    pub fn check(&self) -> Result<(), ConfigError> {
        require(self.listen.ip().is_loopback(), || {
            "listen must be a loopback address".to_owned()
        })?;
        require(self.retry_scale > 0.0 && self.retry_scale <= 1.0, || {
            "retry_scale must be above 0 and at most 1".to_owned()
        })?;
        require(!self.topic.key.is_empty(), || "topic.key is empty".to_owned())?;
        let suffix = format!("/{}/v2.0", self.oidc.tenant);
        require(self.oidc.issuer.ends_with(&suffix), || {
            format!("oidc.issuer must end in {suffix}")
        })?;
        let mut names = BTreeSet::new();
        for subscription in &self.subscriptions {
            let name = &subscription.name;
            subscription
                .check()
                .map_err(|why| ConfigError::Invalid(format!("subscription {name}: {why}")))?;
            require(names.insert(name.to_uppercase()), || {
                format!("two subscriptions are called {name}")
            })?;
        }
        Ok(())
    }
}

impl Subscription {
    /// The limits of Event Grid: 25 filters with 25 values in all, 30 attempts, 1440 minutes, batches of 5000.
    fn check(&self) -> Result<(), &'static str> {
        let fine = self.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        let values: usize = self.filters.iter().map(|filter| filter.values.len()).sum();
        let entra_without_audience = self
            .webhook
            .as_ref()
            .is_some_and(|webhook| webhook.entra && webhook.audience.is_none());
        let batch = self
            .webhook
            .as_ref()
            .map_or(1, |webhook| webhook.max_events_per_batch);
        [
            (
                fine && (3..=64).contains(&self.name.len()),
                "a name has 3 to 64 letters, digits and hyphens",
            ),
            (
                self.storage_queue.is_some() != self.webhook.is_some(),
                "give either storage_queue or webhook as the destination",
            ),
            (!entra_without_audience, "webhook.entra needs webhook.audience"),
            ((1..=5000).contains(&batch), "max_events_per_batch is 1 to 5000"),
            ((1..=30).contains(&self.max_attempts), "max_attempts is 1 to 30"),
            ((1..=1440).contains(&self.ttl_minutes), "ttl_minutes is 1 to 1440"),
            (
                self.filters.len() <= 25 && values <= 25,
                "at most 25 filters with 25 values in all",
            ),
            (
                self.filters.iter().all(|filter| !filter.values.is_empty()),
                "a filter needs values",
            ),
        ]
        .into_iter()
        .find(|(holds, _)| !holds)
        .map_or(Ok(()), |(_, why)| Err(why))
    }
}

fn require(holds: bool, why: impl FnOnce() -> String) -> Result<(), ConfigError> {
    if holds {
        Ok(())
    } else {
        Err(ConfigError::Invalid(why()))
    }
}

fn one() -> f64 {
    1.0
}

fn one_event() -> usize {
    1
}

fn thirty() -> u32 {
    30
}

fn one_day() -> u32 {
    1440
}
