//! [`Outbox`] on DynamoDB: the table `SagaOutbox` holds pending rows only, so reading a shard costs what is pending,
//! whatever the table's history; and it is read with strong consistency.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{DeleteRequest, WriteRequest};
use saga_app::ports::{Outbox, PortError};
use saga_core::Timestamp;
use saga_core::outbox::OutboxRow;

use crate::failure::failure;
use crate::item::{Item, n, number, parsed, s, text};
use crate::saga_item::bucket;

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
    Item::from([
        ("Shard".into(), s(bucket(row.shard))),
        ("EventId".into(), s(row.id.as_str())),
        ("SagaId".into(), s(row.saga.to_string())),
        ("Type".into(), s(&row.kind)),
        ("Body".into(), s(&row.body)),
        ("At".into(), n(row.at.millis())),
    ])
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
    Ok(OutboxRow {
        shard: parsed(item, "Shard")?,
        id: parsed(item, "EventId")?,
        saga: parsed(item, "SagaId")?,
        kind: text(item, "Type")?.to_owned(),
        body: text(item, "Body")?.to_owned(),
        at: Timestamp::from_millis(number(item, "At")?),
    })
}

impl Outbox for DynamoOutbox {
    /// The sort key begins with the time of the event in milliseconds, so the key alone bounds the time.
    async fn pending(
        &self,
        shard: u16,
        before: Timestamp,
        limit: usize,
    ) -> Result<Vec<OutboxRow>, PortError> {
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#shard = :shard AND EventId < :before")
            // A reserved word of DynamoDB.
            .expression_attribute_names("#shard", "Shard")
            .expression_attribute_values(":shard", s(bucket(shard)))
            .expression_attribute_values(":before", s(format!("{:013}", before.millis())))
            .consistent_read(true)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|error| failure("reading the outbox", error))?;
        answer.items().iter().map(read_row).collect()
    }

    async fn delete(&self, rows: &[OutboxRow]) -> Result<(), PortError> {
        const WHAT: &str = "deleting published rows from the outbox";
        for chunk in rows.chunks(25) {
            let mut requests = Vec::with_capacity(chunk.len());
            for row in chunk {
                let delete = DeleteRequest::builder()
                    .key("Shard", s(bucket(row.shard)))
                    .key("EventId", s(row.id.as_str()))
                    .build()
                    .map_err(|error| PortError::unavailable(WHAT, error))?;
                requests.push(WriteRequest::builder().delete_request(delete).build());
            }
            let mut rounds = 0;
            while !requests.is_empty() {
                rounds += 1;
                if rounds > 5 {
                    return Err(PortError::Throttled { what: WHAT });
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
            }
        }
        Ok(())
    }
}
