//! Finds sagas: one by its id, or the newest of a status.

use std::sync::Arc;

use saga_core::saga::Flag;
use saga_core::{Definition, Saga, SagaId, Status, Timestamp};

use crate::Deployment;
use crate::definitions::find;
use crate::ports::{PortError, SagaStore, Time};

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

/// A place in the order of all sagas: when the last saga of a page was started, and its id.
pub type Cursor = (Timestamp, SagaId);

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
    let (mut sagas, mut cursor, mut looked_at) = (Vec::new(), query.cursor, 0);
    loop {
        let found = store.list(query.since, cursor, page).await?;
        let exhausted = found.len() < page;
        looked_at += found.len();
        for saga in found {
            if sagas.len() == limit {
                return Ok(Page { sagas, next: cursor });
            }
            cursor = Some((saga.created, saga.id));
            let definition = find(deployment, store, time, &saga.definition).await?;
            let status = saga.status_with(definition.as_deref());
            let flagged = |wanted: Flag| saga.flags().any(|flag| flag == wanted);
            if (query.status.is_none_or(|wanted| wanted == status)) && query.flag.is_none_or(flagged) {
                sagas.push((saga, status));
            }
        }
        if exhausted {
            return Ok(Page { sagas, next: None });
        }
        if sagas.len() == limit || looked_at >= MAX_LOOKED_AT {
            return Ok(Page { sagas, next: cursor });
        }
    }
}
