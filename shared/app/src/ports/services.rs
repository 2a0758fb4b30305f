//! The way out to the services that do the work of `call` steps.

use std::future::Future;
use std::time::Duration;

use saga_wire::contract::signature::Secrets;
use saga_wire::contract::{Answer, Request};
use saga_wire::services::{SecretPlace, Service};

use super::error::PortError;

/// What came of one attempt to ask a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// It answered; what that means is for [`saga_wire::contract::reply::classify`] to say.
    Answered(Answer),
    /// There is no whole answer: no time was left, no connection came about or one broke, or the caller could not prove who it
    /// is. Whether the service did anything is not known.
    NoAnswer {
        /// What happened, for a person. It holds no credential.
        why: String,
    },
}

/// The queue of requests to services.
pub trait CallQueue: Send + Sync {
    /// Puts a message on it that is seen after `delay`, of at most 15 minutes. Putting it twice MUST be harmless.
    fn put(&self, body: &[u8], delay: Duration) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// Asks a service, once.
///
/// An adapter MUST send exactly one request, to this service and nowhere else: it never follows a redirect and never repeats a
/// request by itself. It MUST give up after `timeout`, the time for connecting and for proving who calls included; MUST read at
/// most [`MAX_BODY_BYTES`](saga_wire::contract::MAX_BODY_BYTES) and one byte of a body; MUST answer [`Attempt::NoAnswer`] when a body
/// ends before its end; and MUST NOT send a request without the proof that the service's binding asks for.
pub trait ServiceClient: Send + Sync {
    /// Sends the request and gives what came back.
    fn call(
        &self,
        service: &Service,
        request: &Request,
        timeout: Duration,
    ) -> impl Future<Output = Attempt> + Send;
}

/// A POST that is about to leave.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// Its URL.
    pub url: &'a str,
    /// Its JSON body.
    pub body: &'a str,
}

/// Headers, each a name and a value.
pub type Headers = Vec<(&'static str, String)>;

/// Proves to a service who calls, with an identity of the cloud that calls.
pub trait Authorise: Send + Sync {
    /// The headers that prove it for this request. An adapter MUST answer an error, and never no headers, for an auth that it does
    /// not know; and MUST keep what is costly to get (a token) until shortly before it expires.
    fn authorise(
        &self,
        service: &Service,
        outgoing: Outgoing<'_>,
    ) -> impl Future<Output = Result<Headers, PortError>> + Send;
}

/// Reads the secrets with which requests are signed.
pub trait SigningSecrets: Send + Sync {
    /// The secrets that are kept there now. An adapter MUST NOT keep them: whoever asks does.
    fn secrets(&self, place: &SecretPlace) -> impl Future<Output = Result<Secrets, PortError>> + Send;
}
