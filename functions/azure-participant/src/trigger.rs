//! What the Functions host puts around a message of a queue, the same for each function that a queue triggers.

use saga_app::log::About;
use saga_wire::custom_handler;

/// The name of the binding in each `function.json`.
const BINDING: &str = "event";

/// What a message is about, for the log of what became of it.
pub(crate) fn about(body: &[u8]) -> About {
    let text = String::from_utf8_lossy(body);
    custom_handler::message(&text, BINDING)
        .map_or_else(|_| About::default(), |message| About::message(&message))
}

/// The message in an invocation. What is no invocation is no event either, and goes whole to the quarantine.
pub(crate) fn message(body: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(body).unwrap_or_default();
    custom_handler::message(text, BINDING).map_or_else(
        |error| {
            tracing::warn!(error = error.to_string(), "not an invocation with a message");
            body.to_vec()
        },
        String::into_bytes,
    )
}
