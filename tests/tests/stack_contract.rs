//! The store contract, held against DynamoDB and Table storage as the local stack's emulators play them. Each test
//! has tables of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "the helpers of these tests are tests, too"
)]

use std::hash::{BuildHasher, Hasher, RandomState};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{Credentials, Region, SharedCredentialsProvider};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType,
};
use saga_aws::outbox::DynamoOutbox;
use saga_aws::saga_store::{DynamoSagas, Tables};
use saga_azure::{Config, TableStore};
use saga_core::outbox::DEFAULT_SHARDS;
use serde_json::Value;

saga_tests::saga_store_contract!(dynamodb, empty_dynamodb_tables);
saga_tests::saga_store_contract!(dynamodb_local, empty_dynamodb_local_tables);
saga_tests::step_store_contract!(azure_tables, empty_azure_table);

/// What `make up` and `tests/run.py` write.
fn endpoints() -> Value {
    #[allow(
        clippy::disallowed_methods,
        reason = "the test runner says where its stack is"
    )]
    let file = std::env::var("SAGA_ENDPOINTS").expect("SAGA_ENDPOINTS names the stack's endpoints.json");
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// A name that no other test has, in this run or another.
fn unique() -> String {
    format!("Contract{:016x}", RandomState::new().build_hasher().finish())
}

async fn empty_dynamodb_tables() -> Option<(DynamoSagas, DynamoOutbox)> {
    Some(empty_tables(endpoints()["aws"].as_str().unwrap()).await)
}

/// AWS' own engine; where there is no Java to run it, the test runner has said so.
async fn empty_dynamodb_local_tables() -> Option<(DynamoSagas, DynamoOutbox)> {
    #[allow(clippy::disallowed_methods, reason = "the test runner says where it is")]
    let url = std::env::var("DYNAMODB_LOCAL").ok()?;
    Some(empty_tables(&url).await)
}

async fn empty_tables(url: &str) -> (DynamoSagas, DynamoOutbox) {
    let credentials = Credentials::new("test", "test", None, None, "the local stack");
    let config = saga_aws::clients::config().await.into_builder();
    let config = config
        .endpoint_url(url)
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build();
    let client = Client::new(&config);
    let prefix = unique();
    let tables = Tables {
        sagas: format!("{prefix}Sagas"),
        entities: format!("{prefix}LocalPayments"),
        outbox: format!("{prefix}SagaOutbox"),
    };
    create(
        &client,
        &tables.sagas,
        &["SagaId"],
        &[("due", "DueBucket", "DueAt"), ("list", "ListBucket", "CreatedAt")],
    )
    .await;
    create(&client, &tables.entities, &["TransactionId"], &[]).await;
    create(&client, &tables.outbox, &["Shard", "EventId"], &[]).await;
    let outbox = DynamoOutbox::new(&config, tables.outbox.clone());
    (DynamoSagas::new(&config, tables, DEFAULT_SHARDS), outbox)
}

/// A table as `infra/modules/tables` has it. The keys of a table are texts; an index goes from a text to a number.
async fn create(client: &Client, name: &str, keys: &[&str], indexes: &[(&str, &str, &str)]) {
    let mut request = client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .set_key_schema(Some(schema(keys)));
    for key in keys {
        request = request.attribute_definitions(attribute(key, ScalarAttributeType::S));
    }
    for (index, hash, range) in indexes {
        let projection = Projection::builder().projection_type(ProjectionType::KeysOnly);
        let index = GlobalSecondaryIndex::builder()
            .index_name(*index)
            .set_key_schema(Some(schema(&[hash, range])))
            .projection(projection.build());
        request = request
            .attribute_definitions(attribute(hash, ScalarAttributeType::S))
            .attribute_definitions(attribute(range, ScalarAttributeType::N))
            .global_secondary_indexes(index.build().unwrap());
    }
    request.send().await.unwrap();
}

fn schema(keys: &[&str]) -> Vec<KeySchemaElement> {
    let kinds = [KeyType::Hash, KeyType::Range];
    let element = |(key, kind): (&&str, KeyType)| {
        let element = KeySchemaElement::builder().attribute_name(*key).key_type(kind);
        element.build().unwrap()
    };
    keys.iter().zip(kinds).map(element).collect()
}

fn attribute(name: &str, kind: ScalarAttributeType) -> AttributeDefinition {
    let definition = AttributeDefinition::builder()
        .attribute_name(name)
        .attribute_type(kind);
    definition.build().unwrap()
}

async fn empty_azure_table() -> Option<TableStore> {
    let endpoints = endpoints();
    let azurite = |name: &str| endpoints["azurite"][name].as_str().unwrap().to_owned();
    let config = Config {
        account: azurite("account"),
        key: Some(azurite("key").into()),
        table_endpoint: azurite("table"),
        queue_endpoint: azurite("queue"),
        table: unique(),
        quarantine_queue: "unused".to_owned(),
        topic_endpoint: "http://127.0.0.1:1/api/events".to_owned(),
        topic_key: None,
        client_id: None,
    };
    let store = TableStore::new(&config).unwrap();
    store.create_table().await.unwrap();
    Some(store)
}
