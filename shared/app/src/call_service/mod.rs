//! One request to the outside service of a `call` step, and what its answer does.
//!
//! The caller keeps no state. The step's record says whether a request is owed, and the answer is committed through the
//! protocol's table like any message. An attempt without a decision puts the request back on its queue, with a pause, and
//! is counted in the record. Invariants: nothing is sent that no committed record asks for; an unknown outcome is asked
//! again with the same key and never guessed; a request that comes back before its time is not sent; and none begins while its
//! service is paused.

mod origin;
mod participant;
pub mod schedule;

use std::collections::BTreeMap;
use std::time::Duration;

use saga_core::call::{CallVerb, Owed, Undecided};
use saga_core::document::{Document, Fields, fields};
use saga_core::participate::{Step, StepRecord};
use saga_core::step::{self, Class, Kind, Recover};
use saga_core::{Address, Cloud, Event, Outcome, ServiceState, Timestamp};
use saga_wire::contract::{Reply, RequestParts, reply};
use saga_wire::inbound::{self, Inbound};
use saga_wire::quarantine::NO_HEADERS;
use saga_wire::saga_event::SagaEvent;
use saga_wire::services::Services;

pub use self::origin::OriginSteps;
pub use self::participant::ParticipantSteps;
use self::schedule::{LONGEST_DELAY, too_early};
use crate::about;
use crate::definitions;
use crate::handle_event::quarantine;
use crate::log::About;
use crate::ports::services::{Attempt, ServiceClient};
use crate::ports::{CallQueue, Definitions, PortError, Quarantine, ServiceStates, Time, causes};
use crate::{Deployment, Handled};

/// What was learnt about a call.
#[derive(Debug, Clone)]
pub enum Said {
    /// The service has decided.
    Answer(step::Reply, Fields),
    /// It has not.
    Undecided(Undecided),
}

impl Said {
    /// Whether a copy of the request is on the queue.
    fn is_asked_again(&self) -> bool {
        matches!(self, Self::Undecided(undecided) if undecided.next.is_some())
    }
}

/// The records of the steps of one cloud.
pub trait CallSteps: Send + Sync {
    /// Where they are kept, with the definitions and the states of services beside them.
    type Store: Definitions + ServiceStates;

    /// The cloud.
    fn cloud(&self) -> Cloud;

    /// Where they are kept.
    fn store(&self) -> &Self::Store;

    /// The step's record, and when the saga is to be cancelled if it has not ended.
    fn record(
        &self,
        step: &Step<'_>,
    ) -> impl Future<Output = Result<Option<(StepRecord, Timestamp)>, PortError>> + Send;

    /// Commits what was learnt, through the table.
    fn learn(
        &self,
        step: &Step<'_>,
        event: &Event,
        said: &Said,
    ) -> impl Future<Output = Result<Outcome, PortError>> + Send;

    /// Says that a message was put into the quarantine, where nobody else would.
    fn quarantined(&self, reason: &str, about: &About) -> impl Future<Output = ()> + Send;
}

/// What calling a service needs.
pub struct Caller<'a, S, C, K, Q, T> {
    /// The definitions and participants.
    pub deployment: &'a Deployment,
    /// The services that this deployment may call.
    pub services: &'a Services,
    /// The records of the steps.
    pub steps: &'a S,
    /// The way out.
    pub client: &'a C,
    /// The queue that the requests come from.
    pub queue: &'a K,
    /// Where what cannot be understood is kept.
    pub quarantine: &'a Q,
    /// Time and chance.
    pub time: &'a T,
}

