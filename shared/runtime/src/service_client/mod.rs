//! [`ServiceClient`] over HTTP, for services behind a URL and for Lambda functions that are invoked directly.
//!
//! Invariants: one request an attempt, to the bound address only; every wait and every body is bounded; a request without its
//! proof is never sent; no credential and no address with one is in what is said of a failure.

mod http;
mod secrets;
mod target;

use std::fmt;
use std::time::Duration;

use saga_app::ports::services::{Headers, Outgoing};
use saga_app::ports::{Attempt, Authorise, ServiceClient, SigningSecrets, Time, causes};
use saga_core::Timestamp;
use saga_core::text::shown;
use saga_wire::contract::{Answer, MAX_BODY_BYTES, Request, lambda};
use saga_wire::services::{Auth, Binding, Service};
use url::Url;

use secrets::KnownSecrets;
use target::Target;

pub use http::{CannotConnect, Http, Raw};
pub use target::address;

/// Calls services with the identity of this cloud.
pub struct HttpServices<I, T> {
    http: Http,
    identity: I,
    secrets: KnownSecrets,
    time: T,
    /// Where Lambda is; without it, where the function's ARN says.
    lambda: Option<Url>,
}

impl<I, T> fmt::Debug for HttpServices<I, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpServices").finish_non_exhaustive()
    }
}

impl<I, T> HttpServices<I, T> {
    /// A client. `lambda` replaces Lambda's own endpoint, as `AWS_ENDPOINT_URL` does on the local stack. Nothing is sent.
    ///
    /// # Errors
    /// [`CannotConnect`]: the HTTP client cannot be built, for instance because the machine has no root certificates.
    pub fn new(identity: I, time: T, lambda: Option<Url>) -> Result<Self, CannotConnect> {
        Ok(Self {
            http: Http::new()?,
            identity,
            secrets: KnownSecrets::default(),
            time,
            lambda,
        })
    }
}

impl<I: Authorise + SigningSecrets, T: Time> ServiceClient for HttpServices<I, T> {
    async fn call(&self, service: &Service, request: &Request, timeout: Duration) -> Attempt {
        let asked = tokio::time::timeout(timeout, self.ask(service, request)).await;
        let silent = || {
            let millis = timeout.as_millis();
            Err(format!("there was no whole answer within {millis} ms"))
        };
        match asked.unwrap_or_else(|_| silent()) {
            Ok(answer) => Attempt::Answered(answer),
            Err(why) => Attempt::NoAnswer { why: shown(&why) },
        }
    }
}

impl<I: Authorise + SigningSecrets, T: Time> HttpServices<I, T> {
    async fn ask(&self, service: &Service, request: &Request) -> Result<Answer, String> {
        let target = Target::of(service, request, self.lambda.as_ref());
        let mut headers = self.said_of(service, request);
        headers.extend(self.proof(service, request, &target, &headers).await?);
        let raw = self.http.post(&target.url, headers, target.body).await?;
        if raw.answer.status == 401
            && let Auth::Signature(place) = &service.auth
        {
            self.secrets.doubt(place);
        }
        match &service.binding {
            Binding::Url(_) => Ok(raw.answer),
            Binding::Lambda(_) => of_function(raw),
        }
    }

    /// A function that is invoked gets in its payload what the other headers say.
    fn said_of(&self, service: &Service, request: &Request) -> Headers {
        match service.binding {
            Binding::Url(_) => headers(request, self.time.now()),
            Binding::Lambda(_) => media_types(),
        }
    }

    async fn proof(
        &self,
        service: &Service,
        request: &Request,
        target: &Target,
        headers: &Headers,
    ) -> Result<Headers, String> {
        let unproven = |error: &dyn std::error::Error| {
            format!(
                "nothing was sent, the caller cannot prove who it is: {}",
                causes(error)
            )
        };
        match &service.auth {
            Auth::None => Ok(Headers::new()),
            Auth::Signature(place) => {
                let secrets = self.secrets.at(place, &self.identity, &self.time).await;
                let secrets = secrets.map_err(|error| unproven(&error))?;
                let sent = headers.iter().find(|(name, _)| *name == WEBHOOK_TIMESTAMP);
                let seconds = sent.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
                let signature = secrets.sign(&request.key, seconds, &request.body);
                Ok(vec![(WEBHOOK_SIGNATURE, signature)])
            }
            Auth::SigV4 | Auth::Lambda | Auth::Entra { .. } => {
                let outgoing = Outgoing {
                    url: &target.url,
                    body: &target.body,
                };
                let proof = self.identity.authorise(service, outgoing).await;
                proof.map_err(|error| unproven(&error))
            }
        }
    }
}

/// The headers of a request that is sent `now`: which one it is, and in which form. A proof of who calls comes beside them.
#[must_use]
pub fn headers(request: &Request, now: Timestamp) -> Headers {
    let seconds = now.millis() / 1_000;
    let mut headers = media_types();
    headers.extend([
        (IDEMPOTENCY_KEY, request.key.clone()),
        (TRACEPARENT, request.traceparent.clone()),
        (WEBHOOK_ID, request.key.clone()),
        (WEBHOOK_TIMESTAMP, seconds.to_string()),
    ]);
    headers
}

fn media_types() -> Headers {
    vec![
        ("content-type", "application/json".to_owned()),
        ("accept", "application/json".to_owned()),
    ]
}

/// Names the request, the same at each attempt.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The saga's trace context.
pub const TRACEPARENT: &str = "traceparent";
/// The same text as [`IDEMPOTENCY_KEY`].
pub const WEBHOOK_ID: &str = "webhook-id";
/// When the attempt is sent, in seconds since 1970.
pub const WEBHOOK_TIMESTAMP: &str = "webhook-timestamp";
/// One or two signatures, separated by a blank.
pub const WEBHOOK_SIGNATURE: &str = "webhook-signature";

/// What a function that was invoked answered. What Lambda itself answers is an answer, too: it throttles, or does not know the
/// function.
fn of_function(raw: http::Raw) -> Result<Answer, String> {
    if let Some(kind) = raw.function_error {
        return Err(format!("the function failed ({kind})"));
    }
    if raw.answer.status != 200 {
        return Ok(raw.answer);
    }
    if raw.answer.body.len() > MAX_BODY_BYTES {
        return Err(format!(
            "what the function returned is over {MAX_BODY_BYTES} bytes"
        ));
    }
    lambda::read(&raw.answer.body)
}

#[cfg(test)]
mod tests;
