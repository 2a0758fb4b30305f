//! One run: processes, carriers and callers, in the order that chance chooses.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use saga_app::Deployment;
use saga_app::admit_events::{self, admit_events};
use saga_app::handle_event::{self, handle_event};
use saga_app::outbox::Relay;
use saga_app::override_saga::{Command, NotCommanded, command};
use saga_app::participate::{self, participate};
use saga_app::ports::outbox::DEFAULT_SHARDS;
use saga_app::ports::{PortError, Time};
use saga_app::start_saga::{NotStarted, Request, start_saga};
use saga_app::sweep_sagas::sweep_sagas;
use saga_core::document::{Fields, fields};
use saga_core::lifecycle::Phase;
use saga_core::origin::Override;
use saga_core::participant::EntityKey;
use saga_core::{Cloud, SagaId};
use saga_memory::{Clock, Fault, OriginCloud, Sagas, StepCloud, Steps};
use saga_participants::inventory::STOCK;
use saga_wire::event_grid::{self, Delivery};
use saga_wire::json;
use saga_wire::quarantine::NO_HEADERS;
use serde_json::Value;

use super::chance::Chance;
use super::witness::{Bus, Watched, Witness};
use crate::accounts::Accounts;
use crate::arbitrary::nth_saga;
use crate::contract::given;
use crate::shown::is_true;
use crate::world::{Message, Place, envelope};

/// What the callers of a run want.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The definitions that their sagas follow, in turn.
    pub definitions: Vec<&'static str>,
    /// At most so many sagas.
    pub sagas: usize,
    /// So many things happen before everything works again.
    pub ticks: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            definitions: vec!["payment", "order"],
            sagas: 4,
            ticks: 220,
        }
    }
}

/// How a run ended that held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Sagas that were started.
    pub sagas: usize,
    /// Those that completed.
    pub completed: usize,
    /// Faults that were injected at ports.
    pub faults: usize,
    /// Processes that died on the way.
    pub deaths: usize,
    /// Messages that were lost.
    pub lost: usize,
}

/// Why a run failed, and what happened.
pub type Failed = (String, Vec<String>);

const SKUS: [(&str, i64); 2] = [("sku-1", 7), ("sku-2", 100)];
/// What another team sends that nobody understands.
const JUNK_KIND: &str = "junk";
const JUNK: &str = r#"{"specversion":"1.0","id":"junk","source":"somebody","type":"Unheard","data":{}}"#;

/// What a process works on, so that its carrier brings it again should the process fail or die.
struct Process<'a> {
    name: String,
    message: Option<Message>,
    work: Pin<Box<dyn Future<Output = Result<(), PortError>> + 'a>>,
}

struct Stage {
    deployment: Deployment,
    aws: OriginCloud,
    azure: StepCloud,
    seen_aws: Witness,
    seen_azure: Witness,
    clock: Clock,
    chance: Chance,
    orders: Vec<Order>,
    /// Callers who were told that their saga exists.
    answered: RefCell<Vec<SagaId>>,
    /// How many relays have begun.
    relays: Cell<u32>,
}

/// What wakes a relay.
#[derive(Debug, Clone, Copy)]
enum How {
    Stream,
    Sweep,
}

struct Order {
    definition: &'static str,
    key: String,
    input: Fields,
    id: SagaId,
}

/// A note of what happens, when somebody wants to read it.
struct Story {
    reported: bool,
    lines: RefCell<Vec<String>>,
}

impl Story {
    fn tell(&self, line: impl FnOnce() -> String) {
        if self.reported {
            self.lines.borrow_mut().push(line());
        }
    }
}

