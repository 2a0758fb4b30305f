//! The SDK's clients: built once at start, one HTTP client and one TLS stack (rustls on ring) for all of them, and a
//! limit on every wait.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

/// Attempts of one request, the first included; the SDK waits between them with full jitter.
const ATTEMPTS: u32 = 3;
const CONNECT: Duration = Duration::from_secs(1);
const ATTEMPT: Duration = Duration::from_secs(3);
/// With all its attempts. Shorter than any function's own timeout, so that the answer is ours and not the platform's.
const OPERATION: Duration = Duration::from_secs(8);

/// The settings of all clients, from the function's environment.
pub async fn config() -> SdkConfig {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(ATTEMPT)
        .operation_timeout(OPERATION)
        .build();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .timeout_config(timeouts)
        .load()
        .await
}
