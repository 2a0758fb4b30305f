//! One run: the service, its keys, and what was seen beside the checks.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use saga_app::ports::Time;
use saga_core::document::Fields;
use saga_core::{DefinitionRef, IdempotencyKey, SagaId, Timestamp, TraceParent};
use saga_runtime::clock::SystemClock;
use saga_runtime::service_client::{
    CannotConnect, Http, WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP, address, headers,
};
use saga_wire::contract::reply::{NO_REASON, classify};
use saga_wire::contract::signature::Secrets;
use saga_wire::contract::{MAX_BODY_BYTES, Reply, Request, RequestParts, Verb};
use saga_wire::json::parse_object;

use super::exchange::{Came, Packet};
use super::finding::Finding;
use super::ids::{BODY_BOUND, CONTENT_TYPE, NO_REDIRECT, OUTPUT_RULES, REFUSAL_REASON};
use super::plan::{Plan, UNIQUE};

/// When the sagas of a run would be cancelled.
const DEADLINE_MILLIS: i64 = 24 * 60 * 60 * 1_000;

/// An act, and the undo that goes with it.
#[derive(Clone)]
pub struct Call {
    saga: SagaId,
    step: String,
    input: Fields,
}

/// What can differ between two attempts of one request.
#[derive(Clone)]
pub struct Said {
    pub attempt: u32,
    pub deadline: Timestamp,
    pub trace: TraceParent,
    pub reason: &'static str,
}

/// One run.
pub struct Session {
    pub plan: Plan,
    pub clock: SystemClock,
    http: Http,
    run: String,
    began: Timestamp,
    calls: Cell<u32>,
    pub seen: RefCell<Seen>,
}

/// What was seen in any answer.
#[derive(Default)]
pub struct Seen {
    /// Broken promises, each with what showed it first, by the ids of their checks.
    pub broken: BTreeMap<&'static str, Finding>,
    /// Whether anything was ever answered.
    pub answered: bool,
    pub decided: bool,
    pub later: bool,
    pub refused: bool,
    pub requests: u32,
    /// What acts gave, by their keys.
    pub outputs: BTreeMap<String, Fields>,
    /// Accepted and not taken back, by the act's key.
    pub standing: BTreeMap<String, Call>,
}

impl Session {
    /// A run by this name. Nothing is sent.
    pub fn new(plan: Plan, run: String) -> Result<Self, CannotConnect> {
        let clock = SystemClock;
        Ok(Self {
            plan,
            http: Http::new()?,
            run,
            began: clock.now(),
            clock,
            calls: Cell::new(0),
            seen: RefCell::default(),
        })
    }

    /// A call with a key that nobody has seen, and an input that is accepted.
    pub fn fresh(&self) -> Call {
        self.call(&self.plan.input)
    }

    /// The same with an input that is refused, if one is known.
    pub fn fresh_refused(&self) -> Option<Call> {
        self.plan.refuse.as_deref().map(|template| self.call(template))
    }

    #[allow(clippy::expect_used, reason = "the messages prove that they cannot fail")]
    fn call(&self, template: &str) -> Call {
        let number = self.calls.get() + 1;
        self.calls.set(number);
        let key = format!("{}-{number}-{}", self.run, self.clock.below(u64::MAX));
        let key: IdempotencyKey = key.parse().expect("letters, digits and hyphens are a key");
        let saga = SagaId::derive(&self.plan.definition, &key);
        let input = parse_object(&template.replace(UNIQUE, &saga.to_string()));
        Call {
            saga,
            step: self.plan.step.clone(),
            input: input.expect("it was an object with another text in this place"),
        }
    }

    pub fn said(&self, attempt: u32, call: &Call) -> Said {
        Said {
            attempt,
            deadline: self.began.plus_millis(DEADLINE_MILLIS),
            trace: TraceParent::for_saga(call.saga),
            reason: "the service is tried",
        }
    }

    /// The request, written as every caller writes it.
    pub fn request(&self, verb: Verb, call: &Call, said: &Said) -> Request {
        let mut outputs = self.plan.outputs.clone();
        if verb == Verb::Undo && !self.plan.tombstone() {
            let own = self.seen.borrow().outputs.get(&call.act_key()).cloned();
            outputs.extend(own.map(|own| (call.step.clone(), own)));
        }
        let parts = RequestParts {
            verb,
            saga: call.saga,
            definition: &DefinitionRef {
                name: self.plan.definition.clone(),
                version: 1,
            },
            step: &call.step,
            input: &call.input,
            outputs: &outputs,
            attempt: said.attempt,
            deadline: said.deadline,
            reason: Some(said.reason),
            trace: &said.trace,
        };
        parts.write()
    }

