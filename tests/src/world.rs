//! Both clouds in one process. What leaves one side lies [`on the way`](World::on_the_way) as the text that the real
//! carriers bring, until the test delivers, repeats, loses or holds it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use saga_app::Deployment;
use saga_app::Learnt;
use saga_app::admit_events::{self, admit_events};
use saga_app::handle_event::{self, handle_event};
use saga_app::outbox::{Relay, Rules};
use saga_app::override_saga::{Command, command};
use saga_app::participate::{self, participate};
use saga_app::ports::outbox::DEFAULT_SHARDS;
use saga_app::ports::{Partition, PortError, Time};
use saga_app::start_saga::{NotStarted, Request, start_saga};
use saga_app::step_transact::partition;
use saga_app::sweep_sagas::sweep_sagas;
use saga_core::document::{Document, Fields, fields};
use saga_core::lifecycle::Phase;
use saga_core::origin::Override;
use saga_core::participant::{EntityKey, Placement};
use saga_core::participate::StepRecord;
use saga_core::step::StepState;
use saga_core::{Catalogue, Cloud, Definition, IdempotencyKey, Outcome, Saga, SagaId, Status, StepIndex};
use saga_memory::{Clock, Fault, OriginCloud, StepCloud};
use saga_participants::inventory::STOCK;
use saga_participants::payments::PAYMENT;
use saga_wire::event_grid::{self, Delivery};
use saga_wire::quarantine::NO_HEADERS;
use saga_wire::{custom_handler, json};
use serde_json::Value;

use crate::arbitrary::nth_saga;
use crate::contract::given;

/// Where something on the way goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The Storage queue of the participant on Azure.
    AzureQueue,
    /// The webhook through which Azure's events come in.
    Ingress,
    /// The queue of the origin.
    EventsQueue,
}

/// Something on the way.
#[derive(Debug, Clone)]
pub struct Message {
    /// Where it goes.
    pub to: Place,
    /// The type of the event in it.
    pub kind: String,
    /// As its carrier brings it.
    pub body: String,
}

/// A switch, and faults of which one call fails while it is on.
pub fn switch(name: &'static str, on: bool) -> (Arc<AtomicBool>, impl Fn(&'static str) -> Fault) {
    let switch = Arc::new(AtomicBool::new(on));
    let is_on = Arc::clone(&switch);
    let faults = move |call: &'static str| {
        if call == name && is_on.load(Ordering::SeqCst) {
            Fault::FailBefore
        } else {
            Fault::None
        }
    };
    (switch, faults)
}

/// Both clouds, the time, and what is on the way between them.
pub struct World {
    /// The definitions and participants.
    pub deployment: Deployment,
    /// What the processes of the other cloud have learnt, which share nothing with ours.
    pub azure_learnt: Learnt,
    /// The cloud that keeps the sagas.
    pub aws: OriginCloud,
    /// The cloud of the inventory.
    pub azure: StepCloud,
    /// The time.
    pub clock: Clock,
    /// What has left one side and not reached the other, oldest first.
    pub on_the_way: Vec<Message>,
    /// What has left for a service or for outside, oldest first, as `aws.ledger` or `aws.outside` and the event. Nobody
    /// here takes it.
    pub mailboxes: Vec<(String, Value)>,
    /// The queue of the step on Azure gives a message up that fails now.
    pub last_try: bool,
}

/// Stock before any order.
pub const STOCK_BEFORE: i64 = 100;
/// The SKU of which every order that [`order`] writes takes [`QUANTITY`].
pub const SKU: &str = "sku-1";
/// How many it takes.
pub const QUANTITY: i64 = 3;

/// The step on Azure.
pub const INVENTORY: StepIndex = StepIndex::new(1);

/// An order of this amount, as a caller writes it.
#[must_use]
pub fn order(amount: &str) -> String {
    format!(
        r#"{{"order_id":"order-1","amount":{amount},"currency":"EUR",
            "items":[{{"sku":"{SKU}","quantity":{QUANTITY}}}]}}"#
    )
}

impl Default for World {
    fn default() -> Self {
        Self::new(OriginCloud::new(), StepCloud::new())
    }
}

impl World {
    /// Two clouds, and an article in stock.
    #[must_use]
    pub fn new(aws: OriginCloud, azure: StepCloud) -> Self {
        let deployment = crate::sagas::deployment();
        let world = Self {
            deployment,
            azure_learnt: Learnt::default(),
            aws,
            azure,
            clock: Clock::new(given::time(0), 1),
            on_the_way: Vec::new(),
            mailboxes: Vec::new(),
            last_try: false,
        };
        let stock = fields([("Available", STOCK_BEFORE.into()), ("Place", "A7".into())]);
        world
            .azure
            .put_entity(&world.stock_partition(), EntityKey::new(STOCK, SKU), stock);
        world
    }

