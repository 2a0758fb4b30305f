//! [`Outbox`] beside the steps: a partition is a shard, with its pending rows, its dead rows, and its lease while somebody
//! empties it, each with a prefix of their own.

use azure_core::http::Method;
use futures_util::future::try_join_all;
use saga_app::ports::outbox::{Lease, OutboxRow};
use saga_app::ports::{Outbox, Page, Partition, PortError, Version};
use saga_core::document::Fields;
use saga_core::{Document, EventId, Timestamp};
use saga_wire::json;

use crate::batch::{Answered, Batch, Change, MAX_CHANGES, Verb, row_body, row_path};
use crate::columns::{Row, columns};
use crate::keys;
use crate::rows::{dead_fields, lease, lease_fields, outbox_row, tries_fields};
use crate::service::{Answer, Repeat};
use crate::table_store::{TableStore, WHAT, is_missing_row, refused, unreadable};

/// One reading follows at most so many continuations: a page may be empty and not the last.
const MAX_PAGES: usize = 20;

/// What one or several pages of a query gave.
struct Found {
    rows: Vec<Row>,
    more: bool,
}

impl TableStore {
    async fn query(&self, filter: &str, limit: usize) -> Result<Found, PortError> {
        let (mut rows, mut next) = (Vec::new(), String::new());
        for _ in 0..MAX_PAGES {
            let top = (limit - rows.len()).min(1_000);
            let filter = keys::percent(filter);
            let path = format!("/{}()?$filter={filter}&$top={top}{next}", self.table);
            let answer = self
                .send(Method::Get, path, String::new(), &[], Repeat::Freely)
                .await?;
            if answer.status != 200 {
                return Err(answer.refused(WHAT));
            }
            let page = json::parse_stored(&answer.body).map_err(|error| unreadable(error.0))?;
            let Some(Document::List(page)) = page.get("value") else {
                return Err(unreadable("a page of rows has no `value`".to_owned()));
            };
            rows.extend(page.iter().filter_map(readable));
            match continuation(&answer) {
                Some(more) => next = more,
                None => return Ok(Found { rows, more: false }),
            }
            if rows.len() >= limit {
                break;
            }
        }
        Ok(Found { rows, more: true })
    }

    /// The lease of a shard as it is now, with its version.
    async fn lease(&self, shard: u16) -> Result<Option<(Lease, Version)>, PortError> {
        let row = self.row(&keys::partition(&Partition(shard)), keys::LEASE).await?;
        let read = row.map(|row| lease(shard, &row).map(|lease| (lease, row.version)));
        read.transpose().map_err(unreadable)
    }

    /// Writes the lease, or deletes it, if it is as it was read; whether it was.
    async fn write_lease(
        &self,
        lease: &Lease,
        known: Option<&Version>,
        keep: bool,
    ) -> Result<bool, PortError> {
        let partition = keys::partition(&Partition(lease.shard));
        let path = row_path(&self.table, &partition, keys::LEASE);
        let body = || row_body(&partition, keys::LEASE, &columns(&lease_fields(lease)));
        let (method, path, body, headers) = match known {
            None => (
                Method::Post,
                format!("/{}", self.table),
                body(),
                ("prefer", "return-no-content"),
            ),
            Some(version) if keep => (Method::Put, path, body(), ("if-match", version.0.as_str())),
            Some(version) => (
                Method::Delete,
                path,
                String::new(),
                ("if-match", version.0.as_str()),
            ),
        };
        let answer = self.send(method, path, body, &[headers], Repeat::Freely).await?;
        match answer.status {
            412 => Ok(false),
            409 if answer.code() == "EntityAlreadyExists" => Ok(false),
            404 if is_missing_row(&answer.code()) => Ok(false),
            _ if answer.succeeded() => Ok(true),
            _ => Err(answer.refused(WHAT)),
        }
    }

