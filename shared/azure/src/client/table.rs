//! The client of a table
//! (<https://learn.microsoft.com/rest/api/storageservices/table-service-rest-api>).

use azure_core::http::Method;
use saga_app::ports::PortError;
use saga_core::Document;
use saga_core::document::Fields;
use saga_wire::json;

use super::Written;
use super::answer::Answer;
use super::batch::{Answered, Batch, answered, row_body, row_path};
use super::connection::{STORAGE_VERSION, StorageAccount};
use super::error::{Failure, is_missing_row, not_written};
use super::retry::Repeat;
use super::service::{Call, Service};
use super::shared_key::Dialect;
use super::url::percent;
use crate::config::{InvalidConfig, table_name};

const PAGE: usize = 1_000;

/// A table. Its rows are columns as JSON has them.
#[derive(Debug)]
pub(crate) struct Table {
    service: Service,
    name: String,
}

/// A page of a query. It may be empty and not the last.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) rows: Vec<Fields>,
    pub(crate) next: Option<String>,
}

impl Table {
    /// `what` names the table in errors.
    pub(crate) fn new(
        account: &StorageAccount<'_>,
        table_endpoint: &str,
        name: &str,
        what: &'static str,
    ) -> Result<Self, InvalidConfig> {
        Ok(Self {
            service: account.service(what, "table", table_endpoint, Dialect::Table)?,
            name: table_name(name)?.to_owned(),
        })
    }

    pub(crate) async fn get(&self, partition: &str, key: &str) -> Result<Option<Fields>, PortError> {
        let path = row_path(&self.name, partition, key);
        let answer = self.service.send(&call(Method::Get, path)).await?;
        match answer.status {
            200 => self.parsed(&answer.body).map(Some),
            404 if is_missing_row(&answer.code()) => Ok(None),
            _ => Err(self.service.refused(&answer)),
        }
    }

    /// A page of at most `limit` rows. `next` is empty or that of the page before.
    pub(crate) async fn query(&self, filter: &str, limit: usize, next: &str) -> Result<Page, PortError> {
        let (filter, top) = (percent(filter), limit.min(PAGE));
        let path = format!("/{}()?$filter={filter}&$top={top}{next}", self.name);
        let answer = self.service.expect(call(Method::Get, path)).await?;
        let Some(Document::List(rows)) = self.parsed(&answer.body)?.remove("value") else {
            return Err(self.unreadable("a page of rows has no `value`".to_owned()));
        };
        let rows = rows.into_iter().filter_map(|row| match row {
            Document::Map(columns) => Some(columns),
            _ => None,
        });
        Ok(Page {
            rows: rows.collect(),
            next: continuation(&answer),
        })
    }

    /// Writes a row that is not there.
    pub(crate) async fn insert(
        &self,
        partition: &str,
        key: &str,
        columns: &Fields,
    ) -> Result<Written, PortError> {
        let call = call(Method::Post, format!("/{}", self.name)).header("prefer", "return-no-content");
        let body = row_body(partition, key, columns);
        self.write(call.body(JSON, body)).await
    }

    /// Replaces a row that is there in this version.
    pub(crate) async fn replace(
        &self,
        partition: &str,
        key: &str,
        version: &str,
        columns: &Fields,
    ) -> Result<Written, PortError> {
        let call = call(Method::Put, row_path(&self.name, partition, key)).header("if-match", version);
        let body = row_body(partition, key, columns);
        self.write(call.body(JSON, body)).await
    }

    /// Writes a row, whether it is there or not.
    pub(crate) async fn put(&self, partition: &str, key: &str, columns: &Fields) -> Result<(), PortError> {
        let call = call(Method::Put, row_path(&self.name, partition, key));
        let body = row_body(partition, key, columns);
        self.service.expect(call.body(JSON, body)).await.map(drop)
    }

    /// Sets these columns of a row that is there, in any version.
    pub(crate) async fn merge(
        &self,
        partition: &str,
        key: &str,
        columns: &Fields,
    ) -> Result<Written, PortError> {
        let call = call(Method::Patch, row_path(&self.name, partition, key)).header("if-match", "*");
        self.write(call.body(JSON, json::write_object(columns))).await
    }

    /// Removes a row that is there in this version; `*` is any.
    pub(crate) async fn delete(
        &self,
        partition: &str,
        key: &str,
        version: &str,
    ) -> Result<Written, PortError> {
        let call = call(Method::Delete, row_path(&self.name, partition, key));
        self.write(call.header("if-match", version)).await
    }

    /// Applies all changes of a batch or none.
    pub(crate) async fn apply(&self, batch: &Batch, repeat: Repeat) -> Result<Written, PortError> {
        let encoded = batch.encode(&self.service.base, &self.name);
        let encoded = encoded.map_err(|failure| self.service.failed(failure))?;
        let call = Call::new(Method::Post, "/$batch".to_owned()).body(&encoded.content_type, encoded.body);
        let call = with_versions(call)
            .header("accept", "application/json")
            .repeat(repeat);
        let answer = self.service.send(&call).await?;
        if answer.status != 202 {
            return Err(self.service.refused(&answer));
        }
        let inner = answered(&answer.body, batch.changes.len());
        match inner.map_err(|failure| self.service.failed(failure))? {
            Answered::Applied => Ok(Written::Applied),
            Answered::Refused { status, code } => match not_written(status, &code) {
                Some(written) => Ok(written),
                None => Err(self.service.refusal(status, code)),
            },
        }
    }

    /// A second attempt finds the condition failed, which its caller takes as an answer.
    async fn write(&self, call: Call) -> Result<Written, PortError> {
        let answer = self.service.send(&call).await?;
        if answer.succeeded() {
            return Ok(Written::Applied);
        }
        not_written(answer.status, &answer.code()).ok_or_else(|| self.service.refused(&answer))
    }

    fn parsed(&self, body: &str) -> Result<Fields, PortError> {
        json::parse_stored(body).map_err(|error| self.unreadable(error.0))
    }

    fn unreadable(&self, why: String) -> PortError {
        self.service.failed(Failure::Unreadable(why))
    }
}

const JSON: &str = "application/json";

fn call(method: Method, path: String) -> Call {
    with_versions(Call::new(method, path)).header("accept", "application/json;odata=minimalmetadata")
}

fn with_versions(call: Call) -> Call {
    call.header("x-ms-version", STORAGE_VERSION)
        .header("dataserviceversion", "3.0;NetFx")
        .header("maxdataserviceversion", "3.0;NetFx")
}

/// The query parameters that fetch the next page
/// (<https://learn.microsoft.com/rest/api/storageservices/query-timeout-and-pagination>).
fn continuation(answer: &Answer) -> Option<String> {
    let partition = answer.header("x-ms-continuation-nextpartitionkey")?;
    let mut next = format!("&NextPartitionKey={}", percent(partition));
    if let Some(row) = answer.header("x-ms-continuation-nextrowkey") {
        next.push_str(&format!("&NextRowKey={}", percent(row)));
    }
    Some(next)
}
