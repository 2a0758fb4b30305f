//! [`Outbox`] in the table: a partition is a shard, with its pending rows, its dead rows, and its lease while somebody
//! empties it, each with a prefix of their own.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;
use saga_app::ports::outbox::{Lease, OutboxRow};
use saga_app::ports::{Outbox, Page, PortError, Version};
use saga_core::{EventId, Timestamp};

use super::rows::{dead_fields, lease, lease_fields, outbox_row, tries_fields};
use super::{Row, TableStore, WHAT, columns, keys, over_limit};
use crate::client::{Batch, Change, Failure, MAX_CHANGES, Repeat, Written, quoted};

/// One reading follows at most so many continuations: a page may be empty and not the last.
const MAX_PAGES: usize = 20;

impl TableStore {
    /// Rows of one or several pages of a query, and whether there are more.
    async fn query(&self, filter: &str, limit: usize) -> Result<(Vec<Row>, bool), PortError> {
        let (mut rows, mut next) = (Vec::new(), String::new());
        for _ in 0..MAX_PAGES {
            let page = self.table.query(filter, limit - rows.len(), &next).await?;
            let read = page.rows.into_iter().map(Row::read);
            rows.extend(read.filter_map(|row| {
                row.inspect_err(|why| tracing::error!(why, "a row cannot be read; it is left as it is"))
                    .ok()
            }));
            match page.next {
                Some(more) => next = more,
                None => return Ok((rows, false)),
            }
            if rows.len() >= limit {
                break;
            }
        }
        Ok((rows, true))
    }

    /// The lease of a shard as it is now, with its version.
    async fn lease(&self, shard: u16) -> Result<Option<(Lease, Version)>, PortError> {
        let row = self.row(&keys::partition(shard), keys::LEASE).await?;
        let read = row.map(|row| lease(shard, &row).map(|lease| (lease, row.version)));
        read.transpose()
            .map_err(|why| PortError::unavailable(WHAT, Failure::Unreadable(why)))
    }

    async fn owned(&self, lease: &Lease) -> Result<Option<Version>, PortError> {
        let held = self.lease(lease.shard).await?;
        Ok(held.and_then(|(held, version)| (held.owner == lease.owner).then_some(version)))
    }

    /// Writes the lease if it is still in this version; whether it was.
    async fn replace_lease(&self, lease: &Lease, version: &Version) -> Result<bool, PortError> {
        let (partition, columns) = (keys::partition(lease.shard), columns(&lease_fields(lease)));
        let replaced = self.table.replace(&partition, keys::LEASE, &version.0, &columns);
        Ok(replaced.await? == Written::Applied)
    }

    async fn postpone_one(&self, row: &OutboxRow) -> Result<(), PortError> {
        let key = keys::outbox(&row.id).map_err(over_limit)?;
        let columns = columns(&tries_fields(&row.tries));
        let partition = keys::partition(row.shard);
        let merged = self.table.merge(&partition, &key, &columns);
        // A row that is gone was published after all.
        merged.await?.unless_missing(WHAT).map(drop)
    }

    /// Deletes rows of a partition, whether they are there or not.
    async fn delete_some(&self, partition: &str, keys: &[String]) -> Result<(), PortError> {
        if keys.len() > 1 {
            let batch = Batch {
                partition: partition.to_owned(),
                changes: keys.iter().cloned().map(Change::delete).collect(),
            };
            let applied = self.table.apply(&batch, Repeat::Freely).await?;
            if applied.unless_missing(WHAT)? {
                return Ok(());
            }
            // One of them is gone already, which stops all: each on its own, then.
        }
        for key in keys {
            let deleted = self.table.delete(partition, key, "*").await?;
            deleted.unless_missing(WHAT)?;
        }
        Ok(())
    }
}

impl Outbox for TableStore {
    /// One request a partition: a query over all of them would read every step and entity on the way.
    async fn overdue(&self, shards: u16, before: Timestamp) -> Result<Vec<u16>, PortError> {
        let mut found = Vec::new();
        for shard in 0..shards {
            let filter = format!(
                "PartitionKey eq '{}' and RowKey ge '{}' and RowKey lt '{}{:013}'",
                keys::partition(shard),
                keys::LEASE,
                keys::OUTBOX,
                before.millis(),
            );
            let (first, more) = self.query(&filter, 1).await?;
            if !first.is_empty() || more {
                found.push(shard);
            }
        }
        Ok(found)
    }

