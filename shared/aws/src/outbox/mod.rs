//! [`Outbox`] on DynamoDB. A shard is a partition of the table `SagaOutbox`: its pending rows in the order of their ids,
//! and, while somebody empties it, its lease. Nothing else is in it, so reading a shard costs what is pending whatever the
//! table's history. Dead rows are in a partition of their own.

mod row;

use std::collections::BTreeSet;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{Delete, DeleteRequest, Put, TransactWriteItem, WriteRequest};
use futures_util::future::try_join_all;
use saga_app::ports::outbox::{Lease, OutboxRow};
use saga_app::ports::{Outbox, Page, PortError};
use saga_core::{EventId, Timestamp};

use self::row::readable;
pub use self::row::row_of_image;
pub(crate) use self::row::write_row;
use crate::cancelled::{has, reasons};
use crate::failure::{built, failure};
use crate::item::{Item, n, parsed, s, text};
use crate::saga_item::bucket;

/// The partition of dead rows.
const DEAD: &str = "dead";
/// Dead rows are kept for so long.
const DEAD_KEPT_MILLIS: i64 = 90 * 24 * 3_600 * 1_000;
/// The sort key of a shard's lease: before every event's.
const LEASE: &str = "!lease";
/// A lease that its owner's death has left is swept away after this, should nobody take the shard before.
const LEASE_KEPT_MILLIS: i64 = 3_600_000;
/// So many items say where work is; a table with more has work everywhere.
const GLANCE: i32 = 100;
/// `Shard` is a reserved word of DynamoDB.
const SHARD: &str = "#shard";

/// It is free, or it is ours: then the answer to the first try was lost.
const LEASE_IS_FREE: &str = "attribute_not_exists(EventId) OR #until <= :now OR #owner = :owner";
const LEASE_IS_OURS: &str = "#owner = :owner";
const ROW_EXISTS: &str = "attribute_exists(EventId)";

/// The outbox table.
#[derive(Debug, Clone)]
pub struct DynamoOutbox {
    client: Client,
    table: String,
}

impl DynamoOutbox {
    /// The outbox in this table.
    #[must_use]
    pub fn new(config: &SdkConfig, table: String) -> Self {
        Self {
            client: Client::new(config),
            table,
        }
    }
}

fn key(shard: u16, id: &str) -> Item {
    Item::from([("Shard".into(), s(bucket(shard))), ("EventId".into(), s(id))])
}

fn row_key(row: &OutboxRow) -> Item {
    key(row.shard, row.id.as_str())
}

fn lease_key(lease: &Lease) -> Item {
    key(lease.shard, LEASE)
}

impl Outbox for DynamoOutbox {
    /// One request while little is pending, which is nearly always.
    async fn overdue(&self, shards: u16, before: Timestamp) -> Result<Vec<u16>, PortError> {
        let answer = self
            .client
            .scan()
            .table_name(&self.table)
            .projection_expression("#shard, EventId")
            .expression_attribute_names(SHARD, "Shard")
            .consistent_read(true)
            .limit(GLANCE)
            .send()
            .await
            .map_err(|error| failure("looking into the outbox", error))?;
        if answer.last_evaluated_key().is_some() {
            return Ok((0..shards).collect());
        }
        let before = format!("{:013}", before.millis());
        let items = answer.items().iter();
        let old = items.filter(|item| text(item, "EventId").is_ok_and(|id| *id < *before));
        // The dead partition's name is no number.
        let found = old.filter_map(|item| text(item, "Shard").ok()?.parse::<u16>().ok());
        let found: BTreeSet<u16> = found.filter(|shard| *shard < shards).collect();
        Ok(found.into_iter().collect())
    }

    async fn take(&self, wanted: &Lease, now: Timestamp) -> Result<bool, PortError> {
        let mut item = lease_key(wanted);
        item.insert("Owner".into(), s(&wanted.owner));
        item.insert("Until".into(), n(wanted.until.millis()));
        let expires = wanted.until.plus_millis(LEASE_KEPT_MILLIS).millis() / 1_000;
        item.insert("ExpiresAt".into(), n(expires));
        let sent = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression(LEASE_IS_FREE)
            .expression_attribute_names("#until", "Until")
            .expression_attribute_names("#owner", "Owner")
            .expression_attribute_values(":now", n(now.millis()))
            .expression_attribute_values(":owner", s(&wanted.owner))
            .send()
            .await;
        held("taking a shard of the outbox", sent.map(drop))
    }

