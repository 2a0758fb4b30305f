//! [`Outbox`] on DynamoDB. A shard is a partition of the table `SagaOutbox`: its lease stands at its head, its pending
//! rows follow in the order of their ids, and nothing else is in it, so reading a shard costs what is pending whatever
//! the table's history, and one reading with strong consistency gives the lease and the rows. Dead rows are in a
//! partition of their own.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{Delete, DeleteRequest, Put, TransactWriteItem, WriteRequest};
use futures_util::future::try_join_all;
use saga_app::ports::{Outbox, Page, PortError};
use saga_core::outbox::{Lease, OutboxRow, Tries};
use saga_core::{EventId, Timestamp};

use crate::failure::failure;
use crate::item::{Item, corrupt, n, number, optional, parsed, s, text};
use crate::saga_item::bucket;

/// The partition of dead rows.
const DEAD: &str = "dead";
/// Dead rows are kept for so long.
const DEAD_KEPT_MILLIS: i64 = 90 * 24 * 3_600 * 1_000;
/// The sort key of a shard's lease: before every event's.
const LEASE: &str = "!lease";
/// `Shard` is a reserved word of DynamoDB.
const SHARD: &str = "#shard";

const LEASE_IS_NEW: &str = "attribute_not_exists(Mark)";
const LEASE_IS_AS_READ: &str = "Mark = :known";
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

pub(crate) fn write_row(row: &OutboxRow) -> Item {
    let mut item = Item::from([
        ("Shard".into(), s(bucket(row.shard))),
        ("EventId".into(), s(row.id.as_str())),
        ("SagaId".into(), s(row.saga.to_string())),
        ("Type".into(), s(&row.kind)),
        ("Body".into(), s(&row.body)),
        ("At".into(), n(row.at.millis())),
        ("Queued".into(), n(row.queued.millis())),
    ]);
    if row.follows {
        item.insert("Follows".into(), n(1));
    }
    item
}

/// The row in the image that a stream brings (DynamoDB's JSON); `None` when it is none of ours.
#[must_use]
pub fn row_of_image(image: &serde_json::Value) -> Option<OutboxRow> {
    let attributes = image.as_object()?.iter().filter_map(|(name, value)| {
        let value = match (value["S"].as_str(), value["N"].as_str()) {
            (Some(text), _) => s(text),
            (_, Some(number)) => n(number),
            _ => return None,
        };
        Some((name.clone(), value))
    });
    read_row(&attributes.collect()).ok()
}

fn read_row(item: &Item) -> Result<OutboxRow, PortError> {
    let at = time(item, "At")?;
    Ok(OutboxRow {
        shard: parsed(item, "Shard")?,
        id: parsed(item, "EventId")?,
        saga: parsed(item, "SagaId")?,
        kind: text(item, "Type")?.to_owned(),
        body: text(item, "Body")?.to_owned(),
        at,
        queued: optional(item, "Queued", time)?.unwrap_or(at),
        follows: item.contains_key("Follows"),
        tries: Tries {
            failed: optional(item, "Attempts", number)?.unwrap_or(0),
            next: optional(item, "NextAt", time)?,
            reason: optional(item, "Reason", text)?.map(str::to_owned),
        },
    })
}

fn time(item: &Item, name: &str) -> Result<Timestamp, PortError> {
    number(item, name).map(Timestamp::from_millis)
}

fn is_lease(item: &Item) -> bool {
    text(item, "EventId").is_ok_and(|id| id == LEASE)
}

fn read_lease(shard: u16, item: &Item) -> Result<Lease, PortError> {
    Ok(Lease {
        shard,
        owner: optional(item, "Owner", text)?.map(str::to_owned),
        until: time(item, "Until")?,
        mark: Some(number::<u64>(item, "Mark")?.to_string()),
    })
}

/// A row that this version cannot read must not hold up those behind it.
fn readable(item: &Item) -> Option<OutboxRow> {
    let id = text(item, "EventId").unwrap_or_default();
    read_row(item)
        .inspect_err(|error| tracing::error!(event_id = id, %error, "an outbox row cannot be read; it is left as it is"))
        .ok()
}

