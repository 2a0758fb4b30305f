//! Both clouds, the services and the time of a run, and each process of the deployment on them.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use saga_app::Deployment;
use saga_app::admit_events::{self, admit_events};
use saga_app::call_service::{Caller, OriginSteps, ParticipantSteps};
use saga_app::handle_event::{self, handle_event};
use saga_app::outbox::Relay;
use saga_app::override_saga::{Command, NotCommanded, command};
use saga_app::participate::{self, participate};
use saga_app::pause_service::{NotChanged, change_service};
use saga_app::ports::outbox::DEFAULT_SHARDS;
use saga_app::ports::{PortError, Time};
use saga_app::start_saga::{NotStarted, Request, start_saga};
use saga_app::sweep_sagas::sweep_sagas;
use saga_core::origin::Override;
use saga_core::step::Reply;
use saga_core::{Catalogue, Cloud, Definition, Saga, SagaId, StepIndex};
use saga_memory::{Clock, OriginCloud, Sagas, StepCloud, Steps};
use saga_wire::event_grid::{self, Delivery};
use saga_wire::quarantine::NO_HEADERS;
use saga_wire::services::Services;

use super::caller::{Client, Put, Queue};
use super::carried::{Carried, JUNK_KIND, To};
use super::chance::Chance;
use super::outcome::Outcome;
use super::plan::{Order, Plan, mixes, orders, service_names, services};
use super::provider::Provider;
use super::trouble::Trouble;
use super::watched::{Bus, Watched};
use super::witness::Witness;
use crate::accounts::Accounts;
use crate::contract::given;
use crate::world::Place;

pub(super) struct Stage {
    pub deployment: Deployment,
    pub services: Services,
    pub aws: OriginCloud,
    pub azure: StepCloud,
    pub seen_aws: Witness,
    pub seen_azure: Witness,
    pub clock: Clock,
    pub trouble: Trouble,
    pub provider: Provider,
    /// What callers have put back on their queues.
    pub put: Put,
    pub orders: Vec<Order>,
    /// Callers who were told that their saga exists.
    pub answered: RefCell<Vec<SagaId>>,
    /// Sagas that somebody wanted to cancel by force.
    pub forced: RefCell<BTreeSet<SagaId>>,
    /// What somebody outside said of a step, where that was taken.
    pub said: RefCell<BTreeMap<(SagaId, StepIndex), BTreeSet<Reply>>>,
    pub counts: RefCell<Outcome>,
    /// How many relays have begun.
    relays: Cell<u32>,
}

/// What wakes a relay.
#[derive(Debug, Clone, Copy)]
pub(super) enum How {
    Stream,
    Sweep,
}

impl Stage {
    pub fn new(plan: &Plan, chance: &Chance, reported: bool) -> Self {
        let trouble = Trouble::new(chance, reported);
        let deployment = crate::sagas::deployment();
        let reference: Vec<Definition> = deployment.catalogue.iter().cloned().collect();
        let mixes = mixes(chance);
        let orders = orders(plan, &reference, &mixes, chance);
        let all = reference.into_iter().chain(mixes);
        let faults = || {
            let trouble = trouble.clone();
            move |call: &'static str| trouble.fault(call)
        };
        Self {
            deployment: Deployment {
                catalogue: Catalogue::new(all).expect("every name is another"),
                services: Some(services()),
                ..deployment
            },
            services: services(),
            aws: OriginCloud::with_faults(faults()),
            azure: StepCloud::with_faults(faults()),
            seen_aws: Witness::default(),
            seen_azure: Witness::default(),
            clock: Clock::new(given::time(0), 1),
            provider: Provider::default(),
            put: Put::default(),
            orders,
            answered: RefCell::default(),
            forced: RefCell::default(),
            said: RefCell::default(),
            counts: RefCell::default(),
            relays: Cell::default(),
            trouble,
        }
    }

    pub fn chance(&self) -> &Chance {
        &self.trouble.chance
    }

