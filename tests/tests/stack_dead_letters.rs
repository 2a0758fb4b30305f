//! The sources of dead letters, held to what their port promises, on the local stack's emulators. Each test has a queue
//! or a table of its own; how letters with real causes come there is in `stack/test_dead_letters.py`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "the helpers of these tests are tests, too"
)]

use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hasher, RandomState};

use aws_sdk_dynamodb::config::{Credentials, Region, SharedCredentialsProvider};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use saga_app::dead_letters::ports::{Held, LetterSource, Outlet, Removal, Walk};
use saga_app::ports::{Outbox, Quarantine, Quarantined};
use saga_aws::dead_letters::queue::DeadQueue;
use saga_aws::dead_letters::rows::DeadRows;
use saga_aws::outbox::DynamoOutbox;
use saga_azure::dead_letters::Access;
use saga_azure::{Config, QuarantineQueue, Secret};
use saga_core::Timestamp;
use saga_core::dead_letter::{Destination, Source};
use saga_core::outbox::{OutboxRow, Tries};
use saga_wire::dead_letter::events;
use serde_json::Value;

const SAGA: &str = "4a3c1d70-9f52-8b11-a0de-5b1e0c7f2d93";
const COUNT: usize = 45;

fn endpoints() -> Value {
    #[allow(
        clippy::disallowed_methods,
        reason = "the test runner says where its stack is"
    )]
    let file = std::env::var("SAGA_ENDPOINTS").expect("SAGA_ENDPOINTS names the stack's endpoints.json");
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

fn unique() -> String {
    format!("dead{:016x}", RandomState::new().build_hasher().finish())
}

macro_rules! aws {
    () => {{
        let credentials = Credentials::new("test", "test", None, None, "the local stack");
        let config = saga_aws::clients::config().await.into_builder();
        config
            .endpoint_url(endpoints()["aws"].as_str().unwrap())
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build()
    }};
}

fn event(number: usize) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{number:013}-{SAGA}-complete2","source":"s","type":"InventoryReserved","sagaid":"{SAGA}","sagadef":"payment","sagaver":1,"sagastep":2,"sagaverb":"complete","sagatarget":"aws","sagaorigin":"azure","sagahop":2,"data":{{}}}}"#
    )
}

fn walk() -> Walk {
    Walk {
        lease_seconds: 60,
        ..Walk::default()
    }
}

/// All that a walk comes to.
async fn walked(source: &dyn LetterSource, mut walk: Walk) -> Vec<Held> {
    let mut all = Vec::new();
    loop {
        let some = source.next(&mut walk).await.unwrap();
        if some.is_empty() {
            return all;
        }
        all.extend(some);
    }
}

fn keys(held: &[Held]) -> BTreeSet<String> {
    held.iter().map(|held| held.letter.id.key.clone()).collect()
}

async fn put_back(source: &dyn LetterSource, held: Vec<Held>) {
    let receipts = held.into_iter().map(|held| held.receipt).collect();
    source.put_back(receipts).await.unwrap();
}

/// What every source promises, for one that holds [`COUNT`] letters of [`SAGA`].
async fn keeps_its_promises(source: &dyn LetterSource) {
    assert!(source.depth().await.unwrap().visible > 0);
    let first = walked(source, walk()).await;
    assert_eq!(
        (first.len(), keys(&first).len()),
        (COUNT, COUNT),
        "each letter once"
    );
    assert!(
        first
            .iter()
            .all(|held| held.letter.facts.saga.unwrap().to_string() == SAGA)
    );
    if source.is_queue() {
        // While somebody holds them, another operator sees none; none is lost.
        assert_eq!(walked(source, walk()).await.len(), 0);
    } else {
        let in_order: Vec<&String> = first.iter().map(|held| &held.letter.id.key).collect();
        assert!(in_order.is_sorted(), "in the order of their keys");
        let after = Walk {
            after: Some(first[9].letter.id.key.clone()),
            ..walk()
        };
        assert_eq!(walked(source, after).await.len(), COUNT - 10);
        let only = Walk {
            only: Some([first[7].letter.id.key.clone(), "no such key".to_owned()].into()),
            ..walk()
        };
        assert_eq!(keys(&walked(source, only).await), keys(&first[7..8]));
    }
    let before = keys(&first);
    put_back(source, first).await;

    let second = walked(source, walk()).await;
    assert_eq!(
        keys(&second),
        before,
        "a look consumes nothing, and changes no key"
    );
    let (gone, rest) = (second[0].clone(), second[1..].to_vec());
    assert_eq!(source.remove(&gone).await.unwrap(), Removal::Removed);
    put_back(source, rest).await;

    let third = walked(source, walk()).await;
    assert_eq!(third.len(), COUNT - 1);
    assert!(!keys(&third).contains(&gone.letter.id.key));
    // Somebody else took them meanwhile: receipts of before remove nothing that another operator holds.
    let again = source.remove(&gone).await.unwrap();
    if !source.is_queue() {
        assert_eq!(again, Removal::NotOurs);
    }
    put_back(source, third).await;
    let last = walked(source, walk()).await;
    assert_eq!(last.len(), COUNT - 1);
    put_back(source, last).await;
}

#[tokio::test]
async fn an_sqs_queue() {
    let config = aws!();
    let client = aws_sdk_sqs::Client::new(&config);
    let url = client
        .create_queue()
        .queue_name(unique())
        .send()
        .await
        .unwrap()
        .queue_url
        .unwrap();
    for number in 0..COUNT {
        client
            .send_message()
            .queue_url(&url)
            .message_body(event(number))
            .send()
            .await
            .unwrap();
    }
    keeps_its_promises(&DeadQueue::new(&config, url, Source::Events, events)).await;
}

