//! The contracts of carriers, held against the real adapters: a bus, a topic and queues of AWS on its emulator, Event Grid on
//! its stand-in, queues on Azurite. Each test has its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "the helpers of these tests are tests, too"
)]

use std::time::Duration;

use saga_app::dead_letters::DeadLetterSource;
use saga_app::dead_letters::ports::DeadLetterQueue;
use saga_app::park_saga::AtOrigin;
use saga_app::ports::outbox::DEFAULT_SHARDS;
use saga_app::ports::{Alert, CallQueue, Envelope, Inserted, Parked, Parking, PortError, SagaStore, Time};
use saga_aws::alerts::AlertsTopic;
use saga_aws::call_queue::ServiceQueue;
use saga_aws::dead_letters::outlet::AwsOutlet;
use saga_aws::dead_letters::queue::DeadQueue;
use saga_aws::event_bridge::Bus;
use saga_aws::quarantine::QuarantineQueue as SqsQuarantine;
use saga_aws::saga_store::{DynamoSagas, Tables};
use saga_azure::dead_letters::{Access, AzureOutlet, Sources};
use saga_azure::{CallsQueue, EventGrid, EventGridAlerts, QuarantineQueue};
use saga_azure_standin::StandIn;
use saga_core::{EventId, Saga, SagaId};
use saga_runtime::clock::SystemClock;
use saga_tests::contract::carriers::{AlertsSide, ParkingSide, PublisherSide, QuarantineSide};
use saga_tests::contract::dead_letters::{OutletSide, SERVICE, leased};
use saga_tests::contract::given::{decision, row, time};
use saga_tests::stack::{
    TestQueue, aws, azure, connected, create_queue, create_table, distinct, participant, unique, until,
};
use saga_wire::dead_letter::{Destination, Source, quarantine};
use saga_wire::inbound::{self, Inbound};
use serde_json::{Value, json};
use tempfile::TempDir;

saga_tests::publisher_contract!(event_bridge, bus);
saga_tests::publisher_contract!(event_grid, topic);
saga_tests::alerts_contract!(sns_alerts, alerts_topic);
saga_tests::alerts_contract!(event_grid_alerts, topic);
saga_tests::parking_contract!(parking_at_the_origin, origin);
saga_tests::parking_contract!(event_grid_parking, topic);
saga_tests::quarantine_contract!(sqs_quarantine, sqs_quarantine);
saga_tests::quarantine_contract!(storage_quarantine, storage_quarantine);
saga_tests::outlet_contract!(aws_outlet, aws_outlet);
saga_tests::outlet_contract!(azure_outlet, topic);

// --- AWS ---

/// A bus that brings everything to a queue, the queue of saga-events, and that of a service.
struct OnBus {
    port: Bus,
    outlet: AwsOutlet,
    brought: TestQueue,
    events: TestQueue,
    ledger: TestQueue,
}

async fn bus() -> Option<OnBus> {
    let config = aws().await;
    let (brought, events) = (TestQueue::new(&config).await, TestQueue::new(&config).await);
    let ledger = TestQueue::new(&config).await;
    let service_queues = [(SERVICE.to_owned(), ledger.url.clone())].into();
    let client = aws_sdk_eventbridge::Client::new(&config);
    let name = unique();
    client.create_event_bus().name(&name).send().await.unwrap();
    let anything = json!({"source": [{"prefix": ""}]}).to_string();
    let rule = client
        .put_rule()
        .name(&name)
        .event_bus_name(&name)
        .event_pattern(anything);
    rule.send().await.unwrap();
    let target = aws_sdk_eventbridge::types::Target::builder()
        .id("box")
        .arn(&brought.arn);
    let targets = client.put_targets().rule(&name).event_bus_name(&name);
    targets.targets(target.build().unwrap()).send().await.unwrap();
    Some(OnBus {
        outlet: AwsOutlet::new(&config, &name, events.url.clone()).with_service_queues(service_queues),
        port: Bus::new(&config, name, "saga.orchestrator"),
        brought,
        events,
        ledger,
    })
}

impl OnBus {
    async fn details(&self, count: usize) -> Vec<String> {
        let detail = |message: &String| serde_json::from_str::<Value>(message).unwrap()["detail"].to_string();
        self.brought.came(count).await.iter().map(detail).collect()
    }
}

impl PublisherSide for OnBus {
    type Port = Bus;

