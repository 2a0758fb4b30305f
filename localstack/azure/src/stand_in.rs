//! The whole: one listener for topic, issuer and status, one task a subscription, one functions host.
//!
//! The listener is up before the handler starts, because the handler publishes to the topic.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Json, Router, extract::State, routing::get};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    config::{Config, ConfigError},
    functions::{AppError, FunctionsHost, HostTasks},
    oidc::{self, Issuer},
    storage::StorageAccount,
    topic::{
        destination::Route,
        publish::{self, Topic},
        subscription::Subscription,
    },
};

/// A running stand-in. Dropping it without [`StandIn::stop`] kills its parts where they are.
pub struct StandIn {
    address: SocketAddr,
    host: Option<(Arc<FunctionsHost>, HostTasks)>,
    tasks: JoinSet<()>,
}

/// Why the stand-in did not start.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct StartError(#[from] Cause);

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("function app: {0}")]
    App(#[from] AppError),
    #[error("cannot listen on {address}: {source}")]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("cannot use the state folder: {0}")]
    State(std::io::Error),
    #[error("the HTTP client cannot be built: {0}")]
    Client(reqwest::Error),
}

struct Status {
    topic: Arc<Topic>,
    host: Option<Arc<FunctionsHost>>,
}

impl StandIn {
    /// Starts everything that the configuration names.
    ///
    /// # Errors
    /// When the address is taken, or the configuration, the state folder or the function app cannot be used.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Ok(Self::assemble(config).await?)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends invocations under way, terminates the handler, stops listening. Undelivered events stay in the journal.
    pub async fn stop(self) {
        if let Some((host, tasks)) = self.host {
            host.stop(tasks).await;
        }
    }

    async fn assemble(config: Config) -> Result<Self, Cause> {
        config.check()?;
        let http = http_client().map_err(Cause::Client)?;
        let issuer = Arc::new(Issuer::new(config.oidc.clone())?);
        let account = Arc::new(StorageAccount::new(http.clone(), &config.storage)?);
        let address = config.listen;
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| Cause::Listen { address, source })?;
        let address = listener
            .local_addr()
            .map_err(|source| Cause::Listen { address, source })?;

        let mut tasks = JoinSet::new();
        let mut subscriptions = Vec::new();
        for settings in &config.subscriptions {
            let route = Route::new(settings, &config.topic.name, &http, &issuer, &account);
            let opened = Subscription::open(
                settings,
                config.retry_scale,
                &config.state_dir,
                route,
                Arc::clone(&account),
            );
            let subscription = Arc::new(opened.map_err(Cause::State)?);
            tasks.spawn(Arc::clone(&subscription).run());
            subscriptions.push(subscription);
        }
        std::fs::create_dir_all(&config.state_dir).map_err(Cause::State)?;
        let topic = Arc::new(Topic {
            settings: config.topic,
            issuer: Arc::clone(&issuer),
            subscriptions,
        });

        // The host is built before the status page that shows it, but its handler starts in a task of its own.
        let host = match &config.functions {
            Some(functions) => {
                let (state_dir, endpoints) = (&config.state_dir, config.endpoints_file);
                let (host, tasks) =
                    FunctionsHost::start(functions, state_dir, endpoints, http, account).await?;
                Some((Arc::new(host), tasks))
            }
            None => None,
        };
        let status = Status {
            topic: Arc::clone(&topic),
            host: host.as_ref().map(|(host, _)| Arc::clone(host)),
        };
        let router = Router::new()
            .route("/status", get(show_status))
            .with_state(Arc::new(status))
            .merge(publish::routes(topic))
            .merge(oidc::routes(issuer));
        tasks.spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the listener ended");
            }
        });
        tracing::info!(%address, "the stand-in listens");
        Ok(Self { address, host, tasks })
    }
}

impl std::fmt::Debug for StandIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StandIn")
            .field("address", &self.address)
            .field("tasks", &self.tasks.len())
            .finish()
    }
}

async fn show_status(State(status): State<Arc<Status>>) -> Json<Value> {
    let subscriptions: Vec<_> = status
        .topic
        .subscriptions
        .iter()
        .map(|one| one.status())
        .collect();
    let host = status.host.as_deref();
    Json(json!({
        "ready": host.is_none_or(FunctionsHost::ready),
        "topic": status.topic.settings.name,
        "subscriptions": subscriptions,
        "functions": host.map(FunctionsHost::function_status).unwrap_or_default(),
        "handler": host.map(FunctionsHost::handler_status),
    }))
}

/// One client for everything. Redirects are answers here, as they are to the services; proxies are for elsewhere.
fn http_client() -> Result<reqwest::Client, reqwest::Error> {
    // A provider that is installed already serves as well: only plain HTTP on loopback is spoken.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(30))
        .connect_timeout(Duration::from_secs(5))
        .build()
}
