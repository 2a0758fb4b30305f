//! The topic's front door.
//!
//! Invariant: 200 means that every matching subscription has the event on disk. A crash before the answer
//! may leave some of a batch accepted; the publisher, having no answer, publishes again.

use std::{io, sync::Arc};

use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};

use super::{
    cloud_event, cloud_event::CloudEvent, filter, journal::Delivery, sas, subscription::Subscription,
};
use crate::{config, oidc::Issuer, system};

/// Documented limit of a request, in bytes.
const MAX_REQUEST: usize = 1024 * 1024;
/// How much of a request that is too large is still read, so that its sender sees the answer.
const MAX_DRAINED: usize = 32 * 1024 * 1024;
const API_VERSION: &str = "2018-01-01";

pub(crate) struct Topic {
    pub(crate) settings: config::Topic,
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) subscriptions: Vec<Arc<Subscription>>,
}

pub(crate) fn routes(topic: Arc<Topic>) -> Router {
    Router::new()
        .route("/api/events", post(publish))
        .with_state(topic)
}

async fn publish(State(topic): State<Arc<Topic>>, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, MAX_DRAINED).await;
    if !topic.admits(&head.headers, head.uri.query().unwrap_or_default()) {
        let name = topic.settings.name.to_uppercase();
        let why = format!("The request authorization key is not authorized for {name}.");
        return refusal(StatusCode::UNAUTHORIZED, "Unauthorized", &why);
    }
    let Some(body) = body.ok().filter(|body| body.len() <= MAX_REQUEST) else {
        let why = "The maximum size (1048576) has been exceeded.";
        return refusal(StatusCode::PAYLOAD_TOO_LARGE, "PayloadTooLarge", why);
    };
    let query = head.uri.query().unwrap_or_default();
    if !form_urlencoded::parse(query.as_bytes()).any(|(k, v)| k == "api-version" && v == API_VERSION) {
        let why = format!("The api-version query parameter must be {API_VERSION}.");
        return refusal(StatusCode::BAD_REQUEST, "BadRequest", &why);
    }
    let content_type = head.headers.get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let events = match cloud_event::parse(content_type.unwrap_or_default(), &body) {
        Ok(events) => events,
        Err(refused) => return refusal(StatusCode::BAD_REQUEST, "BadRequest", &refused.to_string()),
    };
    match topic.accept(&events) {
        Ok(()) => StatusCode::OK.into_response(),
        Err(error) => {
            tracing::error!(%error, "the journal cannot be written");
            let code = "ServiceUnavailable";
            refusal(StatusCode::SERVICE_UNAVAILABLE, code, "Try again.")
        }
    }
}

impl Topic {
    /// By the key, by a signature made with it, or by a token of the issuer: whichever is shown first in this order decides.
    fn admits(&self, headers: &HeaderMap, query: &str) -> bool {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if let Some(key) = header("aeg-sas-key") {
            return key == self.settings.key;
        }
        let host = header("host").unwrap_or_default();
        let signature = |token: &str| sas::admits(token, &self.settings.key, host, system::now());
        if let Some(token) = header("aeg-sas-token") {
            return signature(token);
        }
        if let Some((scheme, token)) = header("authorization").and_then(|value| value.split_once(' ')) {
            return match scheme.to_ascii_lowercase().as_str() {
                "bearer" => self.issuer.may_publish(token.trim()),
                "sharedaccesssignature" => signature(token),
                _ => false,
            };
        }
        // A key is base64, and its plus signs are no blanks.
        let query = query.replace('+', "%2B");
        form_urlencoded::parse(query.as_bytes())
            .any(|(name, value)| name == "aeg-sas-key" && value == self.settings.key.as_str())
    }

    fn accept(&self, events: &[CloudEvent]) -> io::Result<()> {
        let published = system::now();
        let mut accepted = Vec::new();
        for event in events {
            let before = accepted.len();
            for subscription in &self.subscriptions {
                if filter::matches(&subscription.settings, &event.members) {
                    let delivery = Delivery::new(event.text.clone(), published);
                    subscription.record(&delivery)?;
                    accepted.push((subscription, delivery));
                }
            }
            let member = |name| event.members.get(name).and_then(Value::as_str);
            tracing::info!(
                event_id = member("id"),
                r#type = member("type"),
                subscriptions = accepted.len() - before,
                "event accepted"
            );
        }
        for (subscription, delivery) in accepted {
            subscription.enqueue(delivery);
        }
        Ok(())
    }
}

fn refusal(status: StatusCode, code: &str, message: &str) -> Response {
    tracing::warn!(status = status.as_u16(), message, "publish refused");
    let error =
        json!({"error": {"code": code, "message": message, "details": [{"code": code, "message": message}]}});
    (status, Json(error)).into_response()
}
