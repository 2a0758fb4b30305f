//! Azure's side of the ports: Table storage for steps, entities and outbox, Event Grid for what leaves, a Storage
//! queue for what cannot be understood.
//!
//! The adapters decide nothing, and [`client`] sends every request.

mod alerts;
mod calls;
mod client;
mod config;
pub mod dead_letters;
mod event_grid;
mod quarantine;
mod services;
mod table;

#[cfg(test)]
#[path = "../tests/support/mod.rs"]
mod support;

pub use alerts::EventGridAlerts;
pub use calls::CallsQueue;
pub use client::Assertion;
pub use config::{Config, InvalidConfig, Secret};
pub use event_grid::EventGrid;
pub use quarantine::QuarantineQueue;
pub use services::ManagedIdentity;
pub use table::TableStore;

use client::{Connection, Identity, StorageAccount};
use saga_app::ports::{ParticipantCloud, Time};

/// All adapters of one deployment, on one connection pool and one identity.
#[derive(Debug)]
pub struct Azure<T> {
    /// Steps, entities and outbox.
    pub store: TableStore,
    /// The topic.
    pub events: EventGrid,
    /// Messages that cannot be understood.
    pub quarantine: QuarantineQueue,
    /// Alerts, and the way to the origin for what was parked.
    pub alerts: EventGridAlerts<T>,
    time: T,
}

impl<T: Time + Clone> Azure<T> {
    /// Builds the adapters. Nothing is sent before their first use.
    ///
    /// # Errors
    /// [`InvalidConfig`] names the setting that is wrong.
    pub fn connect(config: &Config, time: T) -> Result<Self, InvalidConfig> {
        Self::on(&Connection::new(&Identity::of(config))?, config, time)
    }
}

impl<T: Clone> Azure<T> {
    fn on(connection: &Connection, config: &Config, time: T) -> Result<Self, InvalidConfig> {
        let account = StorageAccount {
            connection,
            name: &config.account,
            key: config.key.as_ref(),
        };
        let events = EventGrid::new(connection, &config.topic_endpoint, config.topic_key.as_ref())?;
        Ok(Self {
            store: TableStore::new(&account, config)?,
            quarantine: QuarantineQueue::new(&account, config)?,
            alerts: EventGridAlerts::new(events.clone(), time.clone()),
            events,
            time,
        })
    }
}

impl<T: Time> ParticipantCloud for Azure<T> {
    type Store = TableStore;
    type Publisher = EventGrid;
    type Quarantine = QuarantineQueue;
    type Alerts = EventGridAlerts<T>;
    type Time = T;

    fn store(&self) -> &TableStore {
        &self.store
    }

    fn publisher(&self) -> &EventGrid {
        &self.events
    }

    fn quarantine(&self) -> &QuarantineQueue {
        &self.quarantine
    }

    fn alerts(&self) -> &EventGridAlerts<T> {
        &self.alerts
    }

    fn time(&self) -> &T {
        &self.time
    }
}
