//! The two indexes of the table `Sagas`: all sagas by their start, and those that are due. An index is eventually
//! consistent: what it names may have changed or expired since.

use aws_sdk_dynamodb::Client;
use saga_app::ports::PortError;
use saga_core::{SagaId, Timestamp};

use crate::failure::failure;
use crate::item::{n, parsed, s, time};
use crate::saga_item::bucket;

/// The indexes of this table.
#[derive(Debug, Clone)]
pub(super) struct SagaIndexes {
    pub(super) client: Client,
    pub(super) table: String,
}

impl SagaIndexes {
    /// Ids of one bucket of the index of all sagas, newest first, none at or after the cursor.
    pub(super) async fn listed(
        &self,
        list: u16,
        since: Option<Timestamp>,
        before: Option<(Timestamp, SagaId)>,
        limit: usize,
    ) -> Result<Vec<(Timestamp, SagaId)>, PortError> {
        let from = since.unwrap_or(Timestamp::from_millis(0));
        let to = before.map_or(Timestamp::from_millis(i64::MAX), |(time, _)| time);
        if to < from {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        let mut start = None;
        loop {
            let answer = self
                .client
                .query()
                .table_name(&self.table)
                .index_name("list")
                .key_condition_expression("ListBucket = :bucket AND CreatedAt BETWEEN :from AND :to")
                .expression_attribute_values(":bucket", s(bucket(list)))
                .expression_attribute_values(":from", n(from.millis()))
                .expression_attribute_values(":to", n(to.millis()))
                .scan_index_forward(false)
                .limit(i32::try_from(limit).unwrap_or(i32::MAX))
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(|error| failure("listing sagas", error))?;
            for item in answer.items() {
                let key = (time(item, "CreatedAt")?, parsed(item, "SagaId")?);
                if before.is_none_or(|before| key < before) {
                    found.push(key);
                }
            }
            start = answer.last_evaluated_key;
            // Sagas of the same millisecond come in any order: a page may end only where the millisecond changes.
            let enough = found.len() > limit && found[limit].0 != found[limit - 1].0;
            if start.is_none() || enough || found.len() > 4 * limit {
                return Ok(found);
            }
        }
    }

    /// Ids of one bucket that are due at `now`, longest due first.
    pub(super) async fn due_ids(
        &self,
        list: u16,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<SagaId>, PortError> {
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .index_name("due")
            .key_condition_expression("DueBucket = :bucket AND DueAt <= :now")
            .expression_attribute_values(":bucket", s(bucket(list)))
            .expression_attribute_values(":now", n(now.millis()))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|error| failure("finding sagas that are due", error))?;
        answer.items().iter().map(|item| parsed(item, "SagaId")).collect()
    }
}
