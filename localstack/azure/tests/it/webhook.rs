//! A webhook that records what it gets and answers as the event's type says.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

/// One request as it arrived.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
    /// As sent, for what parsing would lose.
    pub(crate) text: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map(|value| value.to_str().unwrap())
            .unwrap_or_default()
    }
}

struct Shared {
    open: AtomicBool,
    seen: Mutex<Vec<Seen>>,
}

/// The webhook.
#[derive(Clone)]
pub(crate) struct Webhook {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

impl Webhook {
    /// Starts it; one that is not `open` refuses the handshake.
    pub(crate) async fn start(open: bool) -> Self {
        let shared = Arc::new(Shared {
            open: AtomicBool::new(open),
            seen: Mutex::default(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, shared }
    }

    pub(crate) fn open(&self) {
        self.shared.open.store(true, SeqCst);
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Deliveries, without handshakes.
    pub(crate) fn deliveries(&self) -> Vec<Seen> {
        self.seen()
            .into_iter()
            .filter(|seen| seen.header("aeg-event-type") == "Notification")
            .collect()
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let text = String::from_utf8(body.to_vec()).unwrap();
    let body: Value = serde_json::from_str(&text).unwrap_or_default();
    shared.seen.lock().unwrap().push(Seen {
        method: method.to_string(),
        headers,
        body: body.clone(),
        text,
    });
    if !shared.open.load(SeqCst) {
        return StatusCode::NOT_FOUND.into_response();
    }
    if method == Method::OPTIONS {
        return [
            ("webhook-allowed-origin", "eventgrid.azure.net"),
            ("webhook-allowed-rate", "120"),
        ]
        .into_response();
    }
    if let Some(code) = body.pointer("/0/data/validationCode") {
        return axum::Json(json!({"validationResponse": code})).into_response();
    }
    match body["type"].as_str().unwrap_or_default() {
        "Hang" => std::future::pending().await,
        kind => match kind.strip_prefix("Status") {
            Some(status) => StatusCode::from_u16(status.parse().unwrap())
                .unwrap()
                .into_response(),
            None => StatusCode::OK.into_response(),
        },
    }
}
