//! Definitions beside the sagas: items of the table `Sagas` whose keys no saga has, `definition#<name>#<version>`, and one
//! that names them all. They have no attribute of an index, so no reader of sagas meets them, and never expire.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError as TransactError;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem, Update};
use saga_app::ports::{DefinitionNames, Definitions, PortError};
use saga_core::{Definition, DefinitionRef};
use saga_wire::definitions::{read, write};

use crate::failure::{built, failure};
use crate::item::{Item, corrupt, s, text};

const KEY: &str = "SagaId";
const TEXT: &str = "Text";
const NAMES: &str = "Names";
const IS_NEW: &str = "attribute_not_exists(SagaId)";
/// The item that names all others. A definition's key has a version behind a second `#`.
const ALL: &str = "definition#all";

fn key(reference: &DefinitionRef) -> String {
    format!("definition#{}", name(reference))
}

/// A name holds no `#`.
fn name(reference: &DefinitionRef) -> String {
    format!("{}#{}", reference.name, reference.version)
}

fn reference(name: &str) -> Option<DefinitionRef> {
    let (name, version) = name.split_once('#')?;
    Some(DefinitionRef {
        name: name.to_owned(),
        version: version.parse().ok()?,
    })
}

/// The definitions in the table `Sagas`.
#[derive(Debug, Clone)]
pub struct DynamoDefinitions {
    client: Client,
    table: String,
}

impl DynamoDefinitions {
    /// Those in this table.
    #[must_use]
    pub fn new(config: &SdkConfig, table: String) -> Self {
        Self::on(Client::new(config), table)
    }

    pub(crate) fn on(client: Client, table: String) -> Self {
        Self { client, table }
    }

    async fn item(&self, key: String) -> Result<Option<Item>, PortError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key(KEY, s(key))
            .consistent_read(true)
            .send()
            .await;
        let answer = answer.map_err(|error| failure("reading a definition", error))?;
        Ok(answer.item)
    }
}

impl Definitions for DynamoDefinitions {
    async fn stored_definition(&self, reference: &DefinitionRef) -> Result<Option<Definition>, PortError> {
        let Some(item) = self.item(key(reference)).await? else {
            return Ok(None);
        };
        let definition = read(text(&item, TEXT)?).map(Some);
        definition.map_err(|error| corrupt(error.0))
    }

    async fn keep_definition(&self, definition: &Definition) -> Result<Definition, PortError> {
        const WHAT: &str = "keeping a definition";
        let reference = definition.reference();
        // Nearly always it is there: reading it costs least, and nobody stands in anybody's way.
        if let Some(kept) = self.stored_definition(reference).await? {
            return Ok(kept);
        }
        let item = Item::from([
            (KEY.to_owned(), s(key(reference))),
            (TEXT.to_owned(), s(write(definition))),
        ]);
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression(IS_NEW);
        let names = Update::builder()
            .table_name(&self.table)
            .key(KEY, s(ALL))
            .update_expression("ADD #names :name")
            .expression_attribute_names("#names", NAMES)
            .expression_attribute_values(":name", AttributeValue::Ss(vec![name(reference)]));
        let (put, names) = (built(WHAT, put.build())?, built(WHAT, names.build())?);
        let items = vec![
            TransactWriteItem::builder().put(put).build(),
            TransactWriteItem::builder().update(names).build(),
        ];
        let sent = self
            .client
            .transact_write_items()
            .set_transact_items(Some(items))
            .send()
            .await;
        match sent {
            Ok(_) => Ok(definition.clone()),
            // Somebody else kept it at the same time.
            Err(error) if is_cancelled(&error) => {
                let kept = self.stored_definition(reference).await?;
                kept.ok_or_else(|| PortError::unavailable(WHAT, "another transaction was under way"))
            }
            Err(error) => Err(failure(WHAT, error)),
        }
    }
}

fn is_cancelled<R>(error: &SdkError<TransactError, R>) -> bool {
    let cancelled = error.as_service_error();
    cancelled.is_some_and(TransactError::is_transaction_canceled_exception)
}

impl DefinitionNames for DynamoDefinitions {
    async fn definition_names(&self) -> Result<Vec<DefinitionRef>, PortError> {
        let item = self.item(ALL.to_owned()).await?.unwrap_or_default();
        let names = item.get(NAMES).map(AttributeValue::as_ss).transpose();
        let names = names.map_err(|_| corrupt("the names of definitions are no set of texts"))?;
        let parsed = names.into_iter().flatten().map(|name| {
            reference(name).ok_or_else(|| corrupt(format!("`{name}` is no name of a definition")))
        });
        parsed.collect()
    }
}
