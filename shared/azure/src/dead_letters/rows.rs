//! The dead rows of the participant's table: `dead|<event id>` beside `outbox|<event id>` in each bucket.
//!
//! A replay is one entity-group transaction: the pending row is there and the dead one is not, or the other way round.
//! The participant's sweep sends it from there.

use azure_core::http::Method;
use saga_app::dead_letters::ports::{Answer, Depth, Held, LetterSource, Receipt, Removal, Walk};
use saga_app::ports::{Partition, PortError};
use saga_core::document::Fields;
use saga_core::{Document, Timestamp};
use saga_wire::dead_letter::Source;
use saga_wire::dead_letter::row;
use saga_wire::json;

use super::access::Access;
use crate::batch::{Answered, Batch, Change, Verb, answered, row_path};
use crate::columns::{Row, columns};
use crate::config::{InvalidConfig, table_name};
use crate::keys;
use crate::outbox::continuation;
use crate::rows::outbox_row;
use crate::service::{Answer as Reply, Call, Failure, Http, Repeat, Service};
use crate::shared_key::Dialect;

const WHAT: &str = "the dead rows of Table storage";
const VERSION: &str = "2020-12-06";
/// Every dead row's key begins so.
const DEAD: &str = "dead|";
/// The first key after all dead rows.
const AFTER_DEAD: &str = "dead}";
const PAGE: usize = 50;
/// What a dead row has and a pending one has not.
const OWN: [&str; 4] = ["Attempts", "NextAt", "Reason", "DeadAt"];

/// The dead rows of a table.
#[derive(Debug)]
pub struct DeadRows {
    service: Service,
    table: String,
    buckets: u16,
}

impl DeadRows {
    pub(super) fn on(http: &Http, access: &Access) -> Result<Self, InvalidConfig> {
        Ok(Self {
            service: access.storage(http, "table", &access.table_endpoint, Dialect::Table)?,
            table: table_name(&access.table)?.to_owned(),
            buckets: access.buckets,
        })
    }