    async fn take(&self, wanted: &Lease, now: Timestamp) -> Result<bool, PortError> {
        let (partition, columns) = (keys::partition(wanted.shard), columns(&lease_fields(wanted)));
        let inserted = self.table.insert(&partition, keys::LEASE, &columns).await?;
        if inserted == Written::Applied {
            return Ok(true);
        }
        match self.lease(wanted.shard).await? {
            // It is free, or it is ours: then the answer to the first try was lost.
            Some((held, version)) if held.until <= now || held.owner == wanted.owner => {
                self.replace_lease(wanted, &version).await
            }
            _ => Ok(false),
        }
    }

    async fn renew(&self, lease: &Lease) -> Result<bool, PortError> {
        match self.owned(lease).await? {
            Some(version) => self.replace_lease(lease, &version).await,
            None => Ok(false),
        }
    }

    async fn release(&self, lease: &Lease) -> Result<(), PortError> {
        let Some(version) = self.owned(lease).await? else {
            return Ok(());
        };
        let partition = keys::partition(lease.shard);
        let deleted = self.table.delete(&partition, keys::LEASE, &version.0);
        deleted.await.map(drop)
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
        let filter = format!(
            "PartitionKey eq '{}' and RowKey gt '{}' and RowKey lt '{}{:013}'",
            keys::partition(shard),
            quoted(&after.map_err(over_limit)?),
            keys::OUTBOX,
            before.millis(),
        );
        let (found, more) = self.query(&filter, limit).await?;
        let rows = found.iter().filter_map(|row| {
            let read = outbox_row(shard, row);
            // A row that this version cannot read must not hold up those behind it.
            read.inspect_err(|why| {
                tracing::error!(shard, why, "an outbox row cannot be read; it is left as it is");
            })
            .ok()
        });
        let last = found.iter().rev().find_map(|row| keys::event_id(&row.key));
        Ok(Page {
            rows: rows.collect(),
            next: last.filter(|_| more),
        })
    }

    async fn earlier(&self, row: &OutboxRow) -> Result<Vec<EventId>, PortError> {
        let filter = format!(
            "PartitionKey eq '{}' and RowKey ge '{}' and RowKey lt '{}' and Saga eq '{}'",
            keys::partition(row.shard),
            keys::OUTBOX,
            quoted(&keys::outbox(&row.id).map_err(over_limit)?),
            row.saga,
        );
        // One saga has a handful of events.
        let (found, _) = self.query(&filter, 100).await?;
        let ids = found.iter().filter_map(|row| keys::event_id(&row.key));
        Ok(ids.collect())
    }

    async fn delete(&self, rows: &[OutboxRow]) -> Result<(), PortError> {
        let mut partitions = BTreeMap::<u16, BTreeSet<String>>::new();
        for row in rows {
            let key = keys::outbox(&row.id).map_err(over_limit)?;
            partitions.entry(row.shard).or_default().insert(key);
        }
        for (shard, keys) in partitions {
            let keys: Vec<String> = keys.into_iter().collect();
            for some in keys.chunks(MAX_CHANGES) {
                self.delete_some(&keys::partition(shard), some).await?;
            }
        }
        Ok(())
    }

    async fn postpone(&self, rows: &[OutboxRow]) -> Result<(), PortError> {
        let each = rows.iter().map(|row| self.postpone_one(row));
        try_join_all(each).await.map(drop)
    }

    async fn set_aside(&self, row: &OutboxRow, now: Timestamp) -> Result<(), PortError> {
        let dead = keys::dead(&row.event.id).map_err(over_limit)?;
        let batch = Batch {
            partition: keys::partition(row.shard),
            changes: vec![
                Change::put(dead, columns(&dead_fields(row, now))),
                Change::delete(keys::outbox(&row.id).map_err(over_limit)?),
            ],
        };
        // A row that is gone was published after all, or was moved by another.
        let moved = self.table.apply(&batch, Repeat::Freely).await?;
        moved.unless_missing(WHAT).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::{NO_ROW, Reply, SAGA, TestServer, inner, row, store};

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

    /// Nothing was asked to hold, so nothing that failed to hold says that the row is gone.
    #[tokio::test]
    async fn what_others_change_at_the_same_time_is_not_gone() {
        for refused in [(412, "UpdateConditionNotSatisfied"), (409, "EntityAlreadyExists")] {
            let server =
                TestServer::start(vec![inner(&[refused]), inner(&[refused]), Reply::status(412)]).await;
            let (store, one) = (store(&server), row(5, "1"));
            store
                .set_aside(&one, Timestamp::from_millis(2))
                .await
                .unwrap_err();
            store.delete(&[row(5, "1"), row(5, "2")]).await.unwrap_err();
            store.postpone(&[one]).await.unwrap_err();
        }
    }
}
