//! The settings of the adapters, checked before anything is sent.
//!
//! Invariant: a key or a token never goes over an unencrypted connection that leaves the machine.

use azure_core::http::Url;

pub use azure_core::credentials::Secret;

/// One deployment's account, names and endpoints. Its `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct Config {
    /// The storage account's name.
    pub account: String,
    /// The storage account's key, in base64. Without it the managed identity is used.
    pub key: Option<Secret>,
    /// `https://<account>.table.core.windows.net`, or Azurite's `http://127.0.0.1:10002/devstoreaccount1`.
    pub table_endpoint: String,
    /// `https://<account>.queue.core.windows.net`, or Azurite's `http://127.0.0.1:10001/devstoreaccount1`.
    pub queue_endpoint: String,
    /// The one table of steps, entities and outbox.
    pub table: String,
    /// The queue of messages that cannot be understood.
    pub quarantine_queue: String,
    /// The Event Grid topic: `https://<topic>.<region>-1.eventgrid.azure.net/api/events`.
    pub topic_endpoint: String,
    /// The topic's access key. Without it the managed identity is used.
    pub topic_key: Option<Secret>,
    /// The client id of the user-assigned identity; without it the system-assigned one is used.
    pub client_id: Option<String>,
}

/// A setting that is wrong.
#[derive(Debug, thiserror::Error)]
pub enum InvalidConfig {
    /// It breaks a rule of the service.
    #[error("{0}")]
    Setting(String),
    /// There is no managed identity to use.
    #[error("the managed identity cannot be used")]
    Identity(#[source] azure_core::Error),
    /// The HTTP client cannot be built, for instance because the machine has no root certificates.
    #[error("the HTTP client cannot be built")]
    Client(#[source] reqwest::Error),
}

/// Checks an endpoint; the URL that comes back has no trailing slash in its path.
pub(crate) fn endpoint(what: &'static str, text: &str) -> Result<String, InvalidConfig> {
    let wrong = |why| InvalidConfig::Setting(format!("the {what} endpoint `{text}` {why}"));
    let url = Url::parse(text).map_err(|_| wrong("is not a URL"))?;
    if url.query().is_some() || url.fragment().is_some() {
        let why = "must have no query: its parameters are added to each request";
        return Err(wrong(why));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("must hold no credential"));
    }
    let this_machine = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    match url.scheme() {
        "https" => {}
        "http" if this_machine => {}
        _ => return Err(wrong("must begin with https:// (http:// only on this machine)")),
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// Checks a table's name
/// (<https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model#table-names>).
pub(crate) fn table_name(name: &str) -> Result<&str, InvalidConfig> {
    let valid = (3..=63).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && !name.starts_with(|first: char| first.is_ascii_digit());
    let rule = "a table: 3 to 63 letters and digits, the first a letter";
    named(valid, name, rule)
}

/// Checks a queue's name (<https://learn.microsoft.com/rest/api/storageservices/naming-queues-and-metadata>).
pub(crate) fn queue_name(name: &str) -> Result<&str, InvalidConfig> {
    let valid = (3..=63).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--");
    let rule = "a queue: 3 to 63 lower-case letters, digits and single hyphens inside";
    named(valid, name, rule)
}

fn named<'a>(valid: bool, name: &'a str, rule: &str) -> Result<&'a str, InvalidConfig> {
    let wrong = || InvalidConfig::Setting(format!("`{name}` is no name of {rule}"));
    valid.then_some(name).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_reached_without_encryption() {
        assert!(endpoint("table", "http://127.0.0.1:10002/devstoreaccount1/").is_ok());
        assert!(endpoint("table", "https://a.table.core.windows.net").is_ok());
        for wrong in [
            "http://a.table.core.windows.net",
            "a.table",
            "https://a/?sig=1",
            "https://u:p@a/",
        ] {
            assert!(endpoint("table", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_are_checked_by_the_services_rules() {
        assert!(table_name("SagaSteps").is_ok());
        assert!(table_name("saga-steps").is_err());
        assert!(queue_name("saga-quarantine").is_ok());
        assert!(queue_name("Saga").is_err());
        assert!(queue_name("a--b").is_err());
    }

    #[test]
    fn a_printed_config_shows_no_secret() {
        let config = Config {
            account: "account".into(),
            key: Some(Secret::new("c2VjcmV0LWtleQ==")),
            table_endpoint: String::new(),
            queue_endpoint: String::new(),
            table: String::new(),
            quarantine_queue: String::new(),
            topic_endpoint: String::new(),
            topic_key: Some(Secret::new("topic-secret")),
            client_id: None,
        };
        let printed = format!("{config:?}");
        assert!(
            !printed.contains("c2Vj") && !printed.contains("secret"),
            "{printed}"
        );
    }
}
