//! [`SagaStore`] on DynamoDB: the tables `Sagas` and `LocalPayments`, and the outbox row in the same transaction.
//!
//! Every clause of a condition is a named constant. Timeline of what they guard against:
//!
//! ```text
//! A reads the saga (revision 3)          B reads the saga (revision 3)
//! A commits: revision is 3 → 4           B commits: revision is not 3 → Conflict: B reads again
//! ```

mod indexes;
mod service_states;

use std::iter::once;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    CancellationReason, KeysAndAttributes, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
    Update,
};
use futures_util::future::try_join_all;
use saga_app::ports::outbox::OutboxRow;
use saga_app::ports::{
    Committed, Definitions, Inserted, PortError, SagaStore, ServiceChanges, ServiceStates, Snapshot, Version,
    Versioned,
};
use saga_core::document::Fields;
use saga_core::origin::OriginDecision;
use saga_core::participant::{EntityKey, EntityWrite};
use saga_core::{Definition, DefinitionRef, Saga, SagaId, ServiceState, Timestamp};

use crate::cancelled::{cancelled, is_conflict, reasons};
use crate::definitions::DynamoDefinitions;
use crate::failure::{built, failure};
use crate::item::{Item, corrupt, from_document, n, number, s, text, to_fields};
use crate::outbox::write_row;
use crate::saga_item::{self, LIST_BUCKETS};
use crate::saga_store::indexes::SagaIndexes;
use crate::saga_store::service_states::ServiceItems;

const COMMITTING: &str = "committing a decision";
const SAGA_IS_NEW: &str = "attribute_not_exists(SagaId)";
const ENTITY_IS_NEW: &str = "attribute_not_exists(TransactionId)";
const ENTITY_EXISTS: &str = "attribute_exists(TransactionId)";
const REVISION_IS_AS_READ: &str = "Revision = :revision";

/// The kind of entity whose key in the table `LocalPayments` is its id alone.
const PAYMENT: &str = "payment";

/// Attributes of an entity that are not its own fields.
const KEY: &str = "TransactionId";
const REVISION: &str = "Revision";

/// The names of the tables.
#[derive(Debug, Clone)]
pub struct Tables {
    /// `Sagas`.
    pub sagas: String,
    /// `LocalPayments`.
    pub entities: String,
    /// `SagaOutbox`.
    pub outbox: String,
}

impl Tables {
    /// The tables that these settings name: `SAGAS_TABLE`, `PAYMENTS_TABLE`, `OUTBOX_TABLE`.
    ///
    /// # Errors
    /// The error of the first setting that is missing.
    pub fn named_by<E>(setting: impl Fn(&'static str) -> Result<String, E>) -> Result<Self, E> {
        Ok(Self {
            sagas: setting("SAGAS_TABLE")?,
            entities: setting("PAYMENTS_TABLE")?,
            outbox: setting("OUTBOX_TABLE")?,
        })
    }
}

/// The sagas of one deployment.
#[derive(Debug, Clone)]
pub struct DynamoSagas {
    client: Client,
    definitions: DynamoDefinitions,
    tables: Tables,
    indexes: SagaIndexes,
    services: ServiceItems,
    buckets: u16,
}

impl DynamoSagas {
    /// The sagas in these tables; `buckets` is the deployment's number of shards.
    #[must_use]
    pub fn new(config: &SdkConfig, tables: Tables, buckets: u16) -> Self {
        let client = Client::new(config);
        let indexes = SagaIndexes {
            client: Client::clone(&client),
            table: tables.sagas.clone(),
        };
        let services = ServiceItems {
            client: Client::clone(&client),
            table: tables.sagas.clone(),
        };
        Self {
            indexes,
            services,
            definitions: DynamoDefinitions::on(Client::clone(&client), tables.sagas.clone()),
            client,
            tables,
            buckets,
        }
    }

