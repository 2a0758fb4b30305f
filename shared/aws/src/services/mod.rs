//! Who a caller of outside services is on AWS: its role signs requests, and Secrets Manager keeps the secrets of signatures.

mod scope;
mod secrets;
mod signer;

use aws_config::SdkConfig;
use saga_app::ports::services::{Headers, Outgoing};
use saga_app::ports::{Authorise, PortError, SigningSecrets, Time};
use saga_wire::contract::signature::Secrets;
use saga_wire::services::{Auth, SecretPlace, Service};

use crate::services::secrets::SecretsManager;
use crate::services::signer::Signer;

/// The role that the process runs as.
#[derive(Debug, Clone)]
pub struct RoleIdentity<T> {
    signer: Signer,
    secrets: SecretsManager,
    region: String,
    time: T,
}

impl<T: Time> RoleIdentity<T> {
    /// The role that these settings find.
    ///
    /// # Errors
    /// [`PortError::Unavailable`]: the settings have no region or no credentials.
    pub fn new(config: &SdkConfig, time: T) -> Result<Self, PortError> {
        let missing = |what: &str| PortError::unavailable(signer::WHAT, format!("{what} is not set"));
        let region = config.region().ok_or_else(|| missing("the region"))?;
        Ok(Self {
            signer: Signer::new(config).ok_or_else(|| missing("a credentials provider"))?,
            secrets: SecretsManager::new(config),
            region: region.to_string(),
            time,
        })
    }
}

impl<T: Time> Authorise for RoleIdentity<T> {
    async fn authorise(&self, service: &Service, outgoing: Outgoing<'_>) -> Result<Headers, PortError> {
        match service.auth {
            Auth::SigV4 | Auth::Lambda => {
                let scope = scope::of(&service.binding, &self.region);
                self.signer.sign(outgoing, scope, self.time.now()).await
            }
            Auth::None | Auth::Signature(_) | Auth::Entra { .. } => {
                let why = format!("service `{}` has an auth that is not of AWS", service.name);
                Err(PortError::unavailable(signer::WHAT, why))
            }
        }
    }
}

impl<T: Time> SigningSecrets for RoleIdentity<T> {
    async fn secrets(&self, place: &SecretPlace) -> Result<Secrets, PortError> {
        match place {
            SecretPlace::SecretsManager(id) => self.secrets.read_secret(id).await,
            SecretPlace::KeyVault(_) | SecretPlace::Environment(_) => {
                let why = "the secret is kept in another place";
                Err(PortError::unavailable(secrets::WHAT, why))
            }
        }
    }
}
