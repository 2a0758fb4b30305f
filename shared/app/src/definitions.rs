//! Which definition a saga or an event means.
//!
//! Definitions are kept beside the sagas, and what is kept under a name and version never changes. So a saga keeps what
//! it started with, also when a release has another text under the same version, or no longer has the file at all.
//! The files of the release say which definitions there are to start; of what else there is, the store is asked once.

use std::sync::Arc;

use saga_core::{Cloud, Definition, DefinitionRef, Event, Timestamp};
use saga_wire::saga_event;

use crate::Deployment;
use crate::ports::{DefinitionNames, Definitions, PortError, Time, causes};

/// For so long it is remembered that the store does not have a definition.
const REMEMBERED_MILLIS: i64 = 5_000;
/// So many definitions that are nowhere are remembered: events may name any number.
const MAX_ABSENT: usize = 256;

impl Deployment {
    /// Remembers what is stored. A release that says something else under the same version is reported once a process.
    pub(crate) fn learn(&self, stored: Definition) -> Arc<Definition> {
        let reference = stored.reference().clone();
        let stored = Arc::new(stored);
        let known = self
            .learnt
            .memory()
            .stored
            .insert(reference.clone(), Arc::clone(&stored));
        let released = self.catalogue.get(&reference);
        if known.is_none() && released.is_some_and(|released| *released != *stored) {
            tracing::error!(
                definition = %reference,
                outcome = "used as it is stored",
                "the release has another text under this version; give it a new version"
            );
        }
        stored
    }

    /// What is known without asking: `None` when the store has to be asked.
    fn recall(&self, reference: &DefinitionRef, now: Timestamp) -> Option<Option<Arc<Definition>>> {
        let memory = self.learnt.memory();
        if let Some(stored) = memory.stored.get(reference) {
            return Some(Some(Arc::clone(stored)));
        }
        let absent = memory.absent.get(reference).is_some_and(|until| *until > now);
        absent.then(|| self.released(reference))
    }

    /// The definition as this release has it.
    pub(crate) fn released(&self, reference: &DefinitionRef) -> Option<Arc<Definition>> {
        self.catalogue.get(reference).cloned().map(Arc::new)
    }

    fn remember_absent(&self, reference: &DefinitionRef, now: Timestamp) {
        let absent = &mut self.learnt.memory().absent;
        if absent.len() >= MAX_ABSENT {
            absent.retain(|_, until| *until > now);
        }
        if absent.len() >= MAX_ABSENT {
            absent.pop_first();
        }
        absent.insert(reference.clone(), now.plus_millis(REMEMBERED_MILLIS));
    }
}

/// The definition of this name and version: as it is stored, or as this release has it; `None` when neither has it.
///
/// # Errors
/// [`PortError`] when the release does not have it and the store fails.
pub async fn find(
    deployment: &Deployment,
    store: &impl Definitions,
    time: &impl Time,
    reference: &DefinitionRef,
) -> Result<Option<Arc<Definition>>, PortError> {
    if let Some(known) = deployment.recall(reference, time.now()) {
        return Ok(known);
    }
    let _turn = deployment.learnt.asking.lock().await;
    if let Some(known) = deployment.recall(reference, time.now()) {
        return Ok(known);
    }
    let released = deployment.released(reference);
    match store.stored_definition(reference).await {
        Ok(Some(stored)) => Ok(Some(deployment.learn(stored))),
        Ok(None) => {
            deployment.remember_absent(reference, time.now());
            Ok(released)
        }
        // Written by a release that knows more: as if it were not there.
        Err(error @ PortError::Corrupt { .. }) => {
            tracing::error!(definition = %reference, error = causes(&error), "definition not read");
            deployment.remember_absent(reference, time.now());
            Ok(released)
        }
        Err(error) if released.is_some() => {
            tracing::warn!(definition = %reference, error = causes(&error), "definition not looked up");
            Ok(released)
        }
        Err(error) => Err(error),
    }
}

/// Why a message of a definition that is nowhere is kept in the quarantine.
#[must_use]
pub fn unknown(reference: &DefinitionRef) -> String {
    format!(
        "definition {reference} is not known here: deploy a release that has its file, then replay this event"
    )
}

/// Holds an event of ours against its definition; the inner error is the reason for the quarantine.
///
/// # Errors
/// As [`find`].
pub async fn check(
    deployment: &Deployment,
    store: &impl Definitions,
    time: &impl Time,
    event: &Event,
) -> Result<Result<Arc<Definition>, String>, PortError> {
    let found = find(deployment, store, time, &event.definition).await?;
    Ok(held_against(event, found))
}

/// Whether what an event says of itself is true of the definition that was found for it.
pub(crate) fn held_against(event: &Event, found: Option<Arc<Definition>>) -> Result<Arc<Definition>, String> {
    let definition = found.ok_or_else(|| unknown(&event.definition))?;
    saga_event::check(event, &definition).map_err(|error| error.to_string())?;
    Ok(definition)
}

/// The cloud that another team's event of this type is for: the origin, if any definition says so, of whatever version.
/// `None` when none knows the type.
///
/// # Errors
/// [`PortError`] when no definition of this release has the type for the origin and the store fails.
pub async fn target_of_type(
    deployment: &Deployment,
    store: &impl DefinitionNames,
    time: &impl Time,
    kind: &str,
) -> Result<Option<Cloud>, PortError> {
    let known = deployment.target_of_type(kind);
    if known == Some(Cloud::ORIGIN) {
        return Ok(known);
    }
    // Whoever sends a thousand events of no type of ours makes no thousand requests.
    let now = time.now();
    let names = {
        let _turn = deployment.learnt.asking.lock().await;
        let names_after = deployment.learnt.memory().names_after;
        if names_after.is_some_and(|after| after > now) {
            return Ok(deployment.target_of_type(kind));
        }
        let names = store.definition_names().await?;
        deployment.learnt.memory().names_after = Some(now.plus_millis(REMEMBERED_MILLIS));
        names
    };
    for reference in names {
        find(deployment, store, time, &reference).await?;
    }
    Ok(deployment.target_of_type(kind))
}

impl Deployment {
    fn target_of_type(&self, kind: &str) -> Option<Cloud> {
        let memory = self.learnt.memory();
        let stored = memory.stored.values().map(Arc::as_ref);
        let known = self.catalogue.iter().chain(stored);
        let targets = known.filter_map(|definition| definition.target(definition.address_of(kind)?));
        // The origin comes first in the order of clouds.
        targets.min()
    }
}
