//! Answers: JSON, and problem details with stable codes.

use lambda_http::http::{StatusCode, header};
use lambda_http::{Body, Response};
use saga_app::ports::{PortError, causes};
use saga_app::start_saga::NotStarted;
use saga_wire::http::Problem;

/// Seconds after which a caller that was turned away tries again.
const RETRY_AFTER: &str = "1";

pub fn json(status: StatusCode, body: String) -> Response<Body> {
    build(status, "application/json", None, body)
}

pub fn created(location: &str, body: String) -> Response<Body> {
    build(
        StatusCode::CREATED,
        "application/json",
        Some((header::LOCATION, location)),
        body,
    )
}

pub fn problem(problem: &Problem) -> Response<Body> {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = serde_json::to_string(problem).unwrap_or_default();
    let retry = (status == StatusCode::SERVICE_UNAVAILABLE).then_some((header::RETRY_AFTER, RETRY_AFTER));
    build(status, Problem::CONTENT_TYPE, retry, body)
}

/// RFC 9110 asks for the methods that are possible.
pub fn not_allowed(methods: &'static str) -> Response<Body> {
    let detail = format!("only {methods} is possible here");
    let problem = Problem::new(405, "method-not-allowed", "Method Not Allowed", detail);
    let body = serde_json::to_string(&problem).unwrap_or_default();
    build(
        StatusCode::METHOD_NOT_ALLOWED,
        Problem::CONTENT_TYPE,
        Some((header::ALLOW, methods)),
        body,
    )
}

pub fn not_found(detail: String) -> Problem {
    Problem::new(404, "not-found", "Not Found", detail)
}

pub fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(400, "invalid-request", "Bad Request", detail)
}

pub fn not_started(error: NotStarted) -> Problem {
    match error {
        NotStarted::UnknownDefinition(_) => {
            Problem::new(404, "unknown-definition", "Not Found", error.to_string())
        }
        NotStarted::Invalid(fields) => {
            let named: Vec<String> = fields
                .iter()
                .map(|f| format!("{} {}", f.field, f.problem))
                .collect();
            Problem::new(422, "invalid-input", "Unprocessable Content", named.join("; ")).with_fields(fields)
        }
        NotStarted::KeyReused(_) | NotStarted::KeySpent(_) => {
            Problem::new(422, "key-reused", "Unprocessable Content", error.to_string())
        }
        NotStarted::Refused(_) => Problem::new(422, "refused", "Unprocessable Content", error.to_string()),
        NotStarted::TooLarge(_) => Problem::new(413, "too-large", "Content Too Large", error.to_string()),
        NotStarted::Misaddressed(_) => internal(&error),
        NotStarted::Port(error) => port(&error),
    }
}

/// A failure of the store. What it says to the caller holds no internals; the log has the whole chain.
pub fn port(error: &PortError) -> Problem {
    match error {
        PortError::Throttled { .. } | PortError::Contended { .. } => {
            tracing::warn!(error = causes(error), outcome = "throttled", "api");
            let detail =
                "The store is busy. Nothing was lost: send the same request again, with the same key.";
            Problem::new(503, "busy", "Service Unavailable", detail)
        }
        PortError::Unavailable { .. } => {
            tracing::error!(error = causes(error), outcome = "unavailable", "api");
            let detail = "The store did not answer. Whether the request took effect is not known: send it again, \
                          with the same Idempotency-Key; it takes effect once.";
            Problem::new(503, "unavailable", "Service Unavailable", detail)
        }
        PortError::Corrupt { .. } => internal(error),
    }
}

fn internal(error: &(dyn std::error::Error + 'static)) -> Problem {
    tracing::error!(error = causes(error), outcome = "failed", "api");
    let detail = "The request cannot be served; nothing was changed. The function's log has the reason.";
    Problem::new(500, "internal", "Internal Server Error", detail)
}

fn build(
    status: StatusCode,
    content_type: &str,
    extra: Option<(header::HeaderName, &str)>,
    body: String,
) -> Response<Body> {
    let mut response = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, content_type)
        .header(header::CACHE_CONTROL, "no-store");
    if let Some((name, value)) = extra {
        response = response.header(name, value);
    }
    // The only fallible part is a header value; all of ours are ASCII.
    response
        .body(Body::from(body))
        .unwrap_or_else(|_| Response::new(Body::Empty))
}
