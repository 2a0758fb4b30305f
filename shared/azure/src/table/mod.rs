//! One table keeps everything of this side: steps, entities, outbox, leases, definitions and the states
//! of services.

mod columns;
mod definitions;
pub(crate) mod keys;
mod outbox;
pub(crate) mod rows;
mod services;
mod steps;

pub(crate) use columns::{Row, columns};

use saga_app::ports::PortError;

use crate::client::{Failure, StorageAccount, Table};
use crate::config::{Config, InvalidConfig};

const WHAT: &str = "Table storage";

/// The table.
#[derive(Debug)]
pub struct TableStore {
    table: Table,
}

impl TableStore {
    pub(crate) fn new(account: &StorageAccount<'_>, config: &Config) -> Result<Self, InvalidConfig> {
        let table = Table::new(account, &config.table_endpoint, &config.table, WHAT)?;
        Ok(Self { table })
    }

    async fn row(&self, partition: &str, key: &str) -> Result<Option<Row>, PortError> {
        let columns = self.table.get(partition, key).await?;
        let row = columns.map(|columns| Row::read(columns).map_err(|why| corrupt(key, &why)));
        row.transpose()
    }
}

fn corrupt(key: &str, why: &str) -> PortError {
    PortError::corrupt(WHAT, format!("row `{key}`: {why}"))
}

fn over_limit(failure: Failure) -> PortError {
    PortError::unavailable(WHAT, failure)
}