impl<S, C, K, Q, T> Caller<'_, S, C, K, Q, T>
where
    S: CallSteps,
    C: ServiceClient,
    K: CallQueue,
    Q: Quarantine,
    T: Time,
{
    /// Handles one message of a queue of requests.
    ///
    /// # Errors
    /// [`PortError`]: the message stays on its queue and comes again.
    pub async fn handle(&self, body: &[u8]) -> Result<Handled, PortError> {
        let read = match self.steps.cloud() {
            Cloud::Aws => inbound::events_queue(&String::from_utf8_lossy(body)),
            Cloud::Azure => inbound::participant_queue(body),
        };
        let handled = match read {
            Inbound::Event(event) => match *event {
                SagaEvent::Ours(event) => self.request(&event, body).await?,
                SagaEvent::Outside(event) => not_a_request(&event.kind),
            },
            Inbound::NotUnderstood(reason) => Handled::Quarantined(reason),
            other => not_a_request(other.kind()),
        };
        if let Handled::Quarantined(reason) = &handled {
            const ENTRANCE: &str = "service-caller";
            quarantine(self.quarantine, self.time, ENTRANCE, reason, &NO_HEADERS, body).await?;
            let about = About::message(&String::from_utf8_lossy(body));
            self.steps.quarantined(reason, &about).await;
        }
        Ok(handled)
    }

    async fn request(&self, event: &Event, body: &[u8]) -> Result<Handled, PortError> {
        let store = self.steps.store();
        let definition = match definitions::check(self.deployment, store, self.time, event).await? {
            Ok(definition) => definition,
            Err(reason) => return Ok(Handled::Quarantined(reason)),
        };
        let (verb, index) = match event.address {
            Address::Act(index) => (CallVerb::Act, index),
            Address::Undo(index) => (CallVerb::Undo, index),
            _ => return Ok(not_a_request(&event.kind)),
        };
        if event.target != self.steps.cloud() {
            let here = self.steps.cloud();
            return Ok(Handled::Quarantined(format!(
                "the event is for {}, and this is {here}",
                event.target
            )));
        }
        let step = match Step::find(event.saga, &definition, index, &self.deployment.participants) {
            Ok(step) => step,
            Err(missing) => return Ok(Handled::Quarantined(missing.to_string())),
        };
        let known = self.steps.record(&step).await?;
        let record = known.as_ref().map(|(record, _)| record);
        let now = self.time.now();
        let said = match (step.owed(record, verb, now), &known) {
            (Owed::Request(verb), Some((record, deadline))) => {
                // The copy that was put on the queue after the last attempt comes at its time.
                if too_early(record, now).is_some() {
                    return Ok(Handled::Decided(Outcome::Repeated));
                }
                match self.pause(&step).await? {
                    Some(state) => self.put_back(event, verb, &state, body).await?,
                    None => self.ask(&step, event, verb, record, *deadline, body).await?,
                }
            }
            (Owed::KeyExpired, _) => Said::Undecided(Undecided {
                verb: Some(verb),
                why: "its outcome is unknown and the service may have forgotten the key by now: it is not asked again"
                    .to_owned(),
                hold: true,
                next: None,
                alerted: false,
                paused: false,
            }),
            _ => return Ok(Handled::Decided(Outcome::Repeated)),
        };
        match self.steps.learn(&step, event, &said).await {
            Ok(outcome) => Ok(Handled::Decided(outcome)),
            // Its copy is on the queue already; this one would be a second.
            Err(error) if said.is_asked_again() => {
                let error = causes(&error);
                about!(
                    error,
                    &About::event(event),
                    error,
                    outcome = "left",
                    "attempt not kept"
                );
                Ok(Handled::Decided(Outcome::Noted))
            }
            Err(error) => Err(error),
        }
    }

    /// The state of the step's service, where that is paused. It is read for each request, right before that would be made, and
    /// never remembered.
    async fn pause(&self, step: &Step<'_>) -> Result<Option<ServiceState>, PortError> {
        let Some(call) = step.step().call() else {
            return Ok(None);
        };
        let state = self.steps.store().service_state(&call.service).await?;
        Ok(state.filter(|state| state.paused))
    }

    /// Leaves a paused service alone: the request goes back on its queue, and is looked at again in less than a minute.
    async fn put_back(
        &self,
        event: &Event,
        verb: CallVerb,
        state: &ServiceState,
        body: &[u8],
    ) -> Result<Said, PortError> {
        let pause = schedule::pause_while_paused(self.time.below(u64::MAX));
        let service = &state.service;
        let why = state.why_not_asked();
        about!(
            info,
            &About::event(event),
            service,
            outcome = "paused",
            "service not called"
        );
        let next = self.time.now().plus_millis(millis(pause));
        self.queue.put(body, pause).await?;
        Ok(Said::Undecided(Undecided {
            verb: Some(verb),
            why,
            hold: false,
            next: Some(next),
            alerted: false,
            paused: true,
        }))
    }

    /// Asks the service. Without a decision the request goes back on its queue first, so that none is lost.
    async fn ask(
        &self,
        step: &Step<'_>,
        event: &Event,
        verb: CallVerb,
        record: &StepRecord,
        deadline: Timestamp,
        body: &[u8],
    ) -> Result<Said, PortError> {
        let Some(call) = step.step().call() else {
            return Err(PortError::Corrupt {
                what: "the step",
                why: "it calls no service".to_owned(),
            });
        };
        let attempt = record.progress.as_ref().map_or(0, |progress| progress.attempts) + 1;
        let bound = self.services.get(&call.service);
        let reply = match bound.filter(|service| service.cloud == self.steps.cloud()) {
            None => Reply::Misbound {
                why: format!("service `{}` is not bound in this deployment", call.service),
            },
            Some(service) => {
                let request = RequestParts {
                    verb,
                    saga: step.saga,
                    definition: step.definition.reference(),
                    step: &step.step().name,
                    input: &record.input(),
                    outputs: &outputs(step, record, verb),
                    attempt,
                    deadline,
                    reason: record.reason.as_deref(),
                    trace: &event.trace,
                }
                .write();
                let timeout = Duration::from_millis(call.timeout_millis.unsigned_abs());
                match self.client.call(service, &request, timeout).await {
                    Attempt::Answered(answer) => reply::classify(request.verb, &answer, self.time.now()),
                    Attempt::NoAnswer { why } => Reply::Again { after: None, why },
                }
            }
        };
        let reply = match reply {
            // Nothing after a pivot can refuse: the step stays as it is until a person has looked.
            Reply::Refused(why) if step.step().class == Class::Retriable => Reply::Misbound {
                why: format!("the service refused a step that cannot refuse: {why}"),
            },
            reply => reply,
        };
        let chance = self.time.below(u64::MAX);
        // No queue waits for longer, and a request that comes early is not sent.
        let pause = schedule::pause_after(&reply, attempt, chance).map(|pause| pause.min(LONGEST_DELAY));
        let about = About::event(event);
        let (said, why) = match reply {
            Reply::Accepted(output) => (Said::Answer(step::Reply::Accepted, output), None),
            Reply::Refused(reason) => {
                let data = fields([("reason", reason.as_str().into())]);
                (Said::Answer(step::Reply::Refused, data), None)
            }
            Reply::Undone => (Said::Answer(step::Reply::Undone, Fields::new()), None),
            Reply::Later => undecided(verb, self.time.now(), pause, "the service decides later", false),
            Reply::Again { why, .. } => undecided(verb, self.time.now(), pause, &why, false),
            Reply::Misbound { why } | Reply::BadOutput { why } => {
                undecided(verb, self.time.now(), pause, &why, true)
            }
        };
        about!(
            info,
            &about,
            service = call.service,
            attempt,
            outcome = word(&said),
            error = why,
            "service called"
        );
        if let Some(pause) = pause {
            self.queue.put(body, pause).await?;
        }
        Ok(said)
    }
}

