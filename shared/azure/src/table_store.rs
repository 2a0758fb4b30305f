//! Steps, entities and outbox in one table. A commit is one entity-group transaction, so a step, what it did and
//! what it says are there together or not at all.
//!
//! Invariants: a condition that failed is [`Committed::Conflict`]; a table that is not there is an error and never
//! "no record". A commit whose answer was lost is not sent again from here: the message comes again, finds what
//! became of it, and is decided from that.

use azure_core::http::Method;
use futures_util::future::try_join_all;
use saga_app::ports::{Committed, Partition, PortError, Snapshot, StepCommit, StepStore, Version, Versioned};
use saga_core::participant::EntityKey;
use saga_core::participate::StepRecord;
use saga_core::{SagaId, StepIndex};
use saga_wire::json;

use crate::batch::{Answered, Batch, Change, Verb, answered, row_body, row_path};
use crate::columns::{Row, columns};
use crate::config::{Config, InvalidConfig, endpoint, table_name};
use crate::keys;
use crate::rows::{outbox_fields, step_fields, step_record};
use crate::service::{Answer, Call, Failure, Http, Repeat, Service};
use crate::shared_key::{Dialect, SharedKey};

/// The first version of the Table service that takes Entra tokens.
const VERSION: &str = "2020-12-06";
/// The scope of a token for the account.
pub(crate) const SCOPE: &str = "https://storage.azure.com/.default";
/// So many entities are read side by side.
const READS: usize = 16;

pub(crate) const WHAT: &str = "Table storage";

/// The table.
#[derive(Debug)]
pub struct TableStore {
    service: Service,
    pub(crate) table: String,
}

impl TableStore {
    /// A store on a connection of its own.
    ///
    /// # Errors
    /// [`InvalidConfig`] names the setting that is wrong.
    pub fn new(config: &Config) -> Result<Self, InvalidConfig> {
        Self::on(&Http::new(config)?, config)
    }

    pub(crate) fn on(http: &Http, config: &Config) -> Result<Self, InvalidConfig> {
        let base = endpoint("table", &config.table_endpoint)?;
        let service = match &config.key {
            Some(key) => {
                let policy = SharedKey::new(Dialect::Table, &config.account, key)?;
                Service::new(http, base, std::sync::Arc::new(policy))
            }
            None => Service::new(http, base, http.bearer(SCOPE)?),
        };
        Ok(Self {
            service,
            table: table_name(&config.table)?.to_owned(),
        })
    }