    async fn renew(&self, lease: &Lease) -> Result<bool, PortError> {
        let sent = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(lease_key(lease)))
            .update_expression("SET #until = :until")
            .condition_expression(LEASE_IS_OURS)
            .expression_attribute_names("#until", "Until")
            .expression_attribute_names("#owner", "Owner")
            .expression_attribute_values(":until", n(lease.until.millis()))
            .expression_attribute_values(":owner", s(&lease.owner))
            .send()
            .await;
        held("keeping a shard of the outbox", sent.map(drop))
    }

    async fn release(&self, lease: &Lease) -> Result<(), PortError> {
        let sent = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(lease_key(lease)))
            .condition_expression(LEASE_IS_OURS)
            .expression_attribute_names("#owner", "Owner")
            .expression_attribute_values(":owner", s(&lease.owner))
            .send()
            .await;
        held("giving back a shard of the outbox", sent.map(drop)).map(drop)
    }

    /// Ids begin with the time of the event in milliseconds, so the key alone bounds the time.
    async fn read(
        &self,
        shard: u16,
        after: Option<&EventId>,
        before: Timestamp,
        limit: usize,
    ) -> Result<Page, PortError> {
        // The lease stands before the first row.
        let after = after.map_or(LEASE, EventId::as_str);
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#shard = :shard AND EventId < :before")
            .expression_attribute_names(SHARD, "Shard")
            .expression_attribute_values(":shard", s(bucket(shard)))
            .expression_attribute_values(":before", s(format!("{:013}", before.millis())))
            .consistent_read(true)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .set_exclusive_start_key(Some(key(shard, after)))
            .send()
            .await
            .map_err(|error| failure("reading the outbox", error))?;
        let next = answer.last_evaluated_key().map(|key| parsed(key, "EventId"));
        Ok(Page {
            rows: answer.items().iter().filter_map(readable).collect(),
            next: next.transpose()?,
        })
    }

    async fn earlier(&self, row: &OutboxRow) -> Result<Vec<EventId>, PortError> {
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#shard = :shard AND EventId < :id")
            .filter_expression("SagaId = :saga")
            .projection_expression("EventId")
            .expression_attribute_names(SHARD, "Shard")
            .expression_attribute_values(":shard", s(bucket(row.shard)))
            .expression_attribute_values(":id", s(row.id.as_str()))
            .expression_attribute_values(":saga", s(row.saga.to_string()))
            .consistent_read(true)
            // The newest first: what a long backlog hides behind the page is older, and its sweep is at work.
            .scan_index_forward(false)
            .send()
            .await
            .map_err(|error| failure("reading the outbox", error))?;
        let items = answer.items().iter();
        items.map(|item| parsed(item, "EventId")).collect()
    }

    async fn delete(&self, rows: &[OutboxRow]) -> Result<(), PortError> {
        // At most what one wave publishes: a few requests, side by side.
        let each = rows.chunks(25).map(|chunk| self.delete_some(chunk));
        try_join_all(each).await.map(drop)
    }

    async fn postpone(&self, rows: &[OutboxRow]) -> Result<(), PortError> {
        let each = rows.iter().map(|row| self.postpone_one(row));
        try_join_all(each).await.map(drop)
    }

    async fn set_aside(&self, row: &OutboxRow, now: Timestamp) -> Result<(), PortError> {
        const WHAT: &str = "moving a row to the dead ones";
        let mut dead = write_row(row);
        dead.insert("From".into(), s(bucket(row.shard)));
        dead.insert("Shard".into(), s(DEAD));
        dead.insert("Attempts".into(), n(row.tries.failed));
        dead.insert("Reason".into(), s(row.tries.why()));
        dead.insert("DeadAt".into(), n(now.millis()));
        // Time to live is in seconds.
        let expires = now.plus_millis(DEAD_KEPT_MILLIS).millis() / 1_000;
        dead.insert("ExpiresAt".into(), n(expires));
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(dead))
            .build();
        let delete = Delete::builder()
            .table_name(&self.table)
            .set_key(Some(row_key(row)))
            .condition_expression(ROW_EXISTS)
            .build();
        let sent = self
            .client
            .transact_write_items()
            .transact_items(TransactWriteItem::builder().put(built(WHAT, put)?).build())
            .transact_items(TransactWriteItem::builder().delete(built(WHAT, delete)?).build())
            .send()
            .await;
        match sent {
            Ok(_) => Ok(()),
            // It is gone: published after all, or set aside by another.
            Err(error) if reasons(&error).is_some_and(|all| has(all, "ConditionalCheckFailed")) => Ok(()),
            Err(error) => Err(failure(WHAT, error)),
        }
    }
}

impl DynamoOutbox {
    async fn postpone_one(&self, row: &OutboxRow) -> Result<(), PortError> {
        let mut update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(row_key(row)))
            .condition_expression(ROW_EXISTS)
            .expression_attribute_values(":failed", n(row.tries.failed))
            .expression_attribute_values(":reason", s(row.tries.reason.as_deref().unwrap_or_default()));
        update = match row.tries.next {
            Some(next) => update
                .update_expression("SET Attempts = :failed, NextAt = :next, Reason = :reason")
                .expression_attribute_values(":next", n(next.millis())),
            None => update.update_expression("SET Attempts = :failed, Reason = :reason"),
        };
        held("postponing a row of the outbox", update.send().await.map(drop)).map(drop)
    }

    async fn delete_some(&self, rows: &[OutboxRow]) -> Result<(), PortError> {
        const WHAT: &str = "deleting published rows from the outbox";
        let mut requests = Vec::with_capacity(rows.len());
        for row in rows {
            let delete = DeleteRequest::builder()
                .set_key(Some(row_key(row)))
                .build()
                .map_err(|error| PortError::unavailable(WHAT, error))?;
            requests.push(WriteRequest::builder().delete_request(delete).build());
        }
        for round in 0..5_u32 {
            if round > 0 {
                let ceiling = 20_u64 << round;
                tokio::time::sleep(Duration::from_millis(fastrand::u64(1..=ceiling))).await;
            }
            let sent = self
                .client
                .batch_write_item()
                .request_items(&self.table, requests)
                .send()
                .await;
            let answer = sent.map_err(|error| failure(WHAT, error))?;
            let left = answer.unprocessed_items.unwrap_or_default().remove(&self.table);
            requests = left.unwrap_or_default();
            if requests.is_empty() {
                return Ok(());
            }
        }
        Err(PortError::Throttled { what: WHAT })
    }
}

/// Whether the condition of a write held.
fn held<E, R>(what: &'static str, sent: Result<(), SdkError<E, R>>) -> Result<bool, PortError>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let Err(error) = sent else { return Ok(true) };
    match error.as_service_error().and_then(ProvideErrorMetadata::code) {
        Some("ConditionalCheckFailedException") => Ok(false),
        _ => Err(failure(what, error)),
    }
}
