//! The SDK's errors → [`PortError`].

use std::error::Error;

use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use saga_app::ports::PortError;

/// The codes by which AWS services say "slower".
const THROTTLED: [&str; 7] = [
    "ThrottledException",
    "ProvisionedThroughputExceededException",
    "ThrottlingException",
    "Throttling",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "InternalException.Throttled",
];

/// Whether this code says "slower".
pub(crate) fn is_throttled(code: &str) -> bool {
    THROTTLED.contains(&code)
}

/// The failure of a call.
pub(crate) fn failure<E, R>(what: &'static str, error: SdkError<E, R>) -> PortError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let code = error.as_service_error().and_then(|error| error.code());
    if code.is_some_and(is_throttled) {
        return PortError::Throttled { what };
    }
    PortError::unavailable(what, DisplayErrorContext(error).to_string())
}