    /// Creates the table if it is not there. For tests: a deployment has it before the function starts.
    ///
    /// # Errors
    /// [`PortError`] when the service fails or refuses.
    pub async fn create_table(&self) -> Result<(), PortError> {
        let body = format!("{{\"TableName\":\"{}\"}}", self.table);
        let answer = self
            .send(Method::Post, "/Tables".to_owned(), body, &[], Repeat::Freely)
            .await?;
        match answer.status {
            201 | 204 | 409 => Ok(()),
            _ => Err(answer.refused(WHAT)),
        }
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: String,
        body: String,
        headers: &[(&'static str, &str)],
        repeat: Repeat,
    ) -> Result<Answer, PortError> {
        let mut all = vec![
            ("x-ms-version", VERSION.to_owned()),
            ("dataserviceversion", "3.0;NetFx".to_owned()),
            ("maxdataserviceversion", "3.0;NetFx".to_owned()),
            ("accept", "application/json;odata=minimalmetadata".to_owned()),
        ];
        if !body.is_empty() {
            all.push(("content-type", "application/json".to_owned()));
        }
        for (name, value) in headers {
            all.retain(|(known, _)| known != name);
            all.push((name, (*value).to_owned()));
        }
        let call = Call {
            what: WHAT,
            method,
            path,
            headers: all,
            body,
            repeat,
        };
        self.service.send(&call).await
    }

    pub(crate) async fn row(&self, partition: &str, key: &str) -> Result<Option<Row>, PortError> {
        let path = row_path(&self.table, partition, key);
        let answer = self
            .send(Method::Get, path, String::new(), &[], Repeat::Freely)
            .await?;
        match answer.status {
            200 => {
                let columns = json::parse_stored(&answer.body).map_err(|error| unreadable(error.0))?;
                Row::read(columns).map(Some).map_err(|why| corrupt(key, &why))
            }
            404 if is_missing_row(&answer.code()) => Ok(None),
            _ => Err(answer.refused(WHAT)),
        }
    }

    pub(crate) async fn apply(&self, batch: &Batch, repeat: Repeat) -> Result<Answered, PortError> {
        let encoded = batch.encode(self.service.base(), &self.table);
        let encoded = encoded.map_err(|failure| PortError::unavailable(WHAT, failure))?;
        let headers = [
            ("content-type", encoded.content_type.as_str()),
            ("accept", "application/json"),
        ];
        let path = "/$batch".to_owned();
        let answer = self
            .send(Method::Post, path, encoded.body, &headers, repeat)
            .await?;
        if answer.status != 202 {
            return Err(answer.refused(WHAT));
        }
        answered(&answer.body, batch.changes.len()).map_err(|failure| PortError::unavailable(WHAT, failure))
    }

    /// Writes an outbox row that needs no guard: a repeat says again what its step has said before.
    async fn put(&self, partition: &str, change: Change) -> Result<(), PortError> {
        let path = row_path(&self.table, partition, &change.key);
        let body = row_body(partition, &change.key, &change.columns);
        let answer = self.send(Method::Put, path, body, &[], Repeat::Freely).await?;
        if answer.succeeded() {
            Ok(())
        } else {
            Err(answer.refused(WHAT))
        }
    }

    pub(crate) async fn delete_one(&self, partition: &str, key: &str) -> Result<(), PortError> {
        let path = row_path(&self.table, partition, key);
        let headers = [("if-match", "*")];
        let answer = self
            .send(Method::Delete, path, String::new(), &headers, Repeat::Freely)
            .await?;
        match answer.status {
            404 if is_missing_row(&answer.code()) => Ok(()),
            _ if answer.succeeded() => Ok(()),
            _ => Err(answer.refused(WHAT)),
        }
    }
}

impl StepStore for TableStore {
    async fn load(
        &self,
        partition: &Partition,
        saga: SagaId,
        index: StepIndex,
    ) -> Result<Option<Versioned<StepRecord>>, PortError> {
        let key = keys::step(saga, index);
        let Some(row) = self.row(&keys::partition(partition), &key).await? else {
            return Ok(None);
        };
        let value = step_record(&row.fields).map_err(|why| corrupt(&key, &why))?;
        Ok(Some(Versioned {
            value,
            version: row.version,
        }))
    }

    async fn entities(&self, partition: &Partition, keys: &[EntityKey]) -> Result<Snapshot, PortError> {
        let partition = keys::partition(partition);
        let mut snapshot = Snapshot::default();
        for some in keys.chunks(READS) {
            // One request a row: a query for several keys would scan the partition.
            let reads = some.iter().map(|key| async {
                let name = keys::entity(key).map_err(|failure| PortError::unavailable(WHAT, failure))?;
                self.row(&partition, &name).await
            });
            for (key, row) in some.iter().zip(try_join_all(reads).await?) {
                if let Some(row) = row {
                    snapshot.insert(key.clone(), row.fields, row.version);
                }
            }
        }
        Ok(snapshot)
    }

    async fn commit(&self, commit: StepCommit<'_>) -> Result<Committed, PortError> {
        let over = |failure| PortError::unavailable(WHAT, failure);
        let mut changes = Vec::with_capacity(commit.writes.len() + 2);
        if let Some(record) = commit.record {
            changes.push(Change {
                verb: guard(commit.version),
                key: keys::step(commit.saga, commit.index),
                columns: columns(&step_fields(record)),
            });
        }
        for write in commit.writes {
            changes.push(Change {
                verb: guard(commit.read.versions.get(&write.key)),
                key: keys::entity(&write.key).map_err(over)?,
                columns: columns(&write.fields),
            });
        }
        let guarded = !changes.is_empty();
        if let Some(row) = commit.row {
            changes.push(Change {
                verb: Verb::Put,
                key: keys::outbox(&row.id).map_err(over)?,
                columns: columns(&outbox_fields(row)),
            });
        }
        let partition = keys::partition(commit.partition);
        if !guarded {
            if let Some(change) = changes.pop() {
                self.put(&partition, change).await?;
            }
            return Ok(Committed::Yes);
        }
        let batch = Batch { partition, changes };
        match self.apply(&batch, Repeat::WhenUndone).await? {
            Answered::Applied => Ok(Committed::Yes),
            Answered::Refused { status, code } => refusal(status, code),
        }
    }
}

fn guard(version: Option<&Version>) -> Verb {
    version.map_or(Verb::Insert, |version| Verb::Replace(version.clone()))
}

/// What the refusal of one change means for the commit.
fn refusal(status: u16, code: String) -> Result<Committed, PortError> {
    match status {
        412 => Ok(Committed::Conflict),
        409 if code == "EntityAlreadyExists" => Ok(Committed::Conflict),
        // A row that was read is gone.
        404 if is_missing_row(&code) => Ok(Committed::Conflict),
        _ => Err(refused(status, code)),
    }
}

pub(crate) fn refused(status: u16, code: String) -> PortError {
    match status {
        429 | 503 => PortError::Throttled { what: WHAT },
        _ => PortError::unavailable(WHAT, Failure::Refused { status, code }),
    }
}

/// A 404 can also mean that the table is missing, which is a fault of the deployment.
pub(crate) fn is_missing_row(code: &str) -> bool {
    matches!(code, "ResourceNotFound" | "EntityNotFound")
}

pub(crate) fn unreadable(why: String) -> PortError {
    PortError::unavailable(WHAT, Failure::Unreadable(why))
}

pub(crate) fn corrupt(key: &str, why: &str) -> PortError {
    PortError::Corrupt {
        what: WHAT,
        why: format!("row `{key}`: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use saga_core::Timestamp;
    use saga_core::document::Fields;
    use saga_core::participant::EntityWrite;
    use saga_core::reports::Reports;
    use saga_core::step::StepState;

    use super::*;
    use crate::test_server::{Reply, TestServer};
    use crate::test_table::{NO_ROW, SAGA, inner, row, store};

    const NO_TABLE: &str =
        r#"{"odata.error":{"code":"TableNotFound","message":{"lang":"en-US","value":"x"}}}"#;

    async fn commit(store: &TableStore) -> Result<Committed, PortError> {
        let record = StepRecord {
            state: StepState::Done,
            at: Timestamp::from_millis(1),
            hop: 1,
            reason: None,
            data: Fields::new(),
            output: Fields::new(),
            reports: Reports::default(),
        };
        let key = EntityKey::new("stock", "a");
        let mut read = Snapshot::default();
        read.insert(key.clone(), Fields::new(), Version("W/\"7\"".into()));
        let row = row(5, "1-x");
        let writes = [EntityWrite {
            key,
            fields: Fields::new(),
        }];
        let step = StepCommit {
            partition: &Partition(5),
            saga: SAGA.parse().unwrap(),
            index: StepIndex::new(1),
            record: Some(&record),
            version: None,
            writes: &writes,
            read: &read,
            row: Some(&row),
        };
        store.commit(step).await
    }

    #[tokio::test]
    async fn a_commit_is_one_guarded_transaction() {
        let server = TestServer::start(vec![inner(&[(204, ""), (204, ""), (204, "")])]).await;
        assert_eq!(commit(&store(&server)).await.unwrap(), Committed::Yes);
        let [request] = &server.requests()[..] else {
            panic!()
        };
        assert!(request.starts_with("POST /acc/$batch HTTP/1.1"), "{request}");
        assert_eq!(request.matches("If-Match: W/\"7\"").count(), 1, "{request}");
        assert_eq!(request.matches("\r\nPOST ").count(), 1, "{request}");
        assert_eq!(request.matches("\r\nPUT ").count(), 2, "{request}");
        assert!(request.contains("SharedKey acc:"), "{request}");
    }

    #[tokio::test]
    async fn a_condition_that_failed_is_a_conflict_and_nothing_else_is() {
        for (status, code) in [
            (412, "UpdateConditionNotSatisfied"),
            (409, "EntityAlreadyExists"),
            (404, "ResourceNotFound"),
        ] {
            let server = TestServer::start(vec![inner(&[(status, code)])]).await;
            assert_eq!(
                commit(&store(&server)).await.unwrap(),
                Committed::Conflict,
                "{code}"
            );
        }
        for (status, code) in [
            (409, "TableBeingDeleted"),
            (404, "TableNotFound"),
            (500, "OperationTimedOut"),
        ] {
            let server = TestServer::start(vec![inner(&[(status, code)])]).await;
            let error = commit(&store(&server)).await.unwrap_err();
            assert!(
                matches!(error, PortError::Unavailable { .. }),
                "{code}: {error:?}"
            );
        }
        let server = TestServer::start(vec![inner(&[(503, "ServerBusy")])]).await;
        assert!(matches!(
            commit(&store(&server)).await.unwrap_err(),
            PortError::Throttled { .. }
        ));
    }

    #[tokio::test]
    async fn a_commit_whose_answer_is_lost_is_not_sent_again() {
        for lost in [
            Reply::HangUp,
            Reply::Silence,
            Reply::status(500),
            Reply::body(202, "--batchresponse"),
        ] {
            let server = TestServer::start(vec![lost, inner(&[(204, ""); 3])]).await;
            let error = commit(&store(&server)).await.unwrap_err();
            assert!(matches!(error, PortError::Unavailable { .. }), "{error:?}");
            assert_eq!(server.requests().len(), 1);
        }
    }

    #[tokio::test]
    async fn a_throttled_commit_was_not_done_and_is_sent_again_a_few_times() {
        let server = TestServer::start(vec![Reply::status(503), inner(&[(204, ""); 3])]).await;
        assert_eq!(commit(&store(&server)).await.unwrap(), Committed::Yes);
        let server = TestServer::start(vec![Reply::status(503); 9]).await;
        assert!(matches!(
            commit(&store(&server)).await.unwrap_err(),
            PortError::Throttled { .. }
        ));
        assert_eq!(server.requests().len(), 3);
        let long = Reply::with(503, "retry-after: 60", "");
        let server = TestServer::start(vec![long; 9]).await;
        assert!(matches!(
            commit(&store(&server)).await.unwrap_err(),
            PortError::Throttled { .. }
        ));
        assert_eq!(server.requests().len(), 1, "a minute is not waited for");
    }

    #[tokio::test]
    async fn reads_are_repeated_and_a_missing_table_is_no_missing_row() {
        let load = async |server: &TestServer| {
            store(server)
                .load(&Partition(5), SAGA.parse().unwrap(), StepIndex::new(1))
                .await
        };
        let server = TestServer::start(vec![Reply::HangUp, Reply::Silence, Reply::body(404, NO_ROW)]).await;
        assert_eq!(load(&server).await.unwrap(), None);
        assert_eq!(server.requests().len(), 3);
        let server = TestServer::start(vec![Reply::body(404, NO_TABLE)]).await;
        assert!(matches!(
            load(&server).await.unwrap_err(),
            PortError::Unavailable { .. }
        ));
        let body = r#"{"odata.etag":"1","RowKey":"step|x","Format":9}"#;
        let server = TestServer::start(vec![Reply::body(200, body)]).await;
        assert!(matches!(
            load(&server).await.unwrap_err(),
            PortError::Corrupt { .. }
        ));
    }
}
