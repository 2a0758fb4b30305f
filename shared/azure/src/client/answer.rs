//! The answer to a request.

use azure_core::http::RawResponse;
use azure_core::http::headers::{HeaderName, Headers};
use azure_core::time::parse_rfc7231;
use saga_core::Timestamp;
use serde::de::DeserializeOwned;

use super::error::{Failure, error_code};

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    headers: Headers,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn read(response: RawResponse) -> Result<Self, Failure> {
        let (status, headers, body) = response.deconstruct();
        let body = body.into_string();
        Ok(Self {
            status: status.into(),
            headers,
            body: body.map_err(|error| Failure::Unreadable(error.to_string()))?,
        })
    }

    pub(super) fn header(&self, name: &'static str) -> Option<&str> {
        self.headers.get_optional_str(&HeaderName::from_static(name))
    }

    /// The body, which is XML.
    pub(super) fn xml<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        quick_xml::de::from_str(&self.body).map_err(|error| Failure::Unreadable(error.to_string()))
    }

    pub(super) fn succeeded(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The service's error code; empty if it gave none.
    pub(super) fn code(&self) -> String {
        match self.header("x-ms-error-code") {
            Some(code) => code.to_owned(),
            None => error_code(&self.body),
        }
    }
}

/// A time as HTTP writes it.
pub(super) fn rfc7231(text: &str) -> Option<Timestamp> {
    let at = parse_rfc7231(text).ok()?;
    let millis = at.unix_timestamp_nanos() / 1_000_000;
    i64::try_from(millis).ok().map(Timestamp::from_millis)
}
