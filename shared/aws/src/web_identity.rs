//! A token by which another cloud knows this function's role, without a secret
//! (<https://docs.aws.amazon.com/STS/latest/APIReference/API_GetWebIdentityToken.html>). Outbound federation has to be
//! enabled for the account, and the role allowed the call for the audience.

use std::error::Error;

use aws_config::SdkConfig;
use aws_sdk_sts::Client;
use aws_sdk_sts::error::DisplayErrorContext;

/// What Entra asks for in a federated credential.
pub const ENTRA_AUDIENCE: &str = "api://AzureADTokenExchange";
/// It is exchanged at once.
const SECONDS: i32 = 300;

/// The role's tokens.
#[derive(Debug, Clone)]
pub struct WebIdentity {
    client: Client,
}

impl WebIdentity {
    /// The tokens of the role that the process runs as.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            client: Client::new(config),
        }
    }

    /// A token for this audience.
    ///
    /// # Errors
    /// What STS says, or that it gave none.
    pub async fn token(&self, audience: &str) -> Result<String, Box<dyn Error + Send + Sync>> {
        let sent = self
            .client
            .get_web_identity_token()
            .audience(audience)
            .signing_algorithm("RS256")
            .duration_seconds(SECONDS)
            .send()
            .await;
        let answer = sent.map_err(|error| DisplayErrorContext(error).to_string())?;
        answer
            .web_identity_token
            .ok_or_else(|| "STS gave no token".into())
    }
}
