//! Queues and blobs in memory, speaking as much of the Storage REST API as the stand-in uses.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use tokio::time::Instant;

#[derive(Clone)]
struct Message {
    id: String,
    text: String,
    taken: u32,
    visible_at: Instant,
}

#[derive(Default)]
struct Content {
    queues: BTreeMap<String, Vec<Message>>,
    containers: Vec<String>,
    blobs: BTreeMap<String, String>,
    next_id: u32,
}

/// A storage account called `account`.
#[derive(Clone)]
pub(crate) struct Storage {
    pub(crate) address: SocketAddr,
    content: Arc<Mutex<Content>>,
}

impl Storage {
    pub(crate) async fn start(queues: &[&str], containers: &[&str]) -> Self {
        let mut content = Content::default();
        content
            .queues
            .extend(queues.iter().map(|name| ((*name).to_owned(), Vec::new())));
        content
            .containers
            .extend(containers.iter().map(|name| (*name).to_owned()));
        let content = Arc::new(Mutex::new(content));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&content));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, content }
    }

    /// The texts in a queue, hidden ones too.
    pub(crate) fn queue(&self, name: &str) -> Vec<String> {
        let content = self.content.lock().unwrap();
        content
            .queues
            .get(name)
            .into_iter()
            .flatten()
            .map(|message| message.text.clone())
            .collect()
    }

    /// The blobs, by container and path.
    pub(crate) fn blobs(&self) -> BTreeMap<String, String> {
        self.content.lock().unwrap().blobs.clone()
    }

    pub(crate) fn put(&self, queue: &str, text: &str) {
        self.content.lock().unwrap().put(queue, text);
    }

    pub(crate) fn create_container(&self, name: &str) {
        self.content.lock().unwrap().containers.push(name.to_owned());
    }
}

impl Content {
    fn put(&mut self, queue: &str, text: &str) -> bool {
        self.next_id += 1;
        let message = Message {
            id: format!("m{}", self.next_id),
            text: text.to_owned(),
            taken: 0,
            visible_at: Instant::now(),
        };
        self.queues
            .get_mut(queue)
            .map(|messages| messages.push(message))
            .is_some()
    }

    fn take(&mut self, queue: &str, count: usize, hold: Duration) -> Option<String> {
        let now = Instant::now();
        let visible = self
            .queues
            .get_mut(queue)?
            .iter_mut()
            .filter(|message| message.visible_at <= now);
        let xml: String = visible
            .take(count)
            .map(|message| {
                message.taken += 1;
                message.visible_at = now + hold;
                format!(
                    "<QueueMessage><MessageId>{}</MessageId><InsertionTime>Fri, 20 Nov 2026 10:00:00 GMT</InsertionTime>\
                     <ExpirationTime>Fri, 27 Nov 2026 10:00:00 GMT</ExpirationTime><PopReceipt>{}</PopReceipt>\
                     <TimeNextVisible>Fri, 20 Nov 2026 10:00:30 GMT</TimeNextVisible>\
                     <DequeueCount>{}</DequeueCount><MessageText>{}</MessageText></QueueMessage>",
                    message.id, message.taken, message.taken, message.text
                )
            })
            .collect();
        Some(format!("<QueueMessagesList>{xml}</QueueMessagesList>"))
    }
}

async fn answer(
    State(content): State<Arc<Mutex<Content>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let signed = headers
        .get("authorization")
        .is_some_and(|v| v.to_str().unwrap().starts_with("SharedKey account:"));
    assert!(signed && headers.contains_key("x-ms-date") && headers.contains_key("x-ms-version"));
    let mut content = content.lock().unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let query: BTreeMap<String, String> = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
        .into_owned()
        .collect();
    let seconds = |name: &str| Duration::from_secs(query[name].parse().unwrap());
    let path: Vec<&str> = uri.path().trim_start_matches("/account/").split('/').collect();
    if headers.contains_key("x-ms-blob-type") {
        if !content.containers.iter().any(|name| name == path[0]) {
            return refused(StatusCode::NOT_FOUND, "ContainerNotFound");
        }
        content.blobs.insert(path.join("/"), body);
        return StatusCode::CREATED.into_response();
    }
    match (method.as_str(), &path[..]) {
        ("PUT", [queue]) => {
            content.queues.entry((*queue).to_owned()).or_default();
            StatusCode::CREATED.into_response()
        }
        ("POST", [queue, "messages"]) => {
            let text = body
                .split("<MessageText>")
                .nth(1)
                .unwrap()
                .split("</MessageText>")
                .next()
                .unwrap();
            if text.len() > 64 * 1024 {
                return refused(StatusCode::PAYLOAD_TOO_LARGE, "RequestBodyTooLarge");
            }
            if content.put(queue, text) {
                StatusCode::CREATED.into_response()
            } else {
                refused(StatusCode::NOT_FOUND, "QueueNotFound")
            }
        }
        ("GET", [queue, "messages"]) => {
            match content.take(
                queue,
                query["numofmessages"].parse().unwrap(),
                seconds("visibilitytimeout"),
            ) {
                Some(xml) => xml.into_response(),
                None => refused(StatusCode::NOT_FOUND, "QueueNotFound"),
            }
        }
        (method @ ("PUT" | "DELETE"), [queue, "messages", id]) => {
            let messages = content.queues.get_mut(*queue).unwrap();
            let position = messages
                .iter()
                .position(|m| m.id == *id && m.taken.to_string() == query["popreceipt"]);
            match position {
                None => return refused(StatusCode::NOT_FOUND, "MessageNotFound"),
                Some(position) if method == "DELETE" => drop(messages.remove(position)),
                Some(position) => {
                    messages[position].visible_at = Instant::now() + seconds("visibilitytimeout")
                }
            }
            StatusCode::NO_CONTENT.into_response()
        }
        other => panic!("not part of this storage: {other:?}"),
    }
}

fn refused(status: StatusCode, code: &'static str) -> Response {
    (status, [("x-ms-error-code", code)]).into_response()
}