impl DynamoOutbox {
    fn key(&self, row: &OutboxRow) -> [(String, aws_sdk_dynamodb::types::AttributeValue); 2] {
        [
            ("Shard".to_owned(), s(bucket(row.shard))),
            ("EventId".to_owned(), s(row.id.as_str())),
        ]
    }
}

impl Outbox for DynamoOutbox {
    /// Ids begin with the time of the event in milliseconds, so the key alone bounds the time.
    async fn read(
        &self,
        shard: u16,
        after: Option<&EventId>,
        before: Timestamp,
        limit: usize,
    ) -> Result<Page, PortError> {
        // The first page begins with the lease.
        let from = after.map_or(LEASE, EventId::as_str);
        let start =
            after.map(|_| Item::from([("Shard".into(), s(bucket(shard))), ("EventId".into(), s(from))]));
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#shard = :shard AND EventId < :before")
            .expression_attribute_names(SHARD, "Shard")
            .expression_attribute_values(":shard", s(bucket(shard)))
            .expression_attribute_values(":before", s(format!("{:013}", before.millis())))
            .consistent_read(true)
            .limit(i32::try_from(limit + usize::from(after.is_none())).unwrap_or(i32::MAX))
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(|error| failure("reading the outbox", error))?;
        let lease = answer.items().iter().find(|item| is_lease(item));
        let rows = answer.items().iter().filter(|item| !is_lease(item));
        let next = answer.last_evaluated_key().map(|key| parsed(key, "EventId"));
        Ok(Page {
            lease: lease.map_or_else(|| Ok(Lease::unknown(shard)), |item| read_lease(shard, item))?,
            rows: rows.filter_map(readable).collect(),
            next: next.transpose()?,
        })
    }

    async fn take(&self, known: &Lease, owner: &str, until: Timestamp) -> Result<Option<Lease>, PortError> {
        let mark = self.write_lease(known, Some(owner), until).await?;
        Ok(mark.map(|mark| Lease {
            shard: known.shard,
            owner: Some(owner.to_owned()),
            until,
            mark: Some(mark.to_string()),
        }))
    }

    async fn release(&self, lease: &Lease) -> Result<(), PortError> {
        self.write_lease(lease, None, Timestamp::from_millis(0))
            .await
            .map(drop)
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
        answer
            .items()
            .iter()
            .map(|item| parsed(item, "EventId"))
            .collect()
    }

    async fn delete(&self, rows: &[OutboxRow]) -> Result<(), PortError> {
        // At most what one wave publishes: a few requests, side by side.
        try_join_all(rows.chunks(25).map(|chunk| self.delete_some(chunk)))
            .await
            .map(drop)
    }

    async fn postpone(&self, rows: &[OutboxRow]) -> Result<(), PortError> {
        try_join_all(rows.iter().map(|row| self.postpone_one(row)))
            .await
            .map(drop)
    }

    async fn bury(&self, row: &OutboxRow, now: Timestamp) -> Result<(), PortError> {
        const WHAT: &str = "moving a row to the dead ones";
        let mut dead = write_row(row);
        dead.insert("From".into(), s(bucket(row.shard)));
        dead.insert("Shard".into(), s(DEAD));
        dead.insert("Attempts".into(), n(row.tries.failed));
        dead.insert(
            "Reason".into(),
            s(row.tries.reason.as_deref().unwrap_or("no reason given")),
        );
        dead.insert("DeadAt".into(), n(now.millis()));
        // Time to live is in seconds.
        dead.insert(
            "ExpiresAt".into(),
            n(now.plus_millis(DEAD_KEPT_MILLIS).millis() / 1_000),
        );
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(dead))
            .build();
        let delete = Delete::builder()
            .table_name(&self.table)
            .set_key(Some(self.key(row).into()))
            .condition_expression(ROW_EXISTS)
            .build();
        let sent = self
            .client
            .transact_write_items()
            .transact_items(TransactWriteItem::builder().set_put(put.ok()).build())
            .transact_items(TransactWriteItem::builder().set_delete(delete.ok()).build())
            .send()
            .await;
        match sent {
            Ok(_) => Ok(()),
            // It is gone: published after all, or buried by another.
            Err(error) if gone(&error) => Ok(()),
            Err(error) => Err(failure(WHAT, error)),
        }
    }
}

