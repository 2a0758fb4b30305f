//! Runs over many sagas as a client asks for them, and what their reports say.

use std::collections::BTreeMap;

use saga_app::ports::SagaStore;
use saga_core::SagaId;
use serde_json::{Value, json};

use crate::openapi::Document;
use crate::saga_api::SagaApi;
use crate::world::World;

/// Asks the API for runs.
pub trait Runs: SagaApi {
    /// Asks for a run; the request and the answer are as the document says.
    fn run(&self, world: &World, act: &str, body: &Value) -> impl Future<Output = Value> {
        async move {
            let document = Document::parse(Self::DOCUMENT);
            let mut name = act.to_owned();
            name[..1].make_ascii_uppercase();
            let schema = format!("/components/schemas/{name}Run");
            assert_eq!(document.wrong(&schema, body), [""; 0]);
            let answer = self
                .ask(world, "POST", &format!("/runs/{act}"), &body.to_string())
                .await;
            assert_eq!(answer.status, 200, "{answer:?}");
            answer.json()
        }
    }

    /// Asks until nothing is left, as a client does; what each answer said.
    fn run_on(&self, world: &World, act: &str, body: &Value) -> impl Future<Output = Vec<Value>> {
        async move {
            let (mut body, mut reports) = (body.clone(), Vec::new());
            for _ in 0..100 {
                let report = self.run(world, act, &body).await;
                let next = report["next"].clone();
                assert_eq!(next.is_null(), report["ended"] == "done", "{report}");
                reports.push(report);
                if next.is_null() {
                    return reports;
                }
                body["cursor"] = next;
            }
            panic!("it does not end: {reports:?}")
        }
    }
}

impl<A: SagaApi> Runs for A {}

/// What somebody means and signs for.
#[must_use]
pub fn meant(mut body: Value) -> Value {
    body["confirm"] = json!(true);
    body["by"] = json!("ops");
    body["reason"] = json!("the shop is closed");
    body
}

/// Every saga that waits for Azure.
#[must_use]
pub fn pending() -> Value {
    json!({"filter": {"status": "PENDING_AZURE_CONFIRMATION"}})
}

/// `done`, `failed` and `left`.
#[must_use]
pub fn counts(report: &Value) -> [u64; 3] {
    ["done", "failed", "left"].map(|name| report[name].as_u64().unwrap())
}

/// What became of each saga.
#[must_use]
pub fn outcomes(report: &Value) -> BTreeMap<String, String> {
    let text = |item: &Value, name: &str| item[name].as_str().unwrap().to_owned();
    let items = report["items"].as_array().unwrap().iter();
    items
        .map(|item| (text(item, "saga_id"), text(item, "outcome")))
        .collect()
}

/// The sagas of these outcomes, in the order of the reports.
#[must_use]
pub fn with(reports: &[Value], outcome: &str) -> Vec<SagaId> {
    let items = reports
        .iter()
        .flat_map(|report| report["items"].as_array().unwrap());
    items
        .filter(|item| item["outcome"] == outcome)
        .map(|item| item["saga_id"].as_str().unwrap().parse().unwrap())
        .collect()
}

/// What the report says of a saga.
#[must_use]
pub fn text_of(report: &Value, id: SagaId) -> String {
    let id = id.to_string();
    let mut items = report["items"].as_array().unwrap().iter();
    let item = items.find(|item| item["saga_id"] == id.as_str());
    item.unwrap()["text"].as_str().unwrap().to_owned()
}

/// All that the store keeps, as bytes.
pub async fn stored(world: &World) -> String {
    let sagas: Vec<_> = world.aws.list(None, None, 10_000).await.unwrap();
    format!(
        "{sagas:?} {:?} {:?}",
        world.aws.all_entities(),
        world.aws.outbox()
    )
}

/// So many sagas that wait for Azure, newest first.
pub async fn payments(world: &World, count: usize) -> Vec<SagaId> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(world.start("100").await);
    }
    ids.reverse();
    ids
}

/// Whether somebody has asked to cancel it.
#[must_use]
pub fn is_asked_to_cancel(world: &World, id: SagaId) -> bool {
    world.saga(id).cancel.is_some()
}
