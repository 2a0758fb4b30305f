//! Authorisation by the account's key, for Azurite and for accounts without an identity
//! (<https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key>).
//!
//! Each try is signed anew: the signature holds the time, and an old one is refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{Context, Request};
use azure_core::time::{OffsetDateTime, to_rfc7231};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use crate::config::{InvalidConfig, Secret};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Method, three headers and the resource.
    Table,
    /// Method, eleven headers, all `x-ms-` headers, the resource and its parameters.
    /// Blobs are signed so, too.
    Queue,
}

/// Signs requests. `hmac::Key` shows nothing of itself.
#[derive(Debug)]
pub(super) struct SharedKey {
    dialect: Dialect,
    account: String,
    key: hmac::Key,
}

impl SharedKey {
    /// The key of an account, in base64.
    pub(super) fn new(dialect: Dialect, account: &str, key: &Secret) -> Result<Self, InvalidConfig> {
        let wrong = |_| InvalidConfig::Setting("the storage account's key is not base64".to_owned());
        let bytes = STANDARD.decode(key.secret()).map_err(wrong)?;
        Ok(Self {
            dialect,
            account: account.to_owned(),
            key: hmac::Key::new(hmac::HMAC_SHA256, &bytes),
        })
    }

    fn authorization(&self, request: &Request) -> String {
        let text = string_to_sign(self.dialect, &self.account, request);
        let signature = STANDARD.encode(hmac::sign(&self.key, text.as_bytes()));
        format!("SharedKey {}:{signature}", self.account)
    }
}

#[async_trait]
impl Policy for SharedKey {
    async fn send(&self, context: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        request.insert_header("x-ms-date", to_rfc7231(&OffsetDateTime::now_utc()));
        let authorization = self.authorization(request);
        request.insert_header("authorization", authorization);
        next[0].send(context, request, &next[1..]).await
    }
}

