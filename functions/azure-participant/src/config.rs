//! The app settings of the function app, read once at start.

use saga_azure::{Config, Secret};
use saga_runtime::environment::{Misconfigured, optional, required};

/// The account, the names and the endpoints. Without `AZURE_STORAGE_KEY` and `EVENTGRID_TOPIC_KEY` the managed
/// identity is used, the one of `AZURE_CLIENT_ID` if that is set.
///
/// # Errors
/// [`Misconfigured`] names what is missing.
pub(crate) fn azure() -> Result<Config, Misconfigured> {
    Ok(Config {
        account: required("AZURE_STORAGE_ACCOUNT")?,
        key: optional("AZURE_STORAGE_KEY").map(Secret::new),
        table_endpoint: required("AZURE_TABLE_ENDPOINT")?,
        queue_endpoint: required("AZURE_QUEUE_ENDPOINT")?,
        table: required("SAGA_TABLE")?,
        quarantine_queue: required("QUARANTINE_QUEUE")?,
        topic_endpoint: required("EVENTGRID_TOPIC_ENDPOINT")?,
        topic_key: optional("EVENTGRID_TOPIC_KEY").map(Secret::new),
        client_id: optional("AZURE_CLIENT_ID"),
    })
}

/// The port that the Functions host calls.
///
/// # Errors
/// [`Misconfigured`] when it is missing or no port.
pub(crate) fn port() -> Result<u16, Misconfigured> {
    let name = "FUNCTIONS_CUSTOMHANDLER_PORT";
    let port = required(name)?.parse();
    port.map_err(|why: std::num::ParseIntError| Misconfigured::invalid(name, why))
}
