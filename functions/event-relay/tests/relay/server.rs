//! Servers on loopback: each answers every request by a function of its number and text, or not at all.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Of `127.0.0.1`; whom the function is told to trust.
pub const CERTIFICATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/loopback.pem");
const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/loopback-key.pem");

/// What a server does with a request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Answers with this status and body.
    Answer(u16, String),
    /// Says nothing for longer than anybody waits.
    Silence,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self::Answer(status, String::new())
    }
}

/// A server; it ends with its test.
pub struct Server {
    pub port: u16,
    seen: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Answers the n-th request (from 1) with `reply(n, its text)`.
    pub async fn start(
        encrypted: bool,
        reply: impl Fn(usize, &str) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, reply) = (Arc::clone(&seen), Arc::new(reply));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, reply) = (Arc::clone(&log), Arc::clone(&reply));
                tokio::spawn(async move {
                    if encrypted {
                        // Who hangs up during the handshake asks for nothing.
                        if let Ok(stream) = acceptor().accept(stream).await {
                            serve(stream, &log, &*reply).await;
                        }
                    } else {
                        serve(stream, &log, &*reply).await;
                    }
                });
            }
        });
        Self { port, seen, task }
    }

    /// The requests that came, as text.
    pub fn requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    log: &Mutex<Vec<String>>,
    reply: &(impl Fn(usize, &str) -> Reply + ?Sized),
) {
    while let Some(request) = read(&mut stream).await {
        let number = {
            let mut seen = log.lock().unwrap();
            seen.push(request.clone());
            seen.len()
        };
        match reply(number, &request) {
            Reply::Answer(status, body) => write(&mut stream, status, "", &body).await,
            Reply::Silence => tokio::time::sleep(Duration::from_secs(60)).await,
        }
    }
}

/// The next request on a connection; none when it is closed.
pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            let chunks_left =
                head.to_lowercase().contains("transfer-encoding: chunked") && !body.ends_with("0\r\n\r\n");
            if body.len() >= length.unwrap_or(0) && !chunks_left {
                return Some(text);
            }
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}

/// Answers a request. Headers end in a line break each.
pub async fn write(stream: &mut (impl AsyncWrite + Unpin), status: u16, headers: &str, body: &str) {
    let length = body.len();
    let answer = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\n\r\n{body}");
    // Who has hung up misses the answer.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.flush().await;
}

fn acceptor() -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_file(CERTIFICATE).unwrap();
    let key = PrivateKeyDer::from_pem_file(KEY).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}
