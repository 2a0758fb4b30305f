//! The states of outside services, as the origin says them: rows of a partition of their own, which is no bucket.

use saga_app::ports::{Committed, PortError, ServiceStates};
use saga_core::ServiceState;

use super::rows::{service_fields, service_state};
use super::{TableStore, columns, corrupt, keys};
use crate::client::Written;

impl ServiceStates for TableStore {
    async fn service_state(&self, name: &str) -> Result<Option<ServiceState>, PortError> {
        let key = keys::service(name);
        let Some(row) = self.row(keys::SERVICES, &key).await? else {
            return Ok(None);
        };
        let state = service_state(name, &row.fields).map_err(|why| corrupt(&key, &why))?;
        Ok(Some(state))
    }

    async fn keep_service_state(&self, state: &ServiceState) -> Result<Committed, PortError> {
        let key = keys::service(&state.service);
        let columns = columns(&service_fields(state));
        let written = match self.row(keys::SERVICES, &key).await? {
            None => self.table.insert(keys::SERVICES, &key, &columns).await?,
            Some(row) => {
                let kept = service_state(&state.service, &row.fields).map_err(|why| corrupt(&key, &why))?;
                if kept.number >= state.number {
                    return Ok(Committed::Conflict);
                }
                let version = &row.version.0;
                self.table
                    .replace(keys::SERVICES, &key, version, &columns)
                    .await?
            }
        };
        // A write whose first answer was lost finds itself: whoever asks reads what is kept now.
        Ok(match written {
            Written::Applied => Committed::Yes,
            Written::ConditionFailed | Written::Missing => Committed::Conflict,
        })
    }
}

#[cfg(test)]
mod tests {
    use saga_core::Timestamp;
    use saga_core::mark::Asked;

    use super::*;
    use crate::support::{NO_ROW, Reply, TestServer, store};

    fn paused(number: u64) -> ServiceState {
        let asked = Asked {
            by: "ops",
            caller: None,
            why: "maintenance",
        };
        let state = ServiceState::changed("bank", None, true, asked, Timestamp::from_millis(5));
        ServiceState { number, ..state }
    }

    fn kept(number: u64) -> Reply {
        let body = format!(
            r#"{{"odata.etag":"W/\"7\"","RowKey":"service|bank","Format@odata.type":"Edm.Int64","Format":"1",
            "Number@odata.type":"Edm.Int64","Number":"{number}","State":"paused","Since@odata.type":"Edm.Int64",
            "Since":"5","AskedBy":"ops","Reason":"maintenance"}}"#
        );
        Reply::body(200, &body)
    }

    #[tokio::test]
    async fn a_newer_state_replaces_the_version_that_was_read_and_no_other_is_written() {
        let server = TestServer::start(vec![kept(2), Reply::status(204)]).await;
        let kept_now = store(&server).keep_service_state(&paused(3)).await.unwrap();
        assert_eq!(kept_now, Committed::Yes);
        let requests = server.requests();
        assert!(requests[0].contains("PartitionKey='services'"), "{requests:?}");
        assert!(
            requests[1].starts_with("PUT ") && requests[1].contains("W/\"7\""),
            "{requests:?}"
        );
        for number in [2, 3] {
            let server = TestServer::start(vec![kept(3)]).await;
            let kept_now = store(&server).keep_service_state(&paused(number)).await.unwrap();
            assert_eq!(kept_now, Committed::Conflict);
            assert_eq!(server.requests().len(), 1);
        }
        let changed = Reply::body(412, r#"{"odata.error":{"code":"UpdateConditionNotSatisfied"}}"#);
        let server = TestServer::start(vec![kept(2), changed]).await;
        let kept_now = store(&server).keep_service_state(&paused(3)).await.unwrap();
        assert_eq!(kept_now, Committed::Conflict);
    }

    #[tokio::test]
    async fn a_row_that_cannot_be_read_is_no_active_service() {
        let body =
            r#"{"odata.etag":"1","RowKey":"service|bank","Format@odata.type":"Edm.Int64","Format":"2"}"#;
        let server = TestServer::start(vec![Reply::body(200, body)]).await;
        let error = store(&server).service_state("bank").await.unwrap_err();
        assert!(matches!(error, PortError::Corrupt { .. }), "{error:?}");
        let server = TestServer::start(vec![Reply::body(404, NO_ROW)]).await;
        assert_eq!(store(&server).service_state("bank").await.unwrap(), None);
    }
}
