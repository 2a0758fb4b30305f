//! Finds sagas: one by its id, or the newest of a status.

use std::sync::Arc;

use saga_core::saga::Flag;
use saga_core::{Definition, Saga, SagaId, Status, Timestamp};

use crate::Deployment;
use crate::definitions::find;
use crate::ports::{PortError, SagaStore, Time};
pub use crate::walk_sagas::Cursor;
use crate::walk_sagas::Walk;

/// At most so many sagas in one page.
pub const MAX_PAGE: usize = 100;
/// How many sagas one request looks at before it gives a cursor instead of searching on.
const MAX_LOOKED_AT: usize = 1_000;

/// What a caller looks for.
#[derive(Debug, Clone)]
pub struct Query {
    /// Only sagas of this status.
    pub status: Option<Status>,
    /// Only sagas with this flag.
    pub flag: Option<Flag>,
    /// Only sagas started at or after this.
    pub since: Option<Timestamp>,
    /// At most so many (1 to [`MAX_PAGE`]).
    pub limit: usize,
    /// Where the page before ended.
    pub cursor: Option<Cursor>,
}

impl Query {
    fn takes(&self, saga: &Saga, status: Status) -> bool {
        self.status.is_none_or(|wanted| wanted == status)
            && self
                .flag
                .is_none_or(|wanted| saga.flags().any(|flag| flag == wanted))
    }
}

/// A page of the list, newest first.
#[derive(Debug)]
pub struct Page {
    /// The sagas, each with its status.
    pub sagas: Vec<(Saga, Status)>,
    /// Where the next page begins, if there may be one.
    pub next: Option<Cursor>,
}

/// A saga and its definition; `None` in the place of a definition that nobody here knows.
pub type Found = (Saga, Option<Arc<Definition>>);

/// The status of this name.
///
/// # Errors
/// What to change, in a sentence.
pub fn status_named(text: &str) -> Result<Status, String> {
    let all = Status::ALL.map(Status::as_str).join(", ");
    text.parse().map_err(|_| format!("`status` must be one of {all}"))
}

/// The flag of this name.
///
/// # Errors
/// What to change, in a sentence.
pub fn flag_named(text: &str) -> Result<Flag, String> {
    let all = Flag::ALL.map(Flag::as_str).join(", ");
    text.parse().map_err(|_| format!("`flag` must be one of {all}"))
}

/// The saga of this id, if there is one.
///
/// # Errors
/// [`PortError`] when the store fails.
pub async fn find_saga(
    deployment: &Deployment,
    store: &impl SagaStore,
    time: &impl Time,
    id: SagaId,
) -> Result<Option<Found>, PortError> {
    let Some(saga) = store.load(id).await? else {
        return Ok(None);
    };
    let definition = find(deployment, store, time, &saga.value.definition).await?;
    Ok(Some((saga.value, definition)))
}

/// The sagas that the query finds, newest first.
///
/// # Errors
/// [`PortError`] when the store fails.
pub async fn list_sagas(
    deployment: &Deployment,
    store: &impl SagaStore,
    time: &impl Time,
    query: Query,
) -> Result<Page, PortError> {
    let limit = query.limit.clamp(1, MAX_PAGE);
    // A filter may pass over most of what is looked at, and each page of the store costs the same whatever its size.
    let filters = query.status.is_some() || query.flag.is_some();
    let page = if filters { MAX_PAGE } else { limit };
    let mut walk = Walk::new((deployment, store, time), query.since, query.cursor, page);
    let mut sagas = Vec::new();
    while sagas.len() < limit && walk.passed() < MAX_LOOKED_AT {
        let Some((saga, definition)) = walk.next().await? else {
            return Ok(Page { sagas, next: None });
        };
        let status = saga.status_with(definition?.as_deref());
        if query.takes(&saga, status) {
            sagas.push((saga, status));
        }
    }
    let next = walk.place().filter(|_| !walk.is_over());
    Ok(Page { sagas, next })
}