    async fn send(
        &self,
        method: Method,
        path: String,
        body: String,
        more: &[(&'static str, &str)],
    ) -> Result<Reply, PortError> {
        let mut headers = vec![
            ("x-ms-version", VERSION.to_owned()),
            ("dataserviceversion", "3.0;NetFx".to_owned()),
            ("maxdataserviceversion", "3.0;NetFx".to_owned()),
            ("accept", "application/json;odata=minimalmetadata".to_owned()),
        ];
        for (name, value) in more {
            headers.retain(|(known, _)| known != name);
            headers.push((name, (*value).to_owned()));
        }
        let call = Call {
            what: WHAT,
            method,
            path,
            headers,
            body,
            // A removal that is repeated finds the row gone, and says so.
            repeat: Repeat::Freely,
        };
        self.service.send(&call).await
    }

    /// The rows of a bucket whose keys follow `after`, a page of them.
    async fn page(&self, bucket: u16, after: &str) -> Result<Vec<Held>, PortError> {
        let partition = keys::partition(&Partition(bucket));
        let from = after.replace('\'', "''");
        let filter =
            format!("PartitionKey eq '{partition}' and RowKey gt '{from}' and RowKey lt '{AFTER_DEAD}'");
        let mut next = String::new();
        loop {
            let path = format!(
                "/{}()?$filter={}&$top={PAGE}{next}",
                self.table,
                keys::percent(&filter)
            );
            let answer = self.send(Method::Get, path, String::new(), &[]).await?;
            if answer.status != 200 {
                return Err(answer.refused(WHAT));
            }
            let page = json::parse_stored(&answer.body).map_err(|error| unreadable(error.0))?;
            let Some(Document::List(page)) = page.get("value") else {
                return Err(unreadable("a page of rows has no `value`".to_owned()));
            };
            let rows: Vec<Held> = page.iter().filter_map(|row| held(bucket, row)).collect();
            // A page may be empty and not the last.
            match continuation(&answer) {
                Some(more) if rows.is_empty() => next = more,
                _ => return Ok(rows),
            }
        }
    }

    async fn get(&self, key: &str) -> Result<Option<Held>, PortError> {
        let Some((bucket, row_key)) = parted(key) else {
            return Ok(None);
        };
        let path = row_path(&self.table, &keys::partition(&Partition(bucket)), &row_key);
        let answer = self.send(Method::Get, path, String::new(), &[]).await?;
        match answer.status {
            200 => {
                let columns = json::parse_stored(&answer.body).map_err(|error| unreadable(error.0))?;
                Ok(held(bucket, &Document::Map(columns)))
            }
            404 if is_missing(&answer.code()) => Ok(None),
            _ => Err(answer.refused(WHAT)),
        }
    }
}

/// A letter's key is the bucket and the row's key, `05|<escaped event id>`.
fn parted(key: &str) -> Option<(u16, String)> {
    let (bucket, rest) = key.split_once('|')?;
    Some((bucket.parse().ok()?, format!("{DEAD}{rest}")))
}

/// The letter of a row; `None` for what has no key, which no row of a table is.
fn held(bucket: u16, columns: &Document) -> Option<Held> {
    let Document::Map(columns) = columns else {
        return None;
    };
    let rest = columns.get("RowKey")?.as_text()?.strip_prefix(DEAD)?;
    let text = |name: &str| columns.get(name).and_then(Document::as_text).map(str::to_owned);
    let number = |name: &str| {
        columns
            .get(name)
            .and_then(Document::as_number)
            .and_then(|number| number.as_i64())
    };
    // What the relay can read from the pending row is what it would be.
    let pending = Row::read(columns.clone()).and_then(|row| {
        let key = format!("{}{rest}", keys::OUTBOX);
        outbox_row(bucket, &Row { key, ..row })
    });
    let (body, unreadable) = match pending {
        Ok(pending) => (Some(pending.event.body), None),
        Err(why) => (text("Body"), Some(why)),
    };
    let letter = row(
        Source::AzureOutbox,
        saga_wire::dead_letter::Row {
            key: format!("{}|{rest}", keys::partition(&Partition(bucket))),
            body,
            reason: text("Reason"),
            attempts: number("Attempts").and_then(|attempts| u32::try_from(attempts).ok()),
            at: number("At").map(Timestamp::from_millis),
            dead_at: number("DeadAt").map(Timestamp::from_millis),
            unreadable,
        },
    );
    Some(Held {
        letter,
        receipt: Receipt(String::new()),
    })
}

impl LetterSource for DeadRows {
    fn source(&self) -> Source {
        Source::AzureOutbox
    }

    fn is_queue(&self) -> bool {
        false
    }

    fn depth(&self) -> Answer<'_, Depth> {
        Box::pin(async move {
            let mut depth = Depth::default();
            for bucket in 0..self.buckets {
                depth.visible += self.page(bucket, DEAD).await?.len();
                // More than none is all that anybody asks.
                if depth.visible > 0 {
                    break;
                }
            }
            Ok(depth)
        })
    }

    fn next<'a>(&'a self, walk: &'a mut Walk) -> Answer<'a, Vec<Held>> {
        Box::pin(async move {
            if let Some(only) = &mut walk.only {
                while let Some(key) = only.pop_first() {
                    if let Some(held) = self.get(&key).await? {
                        return Ok(vec![held]);
                    }
                }
                return Ok(Vec::new());
            }
            let start = walk
                .position
                .as_deref()
                .or(walk.after.as_deref())
                .and_then(parted);
            let (mut bucket, mut after) = start.unwrap_or((0, DEAD.to_owned()));
            while bucket < self.buckets {
                let page = self.page(bucket, &after).await?;
                if let Some(last) = page.last() {
                    walk.position = Some(last.letter.id.key.clone());
                    return Ok(page);
                }
                (bucket, after) = (bucket + 1, DEAD.to_owned());
            }
            Ok(Vec::new())
        })
    }

    fn put_back(&self, _: Vec<Receipt>) -> Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn remove<'a>(&'a self, held: &'a Held) -> Answer<'a, Removal> {
        Box::pin(async move {
            let Some((bucket, key)) = parted(&held.letter.id.key) else {
                return Ok(Removal::NotOurs);
            };
            let path = row_path(&self.table, &keys::partition(&Partition(bucket)), &key);
            let answer = self
                .send(Method::Delete, path, String::new(), &[("if-match", "*")])
                .await?;
            match answer.status {
                200..300 => Ok(Removal::Removed),
                404 if is_missing(&answer.code()) => Ok(Removal::NotOurs),
                _ => Err(answer.refused(WHAT)),
            }
        })
    }

    fn requeue<'a>(&'a self, held: &'a Held, _: Timestamp) -> Answer<'a, Removal> {
        Box::pin(async move {
            let Some((bucket, key)) = parted(&held.letter.id.key) else {
                return Ok(Removal::NotOurs);
            };
            let partition = keys::partition(&Partition(bucket));
            let answer = self
                .send(
                    Method::Get,
                    row_path(&self.table, &partition, &key),
                    String::new(),
                    &[],
                )
                .await?;
            match answer.status {
                200 => {}
                404 if is_missing(&answer.code()) => return Ok(Removal::NotOurs),
                _ => return Err(answer.refused(WHAT)),
            }
            let columns_read = json::parse_stored(&answer.body).map_err(|error| unreadable(error.0))?;
            let mut pending: Fields = Row::read(columns_read).map_err(unreadable)?.fields;
            pending.retain(|name, _| !OWN.contains(&name.as_str()));
            let rest = key.strip_prefix(DEAD).unwrap_or_default();
            let batch = Batch {
                partition,
                changes: vec![
                    Change {
                        verb: Verb::Put,
                        key: format!("{}{rest}", keys::OUTBOX),
                        columns: columns(&pending),
                    },
                    Change {
                        verb: Verb::Delete,
                        key,
                        columns: Fields::new(),
                    },
                ],
            };
            self.apply(&batch).await
        })
    }
}

impl DeadRows {
    async fn apply(&self, batch: &Batch) -> Result<Removal, PortError> {
        let encoded = batch.encode(self.service.base(), &self.table);
        let encoded = encoded.map_err(|failure| PortError::unavailable(WHAT, failure))?;
        let headers = [
            ("content-type", encoded.content_type.as_str()),
            ("accept", "application/json"),
        ];
        let answer = self
            .send(Method::Post, "/$batch".to_owned(), encoded.body, &headers)
            .await?;
        if answer.status != 202 {
            return Err(answer.refused(WHAT));
        }
        let inner = answered(&answer.body, batch.changes.len());
        match inner.map_err(|failure| PortError::unavailable(WHAT, failure))? {
            Answered::Applied => Ok(Removal::Removed),
            Answered::Refused { status: 404, code } if is_missing(&code) => Ok(Removal::NotOurs),
            Answered::Refused { status, code } => {
                Err(PortError::unavailable(WHAT, Failure::Refused { status, code }))
            }
        }
    }
}

fn unreadable(why: String) -> PortError {
    PortError::unavailable(WHAT, Failure::Unreadable(why))
}

/// A 404 can also mean that the table is missing.
fn is_missing(code: &str) -> bool {
    matches!(code, "ResourceNotFound" | "EntityNotFound")
}
