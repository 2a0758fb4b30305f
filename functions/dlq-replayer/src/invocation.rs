//! What invokes the function: a request of its URL, or the schedule.

use lambda_http::Request;
use lambda_http::request::LambdaRequest;
use lambda_runtime::{Error, LambdaEvent};
use saga_app::dead_letters::{Ports, ports::Memory, watch};
use saga_app::ports::{Alerts, SagaStore, Time};
use saga_core::Timestamp;
use serde_json::{Map, Value, json};

use crate::routes::Routes;

/// What is left of the function's time when a run ends: enough for a dead letter that was begun, with every retry.
const MARGIN_MILLIS: i64 = 10_000;

/// Answers an invocation. A request has a request context; everything else is the schedule.
pub async fn answer<S: SagaStore, T: Time, A: Alerts>(
    ports: &Ports<'_, S, T>,
    alerts: &A,
    memory: &dyn Memory,
    event: LambdaEvent<Value>,
) -> Result<Value, Error> {
    if event.payload.get("requestContext").is_none() {
        let report = Box::pin(watch(ports, alerts, memory)).await;
        return Ok(json!({ "new": report.new, "told": report.alerts, "failed": report.failed }));
    }
    let deadline = i64::try_from(event.context.deadline).unwrap_or(i64::MAX);
    let until = Timestamp::from_millis(deadline).plus_millis(-MARGIN_MILLIS);
    let request: LambdaRequest = serde_json::from_value(event.payload)?;
    let routes = Routes { ports, until };
    // Boxed: nested in one another, the futures are deeper than the compiler likes.
    let response = Box::pin(routes.answer(Request::from(request))).await;
    let headers: Map<String, Value> = response
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()))
        .collect();
    Ok(json!({
        "statusCode": response.status().as_u16(),
        "headers": headers,
        "body": String::from_utf8_lossy(response.body()),
        "isBase64Encoded": false,
        "cookies": [],
    }))
}
