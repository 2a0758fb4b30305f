//! Signing secrets in Secrets Manager.

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use saga_app::ports::PortError;
use saga_wire::contract::signature::Secrets;

use crate::failure::failure;

pub(super) const WHAT: &str = "reading a signing secret";

/// Secrets Manager.
#[derive(Debug, Clone)]
pub(super) struct SecretsManager {
    client: Client,
}

impl SecretsManager {
    pub(super) fn new(config: &SdkConfig) -> Self {
        Self {
            client: Client::new(config),
        }
    }

    /// One or two secrets: the text of the current version.
    pub(super) async fn read_secret(&self, id: &str) -> Result<Secrets, PortError> {
        let answer = self.client.get_secret_value().secret_id(id).send().await;
        let answer = answer.map_err(|error| failure(WHAT, error))?;
        let corrupt = |why: String| PortError::Corrupt { what: WHAT, why };
        let text = answer
            .secret_string()
            .ok_or_else(|| corrupt(format!("`{id}` holds no text")))?;
        Secrets::parse(text).map_err(|error| corrupt(format!("`{id}`: {error}")))
    }
}
