//! Secrets of Key Vault
//! (<https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret/get-secret>).

use azure_core::http::{Method, Url};
use saga_app::ports::PortError;
use serde::Deserialize;

use super::connection::Connection;
use super::service::{Call, Service};

pub(crate) const WHAT: &str = "Key Vault";
const API_VERSION: &str = "7.4";

#[derive(Deserialize)]
struct Secret {
    value: String,
}

/// The text of the secret at this URL, read with the connection's identity.
pub(crate) async fn secret(connection: &Connection, url: &Url) -> Result<String, PortError> {
    let authorization = connection.bearer(&scope(url));
    let authorization = authorization.map_err(|error| PortError::unavailable(WHAT, error))?;
    let base = url.origin().ascii_serialization();
    let vault = connection.service(WHAT, connection.limits, base, authorization);
    read(&vault, url.path()).await
}

async fn read(vault: &Service, path: &str) -> Result<String, PortError> {
    let path = format!("{path}?api-version={API_VERSION}");
    let answer = vault.expect(Call::new(Method::Get, path)).await?;
    // What serde says of a value quotes it.
    let read = serde_json::from_str::<Secret>(&answer.body);
    read.map(|secret| secret.value).map_err(|_| PortError::Corrupt {
        what: WHAT,
        why: "its answer holds no `value`".to_owned(),
    })
}

/// The scope of a token for the vault's cloud: the host without the vault's own name.
fn scope(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let cloud = host.split_once('.').map_or(host, |(_, cloud)| cloud);
    format!("https://{cloud}/.default")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use azure_core::http::policies::{Policy, PolicyResult};
    use azure_core::http::{Context, Request};

    use super::*;
    use crate::support::{Reply, TestServer, quick};

    #[derive(Debug)]
    struct Nobody;

    #[async_trait]
    impl Policy for Nobody {
        async fn send(
            &self,
            context: &Context,
            request: &mut Request,
            next: &[Arc<dyn Policy>],
        ) -> PolicyResult {
            next[0].send(context, request, &next[1..]).await
        }
    }

    async fn answered(reply: Reply) -> (Result<String, PortError>, Vec<String>) {
        let server = TestServer::start(vec![reply; 3]).await;
        let connection = quick();
        let vault = connection.service(WHAT, connection.limits, server.url.clone(), Arc::new(Nobody));
        (read(&vault, "/secrets/bank").await, server.requests())
    }

    #[tokio::test]
    async fn the_secret_is_the_value_of_the_answer() {
        let (secret, requests) = answered(Reply::body(200, r#"{"value":"whsec_x","id":"i"}"#)).await;
        assert_eq!(secret.unwrap(), "whsec_x");
        assert!(
            requests[0].starts_with("GET /acc/secrets/bank?api-version=7.4 "),
            "{requests:?}"
        );
    }

    #[tokio::test]
    async fn an_answer_without_a_value_is_an_error_that_shows_nothing_of_it() {
        for reply in [
            Reply::body(200, r#"{"values":"whsec_x"}"#),
            Reply::body(200, r#"{"value":["whsec_x"]}"#),
            Reply::body(404, r#"{"error":{"code":"SecretNotFound"}}"#),
            Reply::status(403),
        ] {
            let (secret, _) = answered(reply.clone()).await;
            let error = secret.unwrap_err();
            assert!(!format!("{error:?}").contains("whsec_x"), "{reply:?}: {error:?}");
        }
    }

    #[test]
    fn the_scope_is_that_of_the_vaults_cloud() {
        for (url, is) in [
            (
                "https://bank.vault.azure.net/secrets/s",
                "https://vault.azure.net/.default",
            ),
            (
                "https://bank.vault.azure.cn/secrets/s/1",
                "https://vault.azure.cn/.default",
            ),
        ] {
            assert_eq!(scope(&Url::parse(url).unwrap()), is);
        }
    }
}
