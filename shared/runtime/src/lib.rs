//! Where a process meets its surroundings: environment → typed settings, clock, logs, and the parts of a Lambda
//! function that every function needs alike.

pub mod clock;
pub mod deployment;
pub mod environment;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "http")]
pub mod routing;
#[cfg(feature = "services")]
pub mod service_client;
pub mod sqs_batch;
pub mod telemetry;