    fn port(&self) -> &Bus {
        &self.port
    }

    async fn arrived(&self, count: usize) -> Vec<String> {
        self.details(count).await
    }

    /// The bus would drop it without a word.
    fn never(&self) -> Option<Envelope> {
        Some(Envelope {
            kind: "x".repeat(129),
            ..row(9, time(9), "advance1").event
        })
    }
}

async fn aws_outlet() -> Option<OnBus> {
    bus().await
}

impl OutletSide for OnBus {
    type Port = AwsOutlet;

    fn port(&self) -> &AwsOutlet {
        &self.outlet
    }

    fn destinations(&self) -> Vec<Destination> {
        vec![
            Destination::Bus,
            Destination::EventsQueue,
            Destination::ServiceQueue,
        ]
    }

    async fn arrived(&self, to: Destination) -> Vec<String> {
        match to {
            Destination::Bus => self.details(1).await,
            Destination::ServiceQueue => self.ledger.came(1).await,
            _ => self.events.came(1).await,
        }
    }
}

struct OnTopic {
    port: AlertsTopic,
    subscriber: TestQueue,
}

async fn alerts_topic() -> Option<OnTopic> {
    let config = aws().await;
    let subscriber = TestQueue::new(&config).await;
    let client = aws_sdk_sns::Client::new(&config);
    let arn = client
        .create_topic()
        .name(unique())
        .send()
        .await
        .unwrap()
        .topic_arn
        .unwrap();
    let asked = client
        .subscribe()
        .topic_arn(&arn)
        .protocol("sqs")
        .endpoint(&subscriber.arn);
    asked.send().await.unwrap();
    Some(OnTopic {
        port: AlertsTopic::new(&config, arn),
        subscriber,
    })
}

impl AlertsSide for OnTopic {
    type Port = AlertsTopic;

    fn port(&self) -> &AlertsTopic {
        &self.port
    }

    async fn arrived(&self, count: usize) -> Vec<Alert> {
        let alert = |message: &String| {
            let said: Value = serde_json::from_str(message).unwrap();
            let text = |name: &str| said[name].as_str().unwrap().to_owned();
            Alert {
                subject: text("Subject"),
                text: text("Message"),
            }
        };
        self.subscriber.came(count).await.iter().map(alert).collect()
    }
}

struct InSqs {
    port: SqsQuarantine,
    source: DeadQueue,
}

async fn sqs_quarantine() -> Option<InSqs> {
    let config = aws().await;
    let url = TestQueue::new(&config).await.url;
    Some(InSqs {
        port: SqsQuarantine::new(&config, url.clone()),
        source: DeadQueue::new(&config, url, Source::Quarantine, quarantine),
    })
}

impl QuarantineSide for InSqs {
    type Port = SqsQuarantine;

    fn port(&self) -> &SqsQuarantine {
        &self.port
    }

    async fn kept(&self, count: usize) -> Vec<(String, String)> {
        dead_letters(&self.source, count).await
    }
}

/// Why, and the text, of so many dead letters; they are hidden then.
async fn dead_letters(queue: &dyn DeadLetterQueue, count: usize) -> Vec<(String, String)> {
    let mut found = Vec::new();
    until(async || {
        let some = leased(queue).await.into_iter().map(|one| one.dead_letter);
        found.extend(some.map(|one| (one.reason, one.facts.text)));
        (found.len() >= count).then_some(())
    })
    .await;
    found
}

struct AtTheOrigin {
    sagas: DynamoSagas,
}

async fn origin() -> Option<AtTheOrigin> {
    let (config, prefix) = (aws().await, unique());
    let tables = Tables {
        sagas: format!("{prefix}Sagas"),
        entities: format!("{prefix}LocalPayments"),
        outbox: format!("{prefix}SagaOutbox"),
    };
    let indexes = [("due", "DueBucket", "DueAt"), ("list", "ListBucket", "CreatedAt")];
    create_table(&config, &tables.sagas, &["SagaId"], &indexes).await;
    Some(AtTheOrigin {
        sagas: DynamoSagas::new(&config, tables, DEFAULT_SHARDS),
    })
}

impl ParkingSide for AtTheOrigin {
    fn port(&self) -> impl Parking {
        AtOrigin::new(&self.sagas, &SystemClock)
    }

    async fn store(&self, saga: &Saga) {
        let stored = self.sagas.insert(&decision(saga), None).await.unwrap();
        assert_eq!(stored, Inserted::Yes);
    }

