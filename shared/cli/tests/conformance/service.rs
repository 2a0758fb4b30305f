//! A service as somebody may write it, right or with one fault, on loopback. One thread a connection, one request each.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use saga_wire::contract::signature::Secrets;
use serde_json::{Value, json};

/// What is wrong with a service, or only unusual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trait {
    // Unusual, and right.
    Slow,
    InFlightIs409,
    LaterFirst,
    ThrottlesInSeconds,
    ThrottlesUntilADate,
    BreaksConnections,
    Dressed,
    NoOutput,
    OnlyKey,
    NoUndo,
    // Broken.
    ForgetsKeys,
    DecidesTwiceAtOnce,
    ComparesBodies,
    RefusesMoreMembers,
    KeepsBySaga,
    JudgesRefusalsAnew,
    CannotUndo,
    RefusesUndo,
    UndoesOnce,
    UndoComparesBodies,
    UndoRaces,
    ActsAfterUndo,
    RefusesAfterUndo,
    ActsDuringUndo,
    UndoNeedsItsAct,
    ForgetsEarlyUndo,
    UndoOfRefusedIs404,
    UndoDuringActIs422,
    TakesAnyText,
    TakesTheFirstOfAList,
    MakesUpAKey,
    ReadsOneKey,
    DiesOfALargeBody,
    ChecksNoSignature,
    TakesMissingSignature,
    TakesWrongSignature,
    TakesOldSignature,
    ReadsFirstSignature,
    SignsWhatItWrites,
    LaterForEver,
    RefusesWithoutReason,
    OutputIsAList,
    OutputIsLarge,
    OutputIsReserved,
    LargeBody,
    WebPage,
    Redirects,
    KnowsNobody,
    Fails,
    SaysDone,
}
use Trait::*;

pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
pub const NEXT: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

#[derive(Default)]
struct Ledger {
    acts: BTreeMap<String, Value>,
    bodies: BTreeMap<String, Value>,
    undone: BTreeSet<String>,
    in_flight: BTreeSet<String>,
    put_off: BTreeSet<String>,
    /// By the act's key: how often the work was done, less how often it was taken back.
    effects: BTreeMap<String, i32>,
    most: i32,
    done: u32,
    /// Undos of what was not accepted.
    orphans: Vec<String>,
}

/// A running service.
pub struct Service {
    pub url: String,
    is: Vec<Trait>,
    secrets: Vec<&'static str>,
    ledger: Mutex<Ledger>,
    requests: AtomicU32,
    dead: AtomicBool,
}

struct Request {
    verb: String,
    headers: BTreeMap<String, String>,
    body: String,
}

struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

fn answer(status: u16, body: &Value) -> Answer {
    let kind = ("content-type".to_owned(), "application/json".to_owned());
    Answer {
        status,
        headers: vec![kind],
        body: body.to_string(),
    }
}

fn problem(status: u16, detail: &str) -> Answer {
    answer(status, &json!({ "detail": detail }))
}

