//! Definitions beside the steps: rows of a partition of their own, which is no bucket.

use saga_app::ports::{Definitions, PortError};
use saga_core::{Definition, DefinitionRef};
use saga_wire::definitions::{read, write};

use super::rows::{definition_fields, definition_text};
use super::{TableStore, WHAT, columns, corrupt, keys};
use crate::client::{Batch, Change, Repeat, Verb, Written};

impl Definitions for TableStore {
    async fn stored_definition(&self, reference: &DefinitionRef) -> Result<Option<Definition>, PortError> {
        let key = keys::definition(reference);
        let Some(row) = self.row(keys::DEFINITIONS, &key).await? else {
            return Ok(None);
        };
        let text = definition_text(&row.fields).map_err(|why| corrupt(&key, &why))?;
        read(text).map(Some).map_err(|error| corrupt(&key, &error.0))
    }

    async fn keep_definition(&self, definition: &Definition) -> Result<Definition, PortError> {
        let reference = definition.reference();
        // Nearly always it is there.
        if let Some(kept) = self.stored_definition(reference).await? {
            return Ok(kept);
        }
        let insert = Change {
            verb: Verb::Insert,
            key: keys::definition(reference),
            columns: columns(&definition_fields(&write(definition))),
        };
        let batch = Batch {
            partition: keys::DEFINITIONS.to_owned(),
            changes: vec![insert],
        };
        // A second insert changes nothing, and then the stored definition is read.
        match self.table.apply(&batch, Repeat::Freely).await? {
            Written::Applied => Ok(definition.clone()),
            Written::ConditionFailed | Written::Missing => {
                let kept = self.stored_definition(reference).await?;
                kept.ok_or_else(|| PortError::unavailable(WHAT, "a definition was there and is gone"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::{NO_ROW, Reply, TestServer, inner, store};

    fn payment() -> Definition {
        saga_wire::definitions::parse(include_str!("../../../../tests/definitions/payment.toml")).unwrap()
    }

    fn kept(definition: &Definition) -> Reply {
        let text = serde_json::Value::from(write(definition)).to_string();
        let body = format!(
            r#"{{"odata.etag":"1","RowKey":"definition|payment|1","Format@odata.type":"Edm.Int64","Format":"1","Text":{text}}}"#
        );
        Reply::body(200, &body)
    }

    #[tokio::test]
    async fn what_is_there_is_read_once_and_not_written() {
        let server = TestServer::start(vec![kept(&payment())]).await;
        assert_eq!(
            store(&server).keep_definition(&payment()).await.unwrap(),
            payment()
        );
        let [request] = &server.requests()[..] else {
            panic!()
        };
        assert!(request.contains("PartitionKey='definitions'"), "{request}");
    }

    #[tokio::test]
    async fn what_is_not_there_is_inserted_and_whoever_comes_second_reads() {
        let server = TestServer::start(vec![Reply::body(404, NO_ROW), inner(&[(204, "")])]).await;
        assert_eq!(
            store(&server).keep_definition(&payment()).await.unwrap(),
            payment()
        );
        assert!(
            !server.requests()[1].contains("If-Match"),
            "{:?}",
            server.requests()
        );

        let first =
            Definition::new(payment().reference().clone(), 1_000, payment().steps().to_vec()).unwrap();
        let taken = inner(&[(409, "EntityAlreadyExists")]);
        let server = TestServer::start(vec![Reply::body(404, NO_ROW), taken, kept(&first)]).await;
        assert_eq!(store(&server).keep_definition(&payment()).await.unwrap(), first);
    }

    #[tokio::test]
    async fn what_this_version_does_not_know_is_left_as_it_is() {
        let body = r#"{"odata.etag":"1","RowKey":"definition|payment|1","Format@odata.type":"Edm.Int64","Format":"2","Text":"x"}"#;
        let server = TestServer::start(vec![Reply::body(200, body)]).await;
        let error = store(&server).keep_definition(&payment()).await.unwrap_err();
        assert!(matches!(error, PortError::Corrupt { .. }), "{error:?}");
        assert_eq!(server.requests().len(), 1);
    }
}