    fn put(
        &self,
        table: &str,
        item: Item,
        condition: Option<&str>,
        revision: Option<&str>,
    ) -> Result<TransactWriteItem, PortError> {
        let mut put = Put::builder().table_name(table).set_item(Some(item));
        if let Some(condition) = condition {
            put = put
                .condition_expression(condition)
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        }
        if let Some(revision) = revision {
            put = put.expression_attribute_values(":revision", n(revision));
        }
        let put = built(COMMITTING, put.build())?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    fn put_entity(&self, write: &EntityWrite, read: &Snapshot) -> Result<TransactWriteItem, PortError> {
        let known = read.versions.get(&write.key).map(|version| version.0.as_str());
        let revision = known.and_then(|revision| revision.parse::<u64>().ok());
        let mut item: Item = crate::item::from_fields(&write.fields);
        item.insert(KEY.into(), s(transaction_id(&write.key)));
        item.insert(REVISION.into(), n(revision.unwrap_or(0) + 1));
        let condition = known.map_or(ENTITY_IS_NEW, |_| REVISION_IS_AS_READ);
        self.put(&self.tables.entities, item, Some(condition), known)
    }

    fn settle(&self, write: &EntityWrite) -> Result<TransactWriteItem, PortError> {
        let mut update = Update::builder()
            .table_name(&self.tables.entities)
            .key(KEY, s(transaction_id(&write.key)))
            .condition_expression(ENTITY_EXISTS)
            .expression_attribute_names("#revision", REVISION)
            .expression_attribute_values(":one", n(1));
        let mut sets = vec!["#revision = #revision + :one".to_owned()];
        for (index, (name, value)) in write.fields.iter().enumerate() {
            sets.push(format!("#f{index} = :f{index}"));
            update = update
                .expression_attribute_names(format!("#f{index}"), name)
                .expression_attribute_values(format!(":f{index}"), from_document(value));
        }
        let update = update
            .update_expression(format!("SET {}", sets.join(", ")))
            .build();
        let update = built(COMMITTING, update)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    fn outbox(&self, row: &OutboxRow) -> Result<TransactWriteItem, PortError> {
        self.put(&self.tables.outbox, write_row(row), None, None)
    }

    /// The sagas with these ids, in no order. Those that have expired since are not among them.
    async fn load_all(&self, ids: &[SagaId]) -> Result<Vec<Saga>, PortError> {
        let key = |id: &SagaId| Item::from([("SagaId".to_owned(), s(id.to_string()))]);
        let keys = ids.iter().map(key).collect();
        let items = self.batch_get(&self.tables.sagas, keys).await?;
        let readable = |item: &Item| match saga_item::read(item) {
            Ok((saga, _)) => Some(saga),
            // One saga that cannot be read must not hide all others from the list.
            Err(error) => {
                tracing::error!(saga_id = text(item, "SagaId").unwrap_or_default(), %error, "saga left out");
                None
            }
        };
        Ok(items.iter().filter_map(readable).collect())
    }

    async fn batch_get(&self, table: &str, keys: Vec<Item>) -> Result<Vec<Item>, PortError> {
        const WHAT: &str = "reading from DynamoDB";
        let mut found = Vec::new();
        for chunk in keys.chunks(100) {
            let wanted = KeysAndAttributes::builder()
                .set_keys(Some(chunk.to_vec()))
                .consistent_read(true)
                .build();
            let mut wanted = Some(wanted.map_err(|error| PortError::unavailable(WHAT, error))?);
            // Unprocessed keys come back when a partition is busy; a few rounds, then the caller slows down.
            for _ in 0..5 {
                let Some(keys) = wanted.take() else { break };
                let asked = self.client.batch_get_item().request_items(table, keys);
                let answer = asked.send().await.map_err(|error| failure(WHAT, error))?;
                let items = answer.responses.unwrap_or_default().remove(table);
                found.extend(items.unwrap_or_default());
                wanted = answer.unprocessed_keys.unwrap_or_default().remove(table);
            }
            if wanted.is_some() {
                return Err(PortError::Throttled { what: WHAT });
            }
        }
        Ok(found)
    }
}

/// A payment's key is its saga's id, as users of the pattern know it; other entities name their kind.
fn transaction_id(key: &EntityKey) -> String {
    if key.kind == PAYMENT {
        key.id.clone()
    } else {
        format!("{}#{}", key.kind, key.id)
    }
}

fn entity_key(transaction_id: &str) -> EntityKey {
    match transaction_id.split_once('#') {
        Some((kind, id)) => EntityKey::new(kind, id),
        None => EntityKey::new(PAYMENT, transaction_id),
    }
}

impl Definitions for DynamoSagas {
    async fn stored_definition(&self, reference: &DefinitionRef) -> Result<Option<Definition>, PortError> {
        self.definitions.stored_definition(reference).await
    }

    async fn keep_definition(&self, definition: &Definition) -> Result<Definition, PortError> {
        self.definitions.keep_definition(definition).await
    }
}

impl ServiceStates for DynamoSagas {
    async fn service_state(&self, name: &str) -> Result<Option<ServiceState>, PortError> {
        self.services.read_state(name).await
    }

    async fn keep_service_state(&self, state: &ServiceState) -> Result<Committed, PortError> {
        self.services.keep_state(state).await
    }
}

impl ServiceChanges for DynamoSagas {
    async fn keep_and_send_service_state(
        &self,
        state: &ServiceState,
        row: &OutboxRow,
    ) -> Result<Committed, PortError> {
        self.services.keep_state_with(state, self.outbox(row)?).await
    }
}

impl SagaStore for DynamoSagas {
    async fn insert(
        &self,
        decision: &OriginDecision,
        row: Option<&OutboxRow>,
    ) -> Result<Inserted, PortError> {
        const WHAT: &str = "storing the new saga";
        let item = saga_item::write(&decision.saga, decision.status, 1, self.buckets);
        let unread = Snapshot::default();
        let saga = self.put(&self.tables.sagas, item, Some(SAGA_IS_NEW), None);
        let writes = decision
            .writes
            .iter()
            .map(|write| self.put_entity(write, &unread));
        let all = once(saga).chain(writes).chain(row.map(|row| self.outbox(row)));
        let items = all.collect::<Result<Vec<_>, _>>()?;
        let transaction = self.client.transact_write_items().set_transact_items(Some(items));
        let Err(error) = transaction.send().await else {
            return Ok(Inserted::Yes);
        };
        let failed = |reason: &&CancellationReason| reason.code() == Some("ConditionalCheckFailed");
        let all = reasons(&error).unwrap_or_default();
        if let Some(known) = all.first().filter(failed) {
            let item = known.item();
            let item = item.ok_or_else(|| corrupt("the store did not show the saga that exists"))?;
            return saga_item::read(item).map(|(saga, _)| Inserted::Exists(Box::new(saga)));
        }
        if all.iter().skip(1).any(|reason| failed(&reason)) {
            return Ok(Inserted::Spent);
        }
        match cancelled(WHAT, error)? {
            Committed::Conflict => Ok(Inserted::Conflict),
            Committed::Yes => Ok(Inserted::Yes),
        }
    }

    async fn load(&self, id: SagaId) -> Result<Option<Versioned<Saga>>, PortError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.tables.sagas)
            .key("SagaId", s(id.to_string()))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| failure("reading the saga", error))?;
        let Some(item) = answer.item else { return Ok(None) };
        let (value, revision) = saga_item::read(&item)?;
        let version = Version(revision.to_string());
        Ok(Some(Versioned { value, version }))
    }

