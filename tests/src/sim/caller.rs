//! The caller's way out: to services that fail in every way that they can, and to a queue that brings requests late.

use std::sync::Mutex;
use std::time::Duration;

use saga_app::Deployment;
use saga_app::ports::{Attempt, CallQueue, ParticipantCloud, PortError, ServiceClient, Time};
use saga_core::call::CallVerb;
use saga_core::step::Class;
use saga_core::{Cloud, Definition, SagaId, ServiceState, StepIndex, Timestamp};
use saga_memory::{Clock, Fault, OriginCloud, StepCloud, Steps};
use saga_wire::contract::request::key;
use saga_wire::contract::{Answer, Request};
use saga_wire::services::Service;
use serde_json::{Value, json};

use super::chance::Chance;
use super::provider::{Asked, Provider, Work};
use super::trouble::Trouble;
use super::watched::Watched;
use super::witness::Witness;
use crate::invariants::intends;

/// The step of a definition that a request is for; `None` where it calls nobody.
pub(super) fn work(definition: &Definition, saga: SagaId, step: StepIndex) -> Option<Work> {
    let its = definition.step(step)?;
    let call = its.call()?;
    Some(Work {
        saga,
        step,
        name: its.name.clone(),
        promise: call.recover,
        class: its.class,
        timeout: call.timeout_millis,
        lifetime: call.key_lifetime_millis,
    })
}

/// What goes wrong with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mishap {
    None,
    RequestLost,
    ReplyLost,
    ReplyLate,
    InHand,
    Throttled,
    Garbage,
    Fails,
    Later,
}

impl Mishap {
    const ALL: [Self; 9] = [
        Self::None,
        Self::RequestLost,
        Self::ReplyLost,
        Self::ReplyLate,
        Self::InHand,
        Self::Throttled,
        Self::Garbage,
        Self::Fails,
        Self::Later,
    ];
}

/// Answers with a 200 that decide nothing, or that cannot be kept.
const GARBAGE: [&str; 7] = [
    "",
    "<html>busy</html>",
    r#"{"decision":"perhaps"}"#,
    r#"{"decision":"accepted","output":[1]}"#,
    r#"{"decision":"accepted","output":{"saga_id":"x"}}"#,
    r#"{"decision":["accepted"]}"#,
    r#"{"decision":"undo"#,
];

/// The way to the services, for one process.
pub(super) struct Client<'a> {
    pub deployment: &'a Deployment,
    pub provider: &'a Provider,
    pub trouble: &'a Trouble,
    pub clock: &'a Clock,
    pub aws: &'a OriginCloud,
    pub azure: &'a StepCloud,
    pub witness: &'a Witness,
    /// When the process began.
    pub began: Timestamp,
    /// How many changes of steps were seen then.
    pub changes: usize,
    /// The services that were paused then.
    pub paused: Vec<ServiceState>,
}

fn no_answer(why: &str) -> Attempt {
    Attempt::NoAnswer { why: why.to_owned() }
}

fn answers(status: u16, retry_after: Option<String>, body: &str) -> Attempt {
    Attempt::Answered(Answer {
        status,
        retry_after,
        body: body.as_bytes().to_vec(),
    })
}

