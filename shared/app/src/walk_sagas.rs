//! The walk through all sagas, newest first, that the list and the runs over many sagas share.
//!
//! A place in it is a saga's start and its id, so sagas that start meanwhile move no place and none comes twice.

use std::collections::VecDeque;
use std::sync::Arc;

use saga_core::{Definition, Saga, SagaId, Timestamp};

use crate::Deployment;
use crate::definitions::find;
use crate::ports::{PortError, SagaStore, Time};

/// A place in the order of all sagas: when the last saga before it was started, and its id.
pub type Cursor = (Timestamp, SagaId);

/// A saga, and its definition as far as it could be found out: `None` when nobody here knows it.
pub type Passed = (Saga, Result<Option<Arc<Definition>>, PortError>);

/// A walk on its way.
pub struct Walk<'a, S, T> {
    deployment: &'a Deployment,
    store: &'a S,
    time: &'a T,
    since: Option<Timestamp>,
    page: usize,
    read: VecDeque<Saga>,
    is_all_read: bool,
    /// Behind the last saga that was passed.
    place: Option<Cursor>,
    passed: usize,
}

impl<'a, S: SagaStore, T: Time> Walk<'a, S, T> {
    /// From `place` to the sagas started at `since`, reading `page` of them at once.
    pub fn new(
        (deployment, store, time): (&'a Deployment, &'a S, &'a T),
        since: Option<Timestamp>,
        place: Option<Cursor>,
        page: usize,
    ) -> Self {
        Self {
            deployment,
            store,
            time,
            since,
            page,
            read: VecDeque::new(),
            is_all_read: false,
            place,
            passed: 0,
        }
    }

    /// The next saga; `None` at the end.
    ///
    /// # Errors
    /// [`PortError`] when the store cannot be read on. The walk stands where it stood.
    pub async fn next(&mut self) -> Result<Option<Passed>, PortError> {
        if self.read.is_empty() && !self.is_all_read {
            let found = self.store.list(self.since, self.place, self.page).await?;
            self.is_all_read = found.len() < self.page;
            self.read = found.into();
        }
        let Some(saga) = self.read.pop_front() else {
            return Ok(None);
        };
        self.place = Some((saga.created, saga.id));
        self.passed += 1;
        let definition = find(self.deployment, self.store, self.time, &saga.definition).await;
        Ok(Some((saga, definition)))
    }

    /// Whether nothing follows. Where the last page was full, that is known only at the next look.
    pub fn is_over(&self) -> bool {
        self.read.is_empty() && self.is_all_read
    }

    /// Where to go on.
    pub fn place(&self) -> Option<Cursor> {
        self.place
    }

    /// How many sagas were passed.
    pub fn passed(&self) -> usize {
        self.passed
    }
}