    async fn entities(&self, keys: &[EntityKey]) -> Result<Snapshot, PortError> {
        let item_key = |key: &EntityKey| Item::from([(KEY.to_owned(), s(transaction_id(key)))]);
        let keys = keys.iter().map(item_key).collect();
        let mut snapshot = Snapshot::default();
        for item in self.batch_get(&self.tables.entities, keys).await? {
            let key = entity_key(text(&item, KEY)?);
            let revision: u64 = number(&item, REVISION)?;
            let own = item.iter().filter(|(name, _)| *name != KEY && *name != REVISION);
            let fields: Fields = to_fields(own)?;
            snapshot.insert(key, fields, Version(revision.to_string()));
        }
        Ok(snapshot)
    }

    async fn commit(
        &self,
        decision: &OriginDecision,
        version: &Version,
        read: &Snapshot,
        row: Option<&OutboxRow>,
    ) -> Result<Committed, PortError> {
        const WHAT: &str = "committing the decision";
        let revision = version.0.parse::<u64>();
        let revision = revision.map_err(|_| corrupt("a revision is no number"))?;
        let item = saga_item::write(&decision.saga, decision.status, revision + 1, self.buckets);
        let alone = decision.writes.is_empty() && decision.settle.is_empty() && row.is_none();
        if alone {
            // One item needs no transaction, which would cost twice.
            let sent = self
                .client
                .put_item()
                .table_name(&self.tables.sagas)
                .set_item(Some(item))
                .condition_expression(REVISION_IS_AS_READ)
                .expression_attribute_values(":revision", n(revision))
                .send()
                .await;
            return match sent {
                Ok(_) => Ok(Committed::Yes),
                Err(error) if is_conflict(&error) => Ok(Committed::Conflict),
                Err(error) => Err(failure(WHAT, error)),
            };
        }
        let (table, condition) = (&self.tables.sagas, Some(REVISION_IS_AS_READ));
        let saga = self.put(table, item, condition, Some(&version.0));
        let writes = decision.writes.iter().map(|write| self.put_entity(write, read));
        let settled = decision.settle.iter().map(|write| self.settle(write));
        let all = once(saga).chain(writes).chain(settled);
        let all = all.chain(row.map(|row| self.outbox(row)));
        let items = all.collect::<Result<Vec<_>, _>>()?;
        let transaction = self.client.transact_write_items().set_transact_items(Some(items));
        match transaction.send().await {
            Ok(_) => Ok(Committed::Yes),
            Err(error) => cancelled(WHAT, error),
        }
    }

    async fn list(
        &self,
        since: Option<Timestamp>,
        before: Option<(Timestamp, SagaId)>,
        limit: usize,
    ) -> Result<Vec<Saga>, PortError> {
        let (mut sagas, mut before) = (Vec::new(), before);
        loop {
            let wanted = limit - sagas.len();
            let buckets = (0..LIST_BUCKETS).map(|number| self.indexes.listed(number, since, before, wanted));
            let mut keys: Vec<_> = try_join_all(buckets).await?.into_iter().flatten().collect();
            keys.sort_unstable_by(|a, b| b.cmp(a));
            keys.truncate(wanted);
            let ids: Vec<SagaId> = keys.iter().map(|(_, id)| *id).collect();
            sagas.extend(self.load_all(&ids).await?);
            before = keys.last().copied().or(before);
            // A saga that expired since the index was read leaves a gap, which must not look like the end.
            if keys.len() < wanted || sagas.len() == limit {
                sagas.sort_unstable_by_key(|saga| std::cmp::Reverse((saga.created, saga.id)));
                return Ok(sagas);
            }
        }
    }

    async fn due(&self, number: u16, now: Timestamp, limit: usize) -> Result<Vec<SagaId>, PortError> {
        self.indexes.due_ids(number, now, limit).await
    }
}
