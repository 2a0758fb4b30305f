//! The way out to the services that do the work of `call` steps.

use std::future::Future;
use std::time::Duration;

use saga_wire::contract::{Answer, Request};
use saga_wire::services::Service;

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