impl Client<'_> {
    fn chance(&self) -> &Chance {
        &self.trouble.chance
    }

    /// What a request asks, held against what is committed.
    fn read(&self, service: &Service, request: &Request) -> Option<Asked> {
        let body: Value = serde_json::from_str(&request.body).ok()?;
        let saga: SagaId = body["saga_id"].as_str()?.parse().ok()?;
        let known = self.aws.saga(saga)?;
        let definition = self.deployment.catalogue.get(&known.definition)?;
        let number = definition
            .steps()
            .iter()
            .position(|step| Some(step.name.as_str()) == body["step"].as_str())?;
        let step = StepIndex::new(number as u8);
        let work = work(definition, saga, step)?;
        if definition.steps()[number].call()?.service != service.name {
            return None;
        }
        let record = match service.cloud {
            Cloud::Aws => known.steps.get(&step).cloned(),
            Cloud::Azure => self.azure.step(saga, step),
        }?;
        let met = self.witness.states(saga, step, self.changes);
        let mut states = met.into_iter().chain([record.state]);
        if !states.any(|state| intends(state, work.promise, request.verb)) {
            return None;
        }
        let act_key = match request.verb {
            CallVerb::Act => request.key.clone(),
            CallVerb::Undo => body["act_key"].as_str()?.to_owned(),
        };
        if act_key != key(saga, &work.name, CallVerb::Act) || body["key"] != request.key.as_str() {
            self.provider.breaks(format!(
                "I2: a request has another key than its step: {}",
                request.body
            ));
        }
        let forgotten = record.began().plus_millis(work.lifetime);
        if request.verb == CallVerb::Act && self.began.plus_millis(work.timeout) > forgotten {
            self.provider.breaks(format!(
                "no act after the lifetime of its key: {act_key} began at {:?} and was asked for at {:?}",
                record.began(),
                self.began
            ));
        }
        let paused = self.paused.iter().find(|state| state.service == service.name);
        if paused.is_some_and(|paused| self.witness.service(&service.name).as_ref() == Some(paused)) {
            self.provider.breaks(format!(
                "paused: {act_key} was asked for, and its service is paused"
            ));
        }
        self.provider.sent(&request.key, &body);
        Some(Asked {
            verb: request.verb,
            act_key,
            sent: self.clock.now(),
            refuses: work.class != Class::Retriable && !self.trouble.is_over() && self.chance().below(7) == 6,
            work,
        })
    }

    fn mishap(&self) -> Mishap {
        if self.trouble.is_over() || self.trouble.rough == 0 {
            return Mishap::None;
        }
        let drawn = self.chance().below(self.trouble.rough);
        Mishap::ALL.get(drawn).copied().unwrap_or(Mishap::None)
    }

    /// The service carries a request out, and answers.
    fn answer(&self, asked: &Asked) -> Attempt {
        match self.provider.arrives(asked, self.clock.now()) {
            Some(reply) => answers(200, None, &reply.to_string()),
            None => no_answer("no connection"),
        }
    }

    /// It is carried out, or not, and whatever is answered does not say which.
    fn perhaps(&self, asked: &Asked) {
        if self.chance().below(2) == 1 {
            self.provider.arrives(asked, self.clock.now());
        }
    }

    async fn ask(&self, service: &Service, asked: Asked) -> Attempt {
        let (chance, timeout) = (self.chance(), asked.work.timeout);
        let gives_up = async || {
            self.clock.sleep(timeout.unsigned_abs()).await;
            no_answer("no answer in time")
        };
        if let Some(status) = self.provider.wrong(&service.name) {
            self.provider.count(|counts| counts.misbound += 1);
            return answers(status, None, "");
        }
        match self.mishap() {
            Mishap::None => self.answer(&asked),
            Mishap::RequestLost => {
                self.provider.count(|counts| counts.request_lost += 1);
                no_answer("no connection")
            }
            Mishap::ReplyLost => {
                self.provider.arrives(&asked, self.clock.now());
                self.provider.count(|counts| counts.reply_lost += 1);
                no_answer("the connection broke")
            }
            Mishap::ReplyLate => {
                self.provider.arrives(&asked, self.clock.now());
                self.provider.count(|counts| counts.reply_late += 1);
                gives_up().await
            }
            Mishap::InHand => {
                self.provider.keeps_in_hand(asked);
                gives_up().await
            }
            Mishap::Throttled => {
                self.provider.count(|counts| counts.throttled += 1);
                let after = [1, 30, 600, 9_000][chance.below(4)];
                let status = [429, 503][chance.below(2)];
                answers(status, Some(after.to_string()), "")
            }
            Mishap::Garbage => {
                self.perhaps(&asked);
                self.provider.count(|counts| counts.garbage += 1);
                answers(200, None, GARBAGE[chance.below(GARBAGE.len())])
            }
            Mishap::Fails => {
                self.perhaps(&asked);
                self.provider.count(|counts| counts.failed += 1);
                answers([500, 409, 408, 425][chance.below(4)], None, "")
            }
            Mishap::Later => {
                self.perhaps(&asked);
                self.provider.count(|counts| counts.later += 1);
                answers(202, None, &json!({"decision": "later"}).to_string())
            }
        }
    }
}

impl ServiceClient for Client<'_> {
    async fn call(&self, service: &Service, request: &Request, timeout: Duration) -> Attempt {
        let Some(asked) = self.read(service, request) else {
            self.provider.breaks(format!(
                "I7: service {} was asked for what no committed record asks for: {}",
                service.name, request.body
            ));
            return no_answer("no such request");
        };
        self.clock.sleep(0).await;
        let (sent, generation) = (self.clock.now(), self.provider.generation());
        let answer = self.ask(service, asked).await;
        self.clock.sleep(0).await;
        let waited = self.clock.now().millis() - sent.millis();
        if self.provider.generation() != generation {
            return no_answer("the connection broke");
        }
        if waited > i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX) {
            return no_answer("no answer in time");
        }
        answer
    }
}

/// What was put on the queues of requests: for which cloud, what, and from when it is seen.
pub(super) type Put = Mutex<Vec<(Cloud, String, Timestamp)>>;

/// The queue of requests of a cloud.
pub(super) struct Queue<'a> {
    pub cloud: Cloud,
    pub put: &'a Put,
    pub trouble: &'a Trouble,
    pub clock: &'a Clock,
}

impl CallQueue for Queue<'_> {
    async fn put(&self, body: &[u8], delay: Duration) -> Result<(), PortError> {
        self.clock.sleep(0).await;
        let fault = self.trouble.fault("CallQueue::put");
        if matches!(fault, Fault::FailBefore | Fault::Throttle) {
            return Err(PortError::unavailable(
                "the queue of requests",
                "injected before its effect",
            ));
        }
        let millis = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
        let seen = self.clock.now().plus_millis(millis);
        let body = String::from_utf8_lossy(body).into_owned();
        self.put
            .lock()
            .expect("no process panicked")
            .push((self.cloud, body, seen));
        self.clock.sleep(0).await;
        match fault {
            Fault::FailAfter => Err(PortError::unavailable(
                "the queue of requests",
                "injected after its effect",
            )),
            _ => Ok(()),
        }
    }
}

impl<'a> ParticipantCloud for Watched<'a, Steps> {
    type Store = Watched<'a, Steps>;
    type Publisher = Watched<'a, Steps>;
    type Quarantine = Watched<'a, Steps>;
    type Alerts = Watched<'a, Steps>;
    type Time = Clock;

    fn store(&self) -> &Self {
        self
    }
    fn publisher(&self) -> &Self {
        self
    }
    fn quarantine(&self) -> &Self {
        self
    }
    fn alerts(&self) -> &Self {
        self
    }
    fn time(&self) -> &Clock {
        self.clock
    }
}
