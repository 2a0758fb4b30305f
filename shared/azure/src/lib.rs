//! Azure's side of the ports: Table storage for steps, entities and outbox, Event Grid for what leaves, a Storage
//! queue for what cannot be understood.
//!
//! The adapters decide nothing. Architecture invariants: every request goes through `service`, which gives
//! each a time limit and bounded retries, and repeats a request that may have been done only where doing it twice
//! is the same as once; a condition that failed is an answer and never an error; no `Debug` shows a key.

mod alerts;
mod batch;
mod columns;
mod config;
pub mod dead_letters;
mod definitions;
mod event_grid;
mod federation;
mod keys;
mod outbox;
mod queue;
mod rows;
mod service;
mod shared_key;
mod table_store;

#[cfg(test)]
mod test_server;
#[cfg(test)]
mod test_table;

pub use alerts::EventGridAlerts;
pub use config::{Config, InvalidConfig, Secret};
pub use event_grid::EventGrid;
pub use federation::Assertion;
pub use queue::QuarantineQueue;
pub use table_store::TableStore;

use saga_app::ports::Time;

/// All adapters of one deployment, on one HTTP client and one credential.
#[derive(Debug)]
pub struct Azure<T> {
    /// Steps, entities and outbox.
    pub store: TableStore,
    /// Where events go.
    pub events: EventGrid,
    /// Where messages are kept that cannot be understood.
    pub quarantine: QuarantineQueue,
    /// The way to the monitoring channel.
    pub alerts: EventGridAlerts<T>,
}

impl<T: Time> Azure<T> {
    /// Builds the adapters. Nothing is sent before their first use.
    ///
    /// # Errors
    /// [`InvalidConfig`] names the setting that is wrong.
    pub fn connect(config: &Config, time: T) -> Result<Self, InvalidConfig> {
        let http = service::Http::new(config)?;
        let events = EventGrid::on(&http, config)?;
        Ok(Self {
            store: TableStore::on(&http, config)?,
            quarantine: QuarantineQueue::on(&http, config)?,
            alerts: EventGridAlerts::new(events.clone(), time),
            events,
        })
    }
}
