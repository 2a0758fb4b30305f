//! The whole: one listener for topic, issuer and status, one task a subscription, one functions host.
//!
//! The listener is up before the handler starts, because the handler publishes to the topic.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Json, Router, extract::State, routing::get};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    StartError,
    config::Config,
    functions::{FunctionsHost, HostTasks},
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
    /// Dropped with it, which ends them.
    _tasks: JoinSet<()>,
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
        config.check()?;
        let http =
            http_client().map_err(|why| StartError(format!("the HTTP client cannot be built: {why}")))?;
        let issuer = Arc::new(Issuer::new(config.oidc.clone())?);
        let account = Arc::new(StorageAccount::new(http.clone(), &config.storage)?);
        let cannot_listen = |why| StartError(format!("cannot listen on {}: {why}", config.listen));
        let listener = TcpListener::bind(config.listen).await.map_err(cannot_listen)?;
        let address = listener.local_addr().map_err(cannot_listen)?;

        let no_state = |why| StartError(format!("cannot use the state folder: {why}"));
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
            let subscription = Arc::new(opened.map_err(no_state)?);
            tasks.spawn(Arc::clone(&subscription).run());
            subscriptions.push(subscription);
        }
        std::fs::create_dir_all(&config.state_dir).map_err(no_state)?;
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
        Ok(Self {
            address,
            host,
            _tasks: tasks,
        })
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
}

async fn show_status(State(status): State<Arc<Status>>) -> Json<Value> {
    let subscriptions = status.topic.subscriptions.iter();
    let subscriptions: Vec<_> = subscriptions.map(|one| one.status()).collect();
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