    /// The request as it is sent now, signed where the service checks signatures.
    pub fn packet(&self, request: &Request) -> Packet {
        let mut packet = Packet {
            verb: request.verb,
            headers: headers(request, self.clock.now()),
            body: request.body.clone(),
        };
        self.sign(&mut packet);
        packet
    }

    /// Signs it as it is, as a caller does.
    pub fn sign(&self, packet: &mut Packet) {
        if let Some(signing) = &self.plan.signing {
            let signature = signature(&signing.all, packet);
            packet.set(WEBHOOK_SIGNATURE, Some(signature));
        }
    }

    /// Sends it once.
    pub async fn send(&self, packet: &Packet) -> Came {
        let url = address(&self.plan.url, packet.verb);
        let sent = packet.shown();
        self.seen.borrow_mut().requests += 1;
        let posted = self.http.post(&url, packet.headers.clone(), packet.body.clone());
        let came = match tokio::time::timeout(self.plan.timeout, posted).await {
            Err(_) => {
                let millis = self.plan.timeout.as_millis();
                Came::silent(sent, &format!("there was no whole one within {millis} ms"))
            }
            Ok(Err(why)) => Came::silent(sent, &why),
            Ok(Ok(raw)) => {
                let reply = classify(packet.verb, &raw.answer, self.clock.now());
                Came::answered(sent, &raw, reply)
            }
        };
        self.look_at(&came);
        came
    }

    /// What holds for every answer.
    fn look_at(&self, came: &Came) {
        let mut seen = self.seen.borrow_mut();
        seen.answered |= came.status.is_some();
        let mut broken = |check: &'static str, why: &str| {
            seen.broken.entry(check).or_insert_with(|| came.finding(why));
        };
        if came.status.is_some_and(|status| (300..400).contains(&status)) {
            broken(NO_REDIRECT, "redirects are not followed: the step would be held");
        }
        if came.oversize {
            broken(
                BODY_BOUND,
                &format!("an answer has at most {MAX_BODY_BYTES} bytes; this one is never read"),
            );
        }
        if let Reply::BadOutput { why } = &came.reply {
            broken(OUTPUT_RULES, &format!("{why}; the step would be held"));
        }
        if came.reply == Reply::Refused(NO_REASON.to_owned()) {
            broken(
                REFUSAL_REASON,
                "`reason` is missing or empty; people see it in the saga",
            );
        }
        if came.decides() && !is_json(came.content_type.as_deref()) {
            broken(CONTENT_TYPE, "an answer that decides is JSON, and says so");
        }
        seen.decided |= came.decides();
        seen.later |= came.reply == Reply::Later;
        seen.refused |= matches!(came.reply, Reply::Refused(_));
    }

    /// Remembers what the service did, so that it can be taken back.
    pub fn note(&self, call: &Call, came: &Came) {
        let mut seen = self.seen.borrow_mut();
        match &came.reply {
            Reply::Accepted(output) => {
                seen.outputs
                    .entry(call.act_key())
                    .or_insert_with(|| output.clone());
                seen.standing.insert(call.act_key(), call.clone());
            }
            Reply::Undone => drop(seen.standing.remove(&call.act_key())),
            _ => {}
        }
    }
}

/// The signature of a packet with its own id, time and body.
pub fn signature(secrets: &Secrets, packet: &Packet) -> String {
    let value = |name: &str| {
        packet
            .headers
            .iter()
            .find(|(other, _)| *other == name)
            .map(|(_, value)| value.as_str())
    };
    let seconds = value(WEBHOOK_TIMESTAMP)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    secrets.sign(value(WEBHOOK_ID).unwrap_or_default(), seconds, &packet.body)
}

impl Call {
    pub fn act_key(&self) -> String {
        saga_wire::contract::request::key(self.saga, &self.step, Verb::Act)
    }

    /// Another step of the same saga.
    pub fn beside(&self, suffix: &str) -> Self {
        Self {
            step: format!("{}-{suffix}", self.step),
            ..self.clone()
        }
    }

    /// This one with the input of another.
    pub fn with_input_of(mut self, other: &Call) -> Self {
        self.input = other.input.clone();
        self
    }

    #[allow(clippy::expect_used, reason = "the message proves that it cannot fail")]
    pub fn trace_of_another(&self) -> TraceParent {
        let key: IdempotencyKey = self.saga.to_string().parse().expect("a UUID is a key");
        TraceParent::for_saga(SagaId::derive("another", &key))
    }
}

fn is_json(content_type: Option<&str>) -> bool {
    let kind = content_type
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default();
    let kind = kind.trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}