    /// Deploys a release with these definitions on both clouds: new processes, which have learnt nothing yet.
    pub fn release(&mut self, definitions: impl IntoIterator<Item = Definition>) {
        self.deployment.catalogue = Catalogue::new(definitions).unwrap();
        self.deployment.learnt = Learnt::default();
        self.azure_learnt = Learnt::default();
    }

    /// Starts a payment with this key and body.
    ///
    /// # Errors
    /// As [`start_saga`].
    pub async fn try_start(&self, key: &str, body: &str) -> Result<SagaId, NotStarted> {
        self.try_start_of("payment", key, body).await
    }

    /// Starts a saga of any definition.
    ///
    /// # Errors
    /// As [`start_saga`].
    pub async fn try_start_of(&self, definition: &str, key: &str, body: &str) -> Result<SagaId, NotStarted> {
        let key: IdempotencyKey = key.parse().unwrap();
        let request = Request {
            definition,
            key: &key,
            input: json::parse_object(body).unwrap(),
            trace: None,
        };
        let started = start_saga(&self.deployment, &self.aws, &self.clock, request).await?;
        Ok(started.saga.id)
    }

    /// Starts a payment of this amount, a second after everything before.
    pub async fn start(&self, amount: &str) -> SagaId {
        self.clock.advance(1_000);
        let key = format!("key at {}", self.clock.now().millis());
        self.try_start(&key, &order(amount)).await.unwrap()
    }

    /// A caller's or an operator's command.
    pub async fn command(&self, id: SagaId, what: Command) -> Outcome {
        self.clock.advance(1_000);
        let done = command(&self.deployment, &self.aws, &self.clock, id, what, given::ASKED);
        done.await.unwrap().expect("the saga exists").outcome
    }

    /// An operator ends the saga.
    pub async fn resolve(&self, id: SagaId, to: Override) -> Outcome {
        self.command(id, Command::Resolve { to, force: false }).await
    }