    pub fn accounts(&self) -> Accounts<'_> {
        Accounts {
            deployment: &self.deployment,
            aws: &self.aws,
            azure: &self.azure,
        }
    }

    pub fn definition(&self, saga: &Saga) -> &Definition {
        let known = self.deployment.catalogue.get(&saga.definition);
        known.expect("its definition is known")
    }

    /// Every saga that exists.
    pub fn started(&self) -> Vec<SagaId> {
        let ids = self.orders.iter().map(|order| order.id);
        ids.filter(|id| self.aws.saga(*id).is_some()).collect()
    }

    pub fn broken(&self) -> Option<String> {
        let seen = self.seen_aws.broken().or_else(|| self.seen_azure.broken());
        seen.or_else(|| self.provider.broken())
    }

    fn watched_aws(&self) -> Watched<'_, Sagas> {
        Watched {
            cloud: &self.aws,
            witness: &self.seen_aws,
            clock: &self.clock,
        }
    }

    fn watched_azure(&self) -> Watched<'_, Steps> {
        Watched {
            cloud: &self.azure,
            witness: &self.seen_azure,
            clock: &self.clock,
        }
    }

    pub async fn deliver(&self, message: Carried) -> Result<(), PortError> {
        match message.to {
            To::Place(Place::AzureQueue) => self.participate(&message).await,
            To::Place(Place::Ingress) => self.admit(&message).await,
            To::Place(Place::EventsQueue) => {
                let aws = self.watched_aws();
                let ports = handle_event::Ports {
                    store: &aws,
                    quarantine: &aws,
                    alerts: &aws,
                    time: &self.clock,
                };
                handle_event(&self.deployment, &ports, &message.body)
                    .await
                    .map(drop)
            }
            To::Caller(cloud) => self.call(cloud, &message.body).await,
        }
    }

    async fn participate(&self, message: &Carried) -> Result<(), PortError> {
        let azure = self.watched_azure();
        let ports = participate::Ports {
            store: &azure,
            publisher: &azure,
            quarantine: &azure,
            alerts: &azure,
            parking: &azure,
            time: &self.clock,
            cloud: Cloud::Azure,
            last_try: self.chance().below(4) == 3,
        };
        participate(&self.deployment, &ports, message.body.as_bytes()).await?;
        let kept = self
            .azure
            .quarantined()
            .iter()
            .any(|kept| kept.text() == message.body);
        self.seen_azure.acknowledged(kept || message.kind != JUNK_KIND);
        Ok(())
    }

    async fn admit(&self, message: &Carried) -> Result<(), PortError> {
        let aws = self.watched_aws();
        let Ok(Delivery::Events(events)) = event_grid::delivery(&message.body) else {
            panic!("not a delivery of events: {}", message.body);
        };
        let bus = Bus::new(&self.aws);
        let ports = admit_events::Ports {
            definitions: &self.aws,
            bus: &bus,
            quarantine: &aws,
            alerts: &aws,
            time: &self.clock,
        };
        let admitted = admit_events(&self.deployment, &ports, &NO_HEADERS, &events).await?;
        self.seen_aws
            .acknowledged(bus.taken() + admitted.quarantined == events.len());
        let kept = self
            .aws
            .quarantined()
            .iter()
            .any(|kept| events.contains(&kept.body));
        self.seen_aws.acknowledged(kept || message.kind != JUNK_KIND);
        Ok(())
    }

    /// The caller of a cloud's services.
    async fn call(&self, cloud: Cloud, body: &str) -> Result<(), PortError> {
        let witness = match cloud {
            Cloud::Aws => &self.seen_aws,
            Cloud::Azure => &self.seen_azure,
        };
        let client = Client {
            deployment: &self.deployment,
            provider: &self.provider,
            trouble: &self.trouble,
            clock: &self.clock,
            aws: &self.aws,
            azure: &self.azure,
            witness,
            began: self.clock.now(),
            changes: witness.changes(),
            paused: service_names()
                .filter_map(|name| witness.service(name))
                .filter(|state| state.paused)
                .collect(),
        };
        let queue = Queue {
            cloud,
            put: &self.put,
            trouble: &self.trouble,
            clock: &self.clock,
        };
        let (aws, azure) = (self.watched_aws(), self.watched_azure());
        macro_rules! handle {
            ($steps:expr, $quarantine:expr) => {
                Caller {
                    deployment: &self.deployment,
                    services: &self.services,
                    steps: $steps,
                    client: &client,
                    queue: &queue,
                    quarantine: $quarantine,
                    time: &self.clock,
                }
                .handle(body.as_bytes())
                .await
                .map(drop)
            };
        }
        match cloud {
            Cloud::Aws => {
                let steps = OriginSteps {
                    deployment: &self.deployment,
                    store: &aws,
                    alerts: &aws,
                    time: &self.clock,
                };
                handle!(&steps, &aws)
            }
            Cloud::Azure => {
                let steps = ParticipantSteps {
                    deployment: &self.deployment,
                    ports: &azure,
                    cloud,
                };
                handle!(&steps, &azure)
            }
        }
    }

    pub async fn start(&self, order: &Order) -> Result<(), PortError> {
        let request = Request {
            definition: &order.definition,
            key: &order.key.parse().expect("a plain key"),
            input: order.input.clone(),
            trace: None,
        };
        match start_saga(&self.deployment, &self.watched_aws(), &self.clock, request).await {
            Ok(started) => {
                self.answered.borrow_mut().push(started.saga.id);
                Ok(())
            }
            Err(NotStarted::Port(error)) => Err(error),
            Err(other) => panic!("a valid order was not started: {other}"),
        }
    }

    pub async fn command(&self, id: SagaId, what: Command) -> Result<(), PortError> {
        if let Command::Resolve {
            to: Override::Cancelled,
            force: true,
        } = what
        {
            self.forced.borrow_mut().insert(id);
        }
        let aws = self.watched_aws();
        match command(&self.deployment, &aws, &self.clock, id, what, given::ASKED).await {
            Ok(_) => Ok(()),
            Err(NotCommanded::Pivot(_)) => {
                self.counts.borrow_mut().refused_at_pivot += 1;
                Ok(())
            }
            Err(NotCommanded::Port(error)) => Err(error),
            Err(other) => panic!("a command was refused: {other}"),
        }
    }

    /// An operator pauses a service, or resumes it.
    pub async fn change(&self, service: &str, paused: bool) -> Result<(), PortError> {
        let aws = self.watched_aws();
        match change_service(&self.deployment, &aws, &self.clock, service, paused, given::ASKED).await {
            Ok(_) => {
                let mut counts = self.counts.borrow_mut();
                counts.pauses += usize::from(paused);
                Ok(())
            }
            Err(NotChanged::Port(error)) => Err(error),
            Err(other) => panic!("a service was not changed: {other}"),
        }
    }

    /// Somebody outside answers a step; see [`Stage::word`].
    pub async fn answers(&self, id: SagaId, step: StepIndex, reply: Reply) -> Result<(), PortError> {
        self.say(&self.watched_aws(), id, step, reply).await
    }

    /// A relay of a cloud: the sweep, or the stream with the rows that are there. Each has a name of its own.
    pub async fn relay(&self, cloud: Cloud, how: How) -> Result<(), PortError> {
        self.relays.set(self.relays.get() + 1);
        let owner = format!("relay {}", self.relays.get());
        match cloud {
            Cloud::Aws => self.relay_on(&self.watched_aws(), how, &owner).await,
            Cloud::Azure => self.relay_on(&self.watched_azure(), how, &owner).await,
        }
    }

    async fn relay_on<S: Send>(
        &self,
        cloud: &Watched<'_, S>,
        how: How,
        owner: &str,
    ) -> Result<(), PortError> {
        let relay = Relay::new(cloud, cloud, cloud, cloud, &self.clock, self.deployment.relay);
        let relay = relay.within(owner, self.clock.now().plus_millis(35_000));
        match how {
            How::Sweep => relay.sweep(DEFAULT_SHARDS).await.map(drop),
            How::Stream => relay.publish(cloud.cloud.outbox()).await.map(drop),
        }
    }

    pub async fn sweep(&self) -> Result<(), PortError> {
        let aws = self.watched_aws();
        let until = self.clock.now().plus_millis(35_000);
        sweep_sagas(&self.deployment, &aws, &aws, &self.clock, 2, until)
            .await
            .map(drop)
    }
}
