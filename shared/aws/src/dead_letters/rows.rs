//! The dead partition of the outbox table.
//!
//! A replay is one transaction: the pending row is there and the dead one is not, or the other way round. The outbox'
//! relay sends it from there.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem};
use futures_util::stream;
use saga_app::dead_letters::ports::{Answer, DeadLetterContainer, DeadOutbox, Pages, Removal};
use saga_app::ports::PortError;
use saga_core::Timestamp;
use saga_wire::dead_letter::{DeadLetter, Row, Source, row};

use crate::cancelled::{has, reasons};
use crate::failure::{built, failure};
use crate::item::{Item, n, number, s, text};

/// The partition, which is no shard's number.
const DEAD: &str = "dead";
/// A page is well under 1 MB, where DynamoDB cuts it.
const PAGE: i32 = 15;
/// What a dead row shares with the pending one that it was.
const PENDING: [&str; 5] = ["EventId", "SagaId", "Type", "Body", "At"];
/// The row must be there: else somebody else took it.
const IS_THERE: &str = "attribute_exists(EventId)";

/// The dead rows of the outbox.
#[derive(Debug, Clone)]
pub struct DeadRows {
    client: Client,
    table: String,
}

impl DeadRows {
    /// Those of this table.
    #[must_use]
    pub fn new(config: &SdkConfig, table: String) -> Self {
        let client = Client::new(config);
        Self { client, table }
    }

    async fn get(&self, key: &str) -> Result<Option<Item>, PortError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(dead(key)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| failure("reading a dead row", error))?;
        Ok(answer.item)
    }

    /// The rows after this key, a page of them, and where the next page begins.
    async fn page(&self, after: Option<&str>) -> Result<(Vec<DeadLetter>, Option<String>), PortError> {
        let request = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#shard = :dead")
            .expression_attribute_names("#shard", "Shard")
            .expression_attribute_values(":dead", s(DEAD))
            .consistent_read(true)
            .limit(PAGE);
        let answer = request
            .set_exclusive_start_key(after.map(dead))
            .send()
            .await
            .map_err(|error| failure("reading the dead rows", error))?;
        let next = answer
            .last_evaluated_key()
            .map(|key| text(key, "EventId").map(str::to_owned))
            .transpose()?;
        Ok((answer.items().iter().filter_map(dead_letter).collect(), next))
    }
}

/// The key of a dead row.
fn dead(key: &str) -> Item {
    Item::from([("Shard".to_owned(), s(DEAD)), ("EventId".to_owned(), s(key))])
}

/// The shard that a dead row was in.
fn shard(item: &Item) -> Option<&str> {
    text(item, "From").ok().filter(|from| from.parse::<u16>().is_ok())
}

/// The dead letter of a row; `None` for what has no key, which no row of a table is.
fn dead_letter(item: &Item) -> Option<DeadLetter> {
    let key = text(item, "EventId").ok()?.to_owned();
    let given = |name: &str| text(item, name).ok().map(str::to_owned);
    let time = |name: &str| number::<i64>(item, name).ok().map(Timestamp::from_millis);
    let missing = ["Body", "SagaId", "Type"]
        .into_iter()
        .find(|name| given(name).is_none());
    let missing = missing.or(shard(item).is_none().then_some("From"));
    Some(row(
        Source::Outbox,
        Row {
            key,
            body: given("Body"),
            reason: given("Reason"),
            attempts: number(item, "Attempts").ok(),
            at: time("At"),
            dead_at: time("DeadAt"),
            unreadable: missing.map(|name| format!("attribute {name} is missing or not readable")),
        },
    ))
}

impl DeadLetterContainer for DeadRows {
    fn source(&self) -> Source {
        Source::Outbox
    }

    fn pages(&self, after: Option<String>, _: Option<Timestamp>) -> Pages<'_> {
        let page = move |next: Option<Option<String>>| async move {
            let Some(after) = next else { return Ok(None) };
            let (page, next) = self.page(after.as_deref()).await?;
            Ok(Some((page, next.map(Some))))
        };
        Box::pin(stream::try_unfold(Some(after), page))
    }

    fn find<'a>(&'a self, key: &'a str) -> Answer<'a, Option<DeadLetter>> {
        Box::pin(async move { Ok(self.get(key).await?.as_ref().and_then(dead_letter)) })
    }

    fn remove<'a>(&'a self, key: &'a str) -> Answer<'a, Removal> {
        Box::pin(async move {
            let sent = self
                .client
                .delete_item()
                .table_name(&self.table)
                .set_key(Some(dead(key)))
                .condition_expression(IS_THERE)
                .send()
                .await;
            match sent {
                Ok(_) => Ok(Removal::Removed),
                Err(SdkError::ServiceError(error)) if error.err().is_conditional_check_failed_exception() => {
                    Ok(Removal::NotOurs)
                }
                Err(error) => Err(failure("removing a dead row", error)),
            }
        })
    }
}

impl DeadOutbox for DeadRows {
    fn requeue<'a>(&'a self, key: &'a str, now: Timestamp) -> Answer<'a, Removal> {
        Box::pin(async move {
            let Some(mut pending) = self.get(key).await? else {
                return Ok(Removal::NotOurs);
            };
            let Some(shard) = shard(&pending).map(s) else {
                return Ok(Removal::NotOurs);
            };
            pending.retain(|name, _| PENDING.contains(&name.as_str()));
            pending.entry("At".to_owned()).or_insert_with(|| n(0));
            pending.extend([
                ("Shard".to_owned(), shard),
                ("Queued".to_owned(), n(now.millis())),
                // Other events of its saga may be on their way.
                ("Follows".to_owned(), n(1)),
            ]);
            const WHAT: &str = "making a dead row pending";
            let put = Put::builder().table_name(&self.table).set_item(Some(pending));
            let delete = Delete::builder()
                .table_name(&self.table)
                .set_key(Some(dead(key)))
                .condition_expression(IS_THERE);
            let sent = self
                .client
                .transact_write_items()
                .transact_items(
                    TransactWriteItem::builder()
                        .put(built(WHAT, put.build())?)
                        .build(),
                )
                .transact_items(
                    TransactWriteItem::builder()
                        .delete(built(WHAT, delete.build())?)
                        .build(),
                )
                .send()
                .await;
            match sent {
                Ok(_) => Ok(Removal::Removed),
                Err(error) if reasons(&error).is_some_and(|why| has(why, "ConditionalCheckFailed")) => {
                    Ok(Removal::NotOurs)
                }
                Err(error) => Err(failure(WHAT, error)),
            }
        })
    }
}
