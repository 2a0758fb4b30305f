//! A caller of outside services on each cloud, with a service that says what a test wants and a queue that a test looks into.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use saga_app::Handled;
use saga_app::call_service::{CallSteps, Caller, OriginSteps, ParticipantSteps, Said};
use saga_app::ports::{Attempt, CallQueue, ParticipantCloud, PortError, ServiceClient};
use saga_core::participate::Step;
use saga_core::{Cloud, Outcome};
use saga_memory::{Clock, StepCloud};
use saga_wire::cloud_event;
use saga_wire::contract::{Answer, Request};
use saga_wire::saga_event::SagaEvent;
use saga_wire::services::{Service, Services};
use serde_json::Value;

use crate::world::World;

/// What a service answers.
#[must_use]
pub fn answers(status: u16, body: &str) -> Attempt {
    Attempt::Answered(Answer {
        status,
        retry_after: None,
        body: body.as_bytes().to_vec(),
    })
}

/// Nobody knows whether the service did anything.
#[must_use]
pub fn lost() -> Attempt {
    Attempt::NoAnswer {
        why: "no answer within 10 s".to_owned(),
    }
}

/// The services, and the queue of requests to them.
pub struct Outside {
    services: Services,
    script: Mutex<VecDeque<Attempt>>,
    asked: Mutex<Vec<(String, Request)>>,
    put: Mutex<Vec<(String, Duration)>>,
    queue_fails: AtomicBool,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Outside {
    /// Services of these names, each bound for the cloud that calls it.
    #[must_use]
    pub fn new(bound: &[(&str, &str)]) -> Self {
        let each = bound.iter().map(|(name, cloud)| {
            format!(r#""{name}":{{"url":"http://127.0.0.1:9/{name}","cloud":"{cloud}","auth":"none"}}"#)
        });
        let services = format!("{{{}}}", each.collect::<Vec<_>>().join(","));
        Self {
            services: Services::parse_json(&services).expect("names and addresses are right"),
            script: Mutex::default(),
            asked: Mutex::default(),
            put: Mutex::default(),
            queue_fails: AtomicBool::default(),
        }
    }

    /// The services.
    pub fn services(&self) -> &Services {
        &self.services
    }

    /// The next answer.
    pub fn will(&self, attempt: Attempt) {
        locked(&self.script).push_back(attempt);
    }

    /// Whether the queue takes no message.
    pub fn break_queue(&self, broken: bool) {
        self.queue_fails.store(broken, Ordering::SeqCst);
    }

    /// The requests that were made, each with its service, and what was asked.
    pub fn asked(&self) -> Vec<(String, Request)> {
        locked(&self.asked).clone()
    }

    /// What was put on the queue since this was asked last, and how long it stays away.
    pub fn take_put(&self) -> Vec<(String, Duration)> {
        std::mem::take(&mut locked(&self.put))
    }

    /// Brings a message of a queue of requests to the caller on its cloud.
    ///
    /// # Errors
    /// [`PortError`]: the message stays on its queue.
    pub async fn bring(&self, world: &World, mailbox: &str, event: &Value) -> Result<Handled, PortError> {
        let body = event.to_string();
        if mailbox.starts_with("aws.") {
            let steps = OriginSteps {
                deployment: &world.deployment,
                store: &world.aws,
                alerts: &world.aws,
                time: &world.clock,
            };
            return self.handle(world, &steps, body.as_bytes()).await;
        }
        let ports = Ports {
            cloud: &world.azure,
            clock: &world.clock,
        };
        let steps = ParticipantSteps {
            deployment: &world.deployment,
            ports: &ports,
            cloud: Cloud::Azure,
        };
        self.handle(world, &steps, body.as_bytes()).await
    }

    /// What an attempt learnt that was under way while something else was decided.
    ///
    /// # Panics
    /// When the event is no request of a definition that is deployed.
    pub async fn learn(world: &World, event: &Value, said: &Said) -> Outcome {
        let Ok(SagaEvent::Ours(event)) = cloud_event::parse(&event.to_string()) else {
            panic!("no event of ours: {event}");
        };
        let definition = world
            .deployment
            .catalogue
            .get(&event.definition)
            .expect("it is deployed");
        let index = event.address.step().expect("a request is for a step");
        let step = Step::find(event.saga, definition, index, &world.deployment.participants);
        let step = step.expect("the definition has the step");
        let learnt = if step.cloud() == Cloud::Aws {
            let steps = OriginSteps {
                deployment: &world.deployment,
                store: &world.aws,
                alerts: &world.aws,
                time: &world.clock,
            };
            steps.learn(&step, &event, said).await
        } else {
            let ports = Ports {
                cloud: &world.azure,
                clock: &world.clock,
            };
            let steps = ParticipantSteps {
                deployment: &world.deployment,
                ports: &ports,
                cloud: Cloud::Azure,
            };
            steps.learn(&step, &event, said).await
        };
        learnt.expect("the store answers")
    }

    async fn handle(&self, world: &World, steps: &impl CallSteps, body: &[u8]) -> Result<Handled, PortError> {
        let caller = Caller {
            deployment: &world.deployment,
            services: &self.services,
            steps,
            client: self,
            queue: self,
            quarantine: &world.azure,
            time: &world.clock,
        };
        caller.handle(body).await
    }
}

impl ServiceClient for Outside {
    async fn call(&self, service: &Service, request: &Request, _: Duration) -> Attempt {
        locked(&self.asked).push((service.name.clone(), request.clone()));
        locked(&self.script).pop_front().unwrap_or_else(lost)
    }
}

impl CallQueue for Outside {
    async fn put(&self, body: &[u8], delay: Duration) -> Result<(), PortError> {
        if self.queue_fails.load(Ordering::SeqCst) {
            return Err(PortError::unavailable("the queue of requests", "no answer"));
        }
        locked(&self.put).push((String::from_utf8_lossy(body).into_owned(), delay));
        Ok(())
    }
}

/// The cloud of the participants, as one value.
struct Ports<'a> {
    cloud: &'a StepCloud,
    clock: &'a Clock,
}

impl ParticipantCloud for Ports<'_> {
    type Store = StepCloud;
    type Publisher = StepCloud;
    type Quarantine = StepCloud;
    type Alerts = StepCloud;
    type Time = Clock;

    fn store(&self) -> &StepCloud {
        self.cloud
    }
    fn publisher(&self) -> &StepCloud {
        self.cloud
    }
    fn quarantine(&self) -> &StepCloud {
        self.cloud
    }
    fn alerts(&self) -> &StepCloud {
        self.cloud
    }
    fn time(&self) -> &Clock {
        self.clock
    }
}
