//! The contracts of dead letters, held against the real adapters on the emulators: SQS, DynamoDB, a Storage queue, blobs and
//! table rows. Each test has its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "the helpers of these tests are tests, too"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use saga_app::dead_letters::DeadLetterSource;
use saga_app::dead_letters::ports::{DeadLetterContainer, DeadLetterQueue, DeadOutbox, Removal};
use saga_app::ports::outbox::{OutboxRow, Tries};
use saga_app::ports::{
    Committed, Envelope, Outbox, Partition, Quarantine, Quarantined, Snapshot, StepCommit, StepStore,
};
use saga_aws::dead_letters::archive::DynamoArchive;
use saga_aws::dead_letters::queue::DeadQueue;
use saga_aws::dead_letters::rows::DeadRows;
use saga_aws::dead_letters::services::ServiceQueues;
use saga_aws::outbox::DynamoOutbox;
use saga_azure::dead_letters::Access;
use saga_core::{StepIndex, Timestamp};
use saga_tests::contract::dead_letters::{
    ArchiveSide, COUNT, ContainerSide, OutboxSide, QueueSide, SAGA, event, event_id, kept,
};
use saga_tests::contract::given::time;
use saga_tests::stack::{
    TestQueue, aws, azure, connected, create_blob, create_container, create_participants_table, create_queue,
    dynamodb_local, outbox_table, participant,
};
use saga_wire::dead_letter::{Source, events};

saga_tests::dead_letter_queue_contract!(sqs_queue, sqs_queue);
saga_tests::dead_letter_queue_contract!(service_queues, service_queues);
saga_tests::dead_letter_queue_contract!(storage_queue, storage_queue);
saga_tests::dead_letter_container_contract!(dynamodb_container, dynamodb_rows);
saga_tests::dead_letter_container_contract!(table_container, table_rows);
saga_tests::dead_letter_container_contract!(blobs, blobs);
saga_tests::dead_outbox_contract!(dynamodb_rows, dynamodb_rows);
saga_tests::dead_outbox_contract!(table_rows, table_rows);
saga_tests::archive_contract!(dynamodb_archive, archive);
saga_tests::archive_contract!(dynamodb_local_archive, archive_of_awss_own);
saga_tests::memory_contract!(dynamodb_memory, memory);
saga_tests::memory_contract!(dynamodb_local_memory, memory_of_awss_own);

/// A source, filled.
struct Filled(DeadLetterSource);

impl OutboxSide for Filled {
    fn outbox(&self) -> &dyn DeadOutbox {
        match &self.0 {
            DeadLetterSource::Outbox(outbox) => outbox.as_ref(),
            other => panic!("{} is no outbox", other.source()),
        }
    }
}

impl ContainerSide for Filled {
    fn container(&self) -> &dyn DeadLetterContainer {
        match &self.0 {
            DeadLetterSource::Container(container) => container.as_ref(),
            DeadLetterSource::Outbox(outbox) => outbox.as_ref(),
            DeadLetterSource::Queue(queue) => panic!("{} is a queue", queue.source()),
        }
    }
}

impl QueueSide for Filled {
    fn queue(&self) -> &dyn DeadLetterQueue {
        match &self.0 {
            DeadLetterSource::Queue(queue) => queue.as_ref(),
            other => panic!("{} is no queue", other.source()),
        }
    }

    async fn pass(&self, seconds: u32) {
        tokio::time::sleep(Duration::from_secs(seconds.into())).await;
    }
}

async fn sqs_queue() -> Option<Filled> {
    let config = aws().await;
    let queue = TestQueue::new(&config).await;
    for number in 0..COUNT {
        queue.put(&event(number)).await;
    }
    let source = DeadQueue::new(&config, queue.url, Source::Events, events);
    Some(Filled(DeadLetterSource::Queue(Box::new(source))))
}

