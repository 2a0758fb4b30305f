//! Event Grid's webhook: the handshakes of both schemas, and deliveries. 200 is said only when every event of the
//! delivery is on the bus or in the quarantine; anything else makes Event Grid deliver it again.

use lambda_http::http::{Method, StatusCode};
use lambda_http::{Body, Request, Response};
use saga_app::Deployment;
use saga_app::admit_events::{Ports, admit_events};
use saga_app::ports::{Alerts, Publisher, Quarantine, Time, causes};
use saga_wire::event_grid::{Delivery, ValidationAnswer, delivery};

use crate::token::{Guard, Refused};

/// Event Grid delivers at most 1 MB.
const MAX_BODY: usize = 1024 * 1024;
/// Deliveries a minute that we allow Event Grid to send: more than it ever does for one topic.
const RATE: &str = "120000";

/// The webhook.
pub struct Webhook<'a, P, Q, A, T> {
    pub deployment: &'a Deployment,
    pub ports: Ports<'a, P, Q, A, T>,
    pub guard: Guard,
    pub allowed_origin: String,
}

impl<P: Publisher, Q: Quarantine, A: Alerts, T: Time> Webhook<'_, P, Q, A, T> {
    /// Answers any request.
    pub async fn answer(&self, request: &Request) -> Response<Body> {
        match *request.method() {
            Method::OPTIONS => self.handshake(request),
            Method::POST => self.post(request).await,
            _ => text(
                StatusCode::METHOD_NOT_ALLOWED,
                "only OPTIONS and POST are possible here",
            ),
        }
    }

    /// The CloudEvents handshake
    /// (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/http-webhook.md#4-abuse-protection>).
    fn handshake(&self, request: &Request) -> Response<Body> {
        let mut origins = request.headers().get_all("webhook-request-origin").iter();
        // A host name, in which case means nothing. A callback that a stranger names is never called.
        let allowed = |origin: &str| origin.eq_ignore_ascii_case(&self.allowed_origin);
        let origin = origins.next().and_then(|value| value.to_str().ok());
        if !origin.is_some_and(allowed) || origins.next().is_some() {
            tracing::warn!(outcome = "refused", "handshake");
            return text(StatusCode::FORBIDDEN, "this origin is not allowed");
        }
        tracing::info!(outcome = "accepted", "handshake");
        let response = Response::builder()
            .status(StatusCode::OK)
            .header("webhook-allowed-origin", &self.allowed_origin)
            .header("webhook-allowed-rate", RATE)
            .body(Body::Empty);
        response.unwrap_or_else(|_| text(StatusCode::INTERNAL_SERVER_ERROR, "misconfigured"))
    }

    async fn post(&self, request: &Request) -> Response<Body> {
        if let Err(refused) = self.guard.admit(request.headers(), self.ports.time).await {
            let error = causes(&refused);
            tracing::warn!(error, outcome = "refused", "delivery");
            return match refused {
                Refused::Unauthenticated(_) => text(StatusCode::UNAUTHORIZED, "a valid token is needed"),
                Refused::Forbidden(_) => text(StatusCode::FORBIDDEN, "this caller may not deliver"),
                Refused::Unknown(_) => text(StatusCode::SERVICE_UNAVAILABLE, "try again later"),
            };
        }
        if request.body().len() > MAX_BODY {
            return text(StatusCode::PAYLOAD_TOO_LARGE, "at most 1 MiB is read");
        }
        let body = String::from_utf8_lossy(request.body());
        let events = match delivery(&body) {
            Ok(Delivery::Validation(code)) => {
                let answer = serde_json::to_string(&ValidationAnswer { code: &code }).unwrap_or_default();
                return json(answer);
            }
            Ok(Delivery::Events(events)) => events,
            // What is no JSON at all is one message for the quarantine, whole.
            Err(_) => vec![body.into_owned()],
        };
        match admit_events(self.deployment, &self.ports, &events).await {
            Ok(report) => json(
                serde_json::json!({ "admitted": report.admitted, "quarantined": report.quarantined })
                    .to_string(),
            ),
            Err(error) => {
                let error = causes(&error);
                tracing::error!(error, outcome = "not acknowledged", "delivery");
                text(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "not all events were taken; deliver them again",
                )
            }
        }
    }
}

fn json(body: String) -> Response<Body> {
    respond(StatusCode::OK, "application/json", body)
}

fn text(status: StatusCode, body: &str) -> Response<Body> {
    respond(status, "text/plain; charset=utf-8", body.to_owned())
}

fn respond(status: StatusCode, content_type: &str, body: String) -> Response<Body> {
    let response = Response::builder()
        .status(status)
        .header("content-type", content_type)
        .body(Body::from(body));
    // Status and header are constants of ours.
    response.unwrap_or_else(|_| Response::new(Body::Empty))
}
