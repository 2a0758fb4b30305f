//! Who a function of the other cloud is on this one, without a secret: an identity that takes a token of the other
//! cloud as a client assertion (<https://learn.microsoft.com/entra/workload-id/workload-identity-federation>).
//!
//! Invariants: tokens are kept until shortly before they expire; getting one ends before the request that needs
//! it gives up, so that the log says what really failed; a failure is the answer to all who wait for the same token.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::error::ErrorKind;
use azure_core::http::{
    ClientMethodOptions, ClientOptions, ExponentialRetryOptions, RetryOptions, Transport,
};
use azure_identity::{ClientAssertion, ClientAssertionCredential, ClientAssertionCredentialOptions};
use saga_app::ports::causes;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::config::InvalidConfig;

/// For the assertion and its exchange together, repeats included.
const TOKEN: Duration = Duration::from_secs(3);
/// Repeats of an exchange that Entra could not do.
const REPEATS: u32 = 2;
/// How long a failure stands for the next asker's answer, too: a batch asks as often as it has events.
const FAILED: Duration = Duration::from_secs(1);

/// What a token of the other cloud is, or why there is none.
type AssertionFuture = Pin<Box<dyn Future<Output = Result<String, Box<dyn Error + Send + Sync>>> + Send>>;
/// Gives a token of the other cloud, for the audience `api://AzureADTokenExchange`.
type AssertionSource = Arc<dyn Fn() -> AssertionFuture + Send + Sync>;

/// An identity of Entra that trusts the other cloud's tokens. Entra itself is `login.microsoftonline.com`, or what
/// `AZURE_AUTHORITY_HOST` names.
#[derive(Clone)]
pub struct Assertion {
    tenant: String,
    client_id: String,
    token: AssertionSource,
}

impl fmt::Debug for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assertion")
            .field("tenant", &self.tenant)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

impl Assertion {
    /// The identity of this client id, known by what `token` gives.
    pub fn new<T, F>(tenant: String, client_id: String, token: T) -> Self
    where
        T: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<String, Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        Self {
            tenant,
            client_id,
            token: Arc::new(move || -> AssertionFuture { Box::pin(token()) }),
        }
    }

    /// Exchanges the tokens, on this connection pool.
    pub(super) fn credential(
        &self,
        transport: &Transport,
    ) -> Result<Arc<dyn TokenCredential>, InvalidConfig> {
        let options = ClientAssertionCredentialOptions {
            client_options: ClientOptions {
                transport: Some(transport.clone()),
                retry: RetryOptions::exponential(ExponentialRetryOptions {
                    max_retries: REPEATS,
                    ..ExponentialRetryOptions::default()
                }),
                ..ClientOptions::default()
            },
        };
        let (tenant, client) = (self.tenant.clone(), self.client_id.clone());
        let exchange = ClientAssertionCredential::new(tenant, client, self.clone(), Some(options))
            .map_err(InvalidConfig::Identity)?;
        Ok(Arc::new(Bounded {
            exchange,
            failed: Mutex::default(),
        }))
    }
}

#[async_trait]
impl ClientAssertion for Assertion {
    async fn secret(&self, _: Option<ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        (self.token)()
            .await
            .map_err(|error| azure_core::Error::new(ErrorKind::Credential, error))
    }
}

/// The exchange, which keeps its tokens itself, within limits.
#[derive(Debug)]
struct Bounded {
    exchange: Arc<ClientAssertionCredential<Assertion>>,
    failed: Mutex<Option<(Instant, String)>>,
}

#[async_trait]
impl TokenCredential for Bounded {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let mut failed = self.failed.lock().await;
        if let Some((at, why)) = &*failed
            && at.elapsed() < FAILED
        {
            return Err(no_token(why.clone()));
        }
        let answer = tokio::time::timeout(TOKEN, self.exchange.get_token(scopes, options)).await;
        let why = match answer {
            Ok(Ok(token)) => {
                *failed = None;
                return Ok(token);
            }
            Ok(Err(error)) => causes(&error),
            Err(_) => format!("there was no token within {} ms", TOKEN.as_millis()),
        };
        *failed = Some((Instant::now(), why.clone()));
        Err(no_token(why))
    }
}

fn no_token(why: String) -> azure_core::Error {
    azure_core::Error::with_message(ErrorKind::Credential, why)
}