/// The queues of two services, of which one holds a third of the dead letters.
async fn service_queues() -> Option<Filled> {
    let config = aws().await;
    let queues = [TestQueue::new(&config).await, TestQueue::new(&config).await];
    for number in 0..COUNT {
        queues[usize::from(number % 3 == 0)].put(&event(number)).await;
    }
    let [ledger, mail] = queues.map(|queue| queue.url);
    let urls = [("ledger".to_owned(), ledger), ("mail".to_owned(), mail)].into();
    let source = ServiceQueues::new(&config, urls);
    Some(Filled(DeadLetterSource::Queue(Box::new(source))))
}

async fn dead_table(config: &SdkConfig) -> String {
    let (client, table) = (Client::new(config), outbox_table(config).await);
    for number in 0..COUNT {
        let texts = [
            ("Shard", "dead".to_owned()),
            ("EventId", event_id(number)),
            ("SagaId", SAGA.to_owned()),
            ("Type", "InventoryReserved".to_owned()),
            ("Body", event(number)),
            ("From", "03".to_owned()),
            ("Reason", "refused".to_owned()),
        ];
        let numbers = [
            ("At", 5),
            ("Attempts", 7),
            ("DeadAt", 6),
            ("ExpiresAt", 9_999_999_999_i64),
        ];
        let texts = texts.map(|(name, text)| (name, AttributeValue::S(text)));
        let numbers = numbers.map(|(name, number)| (name, AttributeValue::N(number.to_string())));
        let mut put = client.put_item().table_name(&table);
        for (name, value) in texts.into_iter().chain(numbers) {
            put = put.item(name, value);
        }
        put.send().await.unwrap();
    }
    table
}

async fn dynamodb_rows() -> Option<Filled> {
    let config = aws().await;
    let rows = DeadRows::new(&config, dead_table(&config).await);
    Some(Filled(DeadLetterSource::Outbox(Box::new(rows))))
}

/// As a script or the relay finds it.
#[tokio::test]
async fn a_dead_row_of_dynamodb_that_is_pending_again_has_the_attributes_of_a_pending_one() {
    let config = aws().await;
    let (client, table) = (Client::new(&config), dead_table(&config).await);
    let rows = DeadRows::new(&config, table.clone());
    let dead = kept(&rows, None).await.remove(0);
    let now = Timestamp::from_millis(1_795_226_400_123);
    assert_eq!(rows.requeue(&dead.id.key, now).await.unwrap(), Removal::Removed);
    let key = |shard: &str| {
        let key = client
            .get_item()
            .table_name(&table)
            .key("Shard", AttributeValue::S(shard.to_owned()));
        key.key("EventId", AttributeValue::S(dead.id.key.clone()))
    };
    assert!(key("dead").send().await.unwrap().item.is_none());
    let pending = key("03").send().await.unwrap().item.unwrap();
    let names: BTreeSet<&str> = pending.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "At", "Body", "EventId", "Follows", "Queued", "SagaId", "Shard", "Type"
        ]
        .into()
    );
    assert_eq!(pending["Body"], AttributeValue::S(event(0)));
    assert_eq!(pending["Queued"], AttributeValue::N("1795226400123".to_owned()));
}

fn dead_row(number: usize) -> OutboxRow {
    OutboxRow {
        event: Envelope {
            id: event_id(number).parse().unwrap(),
            saga: SAGA.parse().unwrap(),
            kind: "InventoryReserved".to_owned(),
            body: event(number),
        },
        shard: 3,
        at: time(5),
        queued: time(5),
        follows: false,
        tries: Tries::default(),
    }
}

#[tokio::test]
async fn what_was_published_meanwhile_is_not_set_aside() {
    let config = aws().await;
    let table = dead_table(&config).await;
    let outbox = DynamoOutbox::new(&config, table.clone());
    outbox.set_aside(&dead_row(COUNT), time(6)).await.unwrap();
    let rows = DeadRows::new(&config, table);
    assert_eq!(kept(&rows, None).await.len(), COUNT);
}

/// The one of this source among those of the account.
fn source(access: &Access, wanted: Source) -> Filled {
    let mut sources = connected(access).sources.into_iter();
    Filled(sources.find(|source| source.source() == wanted).unwrap())
}

