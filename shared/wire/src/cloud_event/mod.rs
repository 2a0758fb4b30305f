//! CloudEvents 1.0, structured JSON, with our extension attributes
//! (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>).
//!
//! One form everywhere: it is the outbox row's body, the `detail` of the EventBridge entry, the body that the
//! API destination posts, what the Event Grid topic takes, and what a queue message or a webhook brings.

pub(crate) mod attributes;
mod read;
mod write;

pub use read::parse;
pub(crate) use read::read;
pub use write::{CONTENT_TYPE, ORIGIN_SOURCE, admitted, source_of, subject, write, write_outside};
pub(crate) use write::{Payload, routed};
