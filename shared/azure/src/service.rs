//! One request to an Azure service, on azure_core's pipeline: signed, limited in time, repeated a few times with
//! jitter.
//!
//! Invariant: a request that may have been done is repeated only when doing it twice is the same as once. All
//! other failures go up as [`PortError::Unavailable`], and whoever asked reads again before deciding again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use azure_core::credentials::TokenCredential;
use azure_core::error::ErrorKind;
use azure_core::http::headers::{HeaderName, Headers};
use azure_core::http::policies::Policy;
use azure_core::http::policies::auth::BearerTokenAuthorizationPolicy;
use azure_core::http::{
    ClientOptions, Context, Method, Pipeline, PipelineSendOptions, Request, RetryOptions, Transport, Url,
};
use azure_identity::{ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId};
use saga_app::ports::PortError;

use crate::config::{Config, InvalidConfig};

/// How long is waited, and how often it is tried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// For one try, with the token it may need.
    pub(crate) attempt: Duration,
    /// Tries in all.
    pub(crate) attempts: u32,
    /// The ceiling of the first pause; it doubles.
    pub(crate) pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            attempt: Duration::from_secs(10),
            attempts: 3,
            pause: Duration::from_millis(100),
        }
    }
}

/// A service that asks for a longer pause than this is not waited for: the message waits on its queue instead.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What the adapters share: one connection pool, one identity.
pub(crate) struct Http {
    transport: Transport,
    credential: Option<Arc<dyn TokenCredential>>,
    pub(crate) limits: Limits,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Http {
    /// Builds the client, and the identity when some key is not given.
    pub(crate) fn new(config: &Config) -> Result<Self, InvalidConfig> {
        let transport = transport()?;
        let identity_needed = config.key.is_none() || config.topic_key.is_none();
        let credential = if identity_needed {
            let options = ManagedIdentityCredentialOptions {
                user_assigned_id: config.client_id.clone().map(UserAssignedId::ClientId),
                client_options: ClientOptions {
                    transport: Some(transport.clone()),
                    ..ClientOptions::default()
                },
            };
            let credential: Arc<dyn TokenCredential> =
                ManagedIdentityCredential::new(Some(options)).map_err(InvalidConfig::Identity)?;
            Some(credential)
        } else {
            None
        };
        Ok(Self {
            transport,
            credential,
            limits: Limits::default(),
        })
    }

    /// A client with an identity that the caller built on `transport`.
    pub(crate) fn with(transport: Transport, credential: Option<Arc<dyn TokenCredential>>) -> Self {
        Self {
            transport,
            credential,
            limits: Limits::default(),
        }
    }

    /// The policy that authorises by the identity.
    pub(crate) fn bearer(&self, scope: &str) -> Result<Arc<dyn Policy>, InvalidConfig> {
        let credential = self.credential.clone().ok_or_else(|| {
            InvalidConfig::Identity(azure_core::Error::with_message(
                ErrorKind::Credential,
                "it was not set up",
            ))
        })?;
        Ok(Arc::new(BearerTokenAuthorizationPolicy::new(credential, [scope])))
    }
}

/// The connection pool.
pub(crate) fn transport() -> Result<Transport, InvalidConfig> {
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

/// Whether a request may be sent again when it is not known whether it was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Doing it twice is the same as once.
    Freely,
    /// Only when it is certain that it was not done.
    WhenUndone,
}

/// A request.
#[derive(Debug)]
pub(crate) struct Call {
    /// What is asked of which service, for errors.
    pub(crate) what: &'static str,
    pub(crate) method: Method,
    /// Path and query below the service's endpoint, encoded.
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
    pub(crate) repeat: Repeat,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Headers,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &'static str) -> Option<&str> {
        self.headers.get_optional_str(&HeaderName::from_static(name))
    }