async fn dead_rows() -> (aws_sdk_dynamodb::Client, String, DeadRows) {
    let config = aws!();
    let client = aws_sdk_dynamodb::Client::new(&config);
    let table = unique();
    let mut request = client
        .create_table()
        .table_name(&table)
        .billing_mode(BillingMode::PayPerRequest);
    for (key, kind) in [("Shard", KeyType::Hash), ("EventId", KeyType::Range)] {
        let definition = AttributeDefinition::builder()
            .attribute_name(key)
            .attribute_type(ScalarAttributeType::S);
        let element = KeySchemaElement::builder().attribute_name(key).key_type(kind);
        request = request
            .attribute_definitions(definition.build().unwrap())
            .key_schema(element.build().unwrap());
    }
    request.send().await.unwrap();
    for number in 0..COUNT {
        let texts = [
            ("Shard", "dead".to_owned()),
            ("EventId", format!("{number:013}-{SAGA}-complete2")),
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
    let rows = DeadRows::new(&config, table.clone());
    (client, table, rows)
}

#[tokio::test]
async fn the_dead_rows_of_dynamodb() {
    let (_, _, rows) = dead_rows().await;
    keeps_its_promises(&rows).await;
}

#[tokio::test]
async fn a_dead_row_of_dynamodb_is_pending_again_and_not_twice() {
    let (client, table, rows) = dead_rows().await;
    let held = walked(&rows, walk()).await.remove(0);
    let now = Timestamp::from_millis(1_795_226_400_123);
    assert_eq!(rows.requeue(&held, now).await.unwrap(), Removal::Removed);
    assert_eq!(rows.requeue(&held, now).await.unwrap(), Removal::NotOurs);
    let key = |shard: &str| {
        let key = client
            .get_item()
            .table_name(&table)
            .key("Shard", AttributeValue::S(shard.to_owned()));
        key.key("EventId", AttributeValue::S(held.letter.id.key.clone()))
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

#[tokio::test]
async fn what_was_published_meanwhile_is_not_buried() {
    let (_, table, rows) = dead_rows().await;
    let outbox = DynamoOutbox::new(&aws!(), table);
    let gone = OutboxRow {
        id: format!("{:013}-{SAGA}-advance1", 1_795_226_400_123_i64)
            .parse()
            .unwrap(),
        saga: SAGA.parse().unwrap(),
        kind: "PaymentReserved".to_owned(),
        shard: 3,
        body: event(0),
        at: Timestamp::from_millis(1_795_226_400_123),
        queued: Timestamp::from_millis(1_795_226_400_123),
        follows: false,
        tries: Tries::default(),
    };
    outbox.bury(&gone, gone.at).await.unwrap();
    assert_eq!(walked(&rows, walk()).await.len(), COUNT);
}

#[tokio::test]
async fn a_storage_queue() {
    let endpoints = endpoints();
    let azurite = |name: &str| endpoints["azurite"][name].as_str().unwrap().to_owned();
    let (key, queue) = (Secret::new(azurite("key")), unique());
    let config = Config {
        account: azurite("account"),
        key: Some(key.clone()),
        table_endpoint: azurite("table"),
        queue_endpoint: azurite("queue"),
        table: "Unused".to_owned(),
        quarantine_queue: queue.clone(),
        topic_endpoint: "http://127.0.0.1:1/api/events".to_owned(),
        topic_key: Some(key.clone()),
        client_id: None,
    };
    let quarantine = QuarantineQueue::new(&config).unwrap();
    quarantine.create_queue().await.unwrap();
    for number in 0..COUNT {
        let event = event(number);
        let message = Quarantined {
            entrance: "azure-participant",
            reason: "why",
            headers: &saga_wire::quarantine::NO_HEADERS,
            body: event.as_bytes(),
            at: Timestamp::from_millis(1_795_226_400_123),
        };
        quarantine.keep(message).await.unwrap();
    }
    let access = Access {
        account: config.account.clone(),
        topic_key: Some(key.clone()),
        key: Some(key),
        assertion: None,
        blob_endpoint: azurite("blob"),
        queue_endpoint: config.queue_endpoint.clone(),
        table_endpoint: config.table_endpoint.clone(),
        topic_endpoint: config.topic_endpoint.clone(),
        container: "unused".to_owned(),
        queue: queue.clone(),
        poison_queue: "unused".to_owned(),
        quarantine_queue: queue,
        table: "Unused".to_owned(),
        buckets: 16,
    };
    let azure = access.connect().unwrap();
    let source = azure
        .sources
        .iter()
        .find(|source| source.source() == Source::AzureQuarantine)
        .unwrap();
    keeps_its_promises(source.as_ref()).await;
    // The participant's queue is the same one here: what is sent arrives there as base64 of the message.
    let letter = walked(source.as_ref(), walk()).await.remove(0).letter;
    // All are hidden now, and only what is sent is seen.
    let sent = azure
        .outlet
        .send(Destination::ParticipantQueue, &letter, "the message")
        .await
        .unwrap();
    assert_eq!(sent, Ok(()));
    let arrived = walked(source.as_ref(), walk()).await;
    assert_eq!(
        (arrived.len(), arrived[0].letter.facts.text.as_str()),
        (1, "the message")
    );
}
