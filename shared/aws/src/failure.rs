//! The SDK's errors → [`PortError`].

use std::error::Error;

use aws_sdk_dynamodb::error::{BuildError, DisplayErrorContext, ProvideErrorMetadata, SdkError};
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

/// A part of a request. One that cannot be built is an error: left out of its transaction, the rest would be committed alone.
pub(crate) fn built<T>(what: &'static str, part: Result<T, BuildError>) -> Result<T, PortError> {
    part.map_err(|error| {
        let why = format!("a part of its transaction cannot be built, and nothing was sent: {error}");
        PortError::unavailable(what, why)
    })
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

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::Put;

    use super::*;

    #[test]
    fn what_cannot_be_built_is_not_left_out() {
        let error = built("keeping it", Put::builder().build()).unwrap_err();
        let why = error.source().map(ToString::to_string).unwrap_or_default();
        assert!(why.contains("nothing was sent") && why.contains("item"), "{why}");
        assert!(error.to_string().starts_with("keeping it failed"), "{error}");
    }
}