    pub(crate) fn succeeded(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The service's own word for what went wrong; empty when it said none.
    pub(crate) fn code(&self) -> String {
        match self.header("x-ms-error-code") {
            Some(code) => code.to_owned(),
            None => error_code(&self.body),
        }
    }

    /// The error for an answer that nobody has a use for.
    pub(crate) fn refused(&self, what: &'static str) -> PortError {
        let (status, code) = (self.status, self.code());
        PortError::unavailable(what, Failure::Refused { status, code })
    }
}

/// The `code` in the body of an error, as Table storage and Event Grid write it.
pub(crate) fn error_code(body: &str) -> String {
    let parsed: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let code = parsed
        .pointer("/odata.error/code")
        .or(parsed.pointer("/error/code"));
    code.and_then(|code| code.as_str()).unwrap_or_default().to_owned()
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// No answer in time.
    #[error("there was no answer within {} ms", .0.as_millis())]
    Silent(Duration),
    /// No connection, or it broke.
    #[error("the connection failed")]
    Broken(#[source] azure_core::Error),
    /// An answer that says no.
    #[error("it answered {status} {code}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The service's own word for it.
        code: String,
    },
    /// An answer that says nothing.
    #[error("its answer cannot be read: {0}")]
    Unreadable(String),
    /// What was to be sent breaks a limit of the service. Trying again does not help; the message ends in the
    /// queue's dead-letter store, with this reason in the log.
    #[error("{0}")]
    OverLimit(String),
}

/// A service at an endpoint.
pub(crate) struct Service {
    pipeline: Pipeline,
    base: String,
    pub(crate) limits: Limits,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

impl Service {
    /// A service at `base`, whose requests `authorization` authorises at each try.
    pub(crate) fn new(http: &Http, base: String, authorization: Arc<dyn Policy>) -> Self {
        let options = ClientOptions {
            transport: Some(http.transport.clone()),
            // The pipeline's own retries know nothing of `Repeat`.
            retry: RetryOptions::none(),
            ..ClientOptions::default()
        };
        let version = option_env!("CARGO_PKG_VERSION");
        Self {
            pipeline: Pipeline::new(
                Some("saga-bridge"),
                version,
                options,
                vec![],
                vec![authorization],
                None,
            ),
            base,
            limits: http.limits,
        }
    }

    /// The endpoint.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Sends a request and gives the answer, whatever it says, unless it says "later" to the last try.
    pub(crate) async fn send(&self, call: &Call) -> Result<Answer, PortError> {
        let mut attempt = 1;
        loop {
            let outcome = self.try_once(call).await;
            let (undone, wait) = match &outcome {
                Ok(answer) => match answer.status {
                    429 | 503 => (true, retry_after(answer)),
                    408 | 500 | 502 | 504 => (false, None),
                    _ => return outcome.map_err(|failure| PortError::unavailable(call.what, failure)),
                },
                Err(Failure::Broken(error)) => match error.kind() {
                    ErrorKind::Connection => (true, None),
                    ErrorKind::Io => (false, None),
                    _ => return Err(give_up(call.what, outcome)),
                },
                Err(_) => (false, None),
            };
            let patient = wait.is_none_or(|wait| wait <= LONGEST_PAUSE);
            if attempt >= self.limits.attempts || !patient || !(undone || call.repeat == Repeat::Freely) {
                return Err(give_up(call.what, outcome));
            }
            let ceiling = self
                .limits
                .pause
                .saturating_mul(1 << (attempt - 1).min(10))
                .min(LONGEST_PAUSE);
            let jitter = fastrand::u64(..=u64::try_from(ceiling.as_millis()).unwrap_or(u64::MAX));
            tokio::time::sleep(wait.unwrap_or_default() + Duration::from_millis(jitter)).await;
            attempt += 1;
        }
    }

    async fn try_once(&self, call: &Call) -> Result<Answer, Failure> {
        let url = format!("{}{}", self.base, call.path);
        let url = Url::parse(&url).map_err(|error| Failure::OverLimit(format!("`{url}`: {error}")))?;
        let mut request = Request::new(url, call.method);
        for (name, value) in &call.headers {
            request.insert_header(*name, value.clone());
        }
        request.set_body(call.body.clone());
        let context = Context::new();
        let options = PipelineSendOptions {
            skip_checks: true,
            ..PipelineSendOptions::default()
        };
        let sent = self.pipeline.send(&context, &mut request, Some(options));
        let answer = tokio::time::timeout(self.limits.attempt, sent)
            .await
            .map_err(|_| Failure::Silent(self.limits.attempt))?
            .map_err(Failure::Broken)?;
        let (status, headers, body) = answer.deconstruct();
        let body = body
            .into_string()
            .map_err(|error| Failure::Unreadable(error.to_string()))?;
        Ok(Answer {
            status: status.into(),
            headers,
            body,
        })
    }
}

/// `Retry-After` in seconds, as these services write it.
fn retry_after(answer: &Answer) -> Option<Duration> {
    answer
        .header("retry-after")?
        .trim()
        .parse()
        .ok()
        .map(Duration::from_secs)
}

fn give_up(what: &'static str, outcome: Result<Answer, Failure>) -> PortError {
    match outcome {
        Ok(Answer {
            status: 429 | 503, ..
        }) => PortError::Throttled { what },
        Ok(answer) => answer.refused(what),
        Err(failure) => PortError::unavailable(what, failure),
    }
}