fn string_to_sign(dialect: Dialect, account: &str, request: &Request) -> String {
    let headers = request.headers().iter();
    let headers: BTreeMap<&str, &str> = headers
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let header = |name: &str| headers.get(name).copied().unwrap_or_default();
    let method = request.method();
    let url = request.url();
    let resource = format!("/{account}{}", url.path());
    match dialect {
        Dialect::Table => {
            let component = url.query_pairs().find(|(name, _)| name == "comp");
            let component = component.map_or(String::new(), |(_, value)| format!("?comp={value}"));
            let (content_type, date) = (header("content-type"), header("x-ms-date"));
            format!("{method}\n\n{content_type}\n{date}\n{resource}{component}")
        }
        Dialect::Queue => {
            let length = match request.body().len() {
                Some(length) if length > 0 => length.to_string(),
                _ => String::new(),
            };
            let ours = headers.iter().filter(|(name, _)| name.starts_with("x-ms-"));
            let ours: String = ours
                .map(|(name, value)| format!("{name}:{}\n", value.trim()))
                .collect();
            let parameters: BTreeMap<_, _> = url.query_pairs().collect();
            let parameters = parameters.iter().map(|(name, value)| format!("\n{name}:{value}"));
            let parameters: String = parameters.collect();
            let (content_type, if_match) = (header("content-type"), header("if-match"));
            format!(
                "{method}\n\n\n{length}\n\n{content_type}\n\n\n{if_match}\n\n\n\n{ours}{resource}{parameters}"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use azure_core::http::{Method, Url};

    use super::*;

    fn request(method: Method, url: &str, headers: &[(&'static str, &'static str)], body: &str) -> Request {
        let mut request = Request::new(Url::parse(url).unwrap(), method);
        for (name, value) in headers {
            request.insert_header(*name, *value);
        }
        request.set_body(body.to_owned());
        request
    }

    /// The form of <https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key>, Table service.
    #[test]
    fn a_table_request_is_signed_by_method_type_date_and_resource() {
        let date = "Sun, 11 Oct 2009 19:52:39 GMT";
        let request = request(
            Method::Put,
            "https://testaccount1.table.core.windows.net/Tables(PartitionKey='05',RowKey='a%7Cb')?timeout=3",
            &[
                ("x-ms-date", date),
                ("content-type", "application/json"),
                ("if-match", "*"),
            ],
            "{}",
        );
        assert_eq!(
            string_to_sign(Dialect::Table, "testaccount1", &request),
            format!(
                "PUT\n\napplication/json\n{date}\n/testaccount1/Tables(PartitionKey='05',RowKey='a%7Cb')"
            ),
        );
    }

    #[test]
    fn a_queue_request_is_signed_with_its_own_headers_and_parameters_in_order() {
        let request = request(
            Method::Post,
            "http://127.0.0.1:10001/acc/q/messages?visibilitytimeout=0&messagettl=-1",
            &[
                ("x-ms-version", "2020-12-06"),
                ("x-ms-date", "d"),
                ("content-type", "application/xml"),
            ],
            "<a/>",
        );
        assert_eq!(
            string_to_sign(Dialect::Queue, "acc", &request),
            "POST\n\n\n4\n\napplication/xml\n\n\n\n\n\n\nx-ms-date:d\nx-ms-version:2020-12-06\n\
             /acc/acc/q/messages\nmessagettl:-1\nvisibilitytimeout:0",
        );
    }

    /// A blob is written anew only as it was read: without the condition in its place the service answers 403.
    #[test]
    fn a_blob_request_is_signed_with_its_condition() {
        let request = request(
            Method::Put,
            "https://acc.blob.core.windows.net/deadletters/A/2026/11/21/2/g.json",
            &[
                ("if-match", "\"0x8D1\""),
                ("x-ms-blob-type", "BlockBlob"),
                ("x-ms-date", "d"),
                ("content-type", "application/json"),
            ],
            "[]",
        );
        assert_eq!(
            string_to_sign(Dialect::Queue, "acc", &request),
            "PUT\n\n\n2\n\napplication/json\n\n\n\"0x8D1\"\n\n\n\nx-ms-blob-type:BlockBlob\nx-ms-date:d\n\
             /acc/deadletters/A/2026/11/21/2/g.json",
        );
    }

    /// What anybody may change on the way without breaking the signature is not signed.
    #[test]
    fn whatever_the_service_reads_changes_the_signature() {
        const URL: &str = "http://h/acc/c/b?comp=block&timeout=3";
        const HEADERS: [(&str, &str); 5] = [
            ("content-type", "t"),
            ("if-match", "m"),
            ("x-ms-blob-type", "b"),
            ("x-ms-date", "d"),
            ("x-ms-version", "v"),
        ];
        let signed = |dialect, method, url, headers: &[_], body| {
            string_to_sign(dialect, "acc", &request(method, url, headers, body))
        };
        for dialect in [Dialect::Table, Dialect::Queue] {
            let sound = signed(dialect, Method::Put, URL, &HEADERS, "x");
            let mut changed = vec![
                signed(dialect, Method::Post, URL, &HEADERS, "x"),
                signed(
                    dialect,
                    Method::Put,
                    "http://h/acc/c/d?comp=block&timeout=3",
                    &HEADERS,
                    "x",
                ),
                signed(
                    dialect,
                    Method::Put,
                    "http://h/acc/c/b?comp=list&timeout=3",
                    &HEADERS,
                    "x",
                ),
                string_to_sign(dialect, "other", &request(Method::Put, URL, &HEADERS, "x")),
            ];
            // A table's signature holds the type and the date of all headers, and no length.
            let names: &[&str] = match dialect {
                Dialect::Table => &["content-type", "x-ms-date"],
                Dialect::Queue => &[
                    "content-type",
                    "if-match",
                    "x-ms-blob-type",
                    "x-ms-date",
                    "x-ms-version",
                ],
            };
            for name in names {
                let with = |value| {
                    let other = HEADERS.map(|header| {
                        if header.0 == *name {
                            (header.0, value)
                        } else {
                            header
                        }
                    });
                    signed(dialect, Method::Put, URL, &other, "x")
                };
                changed.push(with("changed"));
            }
            if dialect == Dialect::Queue {
                changed.push(signed(dialect, Method::Put, URL, &HEADERS, "xx"));
                changed.push(signed(
                    dialect,
                    Method::Put,
                    "http://h/acc/c/b?comp=block&timeout=4",
                    &HEADERS,
                    "x",
                ));
            }
            for one in changed {
                assert_ne!(one, sound, "{dialect:?}");
            }
        }
    }

    #[test]
    fn the_key_is_never_printed() {
        let key = SharedKey::new(Dialect::Table, "acc", &Secret::new("c2VjcmV0")).unwrap();
        let printed = "SharedKey { dialect: Table, account: \"acc\", key: Key { algorithm: SHA256 } }";
        assert_eq!(format!("{key:?}"), printed);
        assert!(SharedKey::new(Dialect::Table, "acc", &Secret::new("not base64!")).is_err());
    }
}