fn orders(plan: &Plan, chance: &Chance) -> Vec<Order> {
    let count = 1 + chance.below(plan.sagas);
    let order = |number: usize| {
        let definition = plan.definitions[chance.below(plan.definitions.len())];
        let amount = ["129.90", "10000", "10000.01"][chance.below(3)];
        let (sku, _) = SKUS[chance.below(2)];
        let quantity = 1 + chance.below(4);
        let destination = ["DE", "FR", "AQ"][chance.below(3)];
        let destination = if definition == "order" {
            format!(r#","destination":"{destination}""#)
        } else {
            String::new()
        };
        let body = format!(
            r#"{{"order_id":"order-{number}","amount":{amount},"currency":"EUR"{destination},
                "items":[{{"sku":"{sku}","quantity":{quantity}}}]}}"#
        );
        let key = format!("key-{number}");
        Order {
            definition,
            id: SagaId::derive(definition, &key.parse().expect("a plain key")),
            key,
            input: json::parse_object(&body).expect("a plain object"),
        }
    };
    (0..count).map(order).collect()
}

impl Stage {
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

    fn broken(&self) -> Option<String> {
        self.seen_aws.broken().or_else(|| self.seen_azure.broken())
    }

    async fn deliver(&self, message: Message) -> Result<(), PortError> {
        let (aws, azure) = (self.watched_aws(), self.watched_azure());
        match message.to {
            Place::AzureQueue => {
                let ports = participate::Ports {
                    store: &azure,
                    publisher: &azure,
                    quarantine: &azure,
                    alerts: &azure,
                    parking: &azure,
                    time: &self.clock,
                    cloud: Cloud::Azure,
                    last_try: self.chance.below(4) == 3,
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
            Place::Ingress => {
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
            Place::EventsQueue => {
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
        }
    }

    async fn start(&self, order: &Order) -> Result<(), PortError> {
        let request = Request {
            definition: order.definition,
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

    async fn command(&self, id: SagaId, what: Command) -> Result<(), PortError> {
        let aws = self.watched_aws();
        match command(&self.deployment, &aws, &self.clock, id, what, given::ASKED).await {
            Ok(_) => Ok(()),
            Err(NotCommanded::Port(error)) => Err(error),
            Err(other) => panic!("a command was refused: {other}"),
        }
    }

    /// A relay of a cloud: the sweep, or the stream with the rows that are there. Each has a name of its own.
    async fn relay(&self, cloud: Cloud, how: How) -> Result<(), PortError> {
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

    async fn sweep(&self) -> Result<(), PortError> {
        let aws = self.watched_aws();
        let until = self.clock.now().plus_millis(35_000);
        sweep_sagas(&self.deployment, &aws, &aws, &self.clock, 2, until)
            .await
            .map(drop)
    }

    /// What both sides have published, routed as the rules of the bus and the topic do.
    fn collect(&self, on_the_way: &mut Vec<Message>) {
        for (row, bus) in self
            .aws
            .take_published()
            .into_iter()
            .map(|row| (row, true))
            .chain(self.azure.take_published().into_iter().map(|row| (row, false)))
        {
            let event: Value = serde_json::from_str(&row.body).expect("an event is JSON");
            let to_azure = event["sagatarget"] == "azure";
            let (to, body) = match (to_azure, bus) {
                (true, _) => (Place::AzureQueue, row.body),
                (false, true) => (Place::EventsQueue, envelope(&row.kind, &row.body)),
                (false, false) => (Place::Ingress, format!("[{}]", row.body)),
            };
            on_the_way.push(Message {
                to,
                kind: row.kind,
                body,
            });
        }
    }

    /// Every saga that exists.
    fn started(&self) -> Vec<SagaId> {
        let ids = self.orders.iter().map(|order| order.id);
        ids.filter(|id| self.aws.saga(*id).is_some()).collect()
    }
}

fn outsider(id: SagaId) -> Message {
    let body = format!(
        r#"[{{"specversion":"1.0","id":"their-{id}","source":"billing.example","type":"PaymentCompensationRequested",
            "data":{{"saga_id":"{id}","reason":"the card was stolen"}}}}]"#
    );
    Message {
        to: Place::Ingress,
        kind: "PaymentCompensationRequested of an outsider".to_owned(),
        body,
    }
}

/// Polls a process once.
fn poll(process: &mut Process<'_>) -> Poll<Result<(), PortError>> {
    process
        .work
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
}

/// Runs it.
///
/// # Errors
/// Why it does not hold, and what happened when `told`.
///
/// # Panics
/// When the deployment cannot be loaded.
pub fn run(plan: &Plan, chance: &Chance, reported: bool) -> Result<Outcome, Failed> {
    let story = Story {
        reported,
        lines: RefCell::default(),
    };
    let faulty = Arc::new(AtomicBool::new(true));
    let faults = Arc::new(std::sync::Mutex::new((0_usize, Vec::new())));
    let wild = [0, 60, 25, 8][chance.below(4)];
    let choose = {
        let (faulty, chance, faults) = (Arc::clone(&faulty), chance.clone(), Arc::clone(&faults));
        move |call: &'static str| {
            if wild == 0 || !faulty.load(Ordering::Relaxed) {
                return Fault::None;
            }
            let fault = match chance.below(wild) {
                1 => Fault::FailBefore,
                2 => Fault::FailAfter,
                3 => Fault::Throttle,
                4 => Fault::Conflict,
                _ => return Fault::None,
            };
            let mut faults = faults.lock().expect("no process panicked");
            faults.0 += 1;
            if reported {
                faults.1.push(format!("  {call}: {fault:?}"));
            }
            fault
        }
    };
    let stage = Stage {
        deployment: crate::sagas::deployment(),
        aws: OriginCloud::with_faults(choose.clone()),
        azure: StepCloud::with_faults(choose),
        seen_aws: Witness::default(),
        seen_azure: Witness::default(),
        clock: Clock::new(given::time(0), 1),
        orders: orders(plan, chance),
        chance: chance.clone(),
        answered: RefCell::default(),
        relays: Cell::default(),
    };
    let accounts = Accounts {
        deployment: &stage.deployment,
        aws: &stage.aws,
        azure: &stage.azure,
    };
    for (sku, count) in SKUS {
        let stock = fields([("Available", count.into())]);
        stage.azure.put_entity(
            &accounts.partition("inventory", nth_saga(0)),
            EntityKey::new(STOCK, sku),
            stock,
        );
    }
    let note_faults = || {
        for line in faults.lock().expect("no process panicked").1.drain(..) {
            story.tell(|| line);
        }
    };
    let failed = |why: String| Err((why, story.lines.take()));

    let mut outcome = Outcome::default();
    {
        let mut on_the_way = Vec::new();
        let mut processes: Vec<Process<'_>> = Vec::new();
        for _ in 0..plan.ticks {
            if !chance.turn_the_page() {
                break;
            }
            tick(&stage, &story, &mut processes, &mut on_the_way, &mut outcome);
            note_faults();
            if let Some(why) = stage.broken() {
                return failed(why);
            }
        }
        faulty.store(false, Ordering::Relaxed);
        story.tell(|| "everything works again; what still ran is started anew".to_owned());
        on_the_way.extend(processes.drain(..).filter_map(|process| process.message));
        if let Err(why) = settle(&stage, &story, on_the_way) {
            return failed(why);
        }
    }
    if let Some(why) = stage.broken() {
        return failed(why);
    }
    let before: BTreeMap<String, i64> = SKUS.map(|(sku, count)| (sku.to_owned(), count)).into();
    let started = stage.started();
    let unheard = stage
        .answered
        .borrow()
        .iter()
        .find(|id| !started.contains(id))
        .copied();
    if let Some(id) = unheard {
        return failed(format!(
            "I3: the caller was told that saga {id} exists, and it does not"
        ));
    }
    if let Err(why) = accounts.close(&started, &before) {
        return failed(why);
    }
    for id in &started {
        let saga = stage.aws.saga(*id).expect("it was started");
        let definition = stage
            .deployment
            .catalogue
            .get(&saga.definition)
            .expect("it is known");
        if stage.aws.shown_status(*id) != Some(saga.status(definition)) {
            return failed(format!(
                "status: the store shows another status of saga {id} than its facts"
            ));
        }
        if let Err(why) = is_true(&stage.deployment, &stage.azure, &saga) {
            return failed(why);
        }
        outcome.completed += usize::from(saga.lifecycle.phase == Phase::Completed);
    }
    outcome.sagas = started.len();
    outcome.faults = faults.lock().expect("no process panicked").0;
    Ok(outcome)
}

/// One thing that happens.
fn tick<'a>(
    stage: &'a Stage,
    story: &Story,
    processes: &mut Vec<Process<'a>>,
    on_the_way: &mut Vec<Message>,
    outcome: &mut Outcome,
) {
    const MOST_PROCESSES: usize = 6;
    let chance = &stage.chance;
    let saga = |chance: &Chance| stage.orders[chance.below(stage.orders.len())].id;
    let room = processes.len() < MOST_PROCESSES;
    let mut begun: Option<Process<'a>> = None;
    let mut begin = |name: String, message: Option<Message>, work: Pin<Box<dyn Future<Output = _> + 'a>>| {
        if room {
            story.tell(|| format!("begins: {name}"));
            begun = Some(Process { name, message, work });
        }
    };
    match chance.below(100) {
        0..52 if !processes.is_empty() => {
            let at = chance.below(processes.len());
            // Some steps at once, so that not everything is always interleaved with everything.
            for _ in 0..=chance.below(6) {
                if let Poll::Ready(result) = poll(&mut processes[at]) {
                    let process = processes.swap_remove(at);
                    story.tell(|| match &result {
                        Ok(()) => format!("ends: {}", process.name),
                        Err(error) => format!("fails: {} ({error})", process.name),
                    });
                    if result.is_err() {
                        on_the_way.extend(process.message);
                    }
                    break;
                }
            }
        }
        0..70 if !on_the_way.is_empty() && room => {
            let at = chance.below(on_the_way.len());
            let again = chance.below(8) == 7;
            let message = if again {
                on_the_way[at].clone()
            } else {
                on_the_way.swap_remove(at)
            };
            let name = format!(
                "{} at {:?}{}",
                message.kind,
                message.to,
                if again { ", a repeat" } else { "" }
            );
            let work = Box::pin(stage.deliver(message.clone()));
            begin(name, (!again).then_some(message), work);
        }
        70..73 if !on_the_way.is_empty() => {
            let lost = on_the_way.swap_remove(chance.below(on_the_way.len()));
            outcome.lost += 1;
            story.tell(|| format!("lost: {} to {:?}", lost.kind, lost.to));
        }
        73..77 if !processes.is_empty() => {
            let dead = processes.swap_remove(chance.below(processes.len()));
            outcome.deaths += 1;
            story.tell(|| format!("dies: {}", dead.name));
            on_the_way.extend(dead.message);
        }
        77..80 => {
            let millis = [1, 100, 30_000, 61_000, 400_000, 2_000_000][chance.below(6)];
            stage.clock.advance(millis);
            story.tell(|| format!("{millis} ms pass"));
        }
        80..84 => begin("the sweep of the sagas".to_owned(), None, Box::pin(stage.sweep())),
        84 => {
            let id = saga(chance);
            begin(
                format!("retransmit {id}"),
                None,
                Box::pin(stage.command(id, Command::Retransmit)),
            );
        }
        85 => {
            let id = saga(chance);
            begin(
                format!("cancel {id}"),
                None,
                Box::pin(stage.command(id, Command::Cancel)),
            );
        }
        86 => {
            let id = saga(chance);
            let to = [Override::Cancelled, Override::Cancelled, Override::Completed][chance.below(3)];
            begin(
                format!("resolve {id} to {to:?}"),
                None,
                Box::pin(stage.command(id, Command::Resolve { to, force: false })),
            );
        }
        87 => {
            let id = saga(chance);
            if chance.below(4) == 3 {
                on_the_way.push(Message {
                    to: [Place::Ingress, Place::AzureQueue][chance.below(2)],
                    kind: JUNK_KIND.to_owned(),
                    body: JUNK.to_owned(),
                });
            } else if stage.aws.saga(id).is_some() {
                on_the_way.push(outsider(id));
            }
        }
        88..94 => {
            let order = &stage.orders[chance.below(stage.orders.len())];
            begin(
                format!("start {} as {}", order.id, order.definition),
                None,
                Box::pin(stage.start(order)),
            );
        }
        _ => {
            let cloud = [Cloud::Aws, Cloud::Azure][chance.below(2)];
            // Azure has no stream: a step publishes its own row.
            let how = match (cloud, chance.below(3)) {
                (Cloud::Aws, 0 | 1) => How::Stream,
                _ => How::Sweep,
            };
            begin(
                format!("the relay of {cloud} ({how:?})"),
                None,
                Box::pin(stage.relay(cloud, how)),
            );
        }
    }
    processes.extend(begun);
    stage.collect(on_the_way);
}

/// Everything that is on the way arrives, everybody who started nothing tries once more, and the sweeps go on until
/// nothing moves.
fn settle(stage: &Stage, story: &Story, mut on_the_way: Vec<Message>) -> Result<(), String> {
    const MOST_POLLS: usize = 100_000;
    const MOST_ROUNDS: usize = 80;
    const MOST_WAITS: usize = 500;
    const MOST_DELIVERIES: usize = 2_000;
    let finish = |name: &str, work: Pin<Box<dyn Future<Output = Result<(), PortError>> + '_>>| {
        let mut process = Process {
            name: name.to_owned(),
            message: None,
            work,
        };
        for _ in 0..MOST_POLLS {
            if let Poll::Ready(result) = poll(&mut process) {
                return result
                    .map_err(|error| format!("works: {name} fails though everything works: {error}"));
            }
        }
        Err(format!("works: {name} never ends"))
    };
    for order in &stage.orders {
        finish("a start", Box::pin(stage.start(order)))?;
    }
    let (mut deliveries, mut waits) = (0, 0);
    for round in 0..MOST_ROUNDS {
        loop {
            stage.clock.advance(1_000);
            finish("the stream", Box::pin(stage.relay(Cloud::Aws, How::Stream)))?;
            finish("the relay", Box::pin(stage.relay(Cloud::Aws, How::Sweep)))?;
            finish("the relay", Box::pin(stage.relay(Cloud::Azure, How::Sweep)))?;
            stage.collect(&mut on_the_way);
            if on_the_way.is_empty() && stage.aws.outbox().is_empty() && stage.azure.outbox().is_empty() {
                break;
            }
            if on_the_way.is_empty() {
                // What is left waits for a lease to run out, for its grace or for its next try.
                stage.clock.advance(30_000);
                waits += 1;
            }
            if waits > MOST_WAITS {
                return Err("works: an outbox is never empty".to_owned());
            }
            for message in std::mem::take(&mut on_the_way) {
                story.tell(|| format!("in the end: {} at {:?}", message.kind, message.to));
                deliveries += 1;
                finish("a delivery", Box::pin(stage.deliver(message)))?;
            }
            if deliveries > MOST_DELIVERIES {
                return Err("I4: messages without end".to_owned());
            }
        }
        let owed = |id: &SagaId| stage.aws.saga(*id).is_some_and(|saga| saga.due.is_some());
        if !stage.started().iter().any(owed) {
            return Ok(());
        }
        stage.clock.advance(if round < 20 { 90_000 } else { 3_600_000 });
        finish("the sweep", Box::pin(stage.sweep()))?;
    }
    let open = stage.started().into_iter().find_map(|id| {
        let saga = stage.aws.saga(id)?;
        saga.due.is_some().then(|| format!("{id}: {:?}", saga.lifecycle))
    });
    Err(format!("I3: a saga never ends: {}", open.unwrap_or_default()))
}
