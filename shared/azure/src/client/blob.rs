//! The client of a blob container
//! (<https://learn.microsoft.com/rest/api/storageservices/operations-on-blobs>).

use azure_core::http::Method;
use saga_app::ports::PortError;
use saga_core::Timestamp;
use serde::Deserialize;

use super::Written;
use super::answer::rfc7231;
use super::connection::{STORAGE_VERSION, StorageAccount};
use super::service::{Call, Service};
use super::shared_key::Dialect;
use super::url::percent;
use crate::config::{InvalidConfig, queue_name};

#[derive(Debug)]
pub(crate) struct Container {
    service: Service,
    name: String,
}

#[derive(Debug, Clone)]
pub(crate) struct BlobName {
    pub(crate) name: String,
    pub(crate) created: Option<Timestamp>,
}

#[derive(Debug)]
pub(crate) struct Blob {
    pub(crate) content: String,
    pub(crate) etag: String,
    pub(crate) created: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    #[serde(default)]
    blobs: ListedBlobs,
    next_marker: Option<String>,
}

#[derive(Default, Deserialize)]
struct ListedBlobs {
    #[serde(rename = "Blob", default)]
    blobs: Vec<ListedBlob>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedBlob {
    name: String,
    #[serde(default)]
    properties: ListedTimes,
}

#[derive(Default, Deserialize)]
struct ListedTimes {
    #[serde(rename = "Creation-Time")]
    created: Option<String>,
    #[serde(rename = "Last-Modified")]
    changed: Option<String>,
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
        let listed: Listed = answer.xml().map_err(|failure| self.service.failed(failure))?;
        let blobs = listed.blobs.blobs.into_iter().map(|one| {
            let times = [one.properties.created, one.properties.changed];
            let created = times.iter().flatten().find_map(|time| rfc7231(time));
            BlobName {
                name: one.name,
                created,
            }
        });
        let next = listed.next_marker.filter(|marker| !marker.is_empty());
        Ok((blobs.collect(), next))
    }

    pub(crate) async fn read(&self, name: &str) -> Result<Option<Blob>, PortError> {
        let answer = self.service.send(&self.call(Method::Get, &path(name))).await?;
        match answer.status {
            200 => {
                let time = |name| rfc7231(answer.header(name)?);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_with_its_texts_and_times() {
        let xml = r#"<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="http://h"><Blobs>
            <Blob><Name>a&amp;b/&lt;&#x41;&#66;.json</Name><Properties><Last-Modified>no time</Last-Modified>
            <Creation-Time>Sat, 21 Nov 2026 02:00:00 GMT</Creation-Time><Etag>0x1</Etag></Properties></Blob>
            <Blob><Name Encoded="true"> c </Name></Blob></Blobs><NextMarker/></EnumerationResults>"#;
        let listed: Listed = quick_xml::de::from_str(xml).unwrap();
        let [one, two] = &listed.blobs.blobs[..] else {
            panic!("not two blobs")
        };
        assert_eq!((&*one.name, &*two.name), ("a&b/<AB.json", " c "));
        let created = one.properties.created.as_deref().and_then(rfc7231);
        assert_eq!(created.unwrap().millis(), 1_795_226_400_000);
        assert_eq!(listed.next_marker.as_deref(), Some(""));
        let empty: Listed =
            quick_xml::de::from_str("<EnumerationResults><Blobs/></EnumerationResults>").unwrap();
        assert!(empty.blobs.blobs.is_empty());
    }
}