/// Whether the row that a transaction was to delete is not there.
fn gone<R>(
    error: &aws_sdk_dynamodb::error::SdkError<
        aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError,
        R,
    >,
) -> bool {
    use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError as E;
    let Some(E::TransactionCanceledException(cancelled)) = error.as_service_error() else {
        return false;
    };
    let reasons = cancelled.cancellation_reasons();
    reasons
        .iter()
        .any(|reason| reason.code() == Some("ConditionalCheckFailed"))
}

impl DynamoOutbox {
    /// Writes the lease if it is as it was read; its new mark, or `None`.
    async fn write_lease(
        &self,
        known: &Lease,
        owner: Option<&str>,
        until: Timestamp,
    ) -> Result<Option<u64>, PortError> {
        let before = known.mark.as_deref().map(str::parse::<u64>).transpose();
        let before = before.map_err(|_| corrupt("the mark of a lease is no number"))?;
        let mark = before.unwrap_or(0) + 1;
        let mut update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("Shard", s(bucket(known.shard)))
            .key("EventId", s(LEASE))
            .expression_attribute_names("#owner", "Owner")
            .expression_attribute_names("#until", "Until")
            .expression_attribute_values(":mark", n(mark))
            .expression_attribute_values(":until", n(until.millis()));
        update = match owner {
            Some(owner) => update
                .update_expression("SET #owner = :owner, #until = :until, Mark = :mark")
                .expression_attribute_values(":owner", s(owner)),
            None => update.update_expression("SET #until = :until, Mark = :mark REMOVE #owner"),
        };
        update = match before {
            Some(before) => update
                .condition_expression(LEASE_IS_AS_READ)
                .expression_attribute_values(":known", n(before)),
            None => update.condition_expression(LEASE_IS_NEW),
        };
        match update.send().await {
            Ok(_) => Ok(Some(mark)),
            Err(error) if is_refused(error.as_service_error()) => Ok(None),
            Err(error) => Err(failure("taking a shard of the outbox", error)),
        }
    }

    async fn postpone_one(&self, row: &OutboxRow) -> Result<(), PortError> {
        let mut update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(self.key(row).into()))
            .condition_expression(ROW_EXISTS)
            .expression_attribute_values(":failed", n(row.tries.failed))
            .expression_attribute_values(":reason", s(row.tries.reason.as_deref().unwrap_or_default()));
        update = match row.tries.next {
            Some(next) => update
                .update_expression("SET Attempts = :failed, NextAt = :next, Reason = :reason")
                .expression_attribute_values(":next", n(next.millis())),
            None => update.update_expression("SET Attempts = :failed, Reason = :reason"),
        };
        match update.send().await {
            Ok(_) => Ok(()),
            Err(error) if is_refused(error.as_service_error()) => Ok(()),
            Err(error) => Err(failure("postponing a row of the outbox", error)),
        }
    }

    async fn delete_some(&self, rows: &[OutboxRow]) -> Result<(), PortError> {
        const WHAT: &str = "deleting published rows from the outbox";
        let mut requests = Vec::with_capacity(rows.len());
        for row in rows {
            let delete = DeleteRequest::builder()
                .set_key(Some(self.key(row).into()))
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
            requests = answer
                .unprocessed_items
                .unwrap_or_default()
                .remove(&self.table)
                .unwrap_or_default();
            if requests.is_empty() {
                return Ok(());
            }
        }
        Err(PortError::Throttled { what: WHAT })
    }
}

/// Whether a condition did not hold, or another transaction was at the same item.
fn is_refused(error: Option<&aws_sdk_dynamodb::operation::update_item::UpdateItemError>) -> bool {
    use aws_sdk_dynamodb::operation::update_item::UpdateItemError as E;
    error.is_some_and(|error| matches!(error, E::ConditionalCheckFailedException(_)))
}
