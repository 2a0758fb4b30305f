//! A stand-in with its neighbours, configured as a scenario needs it.

use std::{net::SocketAddr, path::Path, time::Duration};

use reqwest::Response;
use saga_azure_standin::{StandIn, config::Config};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{storage::Storage, webhook::Webhook};

/// Base64, as a topic's key is.
pub(crate) const KEY: &str = "dG9waWMta2V5+/8=";
/// Tells what stands still from what is slow, and nothing else.
const BOUND: Duration = Duration::from_secs(120);

/// Everything one scenario needs.
pub(crate) struct Bench {
    pub(crate) folder: TempDir,
    pub(crate) storage: Storage,
    pub(crate) webhook: Webhook,
    pub(crate) config: Value,
}

impl Bench {
    pub(crate) async fn new(open: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::start(&["saga-events"], &["deadletters"]).await;
        let webhook = Webhook::start(open).await;
        let account = format!("http://{}/account", storage.address);
        let not_azure = json!([{"operator": "StringNotIn", "key": "sagatarget", "values": ["azure"]}]);
        let config = json!({
            "listen": "127.0.0.1:0",
            "state_dir": folder.path().join("state"),
            "storage": {"account": "account", "key": "c2VjcmV0", "blob": account, "queue": account},
            "topic": {"name": "choreography", "key": KEY},
            "retry_scale": 0.001,
            "subscriptions": [
                {"name": "to-azure", "storage_queue": "saga-events", "dead_letter_container": "deadletters",
                 "filters": [{"operator": "StringIn", "key": "sagatarget", "values": ["azure"]}]},
                {"name": "to-aws", "dead_letter_container": "deadletters", "max_attempts": 3, "filters": not_azure,
                 "webhook": {"url": format!("http://{}/in", webhook.address), "entra": true, "audience": "api://in"}},
            ],
            "oidc": {
                "issuer": "http://127.0.0.1/tenant/v2.0", "tenant": "tenant", "audience": "api://in",
                "client_id": "client", "client_secret": "secret",
                "key_file": concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/rsa-test-key.pem"),
            },
        });
        Self {
            folder,
            storage,
            webhook,
            config,
        }
    }

    /// Starts the stand-in in this process.
    pub(crate) async fn start(&self) -> (StandIn, Client) {
        let config: Config = serde_json::from_value(self.config.clone()).unwrap();
        let stand_in = StandIn::start(config).await.unwrap();
        let client = Client::new(stand_in.address());
        (stand_in, client)
    }

    /// The configuration as a file, for the program.
    pub(crate) fn config_file(&self) -> std::path::PathBuf {
        let file = self.folder.path().join("config.json");
        std::fs::write(&file, self.config.to_string()).unwrap();
        file
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// A publisher and reader of the status page.
pub(crate) struct Client {
    pub(crate) http: reqwest::Client,
    pub(crate) base: String,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        // The stand-in installs the TLS provider; a client built before it would have none.
        drop(rustls::crypto::ring::default_provider().install_default());
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(BOUND)
            .build()
            .unwrap();
        Self {
            http,
            base: format!("http://{address}"),
        }
    }

    /// Publishes with the key; the request can be changed before it goes.
    pub(crate) async fn post(
        &self,
        content_type: &str,
        body: String,
        change: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> Response {
        let url = format!("{}/api/events?api-version=2018-01-01", self.base);
        change(
            self.http
                .post(url)
                .header("content-type", content_type)
                .body(body),
        )
        .send()
        .await
        .unwrap()
    }

    pub(crate) async fn publish(&self, event: &Value) {
        let keyed = |request: reqwest::RequestBuilder| request.header("aeg-sas-key", KEY);
        let answer = self
            .post(
                "application/cloudevents+json; charset=utf-8",
                event.to_string(),
                keyed,
            )
            .await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.text().await.unwrap(), "");
    }

    pub(crate) async fn status(&self) -> Value {
        self.http
            .get(format!("{}/status", self.base))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    }

    /// The status page's line of one subscription, once it has nothing pending.
    pub(crate) async fn settled(&self, name: &str, events: u64) -> Value {
        until(async || {
            let status = self.status().await;
            let mut lines = status["subscriptions"].as_array().unwrap().iter();
            let line = lines.find(|line| line["name"] == name).unwrap().clone();
            let ended: u64 = ["delivered", "dead_lettered", "dropped"]
                .map(|n| line[n].as_u64().unwrap())
                .iter()
                .sum();
            (line["pending"] == 0 && ended == events).then_some(line)
        })
        .await
    }
}

pub(crate) fn event(id: &str, kind: &str, target: &str) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "saga.test", "type": kind, "sagatarget": target,
        "subject": "saga/1", "time": "2026-11-20T10:00:00Z", "data": {"order_id": "o1"},
    })
}

/// Waits for a condition, with a bound.
pub(crate) async fn until<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(BOUND, looking)
        .await
        .expect("the condition did not come true in time")
}