fn undecided(
    verb: CallVerb,
    now: Timestamp,
    pause: Option<Duration>,
    why: &str,
    hold: bool,
) -> (Said, Option<String>) {
    let said = Undecided {
        verb: Some(verb),
        why: why.to_owned(),
        hold,
        next: pause.map(|pause| now.plus_millis(millis(pause))),
        alerted: false,
        paused: false,
    };
    (Said::Undecided(said), Some(why.to_owned()))
}

fn millis(pause: Duration) -> i64 {
    i64::try_from(pause.as_millis()).unwrap_or(i64::MAX)
}

fn word(said: &Said) -> &'static str {
    match said {
        Said::Answer(reply, _) => reply.as_str(),
        Said::Undecided(undecided) if undecided.hold => "held",
        Said::Undecided(_) => "undecided",
    }
}

fn not_a_request(kind: &str) -> Handled {
    Handled::Quarantined(format!("`{kind}` asks nothing of a service"))
}

/// What earlier steps gave, by their names; and what this one gave, where that is undone. Not where the undo may have been
/// asked for before the outcome was known: the same request would differ from its first.
fn outputs(step: &Step<'_>, record: &StepRecord, verb: CallVerb) -> BTreeMap<String, Fields> {
    let is_known = verb == CallVerb::Undo && step.rules().kind == Kind::Call(Recover::Key);
    let own = is_known.then(|| (step.step().name.clone(), Document::Map(record.output.clone())));
    let all = record.outputs().into_iter().chain(own);
    all.filter_map(|(name, output)| match output {
        Document::Map(output) => Some((name, output)),
        _ => None,
    })
    .collect()
}
