//! The bodies of the HTTP API about outside services: which are bound, and which of them are paused.

use saga_core::mark::Caller;
use saga_core::{ServiceState, text};
use serde::Serialize;

use crate::services::Service;
use crate::time;

#[derive(Serialize)]
struct View<'a> {
    name: &'a str,
    cloud: &'static str,
    state: &'static str,
    /// Null where nobody ever paused it; as are the others.
    since: Option<String>,
    reason: Option<String>,
    by: Option<String>,
    /// Only where the edge proved who asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    caller: Option<String>,
}

#[derive(Serialize)]
struct List<'a> {
    services: Vec<View<'a>>,
}

fn view<'a>(service: &'a Service, state: Option<&ServiceState>) -> View<'a> {
    let paused = state.is_some_and(|state| state.paused);
    let caller = state.and_then(|state| state.caller.as_ref());
    // Others wrote it, and a person reads it.
    let shown = |theirs: &str| text::shown_whole(theirs);
    View {
        name: &service.name,
        cloud: service.cloud.as_str(),
        state: if paused { "paused" } else { "active" },
        since: state.map(|state| time::format(state.mark.at)),
        reason: state.map(|state| shown(&state.mark.reason)),
        by: state.map(|state| shown(&state.mark.by)),
        caller: caller.map(Caller::as_str).map(shown),
    }
}

/// One service, and its last change if there was one.
#[must_use]
pub fn service(service: &Service, state: Option<&ServiceState>) -> String {
    serde_json::to_string(&view(service, state)).unwrap_or_default()
}

/// All of them.
#[must_use]
pub fn services(all: &[(&Service, Option<ServiceState>)]) -> String {
    let services = all.iter().map(|(service, state)| view(service, state.as_ref()));
    let list = List {
        services: services.collect(),
    };
    serde_json::to_string(&list).unwrap_or_default()
}