    async fn reported(&self, saga: SagaId) -> Option<(EventId, String)> {
        let mark = self.sagas.load(saga).await.unwrap()?.value.parked.pop()?;
        Some((mark.event, mark.reason))
    }
}

// --- Azure ---

/// A topic that brings everything to a queue.
struct OnEventGrid {
    port: EventGrid,
    alerts: EventGridAlerts<SystemClock>,
    sources: Sources,
    /// The participant's queue, read as a poison queue is.
    participants_queue: Box<dyn DeadLetterQueue>,
    service_queue: Box<dyn DeadLetterQueue>,
    came: std::sync::Mutex<Vec<String>>,
    _stand_in: StandIn,
    _folder: TempDir,
}

async fn topic() -> Option<OnEventGrid> {
    let mut access = azure();
    create_queue(&access, &access.poison_queue).await;
    create_queue(&access, &access.queue).await;
    let calls = access.calls.clone().unwrap();
    create_queue(&access, &calls.queue).await;
    let folder = tempfile::tempdir().unwrap();
    let config = json!({
        "listen": "127.0.0.1:0", "state_dir": folder.path(),
        "storage": {
            "account": access.participant.account, "key": access.participant.key.as_ref().unwrap().secret(),
            "blob": access.blob_endpoint, "queue": access.participant.queue_endpoint,
        },
        "topic": {"name": "contract", "key": access.participant.topic_key.as_ref().unwrap().secret()},
        "retry_scale": 0.01,
        "subscriptions": [{"name": "all", "storage_queue": access.poison_queue}],
        "oidc": {
            "issuer": "http://127.0.0.1/tenant/v2.0", "tenant": "tenant", "audience": "api://in", "client_id": "client",
            "client_secret": "secret",
            "key_file": concat!(env!("CARGO_MANIFEST_DIR"), "/../localstack/azure/tests/fixtures/rsa-test-key.pem"),
        },
    });
    let stand_in = StandIn::start(serde_json::from_value(config).unwrap())
        .await
        .unwrap();
    access.participant.topic_endpoint = format!("http://{}/api/events", stand_in.address());
    let participant = participant(&access);
    Some(OnEventGrid {
        port: participant.events,
        alerts: participant.alerts,
        participants_queue: poison(Access {
            poison_queue: access.queue.clone(),
            ..access.clone()
        }),
        service_queue: poison(Access {
            poison_queue: calls.queue,
            ..access.clone()
        }),
        sources: connected(&access),
        came: std::sync::Mutex::default(),
        _stand_in: stand_in,
        _folder: folder,
    })
}

/// The reader of the poison queue.
fn poison(access: Access) -> Box<dyn DeadLetterQueue> {
    let mut sources = connected(&access).sources.into_iter();
    match sources.find(|source| source.source() == Source::Poison) {
        Some(DeadLetterSource::Queue(queue)) => queue,
        _ => panic!("there is no poison queue"),
    }
}

fn queue(sources: &Sources, wanted: Source) -> &dyn DeadLetterQueue {
    match sources.sources.iter().find(|source| source.source() == wanted) {
        Some(DeadLetterSource::Queue(queue)) => queue.as_ref(),
        _ => panic!("{wanted} is no queue"),
    }
}

impl OnEventGrid {
    /// The queue of the subscription is read as the participant's poison queue is.
    async fn events(&self, count: usize) -> Vec<String> {
        let missing = count.saturating_sub(self.came.lock().unwrap().len());
        if missing > 0 {
            let new = dead_letters(queue(&self.sources, Source::Poison), missing).await;
            self.came
                .lock()
                .unwrap()
                .extend(new.into_iter().map(|(_, text)| text));
        }
        self.came.lock().unwrap().clone()
    }
}

impl PublisherSide for OnEventGrid {
    type Port = EventGrid;

    fn port(&self) -> &EventGrid {
        &self.port
    }

    async fn arrived(&self, count: usize) -> Vec<String> {
        distinct(self.events(count).await)
    }

    fn never(&self) -> Option<Envelope> {
        Some(Envelope {
            body: "{\"no\":\"CloudEvent\"}".to_owned(),
            ..row(9, time(9), "advance1").event
        })
    }
}

impl AlertsSide for OnEventGrid {
    type Port = EventGridAlerts<SystemClock>;

