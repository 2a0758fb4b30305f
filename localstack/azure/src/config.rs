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

use crate::error::{StartError, read_json};

/// The whole configuration file. Unknown fields are errors, so a typing mistake cannot be ignored.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Of the topic, the issuer and the status page. Loopback only; port 0 picks a free one.
    pub(crate) listen: SocketAddr,
    /// Folder of the journal of accepted events. Logs of the handler go to `logs` beside it.
    pub(crate) state_dir: PathBuf,
    /// JSON file whose `pids.azure_participant` follows the handler's process, when it exists.
    pub(crate) endpoints_file: Option<PathBuf>,
    pub(crate) storage: Storage,
    pub(crate) topic: Topic,
    /// Factor on the documented retry schedule and on the time to live; 1.0 is the real thing.
    #[serde(default = "one")]
    pub(crate) retry_scale: f64,
    #[serde(default)]
    pub(crate) subscriptions: Vec<Subscription>,
    pub(crate) oidc: Oidc,
    pub(crate) functions: Option<Functions>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Storage {
    pub(crate) account: String,
    /// In base64.
    pub(crate) key: String,
    /// Base URL of the blob service, with the account's name where the emulator wants it.
    pub(crate) blob: String,
    /// Base URL of the queue service, likewise.
    pub(crate) queue: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Topic {
    pub(crate) name: String,
    /// The access key that publishers send as `aeg-sas-key`.
    pub(crate) key: String,
}

/// An event subscription. Exactly one of `storage_queue` and `webhook` is its destination.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Subscription {
    pub(crate) name: String,
    pub(crate) storage_queue: Option<String>,
    pub(crate) webhook: Option<Webhook>,
    #[serde(default)]
    pub(crate) delivery_schema: DeliverySchema,
    /// All when empty.
    #[serde(default)]
    pub(crate) included_event_types: Vec<String>,
    /// An event must pass every one.
    #[serde(default)]
    pub(crate) filters: Vec<Filter>,
    #[serde(default = "thirty")]
    pub(crate) max_attempts: u32,
    /// Time to live, before scaling.
    #[serde(default = "one_day")]
    pub(crate) ttl_minutes: u32,
    /// Without one an undeliverable event is lost.
    pub(crate) dead_letter_container: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Webhook {
    pub(crate) url: String,
    /// Whether deliveries and the handshake carry an Entra token.
    #[serde(default)]
    pub(crate) entra: bool,
    /// The token's; needed with `entra`.
    pub(crate) audience: Option<String>,
    /// Above 1, events are delivered as arrays.
    #[serde(default = "one_event")]
    pub(crate) max_events_per_batch: usize,
}

/// The schemas a subscription can deliver in: CloudEvents as published, or Event Grid's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub(crate) enum DeliverySchema {
    #[default]
    #[serde(rename = "CloudEventSchemaV1_0")]
    CloudEvents,
    #[serde(rename = "EventGridSchema")]
    EventGrid,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filter {
    pub(crate) operator: FilterOperator,
    /// A top-level attribute, or `data.x.y`.
    pub(crate) key: String,
    /// Compared without regard to case.
    pub(crate) values: Vec<String>,
}

/// The string operators of Event Grid's advanced filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[allow(clippy::enum_variant_names, reason = "the names are Event Grid's")]
pub(crate) enum FilterOperator {
    StringIn,
    StringNotIn,
    StringBeginsWith,
    StringNotBeginsWith,
    StringEndsWith,
    StringNotEndsWith,
    StringContains,
    StringNotContains,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Oidc {
    /// Value of `iss`; ends in `/<tenant>/v2.0`, and what stands before is where this program is reached.
    pub(crate) issuer: String,
    pub(crate) tenant: String,
    /// Audience of the protected webhook: tokens for it are given as Event Grid gets them.
    pub(crate) audience: String,
    /// The one client that may ask for tokens, and its secret.
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    /// PKCS#8 RSA private key, PEM.
    pub(crate) key_file: PathBuf,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Functions {
    /// Folder of `host.json` and of one folder a function.
    pub(crate) app_dir: PathBuf,
    /// Port given to the handler; 0 picks a free one.
    #[serde(default)]
    pub(crate) handler_port: u16,
    /// The app's settings: the handler's environment, and what `%NAME%` refers to.
    #[serde(default)]
    pub(crate) app_settings: BTreeMap<String, String>,
}

impl Config {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// When it cannot be read, parsed, or holds a value the real services would refuse.
    pub fn load(file: &Path) -> Result<Self, StartError> {
        let config: Self = read_json(file).map_err(StartError::invalid)?;
        config.check()?;
        Ok(config)
    }

    /// Checks what the types do not.
    pub(crate) fn check(&self) -> Result<(), StartError> {
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
                .map_err(|why| StartError::invalid(format!("subscription {name}: {why}")))?;
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
        let webhook = self.webhook.as_ref();
        let entra_without_audience =
            webhook.is_some_and(|webhook| webhook.entra && webhook.audience.is_none());
        let batch = webhook.map_or(1, |webhook| webhook.max_events_per_batch);
        let rules = [
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
        ];
        let broken = rules.into_iter().find(|(holds, _)| !holds);
        broken.map_or(Ok(()), |(_, why)| Err(why))
    }
}

fn require(holds: bool, why: impl FnOnce() -> String) -> Result<(), StartError> {
    holds.then_some(()).ok_or_else(|| StartError::invalid(why()))
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