    async fn postpone_one(&self, row: &OutboxRow) -> Result<(), PortError> {
        let key = keys::outbox(&row.id).map_err(|failure| PortError::unavailable(WHAT, failure))?;
        let partition = keys::partition(&Partition(row.shard));
        let path = row_path(&self.table, &partition, &key);
        let body = json::write_object(&columns(&tries_fields(&row.tries)));
        let headers = [("if-match", "*")];
        let answer = self
            .send(Method::Patch, path, body, &headers, Repeat::Freely)
            .await?;
        match answer.status {
            404 if is_missing_row(&answer.code()) => Ok(()),
            _ if answer.succeeded() => Ok(()),
            _ => Err(answer.refused(WHAT)),
        }
    }
}

impl Outbox for TableStore {
    /// One request a partition: a query over all of them would read every step and entity on the way.
    async fn overdue(&self, shards: u16, before: Timestamp) -> Result<Vec<u16>, PortError> {
        let mut found = Vec::new();
        for shard in 0..shards {
            let filter = format!(
                "PartitionKey eq '{}' and RowKey ge '{}' and RowKey lt '{}{:013}'",
                keys::partition(&Partition(shard)),
                keys::LEASE,
                keys::OUTBOX,
                before.millis(),
            );
            let first = self.query(&filter, 1).await?;
            if !first.rows.is_empty() || first.more {
                found.push(shard);
            }
        }
        Ok(found)
    }

    async fn take(&self, wanted: &Lease, now: Timestamp) -> Result<bool, PortError> {
        if self.write_lease(wanted, None, true).await? {
            return Ok(true);
        }
        match self.lease(wanted.shard).await? {
            // It is free, or it is ours: then the answer to the first try was lost.
            Some((held, version)) if held.until <= now || held.owner == wanted.owner => {
                self.write_lease(wanted, Some(&version), true).await
            }
            _ => Ok(false),
        }
    }

    async fn renew(&self, lease: &Lease) -> Result<bool, PortError> {
        match self.lease(lease.shard).await? {
            Some((held, version)) if held.owner == lease.owner => {
                self.write_lease(lease, Some(&version), true).await
            }
            _ => Ok(false),
        }
    }

