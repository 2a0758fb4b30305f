//! Who a caller of outside services is on Azure: its managed identity gets tokens of Entra, and Key Vault keeps the secrets of
//! signatures.

use saga_app::ports::services::{Headers, Outgoing};
use saga_app::ports::{Authorise, PortError, SigningSecrets};
use saga_wire::contract::signature::Secrets;
use saga_wire::services::{Auth, SecretPlace, Service};

use crate::client::{Connection, Identity, vault};
use crate::config::InvalidConfig;

const WHAT: &str = "the managed identity of the caller";

/// The managed identity that the process runs as.
#[derive(Debug)]
pub struct ManagedIdentity {
    connection: Connection,
}

impl ManagedIdentity {
    /// The identity of this client id; without one, the system-assigned identity. Nothing is sent.
    ///
    /// # Errors
    /// [`InvalidConfig`]: there is no identity that can be used, or no HTTP client.
    pub fn new(client_id: Option<&str>) -> Result<Self, InvalidConfig> {
        let connection = Connection::new(&Identity::Managed(client_id))?;
        Ok(Self { connection })
    }
}

impl Authorise for ManagedIdentity {
    /// The identity keeps its tokens until shortly before they expire.
    async fn authorise(&self, service: &Service, _: Outgoing<'_>) -> Result<Headers, PortError> {
        match &service.auth {
            Auth::Entra { audience } => {
                let token = self.connection.token(&format!("{audience}/.default")).await;
                let token = token.map_err(|error| PortError::unavailable(WHAT, error))?;
                Ok(vec![("authorization", format!("Bearer {}", token.secret()))])
            }
            Auth::None | Auth::Signature(_) | Auth::SigV4 | Auth::Lambda => {
                let why = format!("service `{}` has an auth that is not of Azure", service.name);
                Err(PortError::unavailable(WHAT, why))
            }
        }
    }
}

impl SigningSecrets for ManagedIdentity {
    async fn secrets(&self, place: &SecretPlace) -> Result<Secrets, PortError> {
        match place {
            SecretPlace::KeyVault(url) => {
                let text = vault::secret(&self.connection, url).await?;
                Secrets::parse(&text).map_err(|error| PortError::Corrupt {
                    what: vault::WHAT,
                    why: error.to_string(),
                })
            }
            SecretPlace::SecretsManager(_) | SecretPlace::Environment(_) => {
                let why = "the secret is kept in another place";
                Err(PortError::unavailable(vault::WHAT, why))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use async_trait::async_trait;
    use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
    use azure_core::time::OffsetDateTime;
    use saga_wire::services::Services;

    use super::*;

    #[derive(Debug, Default)]
    struct Entra(Mutex<Vec<String>>);

    #[async_trait]
    impl TokenCredential for Entra {
        async fn get_token(
            &self,
            scopes: &[&str],
            _: Option<TokenRequestOptions<'_>>,
        ) -> azure_core::Result<AccessToken> {
            self.0
                .lock()
                .unwrap()
                .extend(scopes.iter().map(ToString::to_string));
            Ok(AccessToken::new("the-token", OffsetDateTime::UNIX_EPOCH))
        }
    }

    async fn authorised(binding: &str) -> (Result<Headers, PortError>, Vec<String>) {
        let entra = Arc::new(Entra::default());
        let identity = ManagedIdentity {
            connection: crate::support::quick().with_credential(entra.clone()),
        };
        let services = Services::parse_toml(&format!("[bank]\n{binding}")).unwrap();
        let outgoing = Outgoing { url: "", body: "" };
        let headers = identity.authorise(services.get("bank").unwrap(), outgoing).await;
        let scopes = entra.0.lock().unwrap().clone();
        (headers, scopes)
    }

    #[tokio::test]
    async fn a_token_is_for_the_audience_of_the_service() {
        for (binding, scope) in [
            (
                "url='https://bank.internal/saga'\ncloud='azure'\nauth='entra'",
                "https://bank.internal/.default",
            ),
            (
                "url='https://bank.internal'\ncloud='azure'\nauth='entra'\naudience='api://bank'",
                "api://bank/.default",
            ),
        ] {
            let (headers, scopes) = authorised(binding).await;
            assert_eq!(
                headers.unwrap(),
                [("authorization", "Bearer the-token".to_owned())]
            );
            assert_eq!(scopes, [scope]);
        }
        let (headers, scopes) = authorised("url='https://bank'\ncloud='aws'\nauth='sigv4'").await;
        assert!(headers.is_err() && scopes.is_empty());
    }
}
