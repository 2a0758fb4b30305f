//! Against real servers on loopback: each does with a request what services do, and should not do.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use saga_app::ports::PortError;
use saga_wire::contract::Verb;
use saga_wire::contract::signature::Secrets;
use saga_wire::services::{SecretPlace, Services};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// What the server does when it has read a request.
#[derive(Debug, Clone)]
enum Does {
    /// Writes this and closes.
    Writes(String),
    /// Writes this, then one byte a second.
    Drips(String),
    /// Writes this, then as many bytes as anybody takes.
    Floods(String),
    /// Says nothing.
    Hangs,
}

fn http(status: u16, headers: &str, body: &str) -> Does {
    let length = body.len();
    Does::Writes(format!(
        "HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    ))
}

struct Server {
    url: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(does: Does) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/bank", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, does.clone(), Arc::clone(&log)));
            }
        });
        Self { url, seen }
    }

    fn requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, does: Does, log: Arc<Mutex<Vec<String>>>) {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            log.lock().unwrap().push(text);
            break;
        }
    }
    match does {
        Does::Writes(text) => _ = stream.write_all(text.as_bytes()).await,
        Does::Drips(text) => {
            _ = stream.write_all(text.as_bytes()).await;
            while stream.write_all(b" ").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        Does::Floods(text) => {
            _ = stream.write_all(text.as_bytes()).await;
            while stream.write_all(&[b'x'; 8_192]).await.is_ok() {}
        }
        Does::Hangs => tokio::time::sleep(Duration::from_secs(60)).await,
    }
}

/// An identity that says for what it was asked, and a clock that stands still until it is moved.
#[derive(Clone, Default)]
struct Fake {
    now: Arc<Mutex<i64>>,
    reads: Arc<Mutex<u32>>,
    fails: bool,
}

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

impl Authorise for Fake {
    async fn authorise(&self, _: &Service, outgoing: Outgoing<'_>) -> Result<Headers, PortError> {
        if self.fails {
            return Err(PortError::unavailable("Entra", "it is down"));
        }
        Ok(vec![("authorization", format!("proof for {}", outgoing.url))])
    }
}

impl SigningSecrets for Fake {
    async fn secrets(&self, _: &SecretPlace) -> Result<Secrets, PortError> {
        *self.reads.lock().unwrap() += 1;
        Ok(Secrets::parse(SECRET).unwrap())
    }
}

impl Time for Fake {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(*self.now.lock().unwrap())
    }

    async fn sleep(&self, _: u64) {}

    fn below(&self, _: u64) -> u64 {
        0
    }
}

fn service(url: &str, rest: &str) -> Service {
    let text = format!("[bank]\nurl = '{url}'\n{rest}");
    Services::parse_toml(&text).unwrap().get("bank").unwrap().clone()
}

fn open(url: &str) -> Service {
    service(url, "cloud = 'aws'\nauth = 'none'")
}

fn request() -> Request {
    Request {
        verb: Verb::Act,
        key: "id.payout.act".to_owned(),
        traceparent: "00-1-2-01".to_owned(),
        body: r#"{"key":"id.payout.act"}"#.to_owned(),
    }
}

fn client(fake: &Fake) -> HttpServices<Fake, Fake> {
    HttpServices::new(fake.clone(), fake.clone(), None).unwrap()
}

async fn attempt(does: Does) -> (Attempt, Duration, Vec<String>) {
    let server = Server::start(does).await;
    #[allow(
        clippy::disallowed_methods,
        reason = "how long an attempt really takes is what is tested"
    )]
    let begun = Instant::now();
    let timeout = Duration::from_millis(600);
    let attempt = client(&Fake::default())
        .call(&open(&server.url), &request(), timeout)
        .await;
    (attempt, begun.elapsed(), server.requests())
}

fn status_of(attempt: &Attempt) -> Option<u16> {
    match attempt {
        Attempt::Answered(answer) => Some(answer.status),
        Attempt::NoAnswer { .. } => None,
    }
}

