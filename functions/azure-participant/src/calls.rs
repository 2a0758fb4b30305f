//! The services that this deployment calls, and how many requests each gets at a time.

use std::collections::BTreeMap;
use std::error::Error;

use saga_app::ports::Time;
use saga_azure::{CallsQueue, Config, ManagedIdentity};
use saga_core::Cloud;
use saga_runtime::clock::SystemClock;
use saga_runtime::service_client::HttpServices;
use saga_wire::services::Services;

use crate::config;
use crate::places::Places;

/// What calling services needs beside the cloud's own ports.
pub(crate) struct Calls {
    pub(crate) services: Services,
    pub(crate) client: HttpServices<ManagedIdentity, SystemClock>,
    pub(crate) queue: CallsQueue,
    /// Of each service, so many requests at a time.
    pub(crate) places: BTreeMap<String, Places>,
}

impl Calls {
    /// From the app settings; `None` where this deployment calls no service. Nothing is sent.
    pub(crate) fn connect(config: &Config) -> Result<Option<Self>, Box<dyn Error + Send + Sync>> {
        let Some((services, queue)) = config::services()? else {
            return Ok(None);
        };
        let identity = ManagedIdentity::new(config.client_id.as_deref())?;
        let client = HttpServices::new(identity, SystemClock, None)?;
        let queue = CallsQueue::connect(config, &queue)?;
        Ok(Some(Self::new(services, client, queue)))
    }

    fn new(
        services: Services,
        client: HttpServices<ManagedIdentity, SystemClock>,
        queue: CallsQueue,
    ) -> Self {
        let ours = services.iter().filter(|service| service.cloud == Cloud::Azure);
        let places = ours.map(|service| {
            let places = Places::new(service.max_concurrency, SystemClock.now());
            (service.name.clone(), places)
        });
        Self {
            places: places.collect(),
            services,
            client,
            queue,
        }
    }
}
