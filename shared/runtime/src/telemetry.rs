//! Logs: one JSON object a line, with `saga_id`, `step`, `verb`, `event_id`, `outcome` and `trace_id` as fields of it
//! ([`saga_app::log`]), so that one search shows one saga on both clouds. Never a payload.

use std::io::Write;

use tracing::{Dispatch, dispatcher};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

/// Starts logging to standard output, at the level of `RUST_LOG` (`info` when it is not set).
pub fn init() {
    let level = crate::environment::optional("RUST_LOG").unwrap_or_else(|| "info".to_owned());
    // A second call (tests) keeps the first logger.
    let _ = dispatcher::set_global_default(logger(&level, std::io::stdout));
}

/// The logger whose lines go to this writer.
pub fn logger<W: Write + 'static>(level: &str, writer: impl Fn() -> W + Send + Sync + 'static) -> Dispatch {
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_span_events(FmtSpan::NONE)
        .with_env_filter(filter)
        .with_writer(writer);
    Dispatch::new(subscriber.finish())
}
