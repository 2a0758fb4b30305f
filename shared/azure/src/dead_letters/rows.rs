//! The dead rows of the participant's table: `dead|<event id>` beside `outbox|<event id>` in each bucket.
//!
//! A replay is one entity-group transaction: the pending row is there and the dead one is not, or the other way round.
//! The participant's sweep sends it from there.

use saga_app::dead_letters::ports::{Answer, Depth, Held, LetterSource, Receipt, Removal, Walk};
use saga_app::ports::PortError;
use saga_core::document::Fields;
use saga_core::{Document, Timestamp};
use saga_wire::dead_letter::Source;
use saga_wire::dead_letter::row;

use crate::client::{Batch, Change, Failure, Repeat, Table, Written, quoted};
use crate::table::keys::{self, DEAD};
use crate::table::rows::outbox_row;
use crate::table::{Row, columns};

pub(super) const WHAT: &str = "the dead rows of Table storage";
/// The first key after all dead rows.
const AFTER_DEAD: &str = "dead}";
const PAGE: usize = 50;
/// What a dead row has and a pending one has not.
const OWN: [&str; 4] = ["Attempts", "NextAt", "Reason", "DeadAt"];

/// The dead rows of a table.
#[derive(Debug)]
pub struct DeadRows {
    table: Table,
    buckets: u16,
}

impl DeadRows {
    pub(super) fn new(table: Table, buckets: u16) -> Self {
        Self { table, buckets }
    }

    /// The rows of a bucket whose keys follow `after`, a page of them.
    async fn page(&self, bucket: u16, after: &str) -> Result<Vec<Held>, PortError> {
        let partition = keys::partition(bucket);
        let from = quoted(after);
        let filter =
            format!("PartitionKey eq '{partition}' and RowKey gt '{from}' and RowKey lt '{AFTER_DEAD}'");
        let mut next = String::new();
        loop {
            let page = self.table.query(&filter, PAGE, &next).await?;
            let rows: Vec<Held> = page.rows.iter().filter_map(|row| held(bucket, row)).collect();
            // A page may be empty and not the last.
            match page.next {
                Some(more) if rows.is_empty() => next = more,
                _ => return Ok(rows),
            }
        }
    }

    async fn get(&self, key: &str) -> Result<Option<Held>, PortError> {
        let Some((bucket, row_key)) = parted(key) else {
            return Ok(None);
        };
        let columns = self.table.get(&keys::partition(bucket), &row_key).await?;
        Ok(columns.and_then(|columns| held(bucket, &columns)))
    }
}

/// A letter's key is the bucket and the row's key, `05|<escaped event id>`.
fn parted(key: &str) -> Option<(u16, String)> {
    let (bucket, rest) = key.split_once('|')?;
    Some((bucket.parse().ok()?, format!("{DEAD}{rest}")))
}

/// The letter of a row; `None` for what has no key, which no row of a table is.
fn held(bucket: u16, columns: &Fields) -> Option<Held> {
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
            key: format!("{}|{rest}", keys::partition(bucket)),
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
            let partition = keys::partition(bucket);
            self.table.delete(&partition, &key, "*").await.map(removal)
        })
    }

    fn requeue<'a>(&'a self, held: &'a Held, _: Timestamp) -> Answer<'a, Removal> {
        Box::pin(async move {
            let Some((bucket, key)) = parted(&held.letter.id.key) else {
                return Ok(Removal::NotOurs);
            };
            let partition = keys::partition(bucket);
            let Some(dead) = self.table.get(&partition, &key).await? else {
                return Ok(Removal::NotOurs);
            };
            let dead =
                Row::read(dead).map_err(|why| PortError::unavailable(WHAT, Failure::Unreadable(why)))?;
            let mut pending = dead.fields;
            pending.retain(|name, _| !OWN.contains(&name.as_str()));
            let rest = key.strip_prefix(DEAD).unwrap_or_default();
            let batch = Batch {
                partition,
                changes: vec![
                    Change::put(format!("{}{rest}", keys::OUTBOX), columns(&pending)),
                    Change::delete(key),
                ],
            };
            // A replay that is repeated finds the row gone, and says so.
            self.table.apply(&batch, Repeat::Freely).await.map(removal)
        })
    }
}

fn removal(written: Written) -> Removal {
    match written {
        Written::Applied => Removal::Removed,
        Written::ConditionFailed => Removal::NotOurs,
    }
}