async fn storage_queue() -> Option<Filled> {
    let access = azure();
    create_queue(&access, &access.participant.quarantine_queue).await;
    let quarantine = participant(&access).quarantine;
    for number in 0..COUNT {
        let event = event(number);
        let message = Quarantined {
            entrance: "azure-participant",
            reason: "why",
            headers: &saga_wire::quarantine::NO_HEADERS,
            body: event.as_bytes(),
            at: time(0),
        };
        quarantine.keep(message).await.unwrap();
    }
    Some(source(&access, Source::AzureQuarantine))
}

/// Rows that were committed, and given up.
async fn table_rows() -> Option<Filled> {
    let access = azure();
    create_participants_table(&access).await;
    let store = participant(&access).store;
    for number in 0..COUNT {
        let row = dead_row(number);
        let commit = StepCommit {
            partition: &Partition(row.shard),
            saga: row.saga,
            index: StepIndex::new(1),
            record: None,
            version: None,
            writes: &[],
            read: &Snapshot::default(),
            row: Some(&row),
        };
        assert_eq!(store.commit(commit).await.unwrap(), Committed::Yes);
        store.set_aside(&row, time(6)).await.unwrap();
    }
    Some(source(&access, Source::AzureOutbox))
}

/// Blobs as Event Grid writes them, of one event and of several.
async fn blobs() -> Option<Filled> {
    let access = azure();
    create_container(&access).await;
    let mut numbers: Vec<usize> = (0..COUNT).collect();
    for (place, count) in [1, 2, 12, 30].into_iter().enumerate() {
        let added = r#","deadletterreason":"MaxDeliveryAttemptsExceeded","deliveryattempts":3,"lastdeliveryoutcome":"NotFound","publishtime":"2026-11-21T02:00:00.1234567Z"}"#;
        let dead = |number: usize| event(number).strip_suffix('}').unwrap().to_owned() + added;
        let events: Vec<String> = numbers.drain(..count).map(dead).collect();
        let name = format!("TO-AWS-INGRESS/2026/11/21/{place}/g.json");
        create_blob(&access, &name, &format!("[{}]", events.join(","))).await;
    }
    assert!(numbers.is_empty());
    Some(source(&access, Source::EventGrid))
}

/// An archive, and its table.
struct OnDynamo {
    port: DynamoArchive,
    client: Client,
    table: String,
}

async fn on_dynamo(config: SdkConfig) -> OnDynamo {
    let table = outbox_table(&config).await;
    OnDynamo {
        port: DynamoArchive::new(&config, table.clone()),
        client: Client::new(&config),
        table,
    }
}

async fn archive() -> Option<OnDynamo> {
    Some(on_dynamo(aws().await).await)
}

async fn archive_of_awss_own() -> Option<OnDynamo> {
    Some(on_dynamo(dynamodb_local().await?).await)
}

async fn memory() -> Option<DynamoArchive> {
    Some(archive().await?.port)
}

async fn memory_of_awss_own() -> Option<DynamoArchive> {
    Some(archive_of_awss_own().await?.port)
}

impl ArchiveSide for OnDynamo {
    type Port = DynamoArchive;

    fn port(&self) -> &DynamoArchive {
        &self.port
    }

    async fn kept(&self, id: &str) -> Vec<String> {
        let pages = self.client.query().table_name(&self.table);
        let pages = pages
            .key_condition_expression("#shard = :discarded")
            .expression_attribute_names("#shard", "Shard")
            .expression_attribute_values(":discarded", AttributeValue::S("discarded".to_owned()));
        let items = pages.into_paginator().items().send();
        let items = items.collect::<Result<Vec<_>, _>>().await.unwrap();
        // In the order of their keys, which end in the number of the part.
        let parts = items
            .iter()
            .filter(|item| item["Letter"] == AttributeValue::S(id.to_owned()));
        let body = parts
            .map(|item| item.get("Body").map_or("", |body| body.as_s().unwrap()))
            .collect::<String>();
        vec![body]
    }
}
