//! Records, rows and messages as an earlier release wrote them (`fixtures/release_*`, recorded by `tests/record_fixtures.py`) mean
//! what that release said of them. What is written in their place holds only names and words which that release reads: the
//! functions of a deployment are replaced one after the other while sagas run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "the helpers of these tests are tests, too"
)]

use std::sync::{Arc, Mutex};

use aws_config::{Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use saga_app::dead_letters::DeadLetterSource;
use saga_app::dead_letters::ports::{DeadOutbox, Memory, Removal};
use saga_app::ports::outbox::{DEFAULT_SHARDS, OutboxRow};
use saga_app::ports::{
    Committed, Definitions, Outbox, Partition, SagaStore, Snapshot, StepCommit, StepStore, Version,
};
use saga_aws::outbox::{DynamoOutbox, row_of_image};
use saga_aws::saga_store::{DynamoSagas, Tables};
use saga_azure::dead_letters::Access;
use saga_azure::{Azure, Config, Secret, TableStore};
use saga_core::participant::{EntityKey, EntityWrite};
use saga_core::{Definition, DefinitionRef, Saga, SagaId, StepIndex, Timestamp};
use saga_runtime::clock::SystemClock;
use saga_stored_forms::recorded::{Recorded, Request, Service, recorded};
use saga_stored_forms::release_04d03cd;
use saga_tests::arbitrary;
use saga_tests::contract::dead_letters::{first_page, kept};
use saga_tests::property::holds;
use saga_wire::dead_letter::{DeadLetter, Source};
use serde_json::{Value, json};

fn far_future() -> Timestamp {
    Timestamp::from_millis(9_999_999_999_999)
}

// --- DynamoDB ---

/// DynamoDB with one item, or none.
struct Dynamo {
    service: Service,
    item: Arc<Mutex<Option<Value>>>,
    config: SdkConfig,
}

impl Dynamo {
    async fn new() -> Self {
        let item = Arc::new(Mutex::new(None::<Value>));
        let kept = Arc::clone(&item);
        let service = Service::answering(move |request: &Request| {
            let item = kept.lock().unwrap().clone();
            let items: Vec<Value> = item.clone().into_iter().collect();
            let answer = match request.operation.as_str() {
                "GetItem" => item.map_or(json!({}), |item| json!({"Item": item})),
                "Query" => json!({"Items": items, "Count": items.len(), "ScannedCount": items.len()}),
                "BatchGetItem" => json!({"Responses": {"LocalPayments": items}}),
                _ => json!({}),
            };
            let kind = "content-type: application/x-amz-json-1.0\r\n".to_owned();
            (200, kind, answer.to_string())
        });
        let config = saga_aws::clients::config().await.into_builder();
        let credentials = Credentials::new("test", "test", None, None, "a test");
        let config = config
            .endpoint_url(&service.url)
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
        Self {
            service,
            item,
            config,
        }
    }

    fn hold(&self, item: &Value) {
        *self.item.lock().unwrap() = Some(item.clone());
    }

    fn sagas(&self) -> DynamoSagas {
        let tables = Tables {
            sagas: "Sagas".to_owned(),
            entities: "LocalPayments".to_owned(),
            outbox: "SagaOutbox".to_owned(),
        };
        DynamoSagas::new(&self.config, tables, DEFAULT_SHARDS)
    }

    fn outbox(&self) -> DynamoOutbox {
        DynamoOutbox::new(&self.config, "SagaOutbox".to_owned())
    }

    async fn read_saga(&self, item: &Value) -> Saga {
        self.hold(item);
        let id = item["SagaId"]["S"].as_str().unwrap().parse().unwrap();
        self.sagas().load(id).await.unwrap().unwrap().value
    }

    /// The item that this version writes of a saga.
    async fn written(&self, saga: Saga) -> Value {
        let decision = saga_tests::contract::given::decision(&saga);
        let revision = Version("1".to_owned());
        drop(self.service.asked());
        let committed = self
            .sagas()
            .commit(&decision, &revision, &Snapshot::default(), None)
            .await;
        assert_eq!(committed.unwrap(), Committed::Yes);
        let put = self.service.asked().pop().unwrap();
        let body: Value = serde_json::from_str(&put.body).unwrap();
        body["Item"].clone()
    }
}

fn sagas() -> impl Iterator<Item = (Recorded, Value, Value)> {
    recorded("sagas").into_iter().filter_map(|file| {
        let json = file.json();
        let (item, shown) = (json["item"].clone(), json.get("shown")?.clone());
        Some((file, item, shown))
    })
}

fn definition(saga: &Saga) -> Definition {
    let definitions = saga_wire::definitions::all().unwrap();
    definitions.get(&saga.definition).unwrap().clone()
}

/// The members that every release shows, in the same words.
fn said(shown: &Value) -> Value {
    let mut said = shown.clone();
    let members = said.as_object_mut().unwrap();
    members.remove("notice");
    // The reason of a step that brought the saga down was shown of a saga that had completed, too.
    if members["status"] == "COMPLETED" {
        members.insert("reason".to_owned(), Value::Null);
    }
    // Numbers that were given as numbers are kept as text since.
    let input = members.get_mut("input").unwrap();
    if let Some(amount) = input["amount"].as_number() {
        input["amount"] = amount.to_string().into();
    }
    // What is known of Azure's steps has become more; the origin's own are as they were.
    let steps = members["steps"].as_array().unwrap().iter();
    let own = steps.filter(|step| step["cloud"] == "aws").cloned().collect();
    members.insert("steps".to_owned(), Value::Array(own));
    for line in members["timeline"].as_array_mut().unwrap() {
        let line = line.as_object_mut().unwrap();
        // Later releases show no step for what concerns the whole saga, and have a word for what moved nothing.
        for since in ["step", "step_name", "unverified", "caller"] {
            line.remove(since);
        }
        let verb = line["verb"].as_str().unwrap().to_owned();
        if ["parked", "replay", "discard"].contains(&verb.as_str()) && line["outcome"] == "noted" {
            line.insert("outcome".to_owned(), "late".into());
        }
    }
    // So is the flag of steps that are answered from outside.
    said["flags"].as_object_mut().unwrap().remove("held");
    said
}

#[tokio::test]
async fn every_saga_is_what_the_release_that_wrote_it_said_of_it() {
    let dynamo = Dynamo::new().await;
    for (file, item, shown) in sagas() {
        let saga = dynamo.read_saga(&item).await;
        let now: Value =
            serde_json::from_str(&saga_wire::http::saga(&saga, Some(&definition(&saga)))).unwrap();
        assert_eq!(said(&now), said(&shown), "{file}");
    }
}

#[tokio::test]
async fn a_saga_that_is_written_again_is_the_item_that_it_was() {
    let dynamo = Dynamo::new().await;
    for (file, item, _) in sagas() {
        let saga = dynamo.read_saga(&item).await;
        let mut again = dynamo.written(saga).await;
        again["Revision"] = item["Revision"].clone();
        let (was, is) = (item.as_object().unwrap(), again.as_object().unwrap());
        for (name, value) in was {
            assert_eq!(&is[name], value, "{file}: {name}");
        }
        assert_eq!(was.len(), is.len(), "{file}: {is:?}");
    }
}

#[tokio::test]
async fn whatever_saga_is_written_the_releases_before_can_read_it() {
    let dynamo = Dynamo::new().await;
    for (file, item, _) in sagas() {
        release_04d03cd::reads_saga(&item).unwrap_or_else(|why| panic!("{file}: {why}"));
    }
    holds(200, arbitrary::saga(), async |saga: Saga| {
        release_04d03cd::reads_saga(&dynamo.written(saga).await)
    })
    .await;
}

#[tokio::test]
async fn every_entity_on_aws_is_read() {
    let dynamo = Dynamo::new().await;
    for file in recorded("entities") {
        let item = file.json();
        dynamo.hold(&item);
        let id = item["TransactionId"]["S"].as_str().unwrap();
        let key = match id.split_once('#') {
            Some((kind, id)) => EntityKey::new(kind, id),
            None => EntityKey::new("payment", id),
        };
        let read = dynamo.sagas().entities(std::slice::from_ref(&key)).await.unwrap();
        assert_eq!(read.versions[&key].0, item["Revision"]["N"].as_str().unwrap());
        let fields = &read.entities[&key];
        for (name, value) in item.as_object().unwrap() {
            if !["TransactionId", "Revision"].contains(&name.as_str()) {
                let read = saga_wire::json::write(&fields[name]);
                let stored = value["S"].as_str().or(value["N"].as_str()).unwrap();
                assert_eq!(read.trim_matches('"'), stored, "{file}: {name}");
            }
        }
    }
}

fn outbox_items(state: &str) -> Vec<(Recorded, Value)> {
    let files = recorded("outbox").into_iter().filter(|file| file.name == state);
    let items: Vec<_> = files.map(|file| (file.json(), file)).collect();
    assert!(!items.is_empty(), "{state}");
    items.into_iter().map(|(item, file)| (file, item)).collect()
}

#[tokio::test]
async fn rows_of_the_outbox_on_aws_are_read_with_their_tries() {
    let dynamo = Dynamo::new().await;
    for (state, failed) in [("pending", false), ("tried", true)] {
        for (file, item) in outbox_items(state) {
            dynamo.hold(&item);
            let shard = item["Shard"]["S"].as_str().unwrap().parse().unwrap();
            let page = dynamo.outbox().read(shard, None, far_future(), 10).await.unwrap();
            let [row] = <[OutboxRow; 1]>::try_from(page.rows).unwrap();
            assert_eq!(row.id.as_str(), item["EventId"]["S"], "{file}");
            assert_eq!(
                row.saga.to_string(),
                item["SagaId"]["S"].as_str().unwrap(),
                "{file}"
            );
            assert_eq!(row.body, item["Body"]["S"], "{file}");
            assert_eq!(
                row.at.millis().to_string(),
                item["At"]["N"].as_str().unwrap(),
                "{file}"
            );
            assert_eq!(row.tries.failed > 0, failed, "{file}");
            assert_eq!(row.tries.next.is_some(), failed, "{file}");
            assert_eq!(row.tries.reason.is_some(), failed, "{file}");
            assert_eq!(row_of_image(&item), Some(row), "{file}: as a stream brings it");
        }
    }
}

#[tokio::test]
async fn what_is_no_row_does_not_hold_up_the_rows() {
    let dynamo = Dynamo::new().await;
    for state in ["lease", "watched", "discarded"] {
        for (file, item) in outbox_items(state) {
            dynamo.hold(&item);
            let page = dynamo.outbox().read(3, None, far_future(), 10).await.unwrap();
            assert!(page.rows.is_empty(), "{file}");
            assert_eq!(row_of_image(&item), None, "{file}");
        }
    }
}

#[tokio::test]
async fn dead_rows_on_aws_are_read_as_dead_letters_and_become_pending_again() {
    let dynamo = Dynamo::new().await;
    for (file, item) in outbox_items("dead") {
        dynamo.hold(&item);
        let rows = saga_aws::dead_letters::rows::DeadRows::new(&dynamo.config, "SagaOutbox".to_owned());
        let [dead] = <[DeadLetter; 1]>::try_from(kept(&rows, None).await).unwrap();
        assert_eq!(dead.facts.text, item["Body"]["S"], "{file}");
        assert!(dead.reason.contains("MalformedDetail"), "{file}: {}", dead.reason);
        drop(dynamo.service.asked());
        let became = rows
            .requeue(&dead.id.key, Timestamp::from_millis(1_800_000_000_000))
            .await;
        assert_eq!(became.unwrap(), Removal::Removed, "{file}");
        let sent: Value = serde_json::from_str(&dynamo.service.asked().pop().unwrap().body).unwrap();
        let changes = sent["TransactItems"].as_array().unwrap();
        let pending = changes.iter().find_map(|change| change.get("Put")).unwrap();
        assert_eq!(pending["Item"]["Shard"], item["From"], "{file}");
        release_04d03cd::reads_outbox_row(&pending["Item"]).unwrap();
    }
}

#[tokio::test]
async fn the_watch_remembers_what_it_knew() {
    let dynamo = Dynamo::new().await;
    for (file, item) in outbox_items("watched") {
        dynamo.hold(&item);
        let memory =
            saga_aws::dead_letters::archive::DynamoArchive::new(&dynamo.config, "SagaOutbox".to_owned());
        let known = memory.load(Source::Outbox).await.unwrap();
        assert_eq!(
            known.until.to_string(),
            item["Until"]["N"].as_str().unwrap(),
            "{file}"
        );
        assert_eq!(
            known.depth.to_string(),
            item["Depth"]["N"].as_str().unwrap(),
            "{file}"
        );
        let marks: Vec<&str> = known.announced.iter().map(String::as_str).collect();
        assert_eq!(marks.join(" "), item["Told"]["S"].as_str().unwrap(), "{file}");
    }
}

#[tokio::test]
async fn whatever_row_is_committed_on_aws_the_releases_before_can_read_it() {
    let dynamo = Dynamo::new().await;
    for state in ["pending", "tried"] {
        for (file, item) in outbox_items(state) {
            release_04d03cd::reads_outbox_row(&item).unwrap_or_else(|why| panic!("{file}: {why}"));
            let row = row_of_image(&item).unwrap();
            let saga = dynamo.read_saga(&sagas().next().unwrap().1).await;
            let (decision, revision) = (
                saga_tests::contract::given::decision(&saga),
                Version("1".to_owned()),
            );
            let none = Snapshot::default();
            drop(dynamo.service.asked());
            let committed = dynamo
                .sagas()
                .commit(&decision, &revision, &none, Some(&row))
                .await;
            assert_eq!(committed.unwrap(), Committed::Yes);
            let sent: Value = serde_json::from_str(&dynamo.service.asked().pop().unwrap().body).unwrap();
            let puts = sent["TransactItems"].as_array().unwrap().iter();
            let written = puts
                .map(|put| &put["Put"])
                .find(|put| put["TableName"] == "SagaOutbox");
            let written = &written.unwrap()["Item"];
            release_04d03cd::reads_outbox_row(written).unwrap_or_else(|why| panic!("{file}: {why}"));
            for (name, value) in written.as_object().unwrap() {
                assert_eq!(&item[name], value, "{file}: {name}");
            }
        }
    }
}

// --- Table storage ---

/// Table storage with one row.
struct Table {
    service: Service,
    row: Arc<Mutex<Value>>,
    access: Access,
    store: TableStore,
}

impl Table {
    fn new() -> Self {
        let row = Arc::new(Mutex::new(Value::Null));
        let kept = Arc::clone(&row);
        let service = Service::answering(move |request: &Request| {
            let row = kept.lock().unwrap().clone();
            let kind = "content-type: application/json\r\n".to_owned();
            if request.line.contains("$batch") {
                let kind = "content-type: multipart/mixed; boundary=b\r\n".to_owned();
                return (202, kind, accepted(&request.body));
            }
            if request.line.contains("()?") || request.line.contains("()%3F") {
                return (200, kind, json!({"value": [row]}).to_string());
            }
            (200, kind, row.to_string())
        });
        let access = access(&service.url);
        let config = Config {
            topic_key: None,
            ..access.participant.clone()
        };
        Self {
            service,
            row,
            access,
            store: Azure::connect(&config, SystemClock).unwrap().store,
        }
    }

    fn hold(&self, row: &Value) {
        let mut row = row.clone();
        row["odata.etag"] = "W/\"1\"".into();
        *self.row.lock().unwrap() = row;
    }

    /// The columns of the rows that the last transaction wrote, by the beginning of their key.
    fn written(&self) -> Vec<Value> {
        let batch = self.service.asked().pop().unwrap();
        let lines = batch.body.lines().filter(|line| line.starts_with('{'));
        lines.map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// A storage account and a topic at this address.
fn access(url: &str) -> Access {
    let key = Some(Secret::new("a2V5".to_owned()));
    Access {
        participant: Config {
            account: "acc".to_owned(),
            key: key.clone(),
            topic_key: key,
            queue_endpoint: format!("{url}/acc"),
            table_endpoint: format!("{url}/acc"),
            topic_endpoint: format!("{url}/api/events"),
            quarantine_queue: "quarantine".to_owned(),
            table: "SagaSteps".to_owned(),
            client_id: None,
        },
        assertion: None,
        blob_endpoint: format!("{url}/acc"),
        container: "blobs".to_owned(),
        queue: "queue".to_owned(),
        poison_queue: "poison".to_owned(),
        calls: None,
        buckets: DEFAULT_SHARDS,
    }
}

/// An answer that says yes to every change of a batch.
fn accepted(batch: &str) -> String {
    let changes = batch
        .matches("Content-ID")
        .count()
        .max(batch.matches("HTTP/1.1").count());
    let one = "--c\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n\r\n";
    format!(
        "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n{}--c--\r\n--b--\r\n",
        one.repeat(changes)
    )
}

fn azure_rows(prefix: &str) -> Vec<(Recorded, Value)> {
    let files = recorded("azure_rows")
        .into_iter()
        .filter(|file| file.name.starts_with(prefix));
    let rows: Vec<_> = files.map(|file| (file.json(), file)).collect();
    assert!(!rows.is_empty(), "{prefix}");
    rows.into_iter().map(|(row, file)| (file, row)).collect()
}

fn partition(row: &Value) -> Partition {
    Partition(row["PartitionKey"].as_str().unwrap().parse().unwrap())
}

fn step_of(row: &Value) -> (SagaId, StepIndex) {
    let mut parts = row["RowKey"].as_str().unwrap().split('|').skip(1);
    let saga = parts.next().unwrap().parse().unwrap();
    (saga, StepIndex::new(parts.next().unwrap().parse().unwrap()))
}

#[tokio::test]
async fn records_of_steps_on_azure_are_read_and_written_as_they_were() {
    let table = Table::new();
    for (file, row) in azure_rows("step_") {
        table.hold(&row);
        let (saga, index) = step_of(&row);
        let read = table
            .store
            .load(&partition(&row), saga, index)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(read.value.state.as_str(), row["State"], "{file}");
        assert_eq!(read.value.at.millis().to_string(), row["At"], "{file}");
        assert_eq!(read.value.hop.to_string(), row["Hop"], "{file}");
        assert_eq!(read.value.reason.as_deref(), row["Reason"].as_str(), "{file}");
        let data: Value = serde_json::from_str(row["Data"].as_str().unwrap()).unwrap();
        let written = saga_wire::json::write_object(&read.value.data);
        assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), data, "{file}");

        let commit = StepCommit {
            partition: &partition(&row),
            saga,
            index,
            record: Some(&read.value),
            version: Some(&read.version),
            writes: &[],
            read: &Snapshot::default(),
            row: None,
        };
        assert_eq!(table.store.commit(commit).await.unwrap(), Committed::Yes);
        let [again] = <[Value; 1]>::try_from(table.written()).unwrap();
        assert_same_columns(&file, &row, &again);
    }
}

#[tokio::test]
async fn whatever_step_is_written_the_releases_before_can_read_it() {
    let table = Table::new();
    for (file, row) in azure_rows("step_") {
        release_04d03cd::reads_step(&row).unwrap_or_else(|why| panic!("{file}: {why}"));
    }
    holds(200, arbitrary::step_record(), async |record| {
        let commit = StepCommit {
            partition: &Partition(1),
            saga: arbitrary::nth_saga(1),
            index: StepIndex::FIRST,
            record: Some(&record),
            version: None,
            writes: &[],
            read: &Snapshot::default(),
            row: None,
        };
        table
            .store
            .commit(commit)
            .await
            .map_err(|error| error.to_string())?;
        let [row] = <[Value; 1]>::try_from(table.written()).unwrap();
        release_04d03cd::reads_step(&row)
    })
    .await;
}

#[tokio::test]
async fn entities_on_azure_are_read_and_written_as_they_were() {
    let table = Table::new();
    for (file, row) in azure_rows("entity_") {
        table.hold(&row);
        let mut parts = row["RowKey"].as_str().unwrap().split('|').skip(1);
        let key = EntityKey::new(parts.next().unwrap(), parts.next().unwrap());
        let read = table
            .store
            .entities(&partition(&row), std::slice::from_ref(&key))
            .await
            .unwrap();
        let fields = read.entities[&key].clone();
        for name in ["Sku", "Available", "Amount", "Currency", "Status"] {
            let stored =
                row[name].is_string() || row["MoreJson"].as_str().is_some_and(|more| more.contains(name));
            assert_eq!(fields.contains_key(name), stored, "{file}: {name}");
        }
        let commit = StepCommit {
            partition: &partition(&row),
            saga: arbitrary::nth_saga(1),
            index: StepIndex::FIRST,
            record: None,
            version: None,
            writes: &[EntityWrite { key, fields }],
            read: &read,
            row: None,
        };
        assert_eq!(table.store.commit(commit).await.unwrap(), Committed::Yes);
        let [again] = <[Value; 1]>::try_from(table.written()).unwrap();
        assert_same_columns(&file, &row, &again);
    }
}

/// Every column is there again but those that are the service's.
fn assert_same_columns(file: &Recorded, was: &Value, is: &Value) {
    for (name, value) in was.as_object().unwrap() {
        if !["PartitionKey", "RowKey", "Timestamp"].contains(&name.as_str()) {
            assert_eq!(&is[name], value, "{file}: {name}");
        }
    }
}

#[tokio::test]
async fn rows_of_the_outbox_on_azure_are_read_with_their_tries() {
    let table = Table::new();
    for (state, failed) in [("outbox_pending", false), ("outbox_tried", true)] {
        for (file, row) in azure_rows(state) {
            table.hold(&row);
            let page = table
                .store
                .read(partition(&row).0, None, far_future(), 10)
                .await
                .unwrap();
            let [read] = <[OutboxRow; 1]>::try_from(page.rows).unwrap();
            assert_eq!(format!("outbox|{}", read.id.as_str()), row["RowKey"], "{file}");
            assert_eq!(read.saga.to_string(), row["Saga"], "{file}");
            assert_eq!(read.body, row["Body"], "{file}");
            assert_eq!(read.at.millis().to_string(), row["At"], "{file}");
            assert_eq!(read.tries.failed > 0, failed, "{file}");
            assert_eq!(read.tries.reason.is_some(), failed, "{file}");
        }
    }
}

#[tokio::test]
async fn dead_rows_on_azure_are_read_as_dead_letters() {
    let table = Table::new();
    for (file, row) in azure_rows("dead") {
        table.hold(&row);
        let sources = table.access.connect().unwrap().sources;
        let rows = sources.iter().find_map(|one| match one {
            DeadLetterSource::Outbox(rows) => Some(rows.as_ref()),
            _ => None,
        });
        // The table here answers every question with this row.
        let dead = first_page(rows.unwrap()).await;
        assert_eq!(dead[0].facts.text, row["Body"], "{file}");
        assert!(
            dead[0].reason.contains("400 BadRequest"),
            "{file}: {}",
            dead[0].reason
        );
    }
}

#[tokio::test]
async fn definitions_that_are_kept_are_those_of_this_version() {
    let dynamo = Dynamo::new().await;
    let table = Table::new();
    let ours = saga_wire::definitions::all().unwrap();
    for file in recorded("sagas") {
        let item = file.json()["item"].clone();
        let key = item["SagaId"]["S"].as_str().unwrap().to_owned();
        let mut parts = key.split('#').skip(1);
        let (Some(name), Some(version)) = (parts.next(), parts.next()) else {
            continue;
        };
        let reference = DefinitionRef {
            name: name.to_owned(),
            version: version.parse().unwrap(),
        };
        dynamo.hold(&item);
        let kept = dynamo
            .sagas()
            .stored_definition(&reference)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(Some(&kept), ours.get(&reference), "{file}");
    }
    // The first recorded release kept none.
    let rows = recorded("azure_rows")
        .into_iter()
        .filter(|file| file.name.starts_with("definition"));
    for file in rows {
        let row = file.json();
        table.hold(&row);
        let key: Vec<&str> = row["RowKey"].as_str().unwrap().split('|').collect();
        let [.., name, version] = key[..] else {
            panic!("{file}")
        };
        let reference = DefinitionRef {
            name: name.to_owned(),
            version: version.parse().unwrap(),
        };
        let kept = table.store.stored_definition(&reference).await.unwrap();
        assert_eq!(kept.as_ref(), ours.get(&reference), "{file}");
    }
}
