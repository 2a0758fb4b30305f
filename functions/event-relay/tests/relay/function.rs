//! The function's process, invoked as Lambda invokes it
//! (<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>), with all that it reaches on loopback.

use std::fs::{File, read_to_string};
use std::net::Ipv4Addr;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;

use crate::server::{CERTIFICATE, Server, read, write};

pub const TENANT: &str = "11111111-2222-3333-4444-555555555555";
pub const CLIENT: &str = "66666666-7777-8888-9999-000000000000";
/// Longer than the function's own timeout on AWS, also where the machine is busy.
const LONGEST: Duration = Duration::from_secs(120);

/// The process; it ends with its test.
pub struct Function {
    process: Child,
    events: mpsc::Sender<String>,
    answers: mpsc::Receiver<String>,
    folder: TempDir,
}

impl Drop for Function {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Function {
    /// Starts it between these three.
    pub async fn start(sts: &Server, entra: &Server, topic: &Server) -> Self {
        let (events, waiting) = mpsc::channel(1);
        let (answered, answers) = mpsc::channel(1);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let api = listener.local_addr().unwrap().to_string();
        let waiting = Arc::new(Mutex::new(waiting));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(invocations(stream, Arc::clone(&waiting), answered.clone()));
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_event-relay"))
            .env_clear()
            .envs([
                ("AWS_LAMBDA_RUNTIME_API", api.as_str()),
                ("AWS_LAMBDA_FUNCTION_NAME", "event-relay"),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
                ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
                ("AWS_REGION", "eu-central-1"),
                ("AWS_ACCESS_KEY_ID", "test"),
                ("AWS_SECRET_ACCESS_KEY", "test"),
                ("AZURE_TENANT_ID", TENANT),
                ("AZURE_CLIENT_ID", CLIENT),
                ("SSL_CERT_FILE", CERTIFICATE),
            ])
            .env("AWS_ENDPOINT_URL_STS", format!("http://127.0.0.1:{}", sts.port))
            .env(
                "AZURE_AUTHORITY_HOST",
                format!("https://127.0.0.1:{}", entra.port),
            )
            .env(
                "EVENTGRID_TOPIC_ENDPOINT",
                format!("https://127.0.0.1:{}/api/events", topic.port),
            )
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self {
            process,
            events,
            answers,
            folder,
        }
    }

    /// Invokes it with messages of these bodies; which of them (from 0) stay on the queue.
    pub async fn invoke(&mut self, bodies: &[&str]) -> Vec<usize> {
        let records: Vec<Value> = bodies
            .iter()
            .enumerate()
            .map(|(number, body)| json!({ "messageId": number.to_string(), "body": body, "attributes": {} }))
            .collect();
        self.events
            .send(json!({ "Records": records }).to_string())
            .await
            .unwrap();
        let answer = timeout(LONGEST, self.answers.recv()).await;
        let answer = answer
            .unwrap_or_else(|_| panic!("no answer; {}", self.log()))
            .unwrap();
        let answer: Value =
            serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{answer}; {}", self.log()));
        let failed = answer["batchItemFailures"].as_array().unwrap().iter();
        failed
            .map(|failed| failed["itemIdentifier"].as_str().unwrap().parse().unwrap())
            .collect()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        read_to_string(self.folder.path().join("log")).unwrap()
    }
}

/// Lambda's side of one connection.
async fn invocations(
    mut stream: TcpStream,
    waiting: Arc<Mutex<mpsc::Receiver<String>>>,
    answered: mpsc::Sender<String>,
) {
    const NEXT: &str = "lambda-runtime-aws-request-id: 1\r\nlambda-runtime-deadline-ms: 4102444800000\r\n\
                        lambda-runtime-invoked-function-arn: arn:aws:lambda:eu-central-1:123456789012:function:event-relay\r\n";
    while let Some(request) = read(&mut stream).await {
        if request.starts_with("GET /2018-06-01/runtime/invocation/next ") {
            let Some(event) = waiting.lock().await.recv().await else {
                return;
            };
            write(&mut stream, 200, NEXT, &event).await;
        } else {
            let body = request.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
            write(&mut stream, 202, "", "").await;
            let _ = answered.send(body.unwrap_or_default()).await;
        }
    }
}