impl Service {
    pub fn start(is: &[Trait], secrets: &[&'static str]) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let service = Arc::new(Self {
            url: format!("http://{}/bank", listener.local_addr().unwrap()),
            is: is.to_vec(),
            secrets: secrets.to_vec(),
            ledger: Mutex::default(),
            requests: AtomicU32::new(0),
            dead: AtomicBool::new(false),
        });
        let its = Arc::clone(&service);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if its.dead.load(Ordering::SeqCst) {
                    return;
                }
                let its = Arc::clone(&its);
                thread::spawn(move || its.serve(stream.unwrap()));
            }
        });
        service
    }

    fn is(&self, one: Trait) -> bool {
        self.is.contains(&one)
    }

    /// How often any work was done at most, what stands now, and undos of what was not accepted.
    pub fn effects(&self) -> (i32, i32, usize) {
        let ledger = self.ledger.lock().unwrap();
        (ledger.most, ledger.effects.values().sum(), ledger.orphans.len())
    }

    fn serve(&self, stream: TcpStream) {
        let Some((mut stream, request)) = read(stream) else {
            return;
        };
        let number = self.requests.fetch_add(1, Ordering::SeqCst);
        if self.is(BreaksConnections) && number % 9 == 4 {
            if number.is_multiple_of(2) {
                self.decided(&request);
            }
            return;
        }
        if self.is(DiesOfALargeBody) && request.body.len() > 500_000 {
            self.dead.store(true, Ordering::SeqCst);
            // Wakes who accepts.
            let _ = TcpStream::connect(stream.local_addr().unwrap());
            return;
        }
        let answer = match number % 45 {
            20 if self.is(ThrottlesInSeconds) => throttled("1".to_owned()),
            20 if self.is(ThrottlesUntilADate) => {
                #[allow(clippy::disallowed_methods, reason = "the date is what is tested")]
                let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(1));
                throttled(date)
            }
            _ => self.decided(&request),
        };
        let _ = stream.write_all(&self.written(answer));
    }

    fn written(&self, mut answer: Answer) -> Vec<u8> {
        if self.is(WebPage) {
            answer.headers = vec![("content-type".to_owned(), "text/html".to_owned())];
        }
        let mut head = format!("HTTP/1.1 {} X\r\nconnection: close\r\n", answer.status);
        for (name, value) in answer.headers {
            let name = if self.is(Dressed) {
                name.to_uppercase()
            } else {
                name
            };
            head += &format!("{name}: {value}\r\n");
        }
        let length = answer.body.len();
        let text = if self.is(Dressed) {
            let (first, rest) = answer.body.split_at(length / 2);
            let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
            let chunks = if rest.is_empty() {
                String::new()
            } else {
                chunk(first) + &chunk(rest)
            };
            format!("{head}TRANSFER-ENCODING: chunked\r\n\r\n{chunks}0\r\n\r\n")
        } else {
            format!("{head}content-length: {length}\r\n\r\n{}", answer.body)
        };
        text.into_bytes()
    }

    fn decided(&self, request: &Request) -> Answer {
        if self.is(Slow) {
            works_for(150);
        }
        if self.is(Redirects) {
            return Answer {
                status: 307,
                headers: vec![("location".to_owned(), "/bank/act/".to_owned())],
                body: String::new(),
            };
        }
        if self.is(KnowsNobody) {
            return problem(401, "the caller is not known");
        }
        if self.is(Fails) {
            return problem(500, "out of order");
        }
        if let Some(answer) = self.of_unproven(request) {
            return answer;
        }
        let body = match self.read(request) {
            Ok(body) => body,
            Err(answer) => return answer,
        };
        let made_up = self.requests.load(Ordering::SeqCst).to_string();
        let mut key = body["key"].as_str().unwrap_or(&made_up).to_owned();
        if self.is(ReadsOneKey) {
            key.clone_from(&request.headers["idempotency-key"]);
        }
        let act_key = body["act_key"].as_str().unwrap_or(&key).to_owned();
        let (mut key, mut act_key) = (key, act_key);
        if self.is(KeepsBySaga) {
            let saga = body["saga_id"].as_str().unwrap_or_default();
            (key, act_key) = (format!("{saga}.{}", request.verb), format!("{saga}.act"));
        }
        let answer = match request.verb.as_str() {
            "act" => self.act(&key, &body),
            "undo" => self.undo(&key, &act_key, &body),
            _ => problem(404, "there are act and undo"),
        };
        self.spoilt(&request.verb, answer)
    }

    /// The answer to whoever cannot prove who calls.
    fn of_unproven(&self, request: &Request) -> Option<Answer> {
        if self.secrets.is_empty() || self.is(ChecksNoSignature) {
            return None;
        }
        let header = |name: &str| request.headers.get(name).map(String::as_str);
        let Some(given) = header("webhook-signature") else {
            return (!self.is(TakesMissingSignature)).then(|| problem(401, "there is no signature"));
        };
        let time: i64 = header("webhook-timestamp")
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        #[allow(clippy::disallowed_methods, reason = "the signature's time is the machine's")]
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        if now.abs_diff(time.unsigned_abs()) > 300 && !self.is(TakesOldSignature) {
            return Some(problem(403, "the timestamp is too far off"));
        }
        let body = if self.is(SignsWhatItWrites) {
            // As if what it writes were what came, but for white space.
            request.body.trim_end().replacen("{ \n ", "{", 1)
        } else {
            request.body.clone()
        };
        let valid: Vec<String> = self
            .secrets
            .iter()
            .map(|secret| {
                Secrets::parse(secret)
                    .unwrap()
                    .sign(header("webhook-id").unwrap_or_default(), time, &body)
            })
            .collect();
        let looked_at = if self.is(ReadsFirstSignature) {
            1
        } else {
            usize::MAX
        };
        let mut given = given.split(' ').take(looked_at);
        let good = given.any(|one| valid.iter().any(|other| one == other));
        (!good && !self.is(TakesWrongSignature)).then(|| problem(401, "no signature is right"))
    }

    fn read(&self, request: &Request) -> Result<Value, Answer> {
        if request.body.len() > 256 * 1024 {
            return Err(problem(413, "too large"));
        }
        let mut body: Value = match serde_json::from_str(&request.body) {
            Ok(body) => body,
            Err(_) if self.is(TakesAnyText) => {
                json!({"key": request.headers["idempotency-key"], "input": {}})
            }
            Err(_) => return Err(problem(400, "no JSON")),
        };
        if self.is(TakesTheFirstOfAList) && body.is_array() {
            body = body[0].take();
        }
        let given = request.headers.get("idempotency-key").map(String::as_str);
        let said = body["key"].as_str();
        let fits = said.is_some() && said == given;
        let excused = (self.is(ReadsOneKey) && said.is_some() && given.is_some())
            || (self.is(MakesUpAKey) && said.is_none() && given.is_none());
        if !fits && !excused {
            return Err(problem(400, "no key, or two"));
        }
        let known = [
            "saga_id",
            "definition",
            "version",
            "step",
            "key",
            "act_key",
            "input",
            "outputs",
            "attempt",
            "deadline_at",
            "reason",
        ];
        let more = body
            .as_object()
            .is_none_or(|members| members.keys().any(|name| !known.contains(&name.as_str())));
        if self.is(RefusesMoreMembers) && more {
            return Err(problem(400, "an unknown member"));
        }
        Ok(body)
    }

    fn act(&self, key: &str, body: &Value) -> Answer {
        let mut ledger = self.ledger.lock().unwrap();
        if self.is(LaterForEver) || (self.is(LaterFirst) && ledger.put_off.insert(key.to_owned())) {
            return answer(202, &json!({"decision": "later"}));
        }
        let undone = ledger.undone.contains(key);
        let known = ledger.acts.get(key).cloned().filter(|_| !self.is(ForgetsKeys));
        if let Some(known) = known {
            if self.is(ComparesBodies)
                && ledger
                    .bodies
                    .get(key)
                    .is_some_and(|first| first["deadline_at"] != body["deadline_at"])
            {
                return problem(422, "another body");
            }
            if self.is(JudgesRefusalsAnew) && known["decision"] == "refused" {
                return answer(200, &json!({"decision": "accepted", "output": {}}));
            }
            if self.is(RefusesAfterUndo) && undone && known["decision"] == "accepted" {
                return answer(200, &json!({"decision": "refused", "reason": "it was undone"}));
            }
            let anew = (self.is(ActsAfterUndo) && undone)
                || (self.is(ActsDuringUndo) && ledger.in_flight.contains(key));
            if !anew || known["decision"] == "refused" {
                return answer(200, &known);
            }
        }
        let takes = match () {
            () if self.is(UndoDuringActIs422) || self.is(DecidesTwiceAtOnce) => 120,
            () if self.is(InFlightIs409) => 60,
            () => 0,
        };
        if takes > 0 {
            if !ledger.in_flight.insert(key.to_owned()) && !self.is(DecidesTwiceAtOnce) {
                return answer(409, &json!({"detail": "it is in flight"}));
            }
            drop(ledger);
            works_for(takes);
            ledger = self.ledger.lock().unwrap();
            ledger.in_flight.remove(key);
        }
        let input = &body["input"];
        let decision = if ledger.undone.contains(key)
            && !self.is(ActsAfterUndo)
            && !self.is(ForgetsKeys)
            && !self.is(ActsDuringUndo)
        {
            json!({"decision": "refused", "reason": "it was undone before it came"})
        } else if input["refuse"] == true {
            json!({"decision": "refused", "reason": "the account is closed"})
        } else {
            ledger.done += 1;
            let done = ledger.done;
            let effect = ledger.effects.entry(key.to_owned()).or_default();
            *effect += 1;
            ledger.most = ledger.most.max(ledger.effects[key]);
            json!({"decision": "accepted", "output": {"payment": format!("p-{done}")}})
        };
        ledger.acts.insert(key.to_owned(), decision.clone());
        ledger.bodies.insert(key.to_owned(), body.clone());
        answer(200, &decision)
    }

    fn undo(&self, key: &str, act_key: &str, body: &Value) -> Answer {
        let mut ledger = self.ledger.lock().unwrap();
        if self.is(CannotUndo) || self.is(NoUndo) {
            return problem(404, "there is no undo");
        }
        if self.is(RefusesUndo) {
            return answer(200, &json!({"decision": "refused", "reason": "too late"}));
        }
        let again = ledger.undone.contains(act_key);
        if again && self.is(UndoesOnce) {
            return problem(404, "there is nothing to undo");
        }
        if again
            && self.is(UndoComparesBodies)
            && ledger
                .bodies
                .get(key)
                .is_some_and(|first| first["reason"] != body["reason"])
        {
            return problem(422, "another body");
        }
        if ledger.in_flight.contains(act_key) {
            let status = if self.is(UndoDuringActIs422) || self.is(UndoRaces) {
                422
            } else {
                409
            };
            return problem(status, "it is in flight");
        }
        let decision = ledger
            .acts
            .get(act_key)
            .and_then(|act| act["decision"].as_str())
            .map(str::to_owned);
        match decision.as_deref() {
            None if self.is(UndoNeedsItsAct) => return problem(404, "there is no such act"),
            Some("refused") if self.is(UndoOfRefusedIs404) && !again => {
                return problem(404, "there is no such work");
            }
            _ => {}
        }
        if (self.is(UndoRaces) || self.is(ActsDuringUndo)) && !again {
            ledger.in_flight.insert(act_key.to_owned());
            drop(ledger);
            works_for(200);
            ledger = self.ledger.lock().unwrap();
            ledger.in_flight.remove(act_key);
        }
        ledger
            .bodies
            .entry(key.to_owned())
            .or_insert_with(|| body.clone());
        if decision.as_deref() != Some("accepted") {
            ledger.orphans.push(act_key.to_owned());
        } else if !again {
            *ledger.effects.get_mut(act_key).unwrap() -= 1;
        }
        if !(self.is(ForgetsEarlyUndo) && decision.is_none()) {
            ledger.undone.insert(act_key.to_owned());
        }
        answer(200, &json!({"decision": "undone"}))
    }

    fn spoilt(&self, verb: &str, mut answer: Answer) -> Answer {
        if answer.status != 200 {
            return answer;
        }
        let mut body: Value = serde_json::from_str(&answer.body).unwrap();
        let accepted = verb == "act" && body["decision"] == "accepted";
        if accepted && self.is(OutputIsAList) {
            body["output"] = json!(["p-1"]);
        }
        if accepted && self.is(OutputIsLarge) {
            body["output"] = json!({"payment": "x".repeat(5_000)});
        }
        if accepted && self.is(OutputIsReserved) {
            body["output"] = json!({"saga_id": "p-1"});
        }
        if accepted && self.is(NoOutput) {
            body = json!({"decision": "accepted"});
        }
        if accepted && self.is(SaysDone) {
            body["decision"] = json!("done");
        }
        if self.is(RefusesWithoutReason) && body["decision"] == "refused" {
            body = json!({"decision": "refused"});
        }
        if accepted && self.is(LargeBody) {
            body["filler"] = json!("x".repeat(70_000));
        }
        if self.is(Dressed) {
            body["more"] = json!({"of": [1, null]});
            answer.headers = vec![(
                "content-type".to_owned(),
                "application/json; charset=utf-8".to_owned(),
            )];
        }
        answer.body = body.to_string();
        answer
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "that a service takes its time is what is tested"
)]
fn works_for(millis: u64) {
    thread::sleep(Duration::from_millis(millis));
}

fn throttled(again: String) -> Answer {
    let mut answer = problem(429, "not so fast");
    answer.headers.push(("retry-after".to_owned(), again));
    answer
}

fn read(stream: TcpStream) -> Option<(TcpStream, Request)> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let verb = first.split(' ').nth(1)?.rsplit('/').next()?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(": ") else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length")?.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).ok()?;
    Some((reader.into_inner(), Request { verb, headers, body }))
}
