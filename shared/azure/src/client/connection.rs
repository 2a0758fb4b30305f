//! One connection pool and one identity, shared by the clients of a deployment.

use std::sync::Arc;
use std::time::Duration;

use azure_core::credentials::{Secret, TokenCredential};
use azure_core::error::ErrorKind;
use azure_core::http::policies::Policy;
use azure_core::http::policies::auth::BearerTokenAuthorizationPolicy;
use azure_core::http::{ClientOptions, Pipeline, RetryOptions, Transport};
use azure_identity::{ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId};

use super::federation::Assertion;
use super::retry::Limits;
use super::service::Service;
use super::shared_key::{Dialect, SharedKey};
use crate::config::{Config, InvalidConfig, endpoint};

/// The first version of the Table service that takes Entra tokens.
pub(super) const STORAGE_VERSION: &str = "2020-12-06";
/// The scope of a token for a storage account.
const STORAGE_SCOPE: &str = "https://storage.azure.com/.default";

/// How requests are authorised where no key is given.
pub(crate) enum Identity<'a> {
    /// Not at all: every key is given.
    Keys,
    /// By the managed identity of this client id; without one, by the system-assigned identity.
    Managed(Option<&'a str>),
    /// By an identity that trusts the other cloud's tokens.
    Federated(&'a Assertion),
}

impl<'a> Identity<'a> {
    /// Who sends the requests of a deployment with these settings.
    pub(crate) fn of(config: &'a Config) -> Self {
        match (&config.key, &config.topic_key) {
            (Some(_), Some(_)) => Self::Keys,
            _ => Self::Managed(config.client_id.as_deref()),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Connection {
    transport: Transport,
    credential: Option<Arc<dyn TokenCredential>>,
    pub(crate) limits: Limits,
}

impl Connection {
    /// Builds the pool and the identity. Nothing is sent.
    pub(crate) fn new(identity: &Identity<'_>) -> Result<Self, InvalidConfig> {
        let transport = transport()?;
        let credential: Option<Arc<dyn TokenCredential>> = match identity {
            Identity::Keys => None,
            Identity::Managed(client_id) => {
                let options = ManagedIdentityCredentialOptions {
                    user_assigned_id: client_id.map(|id| UserAssignedId::ClientId(id.to_owned())),
                    client_options: ClientOptions {
                        transport: Some(transport.clone()),
                        ..ClientOptions::default()
                    },
                };
                Some(ManagedIdentityCredential::new(Some(options)).map_err(InvalidConfig::Identity)?)
            }
            Identity::Federated(assertion) => Some(assertion.credential(&transport)?),
        };
        Ok(Self {
            transport,
            credential,
            limits: Limits::default(),
        })
    }

    /// The policy that authorises by the identity.
    pub(super) fn bearer(&self, scope: &str) -> Result<Arc<dyn Policy>, InvalidConfig> {
        let credential = self.credential().map_err(InvalidConfig::Identity)?;
        Ok(Arc::new(BearerTokenAuthorizationPolicy::new(credential, [scope])))
    }

    /// A token of the identity for this scope. The identity keeps it until shortly before it expires.
    pub(crate) async fn token(&self, scope: &str) -> azure_core::Result<Secret> {
        let token = self.credential()?.get_token(&[scope], None).await?;
        Ok(token.token)
    }

    fn credential(&self) -> azure_core::Result<Arc<dyn TokenCredential>> {
        let missing = || azure_core::Error::with_message(ErrorKind::Credential, "it was not set up");
        self.credential.clone().ok_or_else(missing)
    }

    /// The same with another identity.
    #[cfg(test)]
    pub(crate) fn with_credential(mut self, credential: Arc<dyn TokenCredential>) -> Self {
        self.credential = Some(credential);
        self
    }

    /// The service at `base`; `authorization` authorises each attempt anew. `what` names it in errors.
    pub(super) fn service(
        &self,
        what: &'static str,
        limits: Limits,
        base: String,
        authorization: Arc<dyn Policy>,
    ) -> Service {
        let options = ClientOptions {
            transport: Some(self.transport.clone()),
            // The pipeline's own retries know nothing of `Repeat`.
            retry: RetryOptions::none(),
            ..ClientOptions::default()
        };
        let (name, version) = (Some("saga-bridge"), option_env!("CARGO_PKG_VERSION"));
        Service {
            pipeline: Pipeline::new(name, version, options, vec![], vec![authorization], None),
            base,
            what,
            limits,
        }
    }
}

/// A storage account, from which the clients of its services are made.
pub(crate) struct StorageAccount<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) name: &'a str,
    /// The account's key. Without it the connection's identity is used.
    pub(crate) key: Option<&'a Secret>,
}

impl StorageAccount<'_> {
    /// A service of the account. `what` names it in errors, `kind` in a complaint about the endpoint.
    pub(super) fn service(
        &self,
        what: &'static str,
        kind: &'static str,
        url: &str,
        dialect: Dialect,
    ) -> Result<Service, InvalidConfig> {
        let base = endpoint(kind, url)?;
        let authorization = match self.key {
            Some(key) => Arc::new(SharedKey::new(dialect, self.name, key)?),
            None => self.connection.bearer(STORAGE_SCOPE)?,
        };
        let limits = self.connection.limits;
        Ok(self.connection.service(what, limits, base, authorization))
    }
}

fn transport() -> Result<Transport, InvalidConfig> {
    // An error says that a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(3))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .map_err(InvalidConfig::Client)?;
    Ok(Transport::new(Arc::new(client)))
}
