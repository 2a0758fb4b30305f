//! The app settings of the function app, read once at start.

use saga_azure::{Config, Secret};
use saga_core::Cloud;
use saga_runtime::environment::{Misconfigured, optional, required};
use saga_wire::services::Services;

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

/// The services that this deployment may call, and the queue of requests to them; `None` where it calls none.
///
/// # Errors
/// [`Misconfigured`] names the service and the rule that it breaks.
pub(crate) fn services() -> Result<Option<(Services, String)>, Misconfigured> {
    let name = "SERVICES";
    let Some(text) = optional(name) else {
        return Ok(None);
    };
    let services = Services::parse_json(&text).map_err(|why| Misconfigured::invalid(name, why))?;
    let called = services.iter().any(|service| service.cloud == Cloud::Azure);
    let queue = optional("CALLS_QUEUE");
    Ok(queue.filter(|_| called).map(|queue| (services, queue)))
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
