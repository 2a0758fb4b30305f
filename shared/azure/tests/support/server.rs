//! A service of the tests: answers each request with the next reply of a script, or not at all.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::client::{Connection, Identity, Limits, StorageAccount};
use crate::{Azure, Config, Secret};

/// What the server does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Answers.
    Answer {
        status: u16,
        headers: String,
        body: String,
    },
    /// Reads the request and closes the connection: the answer is lost.
    HangUp,
    /// Reads the request and says nothing.
    Silence,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self::body(status, "")
    }

    pub(crate) fn body(status: u16, body: &str) -> Self {
        Self::Answer {
            status,
            headers: String::new(),
            body: body.to_owned(),
        }
    }

    pub(crate) fn with(status: u16, header: &str, body: &str) -> Self {
        Self::Answer {
            status,
            headers: format!("{header}\r\n"),
            body: body.to_owned(),
        }
    }
}

/// The server.
pub(crate) struct TestServer {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl TestServer {
    /// Serves these replies, one a request, in order.
    pub(crate) async fn start(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/acc", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(Mutex::new(VecDeque::from(replies)));
        let log = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&script), Arc::clone(&log)));
            }
        });
        Self { url, seen }
    }

    /// The requests that came, as text.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Mutex<VecDeque<Reply>>>, log: Arc<Mutex<Vec<String>>>) {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() < length.unwrap_or(0) {
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
            continue;
        }
        bytes.clear();
        log.lock().unwrap().push(text);
        let reply = script.lock().unwrap().pop_front();
        match reply {
            Some(Reply::Answer {
                status,
                headers,
                body,
            }) => {
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\n\r\n{body}");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            Some(Reply::Silence) => tokio::time::sleep(Duration::from_secs(60)).await,
            Some(Reply::HangUp) | None => return,
        }
    }
}

/// A config whose every endpoint is the server.
pub(crate) fn config(server: &TestServer) -> Config {
    Config {
        account: "acc".into(),
        key: Some(Secret::new("a2V5")),
        table_endpoint: server.url.clone(),
        queue_endpoint: server.url.clone(),
        table: "Saga".into(),
        quarantine_queue: "quarantine".into(),
        topic_endpoint: server.url.clone(),
        topic_key: Some(Secret::new("the-key")),
        client_id: None,
    }
}

/// A connection that waits and pauses for no time worth speaking of.
pub(crate) fn quick() -> Connection {
    let mut connection = Connection::new(&Identity::Keys).unwrap();
    connection.limits = Limits {
        attempt: Duration::from_millis(300),
        attempts: 3,
        pause: Duration::from_millis(2),
    };
    connection
}

/// The account of that configuration.
pub(crate) fn account<'a>(connection: &'a Connection, config: &'a Config) -> StorageAccount<'a> {
    StorageAccount {
        connection,
        name: &config.account,
        key: config.key.as_ref(),
    }
}

/// All adapters on that server.
pub(crate) fn azure<T: Clone>(server: &TestServer, time: T) -> Azure<T> {
    Azure::on(&quick(), &config(server), time).unwrap()
}
