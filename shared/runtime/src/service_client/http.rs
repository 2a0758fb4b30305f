//! One POST, bounded in time and size by whoever asks and by [`MAX_BODY_BYTES`].

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Body, Client, Response};
use saga_app::ports::causes;
use saga_app::ports::services::Headers;
use saga_wire::contract::{Answer, MAX_BODY_BYTES};

const CONNECT: Duration = Duration::from_secs(3);
/// A function that was frozen for longer would write to connections that the other side has closed.
const IDLE: Duration = Duration::from_secs(10);
/// How Lambda says that a function failed, beside a 200.
const FUNCTION_ERROR: HeaderName = HeaderName::from_static("x-amz-function-error");

/// Why there is no HTTP client.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client for outside services cannot be built")]
pub struct CannotConnect(#[source] reqwest::Error);

/// The connection pool.
#[derive(Debug)]
pub struct Http(Client);

/// An answer with what its meaning does not depend on.
#[derive(Debug)]
pub struct Raw {
    /// What the contract looks at.
    pub answer: Answer,
    /// The header `content-type`.
    pub content_type: Option<String>,
    /// Of a Lambda function that failed, how.
    pub(super) function_error: Option<String>,
}

impl Http {
    /// A client without connections. Nothing is sent.
    ///
    /// # Errors
    /// [`CannotConnect`], for instance because the machine has no root certificates.
    pub fn new() -> Result<Self, CannotConnect> {
        // An error says that a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .connect_timeout(CONNECT)
            .pool_idle_timeout(IDLE)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .user_agent("saga-bridge")
            .build();
        client.map(Self).map_err(CannotConnect)
    }

    /// Sends this once. A redirect is an answer; the body is read up to its bound. Whoever asks bounds the time.
    ///
    /// # Errors
    /// There is no whole answer, and why.
    pub async fn post(&self, url: &str, headers: Headers, body: impl Into<Body>) -> Result<Raw, String> {
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            let mut value =
                HeaderValue::try_from(value).map_err(|_| format!("the header `{name}` cannot be sent"))?;
            value.set_sensitive(matches!(
                name,
                "authorization" | "webhook-signature" | "x-amz-security-token"
            ));
            all.insert(name, value);
        }
        let sent = self.0.post(url).headers(all).body(body).send().await;
        let mut response = sent.map_err(said)?;
        let text = |name: HeaderName| {
            let value = response.headers().get(name)?;
            Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let (status, retry_after) = (response.status().as_u16(), text(RETRY_AFTER));
        let (content_type, function_error) = (text(CONTENT_TYPE), text(FUNCTION_ERROR));
        Ok(Raw {
            answer: Answer {
                status,
                retry_after,
                body: bounded(&mut response).await?,
            },
            content_type,
            function_error,
        })
    }
}

/// The body; of a long one, as much as shows that it is.
async fn bounded(response: &mut Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(said)? {
        let room = MAX_BODY_BYTES + 1 - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() > MAX_BODY_BYTES {
            break;
        }
    }
    Ok(body)
}

fn said(error: reqwest::Error) -> String {
    causes(&error.without_url())
}
