//! The client of a blob container
//! (<https://learn.microsoft.com/rest/api/storageservices/operations-on-blobs>).

use azure_core::http::Method;
use saga_app::ports::PortError;
use saga_core::Timestamp;

use super::Written;
use super::connection::{STORAGE_VERSION, StorageAccount};
use super::service::{Call, Service};
use super::shared_key::Dialect;
use super::url::percent;
use super::xml;
use crate::config::{InvalidConfig, queue_name};

/// A container.
#[derive(Debug)]
pub(crate) struct Container {
    service: Service,
    name: String,
}

/// A blob in a list.
#[derive(Debug, Clone)]
pub(crate) struct BlobName {
    pub(crate) name: String,
    pub(crate) created: Option<Timestamp>,
}

/// A blob that was read.
#[derive(Debug)]
pub(crate) struct Blob {
    pub(crate) content: String,
    pub(crate) etag: String,
    pub(crate) created: Option<Timestamp>,
}

impl Container {
    /// `what` names the container in errors.
    pub(crate) fn new(
        account: &StorageAccount<'_>,
        blob_endpoint: &str,
        name: &str,
        what: &'static str,
    ) -> Result<Self, InvalidConfig> {
        Ok(Self {
            service: account.service(what, "blob", blob_endpoint, Dialect::Queue)?,
            // The rules for names of containers and queues are the same.
            name: queue_name(name)?.to_owned(),
        })
    }

    /// Up to `limit` names in their order, from `marker` on, and the marker of the next page.
    pub(crate) async fn list(
        &self,
        marker: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<BlobName>, Option<String>), PortError> {
        let marker = marker.map_or(String::new(), |marker| format!("&marker={}", percent(marker)));
        let path = format!("?restype=container&comp=list&maxresults={limit}{marker}");
        let answer = self.service.expect(self.call(Method::Get, &path)).await?;
        let blobs = xml::elements(&answer.body, "Blob").into_iter().filter_map(|one| {
            let created = xml::time(one, "Creation-Time").or_else(|| xml::time(one, "Last-Modified"));
            let name = xml::text(one, "Name")?;
            Some(BlobName { name, created })
        });
        let next = xml::text(&answer.body, "NextMarker").filter(|marker| !marker.is_empty());
        Ok((blobs.collect(), next))
    }

    /// A blob, if it is there.
    pub(crate) async fn read(&self, name: &str) -> Result<Option<Blob>, PortError> {
        let answer = self.service.send(&self.call(Method::Get, &path(name))).await?;
        match answer.status {
            200 => {
                let time = |name| xml::rfc7231(answer.header(name)?);
                Ok(Some(Blob {
                    etag: answer.header("etag").unwrap_or_default().to_owned(),
                    created: time("x-ms-creation-time").or_else(|| time("last-modified")),
                    content: answer.body,
                }))
            }
            404 if answer.code() != "ContainerNotFound" => Ok(None),
            _ => Err(self.service.refused(&answer)),
        }
    }

    /// Replaces a JSON blob if it still has this ETag.
    pub(crate) async fn replace(&self, name: &str, etag: &str, json: String) -> Result<Written, PortError> {
        let call = self.call(Method::Put, &path(name)).header("if-match", etag);
        let call = call.header("x-ms-blob-type", "BlockBlob");
        self.change(call.body("application/json", json)).await
    }

    /// Removes a blob if it still has this ETag.
    pub(crate) async fn delete(&self, name: &str, etag: &str) -> Result<Written, PortError> {
        let call = self.call(Method::Delete, &path(name));
        self.change(call.header("if-match", etag)).await
    }

    fn call(&self, method: Method, path: &str) -> Call {
        Call::new(method, format!("/{}{path}", self.name)).header("x-ms-version", STORAGE_VERSION)
    }

    /// A second attempt finds the ETag changed.
    async fn change(&self, call: Call) -> Result<Written, PortError> {
        let answer = self.service.send(&call).await?;
        match answer.status {
            200..300 => Ok(Written::Applied),
            412 => Ok(Written::ConditionFailed),
            404 if answer.code() != "ContainerNotFound" => Ok(Written::Missing),
            _ => Err(self.service.refused(&answer)),
        }
    }
}

fn path(name: &str) -> String {
    let parts: Vec<String> = name.split('/').map(percent).collect();
    format!("/{}", parts.join("/"))
}
