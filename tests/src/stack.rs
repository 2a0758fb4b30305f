//! What tests on the local stack's emulators share: where they are, names that nobody else has, and dead letter boxes.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Mutex;
use std::time::Duration;

use aws_config::{Region, SdkConfig};
use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType,
};
use aws_sdk_sqs::types::QueueAttributeName;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use saga_app::ports::outbox::DEFAULT_SHARDS;
use saga_azure::dead_letters::{Access, Calls, Sources};
use saga_azure::{Azure, Config, Secret};
use saga_runtime::clock::SystemClock;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long something may take to arrive: tells what stands still from what is slow.
const PATIENCE: u32 = 1_200;
const PAUSE: Duration = Duration::from_millis(100);

/// What `make up` and `tests/run.py` write.
#[must_use]
pub fn endpoints() -> Value {
    #[allow(
        clippy::disallowed_methods,
        reason = "the test runner says where its stack is"
    )]
    let file = std::env::var("SAGA_ENDPOINTS").expect("SAGA_ENDPOINTS names the stack's endpoints.json");
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// A name that no other test has, in this run or another.
#[must_use]
pub fn unique() -> String {
    format!("Contract{:016x}", RandomState::new().build_hasher().finish())
}

/// The emulator of AWS.
pub async fn aws() -> SdkConfig {
    at(endpoints()["aws"].as_str().unwrap()).await
}

/// AWS' own engine of DynamoDB; where there is no Java to run it, the test runner has said so.
pub async fn dynamodb_local() -> Option<SdkConfig> {
    #[allow(clippy::disallowed_methods, reason = "the test runner says where it is")]
    let url = std::env::var("DYNAMODB_LOCAL").ok()?;
    Some(at(&url).await)
}

