//! [`StepStore`] in the table. A commit is one entity-group transaction, so a step, its effects and its outgoing event are
//! stored together or not at all.
//!
//! Invariants: a condition that failed is [`Committed::Conflict`]; a table that is not there is an error and never
//! "no record". A commit whose answer was lost is not sent again from here: the message comes again, finds what
//! became of it, and is decided from that.

use futures_util::future::try_join_all;
use saga_app::ports::{Committed, Partition, PortError, Snapshot, StepCommit, StepStore, Version, Versioned};
use saga_core::participant::EntityKey;
use saga_core::participate::StepRecord;
use saga_core::{SagaId, StepIndex};

use super::columns::columns;
use super::rows::{outbox_fields, step_fields, step_record};
use super::{TableStore, corrupt, keys, over_limit};
use crate::client::{Batch, Change, Repeat, Verb, Written};

/// So many entities are read side by side.
const READS: usize = 16;

impl StepStore for TableStore {
    async fn load(
        &self,
        partition: &Partition,
        saga: SagaId,
        index: StepIndex,
    ) -> Result<Option<Versioned<StepRecord>>, PortError> {
        let key = keys::step(saga, index);
        let Some(row) = self.row(&keys::partition(partition.0), &key).await? else {
            return Ok(None);
        };
        let value = step_record(&row.fields).map_err(|why| corrupt(&key, &why))?;
        let version = row.version;
        Ok(Some(Versioned { value, version }))
    }

    async fn entities(&self, partition: &Partition, keys: &[EntityKey]) -> Result<Snapshot, PortError> {
        let partition = keys::partition(partition.0);
        let mut snapshot = Snapshot::default();
        for some in keys.chunks(READS) {
            // One request a row: a query for several keys would scan the partition.
            let reads = some.iter().map(|key| async {
                let name = keys::entity(key).map_err(over_limit)?;
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
                key: keys::entity(&write.key).map_err(over_limit)?,
                columns: columns(&write.fields),
            });
        }
        let partition = keys::partition(commit.partition.0);
        if let Some(row) = commit.row {
            let key = keys::outbox(&row.id).map_err(over_limit)?;
            let columns = columns(&outbox_fields(row));
            if changes.is_empty() {
                // It needs no guard: a repeat says again what its step has said before.
                self.table.put(&partition, &key, &columns).await?;
                return Ok(Committed::Yes);
            }
            changes.push(Change::put(key, columns));
        }
        if changes.is_empty() {
            return Ok(Committed::Yes);
        }
        let batch = Batch { partition, changes };
        Ok(match self.table.apply(&batch, Repeat::WhenUndone).await? {
            Written::Applied => Committed::Yes,
            Written::ConditionFailed | Written::Missing => Committed::Conflict,
        })
    }
}

fn guard(version: Option<&Version>) -> Verb {
    version.map_or(Verb::Insert, |version| Verb::Replace(version.clone()))
}

#[cfg(test)]
mod tests {
    use saga_core::Timestamp;
    use saga_core::document::Fields;
    use saga_core::participant::EntityWrite;
    use saga_core::reports::Reports;
    use saga_core::step::StepState;

    use super::*;
    use crate::support::{NO_ROW, Reply, SAGA, TestServer, inner, row, store};

    const NO_TABLE: &str =
        r#"{"odata.error":{"code":"TableNotFound","message":{"lang":"en-US","value":"x"}}}"#;

    async fn commit(store: &TableStore) -> Result<Committed, PortError> {
        let record = StepRecord {
            progress: None,
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
