//! Why a request failed.

use std::time::Duration;

use super::Written;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// No answer in time.
    #[error("there was no answer within {} ms", .0.as_millis())]
    Silent(Duration),
    /// No connection, or it broke.
    #[error("the connection failed")]
    Broken(#[source] azure_core::Error),
    /// The service answered with an error.
    #[error("it answered {status} {code}")]
    Refused {
        status: u16,
        /// The service's error code; empty if it gave none.
        code: String,
    },
    /// The answer is not in the documented format.
    #[error("its answer cannot be read: {0}")]
    Unreadable(String),
    /// The request breaks a limit of the service. Trying again does not help; the message ends in the queue's
    /// dead-letter store, with this reason in the log.
    #[error("{0}")]
    OverLimit(String),
}

/// The `code` in the body of an error, as Table storage and Event Grid write it; empty if there is none.
pub(super) fn error_code(body: &str) -> String {
    let parsed: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let code = |at| parsed.pointer(at);
    let code = code("/odata.error/code").or(code("/error/code"));
    code.and_then(|code| code.as_str()).unwrap_or_default().to_owned()
}

/// What the status and code of a refusal say of a write, unless it failed otherwise.
pub(super) fn not_written(status: u16, code: &str) -> Option<Written> {
    match status {
        412 => Some(Written::ConditionFailed),
        409 if code == "EntityAlreadyExists" => Some(Written::ConditionFailed),
        404 if is_missing_row(code) => Some(Written::Missing),
        _ => None,
    }
}

/// Whether the code of a 404 is about the row.
pub(super) fn is_missing_row(code: &str) -> bool {
    matches!(code, "ResourceNotFound" | "EntityNotFound")
}