async fn at(url: &str) -> SdkConfig {
    let credentials = Credentials::new("test", "test", None, None, "the local stack");
    let config = saga_aws::clients::config().await.into_builder();
    config
        .endpoint_url(url)
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

/// A table as `infra/modules/tables` has it. The keys of a table are texts; an index goes from a text to a number.
pub async fn create_table(config: &SdkConfig, name: &str, keys: &[&str], indexes: &[(&str, &str, &str)]) {
    let mut request = DynamoDb::new(config)
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

/// An empty outbox table.
pub async fn outbox_table(config: &SdkConfig) -> String {
    let name = format!("{}SagaOutbox", unique());
    create_table(config, &name, &["Shard", "EventId"], &[]).await;
    name
}

/// Looks until there is something to see.
pub async fn until<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..PATIENCE {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("it did not come true");
}

/// A queue of AWS to which something is carried.
pub struct TestQueue {
    client: aws_sdk_sqs::Client,
    /// Its URL.
    pub url: String,
    /// Its ARN.
    pub arn: String,
    came: Mutex<Vec<String>>,
}

impl TestQueue {
    /// An empty one.
    pub async fn new(config: &SdkConfig) -> Self {
        let client = aws_sdk_sqs::Client::new(config);
        let made = client.create_queue().queue_name(unique()).send().await.unwrap();
        let url = made.queue_url.unwrap();
        let asked = client.get_queue_attributes().queue_url(&url);
        let asked = asked
            .attribute_names(QueueAttributeName::QueueArn)
            .send()
            .await
            .unwrap();
        let arn = asked.attributes.unwrap()[&QueueAttributeName::QueueArn].clone();
        Self {
            client,
            url,
            arn,
            came: Mutex::default(),
        }
    }

    /// Puts a message into it.
    pub async fn put(&self, body: &str) {
        let sent = self.client.send_message().queue_url(&self.url).message_body(body);
        sent.send().await.unwrap();
    }

    /// All that has come so far, once it is so much.
    pub async fn came(&self, count: usize) -> Vec<String> {
        until(async || {
            self.empty().await;
            let came = self.came.lock().unwrap().clone();
            (came.len() >= count).then_some(came)
        })
        .await
    }

    async fn empty(&self) {
        let asked = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(10);
        for message in asked.send().await.unwrap().messages.unwrap_or_default() {
            let handle = message.receipt_handle.unwrap();
            let gone = self
                .client
                .delete_message()
                .queue_url(&self.url)
                .receipt_handle(handle);
            gone.send().await.unwrap();
            self.came.lock().unwrap().push(message.body.unwrap_or_default());
        }
    }
}

/// A storage account's key and endpoints, and names of a test's own.
#[must_use]
pub fn azure() -> Access {
    let endpoints = endpoints();
    let azurite = |name: &str| endpoints["azurite"][name].as_str().unwrap().to_owned();
    let name = unique();
    let queue = |what: &str| format!("{}-{what}", name.to_lowercase());
    let key = Secret::new(azurite("key"));
    Access {
        participant: Config {
            account: azurite("account"),
            topic_key: Some(key.clone()),
            key: Some(key),
            table_endpoint: azurite("table"),
            queue_endpoint: azurite("queue"),
            table: name.clone(),
            quarantine_queue: queue("quarantine"),
            topic_endpoint: "http://127.0.0.1:1/api/events".to_owned(),
            client_id: None,
        },
        assertion: None,
        blob_endpoint: azurite("blob"),
        container: queue("blobs"),
        queue: queue("queue"),
        poison_queue: queue("poison"),
        calls: Some(Calls {
            queue: queue("calls"),
            poison_queue: queue("calls-poison"),
        }),
        buckets: DEFAULT_SHARDS,
    }
}

/// The participant's adapters on the same account.
#[must_use]
pub fn participant(access: &Access) -> Azure<SystemClock> {
    Azure::connect(&access.participant, SystemClock).unwrap()
}

/// Creates a queue of the account.
pub async fn create_queue(access: &Access, name: &str) {
    create(
        access,
        &access.participant.queue_endpoint,
        &format!("PUT /{name}?"),
        &[],
        "",
    )
    .await;
}

/// Creates the participant's table.
pub async fn create_participants_table(access: &Access) {
    let body = format!("{{\"TableName\":\"{}\"}}", access.participant.table);
    let headers = ["Content-Type: application/json", "Accept: application/json"];
    create(
        access,
        &access.participant.table_endpoint,
        "POST /Tables?",
        &headers,
        &body,
    )
    .await;
}

/// Creates the container of dead-letter blobs.
pub async fn create_container(access: &Access) {
    let line = format!("PUT /{}?restype=container", access.container);
    create(access, &access.blob_endpoint, &line, &[], "").await;
}

/// Creates a dead-letter blob.
pub async fn create_blob(access: &Access, name: &str, body: &str) {
    let line = format!("PUT /{}/{name}?", access.container);
    let headers = ["x-ms-blob-type: BlockBlob"];
    create(access, &access.blob_endpoint, &line, &headers, body).await;
}

/// Sends a request with an account SAS, which needs no date
/// (<https://learn.microsoft.com/rest/api/storageservices/create-account-sas>). `line`: method, path and query.
async fn create(access: &Access, endpoint: &str, line: &str, headers: &[&str], body: &str) {
    let (version, until) = ("2018-11-09", "2099-01-01T00:00:00Z");
    let text = format!(
        "{}\nrwdlac\nbqt\nsco\n\n{until}\n\n\n{version}\n",
        access.participant.account
    );
    let key = STANDARD
        .decode(access.participant.key.as_ref().unwrap().secret())
        .unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let signature = STANDARD.encode(hmac::sign(&key, text.as_bytes()));
    let signature = signature
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D");
    let (host, account) = endpoint.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let (method, path) = line.split_once(' ').unwrap();
    let token = format!("&sv={version}&ss=bqt&srt=sco&sp=rwdlac&se={until}&sig={signature}");
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let request = format!(
        "{method} /{account}{path}{token} HTTP/1.1\r\nHost: {host}\r\nx-ms-version: {version}\r\n{headers}\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(host).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
}

/// The adapters of this account.
#[must_use]
pub fn connected(access: &Access) -> Sources {
    access.connect().unwrap()
}

/// Each once, in order.
#[must_use]
pub fn distinct(texts: impl IntoIterator<Item = String>) -> Vec<String> {
    texts.into_iter().collect::<BTreeSet<_>>().into_iter().collect()
}