    async fn release(&self, lease: &Lease) -> Result<(), PortError> {
        match self.lease(lease.shard).await? {
            Some((held, version)) if held.owner == lease.owner => {
                self.write_lease(lease, Some(&version), false).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Ids begin with the time of the event in milliseconds, so the key alone bounds the time.
    async fn read(
        &self,
        shard: u16,
        after: Option<&EventId>,
        before: Timestamp,
        limit: usize,
    ) -> Result<Page, PortError> {
        let after = after.map_or(Ok(keys::OUTBOX.to_owned()), keys::outbox);
        let after = after.map_err(|failure| PortError::unavailable(WHAT, failure))?;
        let filter = format!(
            "PartitionKey eq '{}' and RowKey gt '{}' and RowKey lt '{}{:013}'",
            keys::partition(&Partition(shard)),
            keys::quoted(&after),
            keys::OUTBOX,
            before.millis(),
        );
        let found = self.query(&filter, limit).await?;
        let rows = found.rows.iter().filter_map(|row| {
            let read = outbox_row(shard, row);
            // A row that this version cannot read must not hold up those behind it.
            read.inspect_err(|why| {
                tracing::error!(shard, why, "an outbox row cannot be read; it is left as it is");
            })
            .ok()
        });
        let last = found.rows.iter().rev().find_map(|row| keys::event_id(&row.key));
        Ok(Page {
            rows: rows.collect(),
            next: last.filter(|_| found.more),
        })
    }

    async fn earlier(&self, row: &OutboxRow) -> Result<Vec<EventId>, PortError> {
        let key = keys::outbox(&row.id).map_err(|failure| PortError::unavailable(WHAT, failure))?;
        let filter = format!(
            "PartitionKey eq '{}' and RowKey ge '{}' and RowKey lt '{}' and Saga eq '{}'",
            keys::partition(&Partition(row.shard)),
            keys::OUTBOX,
            keys::quoted(&key),
            row.saga,
        );
        // One saga has a handful of events.
        let found = self.query(&filter, 100).await?;
        Ok(found
            .rows
            .iter()
            .filter_map(|row| keys::event_id(&row.key))
            .collect())
    }

    async fn delete(&self, rows: &[OutboxRow]) -> Result<(), PortError> {
        let mut partitions = std::collections::BTreeMap::<u16, Vec<String>>::new();
        for row in rows {
            let key = keys::outbox(&row.id).map_err(|failure| PortError::unavailable(WHAT, failure))?;
            let keys = partitions.entry(row.shard).or_default();
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        for (shard, keys) in partitions {
            let partition = keys::partition(&Partition(shard));
            for some in keys.chunks(MAX_CHANGES) {
                if let [key] = some {
                    self.delete_one(&partition, key).await?;
                    continue;
                }
                let gone = |key: &String| Change {
                    verb: Verb::Delete,
                    key: key.clone(),
                    columns: Fields::new(),
                };
                let batch = Batch {
                    partition: partition.clone(),
                    changes: some.iter().map(gone).collect(),
                };
                match self.apply(&batch, Repeat::Freely).await? {
                    Answered::Applied => {}
                    // One of them is gone already, which stops all: each on its own, then.
                    Answered::Refused { status: 404, code } if is_missing_row(&code) => {
                        for key in some {
                            self.delete_one(&partition, key).await?;
                        }
                    }
                    Answered::Refused { status, code } => return Err(refused(status, code)),
                }
            }
        }
        Ok(())
    }

    async fn postpone(&self, rows: &[OutboxRow]) -> Result<(), PortError> {
        try_join_all(rows.iter().map(|row| self.postpone_one(row)))
            .await
            .map(drop)
    }

    async fn set_aside(&self, row: &OutboxRow, now: Timestamp) -> Result<(), PortError> {
        let over = |failure| PortError::unavailable(WHAT, failure);
        let dead = Change {
            verb: Verb::Put,
            key: keys::dead(&row.id).map_err(over)?,
            columns: columns(&dead_fields(row, now)),
        };
        let pending = Change {
            verb: Verb::Delete,
            key: keys::outbox(&row.id).map_err(over)?,
            columns: Fields::new(),
        };
        let batch = Batch {
            partition: keys::partition(&Partition(row.shard)),
            changes: vec![dead, pending],
        };
        match self.apply(&batch, Repeat::Freely).await? {
            Answered::Applied => Ok(()),
            // It is gone: published after all, or set aside by another.
            Answered::Refused { status: 404, code } if is_missing_row(&code) => Ok(()),
            Answered::Refused { status, code } => Err(refused(status, code)),
        }
    }
}

/// The query parameters that fetch the next page
/// (<https://learn.microsoft.com/rest/api/storageservices/query-timeout-and-pagination>).
pub(crate) fn continuation(answer: &Answer) -> Option<String> {
    let partition = answer.header("x-ms-continuation-nextpartitionkey")?;
    let mut next = format!("&NextPartitionKey={}", keys::percent(partition));
    if let Some(row) = answer.header("x-ms-continuation-nextrowkey") {
        next.push_str(&format!("&NextRowKey={}", keys::percent(row)));
    }
    Some(next)
}

fn readable(row: &Document) -> Option<Row> {
    let Document::Map(columns) = row else {
        return None;
    };
    let read = Row::read(columns.clone());
    read.inspect_err(|why| tracing::error!(why, "a row cannot be read; it is left as it is"))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_server::{Reply, TestServer};
    use crate::test_table::{NO_ROW, SAGA, inner, row, store};

    #[tokio::test]
    async fn rows_are_followed_over_pages_and_an_unreadable_one_holds_up_nobody() {
        let one = |id: &str| {
            format!(
                r#"{{"odata.etag":"1","RowKey":"outbox|{id}","Format":1,"At":1,"Saga":"{SAGA}","Type":"InventoryReserved","Body":"{{}}"}}"#
            )
        };
        let more = "x-ms-continuation-NextPartitionKey: 1!4!MDU-\r\nx-ms-continuation-NextRowKey: a b";
        let server = TestServer::start(vec![
            Reply::with(200, more, r#"{"value":[]}"#),
            // The next partition may have no row to begin with.
            Reply::with(
                200,
                "x-ms-continuation-NextPartitionKey: 1!4!MDU-",
                &format!(
                    r#"{{"value":[{},{{"odata.etag":"1","RowKey":"outbox|bad"}}]}}"#,
                    one("1")
                ),
            ),
            Reply::body(200, &format!(r#"{{"value":[{}]}}"#, one("2"))),
        ])
        .await;
        let page = store(&server)
            .read(5, None, Timestamp::from_millis(9), 10)
            .await
            .unwrap();
        assert_eq!(page.rows, [row(5, "1"), row(5, "2")]);
        assert_eq!(page.next, None);
        let asked = server.requests();
        for (request, end) in [
            (
                &asked[1],
                "$top=10&NextPartitionKey=1%214%21MDU-&NextRowKey=a%20b ",
            ),
            (&asked[2], "$top=8&NextPartitionKey=1%214%21MDU- "),
        ] {
            assert!(request.contains(end), "{request}");
        }
    }

    #[tokio::test]
    async fn a_lease_that_others_took_is_not_ours() {
        let wanted = Lease {
            shard: 5,
            owner: "me".into(),
            until: Timestamp::from_millis(9),
        };
        let refusal =
            |status, code: &str| Reply::body(status, &format!(r#"{{"odata.error":{{"code":"{code}"}}}}"#));
        let held = |until| {
            let row = format!(
                r#"{{"odata.etag":"W/\"7\"","RowKey":"lease","Format":1,"Owner":"you","Until":"{until}","Until@odata.type":"Edm.Int64"}}"#
            );
            Reply::body(200, &row)
        };
        let exists = || refusal(409, "EntityAlreadyExists");
        let now = Timestamp::from_millis(5);
        for (answers, taken) in [
            (vec![Reply::status(204)], true),
            (vec![exists(), held(6)], false),
            (vec![exists(), held(5), Reply::status(204)], true),
            (
                vec![exists(), held(5), refusal(412, "UpdateConditionNotSatisfied")],
                false,
            ),
            (vec![exists(), refusal(404, "ResourceNotFound")], false),
        ] {
            let server = TestServer::start(answers).await;
            assert_eq!(store(&server).take(&wanted, now).await.unwrap(), taken);
        }
        let server = TestServer::start(vec![held(6), held(6)]).await;
        assert!(!store(&server).renew(&wanted).await.unwrap());
        store(&server).release(&wanted).await.unwrap();
        assert_eq!(server.requests().len(), 2);
    }

    #[tokio::test]
    async fn deleting_setting_aside_or_postponing_what_is_gone_is_no_error() {
        let server = TestServer::start(vec![Reply::body(404, NO_ROW)]).await;
        store(&server).delete(&[row(5, "1"), row(5, "1")]).await.unwrap();
        let server = TestServer::start(vec![
            inner(&[(404, "ResourceNotFound")]),
            Reply::status(204),
            Reply::body(404, NO_ROW),
            Reply::status(204),
        ])
        .await;
        store(&server)
            .delete(&[row(5, "1"), row(5, "2"), row(6, "3")])
            .await
            .unwrap();
        assert_eq!(server.requests().len(), 4);
        let server = TestServer::start(vec![
            Reply::body(404, NO_ROW),
            inner(&[(404, "ResourceNotFound")]),
        ])
        .await;
        store(&server).postpone(&[row(5, "1")]).await.unwrap();
        store(&server)
            .set_aside(&row(5, "1"), Timestamp::from_millis(2))
            .await
            .unwrap();
    }
}