    /// Another team's publisher asks for the payment to be undone, in CloudEvents without our attributes.
    pub fn outsider_compensates(&mut self, id: SagaId) {
        let body = format!(
            r#"{{"specversion":"1.0","id":"their-1","source":"billing.example","type":"PaymentCompensationRequested",
                "data":{{"saga_id":"{id}","order_id":"order-1","reason":"the card was stolen"}}}}"#
        );
        self.on_the_way.push(Message {
            to: Place::Ingress,
            kind: "PaymentCompensationRequested".to_owned(),
            body,
        });
    }

    /// The same in Event Grid's own schema.
    pub fn outsider_compensates_in_event_grid_schema(&mut self, id: SagaId) {
        let body = format!(
            r#"[{{"id":"their-2","topic":"/subscriptions/1/topics/t","subject":"saga/{id}/compensation",
                "eventType":"PaymentCompensationRequested","eventTime":"2026-10-01T00:00:00Z","dataVersion":"1.0",
                "data":{{"saga_id":"{id}","order_id":"order-1","reason":"the card was stolen"}}}}]"#
        );
        self.on_the_way.push(Message {
            to: Place::Ingress,
            kind: "PaymentCompensationRequested".to_owned(),
            body,
        });
    }

    /// Publishes both outboxes, whatever is in them. A failure leaves the rows where they are.
    pub async fn publish(&mut self) {
        let until = self.clock.now().plus_millis(3_600_000);
        let _ = self
            .relay(&self.aws)
            .within("aws", until)
            .sweep(DEFAULT_SHARDS)
            .await;
        let _ = self
            .relay(&self.azure)
            .within("azure", until)
            .sweep(DEFAULT_SHARDS)
            .await;
        self.collect();
    }

    /// A relay that waits for nobody: rows of this very millisecond and of the next, too, are its own.
    fn relay<'a, C>(&'a self, cloud: &'a C) -> Relay<'a, C, C, C, C, Clock> {
        let rules = Rules {
            grace_millis: -2,
            ..self.deployment.relay
        };
        Relay::new(cloud, cloud, cloud, cloud, &self.clock, rules)
    }

    /// Puts what both sides have published on the way, routed as the rules of the bus and the topic do.
    fn collect(&mut self) {
        for row in self.aws.take_published() {
            let event: Value = serde_json::from_str(&row.body).unwrap();
            let (to, body) = match event["sagatarget"].as_str() {
                Some("azure") => (Place::AzureQueue, STANDARD.encode(&row.body)),
                Some("aws") => (Place::EventsQueue, envelope(&row.kind, &row.body)),
                Some(mailbox) if mailbox.starts_with("aws.") => {
                    self.mailboxes.push((mailbox.to_owned(), event.clone()));
                    continue;
                }
                other => panic!("no rule of the bus matches the target {other:?}"),
            };
            self.on_the_way.push(Message {
                to,
                kind: row.kind,
                body,
            });
        }
        for row in self.azure.take_published() {
            let event: Value = serde_json::from_str(&row.body).unwrap();
            // The two subscriptions of the topic: a step of Azure may well be followed by another of Azure.
            let (to, body) = match event["sagatarget"].as_str() {
                Some("azure") => (Place::AzureQueue, STANDARD.encode(&row.body)),
                Some("aws") => (Place::Ingress, format!("[{}]", row.body)),
                Some(mailbox) if mailbox.starts_with("azure.") => {
                    self.mailboxes.push((mailbox.to_owned(), event.clone()));
                    continue;
                }
                other => panic!("no subscription of the topic matches the target {other:?}"),
            };
            self.on_the_way.push(Message {
                to,
                kind: row.kind,
                body,
            });
        }
    }

    /// Delivers a message once.
    ///
    /// # Errors
    /// [`PortError`]: the carrier keeps it and brings it again.
    pub async fn deliver(&mut self, message: &Message) -> Result<(), PortError> {
        let azure = message.to == Place::AzureQueue;
        if azure {
            std::mem::swap(&mut self.deployment.learnt, &mut self.azure_learnt);
        }
        let handled = self.handle(message).await;
        if azure {
            std::mem::swap(&mut self.deployment.learnt, &mut self.azure_learnt);
        }
        handled?;
        self.collect();
        Ok(())
    }

    /// What the process does that a message is delivered to. Several may at once.
    ///
    /// # Errors
    /// [`PortError`]: the carrier keeps the message and brings it again.
    pub async fn handle(&self, message: &Message) -> Result<(), PortError> {
        match message.to {
            Place::AzureQueue => {
                // The host takes the base64 off and encodes the text once more than one expects.
                let text = String::from_utf8(STANDARD.decode(&message.body).unwrap()).unwrap();
                let twice = Value::from(Value::from(text).to_string()).to_string();
                let invocation = format!(r#"{{"Data":{{"event":{twice}}},"Metadata":{{}}}}"#);
                let message = custom_handler::message(&invocation, "event").unwrap();
                let ports = participate::Ports {
                    store: &self.azure,
                    publisher: &self.azure,
                    quarantine: &self.azure,
                    alerts: &self.azure,
                    parking: &self.azure,
                    time: &self.clock,
                    cloud: Cloud::Azure,
                    last_try: self.last_try,
                };
                participate(&self.deployment, &ports, message.as_bytes()).await?;
            }
            Place::Ingress => {
                let Ok(Delivery::Events(events)) = event_grid::delivery(&message.body) else {
                    panic!("not a delivery of events: {}", message.body);
                };
                let ports = admit_events::Ports {
                    definitions: &self.aws,
                    bus: &self.aws,
                    quarantine: &self.aws,
                    alerts: &self.aws,
                    time: &self.clock,
                };
                admit_events(&self.deployment, &ports, &NO_HEADERS, &events).await?;
            }
            Place::EventsQueue => {
                let ports = handle_event::Ports {
                    store: &self.aws,
                    quarantine: &self.aws,
                    alerts: &self.aws,
                    time: &self.clock,
                };
                handle_event(&self.deployment, &ports, &message.body).await?;
            }
        }
        Ok(())
    }

    /// Delivers what is at `index` on the way, or puts it back when that fails.
    pub async fn deliver_at(&mut self, index: usize) {
        let message = self.on_the_way.remove(index);
        if self.deliver(&message).await.is_err() {
            self.on_the_way.push(message);
        }
    }

    /// Publishes and delivers until nothing is left to do.
    ///
    /// # Panics
    /// When that takes more messages than any saga can cause.
    pub async fn settle(&mut self) {
        for _ in 0..1_000 {
            self.publish().await;
            if self.on_the_way.is_empty() {
                return;
            }
            self.deliver_at(0).await;
        }
        panic!(
            "messages without end: {:?}",
            self.on_the_way
                .iter()
                .map(|message| &message.kind)
                .collect::<Vec<_>>()
        );
    }

    /// Lets `millis` pass, and the sweeper look.
    pub async fn wait_and_sweep(&mut self, millis: i64) {
        self.clock.advance(millis);
        let until = self.clock.now().plus_millis(3_600_000);
        let _ = sweep_sagas(&self.deployment, &self.aws, &self.aws, &self.clock, 10, until).await;
        self.publish().await;
    }

    /// Lets time pass until the saga has ended everywhere.
    ///
    /// # Panics
    /// When it does not.
    pub async fn heal(&mut self, id: SagaId) {
        // Some rounds before the deadline, and more than enough after it.
        for wait in [90_000; 12].into_iter().chain([3_600_000; 12]) {
            self.settle().await;
            let lifecycle = self.saga(id).lifecycle;
            if lifecycle.phase != Phase::Open && !lifecycle.closing {
                return self.empty_outboxes().await;
            }
            self.wait_and_sweep(wait).await;
        }
        panic!("the saga does not end: {:#?}", self.saga(id));
    }

    /// Lets time pass until nothing waits to be published: for its next try, or for a lease to run out.
    async fn empty_outboxes(&mut self) {
        for _ in 0..100 {
            if self.aws.outbox().is_empty() && self.azure.outbox().is_empty() {
                return;
            }
            self.clock.advance(61_000);
            self.settle().await;
        }
        panic!("an outbox is never empty");
    }

    /// The saga.
    #[must_use]
    pub fn saga(&self, id: SagaId) -> Saga {
        self.aws.saga(id).expect("the saga exists")
    }

    /// Its status.
    #[must_use]
    pub fn status(&self, id: SagaId) -> Status {
        let saga = self.saga(id);
        let status = saga.status(self.deployment.catalogue.get(&saga.definition).unwrap());
        assert_eq!(
            self.aws.shown_status(id),
            Some(status),
            "the store shows another status"
        );
        status
    }

    /// The payment's own status, as users of the table see it.
    #[must_use]
    pub fn payment(&self, id: SagaId) -> String {
        let payment = self.aws.entity(&EntityKey::new(PAYMENT, id)).unwrap();
        payment["Status"].as_text().unwrap().to_owned()
    }

    /// The record of the inventory's step.
    #[must_use]
    pub fn inventory(&self, id: SagaId) -> Option<StepRecord> {
        self.azure.step(id, INVENTORY)
    }

    /// What is left in stock.
    #[must_use]
    pub fn stock(&self) -> i64 {
        let stock: Fields = self
            .azure
            .entity(&self.stock_partition(), &EntityKey::new(STOCK, SKU))
            .unwrap();
        assert_eq!(stock["Place"], Document::from("A7"), "fields of others are kept");
        stock["Available"].as_number().unwrap().as_i64().unwrap()
    }

    /// Where the inventory keeps its stock.
    #[must_use]
    pub fn stock_partition(&self) -> Partition {
        partition("inventory", Placement::Together, nth_saga(0), DEFAULT_SHARDS)
    }

    /// The invariants of sagas that have ended everywhere: all steps are done, or none is; and what each effect
    /// took and gave back adds up.
    ///
    /// # Panics
    /// When one does not hold.
    pub fn check(&self, ended: &[SagaId]) {
        let mut taken = 0;
        for id in ended {
            let saga = self.saga(*id);
            let facts = (
                self.status(*id),
                self.payment(*id),
                self.inventory(*id).map(|record| record.state),
            );
            let done = Some(StepState::Done);
            match &facts {
                (Status::Completed, payment, step) if payment == "COMPLETED" && *step == done => {
                    taken += QUANTITY;
                }
                (Status::CancelledViaCompensation, payment, Some(StepState::Refused | StepState::Undone))
                    if payment == "CANCELLED_VIA_COMPENSATION" => {}
                _ => panic!("a mix, or no end: {facts:?}\n{saga:#?}"),
            }
            assert!(!saga.lifecycle.closing, "still closing: {saga:#?}");
            assert_eq!(saga.due, None, "still owed something: {saga:#?}");
        }
        assert_eq!(self.stock(), STOCK_BEFORE - taken);
        assert_eq!(self.aws.quarantined(), []);
        assert_eq!(self.azure.quarantined(), []);
        assert_eq!(self.aws.outbox(), []);
        assert_eq!(self.azure.outbox(), []);
    }
}

/// As a rule of EventBridge delivers an event to SQS.
#[must_use]
pub fn envelope(kind: &str, detail: &str) -> String {
    format!(
        r#"{{"version":"0","id":"6a7e8feb-b491-4cf7-a9f1-bf3703467718","detail-type":"{kind}","source":"saga.orchestrator",
            "account":"123456789012","time":"2026-10-01T00:00:00Z","region":"eu-central-1","resources":[],"detail":{detail}}}"#
    )
}
