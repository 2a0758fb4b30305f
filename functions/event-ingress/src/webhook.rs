//! Event Grid's webhook: the handshakes of both schemas, and deliveries. 200 is said only when every event of the
//! delivery is on the bus or in the quarantine; anything else makes Event Grid deliver it again.

use lambda_http::http::{HeaderMap, Method, StatusCode};
use lambda_http::{Body, Request, Response};
use saga_app::Deployment;
use saga_app::admit_events::{Admitted, Ports, admit_events, keep_delivery};
use saga_app::ports::{Alerts, DefinitionNames, Publisher, Quarantine, Time, causes};
use saga_wire::Malformed;
use saga_wire::event_grid::{Delivery, ValidationAnswer, delivery};
use saga_wire::quarantine::Headers;

use crate::token::{Guard, Refused};

#[cfg(test)]
mod tests;

/// Event Grid delivers at most 1 MB.
const MAX_BODY: usize = 1024 * 1024;
/// So many bytes of headers are kept with a body. Lambda takes fewer.
const MAX_HEADERS: usize = 10 * 1024;
const PLAIN: &str = "text/plain; charset=utf-8";
/// Deliveries a minute that we allow Event Grid to send: more than it ever does for one topic.
const RATE: &str = "120000";

/// The webhook.
pub struct Webhook<'a, D, P, Q, A, T> {
    pub deployment: &'a Deployment,
    pub ports: Ports<'a, D, P, Q, A, T>,
    pub guard: Guard,
    pub allowed_origin: String,
}

impl<D: DefinitionNames, P: Publisher, Q: Quarantine, A: Alerts, T: Time> Webhook<'_, D, P, Q, A, T> {
    /// Answers any request.
    pub async fn answer(&self, request: &Request) -> Response<Body> {
        match *request.method() {
            Method::OPTIONS => self.handshake(request),
            Method::POST => self.post(request).await,
            _ => respond(
                StatusCode::METHOD_NOT_ALLOWED,
                &[("content-type", PLAIN), ("allow", "OPTIONS, POST")],
                "only OPTIONS and POST are possible here".to_owned(),
            ),
        }
    }

    /// The CloudEvents handshake
    /// (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/http-webhook.md#4-abuse-protection>).
    fn handshake(&self, request: &Request) -> Response<Body> {
        let mut origins = request.headers().get_all("webhook-request-origin").iter();
        // A host name, in which case means nothing. A callback that a caller names is never called.
        let allowed = |origin: &str| origin.eq_ignore_ascii_case(&self.allowed_origin);
        let origin = origins.next().and_then(|value| value.to_str().ok());
        if !origin.is_some_and(allowed) || origins.next().is_some() {
            tracing::warn!(outcome = "refused", "handshake");
            return text(StatusCode::FORBIDDEN, "this origin is not allowed");
        }
        tracing::info!(outcome = "accepted", "handshake");
        let headers = [
            ("allow", "POST"),
            ("webhook-allowed-origin", &self.allowed_origin),
            ("webhook-allowed-rate", RATE),
        ];
        respond(StatusCode::OK, &headers, String::new())
    }

    async fn post(&self, request: &Request) -> Response<Body> {
        if let Err(refused) = self.guard.admit(request.headers(), self.ports.time).await {
            let error = causes(&refused);
            tracing::warn!(error, outcome = "refused", "delivery");
            return match refused {
                Refused::Unauthenticated(_) => respond(
                    StatusCode::UNAUTHORIZED,
                    &[("content-type", PLAIN), ("www-authenticate", "Bearer")],
                    "a valid token is needed".to_owned(),
                ),
                Refused::Forbidden(_) => text(StatusCode::FORBIDDEN, "this caller may not deliver"),
                Refused::Unknown(_) => text(StatusCode::SERVICE_UNAVAILABLE, "try again later"),
            };
        }
        if request.body().len() > MAX_BODY {
            return text(StatusCode::PAYLOAD_TOO_LARGE, "at most 1 MiB is read");
        }
        let headers = kept(request.headers());
        let admitted = match delivery(request.body()) {
            Ok(Delivery::Validation(code)) => {
                let answer = serde_json::to_string(&ValidationAnswer { code: &code }).unwrap_or_default();
                return json(answer);
            }
            Ok(Delivery::Events(events)) => {
                admit_events(self.deployment, &self.ports, &headers, &events).await
            }
            // What is no JSON at all is one message for the quarantine, whole.
            Err(Malformed(reason)) => keep_delivery(&self.ports, &headers, &reason, request.body()).await,
        };
        match admitted {
            Ok(Admitted {
                admitted,
                quarantined,
            }) => json(serde_json::json!({ "admitted": admitted, "quarantined": quarantined }).to_string()),
            Err(error) => {
                let error = causes(&error);
                tracing::error!(error, outcome = "not acknowledged", "delivery");
                let again = "not all events were taken; deliver them again";
                text(StatusCode::SERVICE_UNAVAILABLE, again)
            }
        }
    }
}

/// The headers that say what the body is: a CloudEvent in binary mode has its attributes there. Never who sent it.
fn kept(headers: &HeaderMap) -> Headers {
    let tells = |name: &str| ["content-type", "content-encoding"].contains(&name) || name.starts_with("ce-");
    let mut kept = Headers::new();
    let mut room = MAX_HEADERS;
    for name in headers.keys().filter(|name| tells(name.as_str())) {
        let values = headers.get_all(name).iter();
        let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()));
        let mut value = values.collect::<Vec<_>>().join(", ");
        let bytes = name.as_str().len() + value.len();
        if bytes > room {
            value = format!("({} bytes)", value.len());
        }
        room = room.saturating_sub(bytes);
        kept.insert(name.to_string(), value);
    }
    kept
}

fn json(body: String) -> Response<Body> {
    respond(StatusCode::OK, &[("content-type", "application/json")], body)
}

fn text(status: StatusCode, body: &str) -> Response<Body> {
    respond(status, &[("content-type", PLAIN)], body.to_owned())
}

fn respond(status: StatusCode, headers: &[(&str, &str)], body: String) -> Response<Body> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    let misconfigured = |_| {
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    };
    // All but the origin, which a deployment names, are constants of ours.
    response.body(Body::from(body)).unwrap_or_else(misconfigured)
}
