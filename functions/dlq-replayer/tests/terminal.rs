//! The terminal command as a person or a script runs it, against something that answers as the replayer might.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde_json::{Value, json};

/// Answers each request with this status and body, and tells its first line.
fn replayer(status: u16, body: String) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (tell, reported) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let (mut first, mut length) = (String::new(), 0);
            stream.read_line(&mut first).unwrap();
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                if let Some(count) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = count.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            stream.read_exact(&mut vec![0; length]).unwrap();
            let answer = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            // Told first: who has the answer may ask what was asked.
            let _ = tell.send(first.trim().to_owned());
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });
    (url, reported)
}

fn dlq(url: &str, arguments: &[&str]) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_dlq"))
        .args(arguments)
        .args(["--endpoint", url])
        .env("USER", "ops")
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// What a terminal would obey, or not show.
fn acts(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{200b}' | '\u{202e}' | '\u{2066}' | '\u{feff}' | '\u{2028}')
}

const ODD: &str = "a\u{1b}[2J\u{9b}31m\r\u{7}\u{202e}b\u{2066}c\u{200b}d\u{feff}e\u{2028}f";

fn dead_letter() -> Value {
    json!({
        "id": "poison.1", "source": "poison", "cloud": "azure", "saga_id": ODD, "event_id": ODD, "type": ODD, "verb": ODD, "step": 1,
        "reason": ODD, "attempts": 5, "first_at": null, "last_at": ODD, "bytes": 7, "unreadable": ODD,
        "headers": {(ODD): ODD}, "body": ODD, "replay": {"to": ODD, "verdict": "left", "text": ODD},
    })
}

#[test]
fn what_is_no_id_makes_no_request() {
    let (url, reported) = replayer(200, dead_letter().to_string());
    for arguments in [
        &["show", ""][..],
        &["show", ".."],
        &["show", "/"],
        &["show", "?limit=1"],
        &["show", "poison.1#x"],
        &["show", "poison.1/../replay"],
        &["replay", ""],
        &["discard", "poison.1", ""],
        &["list", "--source", ""],
        &["list", "--saga", "x"],
        &["replay", "--since", "yesterday"],
        &["list", "--type", ""],
    ] {
        let (code, out, said) = dlq(&url, arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {said}");
        assert!(
            said.lines().count() == 2 && said.contains("dlq --help") && !said.contains(acts),
            "{arguments:?}: {said}"
        );
    }
    assert_eq!(reported.try_recv().ok(), None);
    let (code, out, said) = dlq(&url, &["show", "poison.1"]);
    assert_eq!(code, 0, "{out}{said}");
    assert_eq!(reported.recv().unwrap(), "GET /dead-letters/poison.1 HTTP/1.1");
}

#[test]
fn what_others_wrote_acts_on_no_terminal() {
    let item = json!({"id": ODD, "saga_id": ODD, "outcome": ODD, "text": ODD});
    let notices = json!([{"source": ODD, "problem": ODD}]);
    let page = json!({"letters": [dead_letter()], "next": null, "sources": ["poison"], "notices": notices});
    let report = json!({
        "act": "replay", "dry_run": true, "done": 0, "failed": 0, "left": 1, "ended": "done", "more": false, "items": [item],
        "notices": notices,
    });
    for (arguments, answer) in [
        (&["show", "poison.1"][..], dead_letter()),
        (&["list"], page),
        (&["replay", "poison.1"], report),
    ] {
        let (url, _reported) = replayer(200, answer.to_string());
        let (_, out, said) = dlq(&url, arguments);
        assert!(out.contains("\\u{202e}b"), "{out}");
        assert_eq!((out.find(acts), said.find(acts)), (None, None), "{out}{said}");
        // For programs it is exact, and the same holds.
        let (_, out, said) = dlq(&url, &[arguments, &["--json"]].concat());
        assert_eq!((out.find(acts), said.find(acts)), (None, None), "{out}{said}");
        assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), answer);
    }
}

#[test]
fn a_refusal_is_shown_as_safely() {
    for answer in [json!({ "detail": ODD }).to_string(), ODD.to_owned()] {
        for (status, exit) in [(400, 2), (404, 1), (500, 3)] {
            let (url, _reported) = replayer(status, answer.clone());
            let (code, out, said) = dlq(&url, &["show", "poison.1"]);
            assert_eq!((code, out.as_str(), said.find(acts)), (exit, "", None), "{said}");
            assert!(
                said.contains(&status.to_string()) && said.contains("\\u{202e}b"),
                "{said}"
            );
        }
    }
}

#[test]
fn where_no_replayer_answers_nothing_is_taken_for_a_missing_dead_letter() {
    let (url, _reported) = replayer(404, json!({ "detail": "nothing here" }).to_string());
    for arguments in [&["list"][..], &["replay", "poison.1"], &["discard", "poison.1"]] {
        assert_eq!(dlq(&url, arguments).0, 3, "{arguments:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_output_that_cannot_be_written_is_said() {
    let page = json!({"letters": [dead_letter()], "next": null, "sources": ["poison"], "notices": []});
    let (url, _reported) = replayer(200, page.to_string());
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let done = Command::new(env!("CARGO_BIN_EXE_dlq"))
        .args(["list", "--endpoint", &url])
        .stdout(full)
        .output()
        .unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("could not be written"), "{said}");
}
