//! The dead partition of the outbox table.
//!
//! A replay is one transaction: the pending row is there and the dead one is not, or the other way round. The outbox'
//! relay sends it from there.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem};
use futures_util::stream;
use saga_app::dead_letters::ports::{Answer, DeadLetterContainer, DeadOutbox, Pages, Removal};
use saga_app::ports::PortError;
use saga_core::Timestamp;
use saga_wire::dead_letter::{DeadLetter, Row, Source, row};

use crate::failure::failure;
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
        Self {
            client: Client::new(config),
            table,
        }
    }

    async fn get(&self, key: &str) -> Result<Option<Item>, PortError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("Shard", s(DEAD))
            .key("EventId", s(key))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| failure("reading a dead row", error))?;
        Ok(answer.item)
    }

    /// The rows after this key, a page of them, and where the next page begins.
    async fn page(&self, after: Option<&str>) -> Result<(Vec<DeadLetter>, Option<String>), PortError> {
        let mut request = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#shard = :dead")
            .expression_attribute_names("#shard", "Shard")
            .expression_attribute_values(":dead", s(DEAD))
            .consistent_read(true)
            .limit(PAGE);
        if let Some(after) = after {
            request = request
                .exclusive_start_key("Shard", s(DEAD))
                .exclusive_start_key("EventId", s(after));
        }
        let answer = request
            .send()
            .await
            .map_err(|error| failure("reading the dead rows", error))?;
        let next = answer
            .last_evaluated_key()
            .map(|key| text(key, "EventId").map(str::to_owned))
            .transpose()?;
        Ok((answer.items().iter().filter_map(dead_letter).collect(), next))
    }

    /// The two changes that make a dead row a pending one; none when this version cannot read the row.
    fn changes(&self, dead: &Item, now: Timestamp) -> Result<Option<[TransactWriteItem; 2]>, PortError> {
        const WHAT: &str = "making a dead row pending";
        let (Some(shard), Ok(key)) = (shard(dead), text(dead, "EventId")) else {
            return Ok(None);
        };
        let mut pending = dead.clone();
        pending.retain(|name, _| PENDING.contains(&name.as_str()));
        pending.entry("At".to_owned()).or_insert_with(|| n(0));
        pending.extend([
            ("Shard".to_owned(), s(shard)),
            ("Queued".to_owned(), n(now.millis())),
            // Other events of its saga may be on their way.
            ("Follows".to_owned(), n(1)),
        ]);
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(pending))
            .build();
        let delete = Delete::builder()
            .table_name(&self.table)
            .key("Shard", s(DEAD))
            .key("EventId", s(key))
            .condition_expression(IS_THERE)
            .build();
        Ok(Some([
            TransactWriteItem::builder()
                .put(put.map_err(|error| PortError::unavailable(WHAT, error))?)
                .build(),
            TransactWriteItem::builder()
                .delete(delete.map_err(|error| PortError::unavailable(WHAT, error))?)
                .build(),
        ]))
    }
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
                .key("Shard", s(DEAD))
                .key("EventId", s(key))
                .condition_expression(IS_THERE)
                .send()
                .await;
            match sent {
                Ok(_) => Ok(Removal::Removed),
                Err(error)
                    if error
                        .as_service_error()
                        .is_some_and(|e| e.is_conditional_check_failed_exception()) =>
                {
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
            let Some(dead) = self.get(key).await? else {
                return Ok(Removal::NotOurs);
            };
            let Some(changes) = self.changes(&dead, now)? else {
                return Ok(Removal::NotOurs);
            };
            let sent = self
                .client
                .transact_write_items()
                .set_transact_items(Some(changes.into()))
                .send()
                .await;
            match sent {
                Ok(_) => Ok(Removal::Removed),
                Err(error) if condition_failed(&error) => Ok(Removal::NotOurs),
                Err(error) => Err(failure("making a dead row pending", error)),
            }
        })
    }
}

fn condition_failed<R>(error: &SdkError<TransactWriteItemsError, R>) -> bool {
    let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error()
    else {
        return false;
    };
    let mut reasons = cancelled.cancellation_reasons().iter();
    reasons.any(|reason| reason.code() == Some("ConditionalCheckFailed"))
}
