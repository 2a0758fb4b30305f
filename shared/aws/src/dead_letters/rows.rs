//! The dead partition of the outbox table.
//!
//! A replay is one transaction: the pending row is there and the dead one is not, or the other way round. The outbox'
//! relay sends it from there.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{Delete, Put, Select, TransactWriteItem};
use saga_app::dead_letters::ports::{Answer, Depth, Held, LetterSource, Receipt, Removal, Walk};
use saga_app::ports::PortError;
use saga_core::Timestamp;
use saga_wire::dead_letter::Source;
use saga_wire::dead_letter::{Row, row};

use crate::failure::failure;
use crate::item::{Item, n, number, s, text};

/// The partition, which is no shard's number.
const DEAD: &str = "dead";
/// A page is well under 1 MB, where DynamoDB cuts it.
const PAGE: i32 = 15;
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

    async fn get(&self, key: &str) -> Result<Option<Held>, PortError> {
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
        Ok(answer.item.as_ref().and_then(held))
    }

    async fn page(&self, after: Option<&str>) -> Result<(Vec<Held>, Option<String>), PortError> {
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
        Ok((answer.items().iter().filter_map(held).collect(), next))
    }

    /// The two changes that make a dead row a pending one.
    fn changes(&self, held: &Held, now: Timestamp) -> Result<[TransactWriteItem; 2], PortError> {
        const WHAT: &str = "making a dead row pending";
        let letter = &held.letter;
        let saga = letter.facts.saga.map(|saga| saga.to_string()).unwrap_or_default();
        let pending = Put::builder()
            .table_name(&self.table)
            // The receipt is the shard that it was in.
            .item("Shard", s(&held.receipt.0))
            .item("EventId", s(&letter.id.key))
            .item("SagaId", s(saga))
            .item("Type", s(letter.facts.kind.as_deref().unwrap_or_default()))
            .item("Body", s(&letter.facts.text))
            .item("At", n(letter.first.map_or(0, Timestamp::millis)))
            .item("Queued", n(now.millis()))
            // Other events of its saga may be on their way.
            .item("Follows", n(1))
            .build()
            .map_err(|error| PortError::unavailable(WHAT, error))?;
        let dead = Delete::builder()
            .table_name(&self.table)
            .key("Shard", s(DEAD))
            .key("EventId", s(&letter.id.key))
            .condition_expression(IS_THERE)
            .build()
            .map_err(|error| PortError::unavailable(WHAT, error))?;
        Ok([
            TransactWriteItem::builder().put(pending).build(),
            TransactWriteItem::builder().delete(dead).build(),
        ])
    }
}

/// The letter of a row; `None` for what has no key, which no row of a table is.
fn held(item: &Item) -> Option<Held> {
    let key = text(item, "EventId").ok()?.to_owned();
    let given = |name: &str| text(item, name).ok().map(str::to_owned);
    let time = |name: &str| number::<i64>(item, name).ok().map(Timestamp::from_millis);
    let from = given("From").filter(|from| from.parse::<u16>().is_ok());
    let missing = ["Body", "SagaId", "Type", "From"]
        .into_iter()
        .find(|name| match *name {
            "From" => from.is_none(),
            name => given(name).is_none(),
        });
    let letter = row(
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
    );
    Some(Held {
        letter,
        receipt: Receipt(from.unwrap_or_default()),
    })
}

impl LetterSource for DeadRows {
    fn source(&self) -> Source {
        Source::Outbox
    }

    fn is_queue(&self) -> bool {
        false
    }

    fn depth(&self) -> Answer<'_, Depth> {
        Box::pin(async move {
            let answer = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression("#shard = :dead")
                .expression_attribute_names("#shard", "Shard")
                .expression_attribute_values(":dead", s(DEAD))
                .select(Select::Count)
                .limit(100)
                .send()
                .await
                .map_err(|error| failure("counting the dead rows", error))?;
            Ok(Depth {
                visible: usize::try_from(answer.count()).unwrap_or(0),
                hidden: 0,
            })
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
            while !walk.ended {
                let after = walk.position.as_deref().or(walk.after.as_deref());
                let (page, next) = self.page(after).await?;
                walk.ended = next.is_none();
                walk.position = next;
                if !page.is_empty() {
                    return Ok(page);
                }
            }
            Ok(Vec::new())
        })
    }

    fn put_back(&self, _: Vec<Receipt>) -> Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn remove<'a>(&'a self, held: &'a Held) -> Answer<'a, Removal> {
        Box::pin(async move {
            let sent = self
                .client
                .delete_item()
                .table_name(&self.table)
                .key("Shard", s(DEAD))
                .key("EventId", s(&held.letter.id.key))
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

    fn requeue<'a>(&'a self, held: &'a Held, now: Timestamp) -> Answer<'a, Removal> {
        Box::pin(async move {
            let changes = self.changes(held, now)?;
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
