//! The dead rows of the participant's table: `dead|<event id>` beside `outbox|<event id>` in each bucket.
//!
//! A replay is one entity-group transaction: the pending row is there and the dead one is not, or the other way round.
//! The participant's sweep sends it from there.

use futures_util::stream;
use saga_app::dead_letters::ports::{Answer, DeadLetterContainer, DeadOutbox, Pages, Removal};
use saga_app::ports::PortError;
use saga_core::document::Fields;
use saga_core::{Document, Timestamp};
use saga_wire::dead_letter::{DeadLetter, Source, row};

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
    pub(super) table: Table,
    pub(super) buckets: u16,
}

impl DeadRows {
    /// The rows of a bucket whose keys follow `after`, a page of them.
    async fn page(&self, bucket: u16, after: &str) -> Result<Vec<DeadLetter>, PortError> {
        let partition = keys::partition(bucket);
        let from = quoted(after);
        let filter =
            format!("PartitionKey eq '{partition}' and RowKey gt '{from}' and RowKey lt '{AFTER_DEAD}'");
        let mut next = String::new();
        loop {
            let page = self.table.query(&filter, PAGE, &next).await?;
            let rows = page.rows.iter().filter_map(|row| dead_letter(bucket, row));
            let rows: Vec<DeadLetter> = rows.collect();
            // A page may be empty and not the last.
            match page.next {
                Some(more) if rows.is_empty() => next = more,
                _ => return Ok(rows),
            }
        }
    }
}

/// A dead letter's key is the bucket and the row's key, `05|<escaped event id>`.
fn parted(key: &str) -> Option<(u16, String)> {
    let (bucket, rest) = key.split_once('|')?;
    Some((bucket.parse().ok()?, format!("{DEAD}{rest}")))
}

/// The dead letter of a row; `None` for what has no key, which no row of a table is.
fn dead_letter(bucket: u16, columns: &Fields) -> Option<DeadLetter> {
    let rest = columns.get("RowKey")?.as_text()?.strip_prefix(DEAD)?;
    let text = |name: &str| columns.get(name).and_then(Document::as_text).map(str::to_owned);
    let number = |name: &str| columns.get(name)?.as_number()?.as_i64();
    // What the relay can read from the pending row is what it would be.
    let pending = Row::read(columns.clone()).and_then(|row| {
        let key = format!("{}{rest}", keys::OUTBOX);
        outbox_row(bucket, &Row { key, ..row })
    });
    let (body, unreadable) = match pending {
        Ok(pending) => (Some(pending.event.body), None),
        Err(why) => (text("Body"), Some(why)),
    };
    Some(row(
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
    ))
}

impl DeadLetterContainer for DeadRows {
    fn source(&self) -> Source {
        Source::AzureOutbox
    }

    fn pages(&self, after: Option<String>, _: Option<Timestamp>) -> Pages<'_> {
        let start = after.as_deref().and_then(parted);
        let page = move |(bucket, after): (u16, String)| async move {
            if bucket >= self.buckets {
                return Ok(None);
            }
            let page = self.page(bucket, &after).await?;
            let last = page.last().and_then(|last| parted(&last.id.key));
            Ok(Some((page, last.unwrap_or((bucket + 1, DEAD.to_owned())))))
        };
        Box::pin(stream::try_unfold(start.unwrap_or((0, DEAD.to_owned())), page))
    }

    fn find<'a>(&'a self, key: &'a str) -> Answer<'a, Option<DeadLetter>> {
        Box::pin(async move {
            let Some((bucket, key)) = parted(key) else {
                return Ok(None);
            };
            let columns = self.table.get(&keys::partition(bucket), &key).await?;
            Ok(columns.and_then(|columns| dead_letter(bucket, &columns)))
        })
    }

    fn remove<'a>(&'a self, key: &'a str) -> Answer<'a, Removal> {
        Box::pin(async move {
            let Some((bucket, key)) = parted(key) else {
                return Ok(Removal::NotOurs);
            };
            removal(self.table.delete(&keys::partition(bucket), &key, "*").await?)
        })
    }
}

impl DeadOutbox for DeadRows {
    fn requeue<'a>(&'a self, key: &'a str, _: Timestamp) -> Answer<'a, Removal> {
        Box::pin(async move {
            let Some((bucket, key)) = parted(key) else {
                return Ok(Removal::NotOurs);
            };
            let partition = keys::partition(bucket);
            let Some(dead) = self.table.get(&partition, &key).await? else {
                return Ok(Removal::NotOurs);
            };
            let unreadable = |why| PortError::unavailable(WHAT, Failure::Unreadable(why));
            let mut pending = Row::read(dead).map_err(unreadable)?.fields;
            pending.retain(|name, _| !OWN.contains(&name.as_str()));
            let rest = key.strip_prefix(DEAD).unwrap_or_default();
            let put = Change::put(format!("{}{rest}", keys::OUTBOX), columns(&pending));
            let changes = vec![put, Change::delete(key)];
            // A replay that is repeated finds the row gone, and says so.
            removal(
                self.table
                    .apply(&Batch { partition, changes }, Repeat::Freely)
                    .await?,
            )
        })
    }
}

fn removal(written: Written) -> Result<Removal, PortError> {
    let removed = written.unless_missing(WHAT)?;
    Ok(if removed {
        Removal::Removed
    } else {
        Removal::NotOurs
    })
}