    fn port(&self) -> &EventGridAlerts<SystemClock> {
        &self.alerts
    }

    async fn arrived(&self, count: usize) -> Vec<Alert> {
        let alert = |text: &String| match inbound::text(text) {
            Inbound::Alert(alert) => alert,
            other => panic!("{other:?}"),
        };
        self.events(count).await.iter().map(alert).collect()
    }
}

/// A port is given away; the topic stays here.
struct Reported<'a>(&'a EventGridAlerts<SystemClock>);

impl Parking for Reported<'_> {
    async fn park(&self, parked: &Parked) -> Result<(), PortError> {
        self.0.park(parked).await
    }
}

impl ParkingSide for OnEventGrid {
    fn port(&self) -> impl Parking {
        Reported(&self.alerts)
    }

    async fn store(&self, _: &Saga) {}

    async fn reported(&self, saga: SagaId) -> Option<(EventId, String)> {
        let events = self.events(1).await;
        events.iter().find_map(|text| match inbound::text(text) {
            Inbound::Parked(parked) if parked.saga == saga => Some((parked.event, parked.reason)),
            _ => None,
        })
    }
}

impl OutletSide for OnEventGrid {
    type Port = AzureOutlet;

    fn port(&self) -> &AzureOutlet {
        &self.sources.outlet
    }

    fn destinations(&self) -> Vec<Destination> {
        vec![
            Destination::Topic,
            Destination::ParticipantQueue,
            Destination::AzureServiceQueue,
        ]
    }

    async fn arrived(&self, to: Destination) -> Vec<String> {
        match to {
            Destination::Topic => self.events(1).await,
            Destination::AzureServiceQueue => {
                let dead_letters = dead_letters(self.service_queue.as_ref(), 1).await;
                dead_letters.into_iter().map(|(_, text)| text).collect()
            }
            _ => {
                let dead_letters = dead_letters(self.participants_queue.as_ref(), 1).await;
                dead_letters.into_iter().map(|(_, text)| text).collect()
            }
        }
    }
}

struct InStorage {
    port: QuarantineQueue,
    sources: Sources,
}

async fn storage_quarantine() -> Option<InStorage> {
    let access = azure();
    create_queue(&access, &access.participant.quarantine_queue).await;
    Some(InStorage {
        port: participant(&access).quarantine,
        sources: connected(&access),
    })
}

impl QuarantineSide for InStorage {
    type Port = QuarantineQueue;

    fn port(&self) -> &QuarantineQueue {
        &self.port
    }

    async fn kept(&self, count: usize) -> Vec<(String, String)> {
        dead_letters(queue(&self.sources, Source::AzureQuarantine), count).await
    }
}

// --- The queues of requests to services ---

/// A request that is put with a pause is whole and is not seen before its time.
async fn a_request_stays_away(queue: &impl CallQueue, mut seen: impl AsyncFnMut(usize) -> Vec<String>) {
    let (late, now) = (r#"{"late":"ä \" 1.10"}"#, r#"{"now":true}"#);
    let begun = SystemClock.now();
    queue
        .put(late.as_bytes(), Duration::from_millis(2_500))
        .await
        .unwrap();
    queue.put(now.as_bytes(), Duration::ZERO).await.unwrap();
    assert_eq!(seen(1).await, [now]);
    assert_eq!(seen(2).await, [now, late]);
    let waited = SystemClock.now().millis() - begun.millis();
    assert!(waited >= 2_000, "{waited} ms");
}

#[tokio::test]
async fn a_request_on_sqs_comes_at_its_time() {
    let config = aws().await;
    let queue = TestQueue::new(&config).await;
    let port = ServiceQueue::new(&config, queue.url.clone());
    a_request_stays_away(&port, async |count| queue.came(count).await).await;
}

#[tokio::test]
async fn a_request_on_a_storage_queue_comes_at_its_time() {
    let access = azure();
    create_queue(&access, &access.queue).await;
    let port = CallsQueue::connect(&access.participant, &access.queue).unwrap();
    let reader = poison(Access {
        poison_queue: access.queue.clone(),
        ..access
    });
    let mut came = Vec::new();
    let seen = async |count: usize| {
        let new = dead_letters(reader.as_ref(), count - came.len()).await;
        came.extend(new.into_iter().map(|(_, text)| text));
        came.clone()
    };
    a_request_stays_away(&port, seen).await;
}