#[tokio::test]
async fn a_request_says_which_it_is_and_its_answer_comes_back_as_it_was() {
    let body = r#"{"decision":"accepted","output":{}}"#;
    let (attempt, _, requests) = attempt(http(200, "retry-after: 7\r\n", body)).await;
    let answer = Answer {
        status: 200,
        retry_after: Some("7".to_owned()),
        body: body.as_bytes().to_vec(),
    };
    assert_eq!(attempt, Attempt::Answered(answer));
    let [sent] = &requests[..] else {
        panic!("{requests:?}")
    };
    assert!(sent.starts_with("POST /bank/act HTTP/1.1\r\n"), "{sent}");
    for header in [
        "content-type: application/json",
        "idempotency-key: id.payout.act",
        "traceparent: 00-1-2-01",
        "webhook-id: id.payout.act",
        "webhook-timestamp: 0",
    ] {
        assert!(sent.contains(&format!("\r\n{header}\r\n")), "{header}: {sent}");
    }
    assert!(
        !sent.contains("webhook-signature") && !sent.contains("authorization"),
        "{sent}"
    );
    assert!(sent.ends_with(r#"{"key":"id.payout.act"}"#), "{sent}");
}

#[tokio::test]
async fn a_service_that_hangs_or_drips_is_given_up_in_time() {
    let drips = |status: u16| Does::Drips(format!("HTTP/1.1 {status} X\r\ncontent-length: 1000\r\n\r\n{{"));
    for does in [
        Does::Hangs,
        drips(200),
        drips(404),
        Does::Drips("HTTP/1.1 200 OK\r\nx:".to_owned()),
    ] {
        let (attempt, took, requests) = attempt(does.clone()).await;
        match attempt {
            Attempt::NoAnswer { why } => assert!(why.contains("within 600 ms"), "{does:?}: {why}"),
            other => panic!("{does:?}: {other:?}"),
        }
        assert!(
            took >= Duration::from_millis(600) && took < Duration::from_secs(3),
            "{does:?}: {took:?}"
        );
        assert_eq!(requests.len(), 1, "{does:?}");
    }
}

#[tokio::test]
async fn of_a_huge_body_no_more_is_read_than_shows_that_it_is_huge() {
    for head in [
        "HTTP/1.1 200 OK\r\ncontent-length: 9000000000\r\n\r\n",
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n",
    ] {
        let (attempt, ..) = attempt(Does::Floods(head.to_owned())).await;
        match attempt {
            Attempt::Answered(answer) => assert_eq!(answer.body.len(), MAX_BODY_BYTES + 1, "{head}"),
            other => panic!("{head}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let elsewhere = Server::start(http(200, "", r#"{"decision":"accepted"}"#)).await;
    for status in [301, 302, 303, 307, 308] {
        let to = format!("location: {}/act\r\n", elsewhere.url);
        let (attempt, _, requests) = attempt(http(status, &to, "")).await;
        assert_eq!(status_of(&attempt), Some(status));
        assert_eq!(requests.len(), 1);
    }
    assert_eq!(elsewhere.requests(), [""; 0]);
}

#[tokio::test]
async fn an_answer_that_ends_early_is_none_and_is_not_asked_for_again() {
    for text in [
        "",
        "HTTP/1.1 200 OK\r\ncontent-len",
        "HTTP/1.1 200 OK\r\ncontent-length: 40\r\n\r\n{\"decision\":\"accepted\"}",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n17\r\n{\"decision\":\"accepted\"}\r\n",
        "nonsense\r\n\r\n",
    ] {
        let (attempt, _, requests) = attempt(Does::Writes(text.to_owned())).await;
        assert_eq!(status_of(&attempt), None, "{text}: {attempt:?}");
        assert_eq!(requests.len(), 1, "{text}");
    }
}

#[tokio::test]
async fn a_closed_port_is_no_answer_and_its_address_is_not_in_what_is_said() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/bank", listener.local_addr().unwrap());
    drop(listener);
    let client = client(&Fake::default());
    let attempt = client.call(&open(&url), &request(), Duration::from_secs(2)).await;
    match attempt {
        Attempt::NoAnswer { why } => assert!(why.contains("refused") && !why.contains("/bank"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn nothing_is_sent_without_its_proof() {
    let server = Server::start(http(200, "", "{}")).await;
    let entra = service(&server.url, "cloud = 'azure'\nauth = 'entra'");
    let fails = Fake {
        fails: true,
        ..Fake::default()
    };
    match client(&fails)
        .call(&entra, &request(), Duration::from_secs(2))
        .await
    {
        Attempt::NoAnswer { why } => assert!(why.starts_with("nothing was sent"), "{why}"),
        other => panic!("{other:?}"),
    }
    let unset = service(
        &server.url,
        "cloud = 'aws'\nauth = 'signature'\nsecret = 'env:SAGA_TEST_IS_NOT_SET'",
    );
    let attempt = client(&fails)
        .call(&unset, &request(), Duration::from_secs(2))
        .await;
    assert_eq!(status_of(&attempt), None);
    assert_eq!(server.requests(), [""; 0]);

    client(&Fake::default())
        .call(&entra, &request(), Duration::from_secs(2))
        .await;
    let proof = format!("\r\nauthorization: proof for {}/act\r\n", server.url);
    assert!(server.requests()[0].contains(&proof), "{:?}", server.requests());
}

#[tokio::test]
async fn a_signature_is_over_what_is_sent() {
    let server = Server::start(http(200, "", "{}")).await;
    let signed = service(
        &server.url,
        "cloud = 'aws'\nauth = 'signature'\nsecret = 'prod/bank'",
    );
    let fake = Fake::default();
    *fake.now.lock().unwrap() = 1_614_265_330_999;
    client(&fake)
        .call(&signed, &request(), Duration::from_secs(2))
        .await;
    let signature =
        Secrets::parse(SECRET)
            .unwrap()
            .sign("id.payout.act", 1_614_265_330, r#"{"key":"id.payout.act"}"#);
    let sent = &server.requests()[0];
    assert!(sent.contains("\r\nwebhook-timestamp: 1614265330\r\n"), "{sent}");
    assert!(
        sent.contains(&format!("\r\nwebhook-signature: {signature}\r\n")),
        "{sent}"
    );
}

#[tokio::test]
async fn secrets_are_read_every_five_minutes_and_soon_after_a_401() {
    for (status, reads) in [(200, [1, 1, 1, 2, 2]), (401, [1, 1, 2, 2, 3])] {
        let server = Server::start(http(status, "", "{}")).await;
        let signed = service(
            &server.url,
            "cloud = 'aws'\nauth = 'signature'\nsecret = 'prod/bank'",
        );
        let fake = Fake::default();
        let client = client(&fake);
        let mut seen = Vec::new();
        for seconds in [0, 29, 299, 300, 599] {
            *fake.now.lock().unwrap() = seconds * 1_000;
            client.call(&signed, &request(), Duration::from_secs(2)).await;
            seen.push(*fake.reads.lock().unwrap());
        }
        assert_eq!(seen, reads, "{status}");
    }
}

#[tokio::test]
async fn a_function_is_invoked_and_what_it_returns_is_the_answer() {
    let arn = "arn:aws:lambda:eu-central-1:123456789012:function:ledger:live";
    let text = format!("[bank]\nlambda = '{arn}'\ncloud = 'aws'\nauth = 'lambda'");
    let function = Services::parse_toml(&text).unwrap().get("bank").unwrap().clone();
    let large = format!(
        r#"{{"status":200,"body":{{"a":"{}"}}}}"#,
        "x".repeat(MAX_BODY_BYTES)
    );
    for (does, status) in [
        (
            http(200, "", r#"{"status":200,"body":{"decision":"undone"}}"#),
            Some(200),
        ),
        (http(200, "", r#"{"status":503,"retry_after":3}"#), Some(503)),
        (http(200, "", r#"{"decision":"accepted"}"#), None),
        (http(200, "", "null"), None),
        (
            http(200, "x-amz-function-error: Unhandled\r\n", r#"{"status":200}"#),
            None,
        ),
        (http(200, "", &large), None),
        (http(404, "", r#"{"Message":"Function not found"}"#), Some(404)),
        (http(429, "retry-after: 1\r\n", ""), Some(429)),
    ] {
        let server = Server::start(does.clone()).await;
        let endpoint = Url::parse(&server.url).unwrap();
        let fake = Fake::default();
        let client = HttpServices::new(fake.clone(), fake, Some(endpoint)).unwrap();
        let attempt = client.call(&function, &request(), Duration::from_secs(2)).await;
        assert_eq!(status_of(&attempt), status, "{does:?}: {attempt:?}");
        let sent = &server.requests()[0];
        let path = "/bank/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-central-1%3A123456789012%3Afunction%3Aledger%3Alive/invocations";
        assert!(sent.starts_with(&format!("POST {path} HTTP/1.1\r\n")), "{sent}");
        assert!(sent.contains("\r\nauthorization: proof for "), "{sent}");
        let payload = r#"{"verb":"act","headers":{"idempotency-key":"id.payout.act","traceparent":"00-1-2-01"},"body":{"key":"id.payout.act"}}"#;
        assert!(sent.ends_with(payload), "{sent}");
    }
}

#[test]
fn lambda_is_where_the_arn_says() {
    for (partition, url) in [
        (
            "aws",
            "https://lambda.eu-west-1.amazonaws.com/2015-03-31/functions/",
        ),
        (
            "aws-cn",
            "https://lambda.eu-west-1.amazonaws.com.cn/2015-03-31/functions/",
        ),
    ] {
        let text = format!(
            "[bank]\nlambda='arn:{partition}:lambda:eu-west-1:123456789012:function:f'\ncloud='aws'\nauth='lambda'"
        );
        let services = Services::parse_toml(&text).unwrap();
        let target = Target::of(services.get("bank").unwrap(), &request(), None);
        assert!(target.url.starts_with(url), "{}", target.url);
    }
}
