//! What a release stored and sent, as `tests/record_fixtures.py` recorded it, and a service that answers with it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// One recorded file.
#[derive(Debug)]
pub struct Recorded {
    /// The release, as its folder names it.
    pub release: String,
    /// The file's name without its ending.
    pub name: String,
    /// The file's text.
    pub text: String,
}

impl Recorded {
    /// The text as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{self}: {error}"))
    }
}

impl std::fmt::Display for Recorded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.release, self.name)
    }
}

/// All files of one kind (a folder), of every release.
#[must_use]
pub fn recorded(kind: &str) -> Vec<Recorded> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let releases = entries(&fixtures)
        .into_iter()
        .filter(|path| name(path).starts_with("release_"));
    let files = releases.flat_map(|release| {
        let files = entries(&release.join(kind)).into_iter();
        files.map(move |file| Recorded {
            release: name(&release),
            name: file.file_stem().unwrap().to_string_lossy().into_owned(),
            text: std::fs::read_to_string(&file).unwrap().trim_end().to_owned(),
        })
    });
    let files: Vec<_> = files.collect();
    assert!(!files.is_empty(), "nothing of {kind} was recorded");
    files
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let found = std::fs::read_dir(folder).into_iter().flatten();
    let mut found: Vec<_> = found.map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// A request as the service got it.
#[derive(Debug, Clone)]
pub struct Request {
    /// Method and path with its query.
    pub line: String,
    /// The operation of AWS' JSON protocols; empty elsewhere.
    pub operation: String,
    /// The body.
    pub body: String,
}

/// Answers each request by a rule, and keeps what it was asked.
pub struct Service {
    /// Where it listens.
    pub url: String,
    asked: Arc<Mutex<Vec<Request>>>,
}

impl Service {
    /// Serves answers until the test ends: the status, further headers, and the body.
    pub fn answering(rule: impl Fn(&Request) -> (u16, String, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, rule) = (Arc::clone(&asked), Arc::new(rule));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (log, rule) = (Arc::clone(&log), Arc::clone(&rule));
                std::thread::spawn(move || serve(stream, &log, rule.as_ref()));
            }
        });
        Self { url, asked }
    }

    /// What it was asked since the last look.
    #[must_use]
    pub fn asked(&self) -> Vec<Request> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn serve(mut stream: TcpStream, log: &Mutex<Vec<Request>>, rule: &dyn Fn(&Request) -> (u16, String, String)) {
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
        let (mut length, mut operation) = (0, String::new());
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header).is_err() || header.trim().is_empty() {
                break;
            }
            let (name, value) = header.split_once(':').unwrap();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().unwrap(),
                "x-amz-target" => operation = value.trim().rsplit('.').next().unwrap().to_owned(),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let request = Request {
            line: std::mem::take(&mut line)
                .trim_end_matches(" HTTP/1.1\r\n")
                .to_owned(),
            operation,
            body: String::from_utf8(body).unwrap(),
        };
        let (status, headers, body) = rule(&request);
        log.lock().unwrap().push(request);
        let length = body.len();
        let answer = format!("HTTP/1.1 {status} said\r\ncontent-length: {length}\r\n{headers}\r\n{body}");
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
