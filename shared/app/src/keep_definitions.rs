//! Keeps the definitions of this release beside the sagas, before the first saga of each, so that sagas outlive the
//! files. Nothing waits for it at a cold start, and it is asked once a process and definition.

use std::sync::Arc;

use saga_core::{Definition, DefinitionRef};

use crate::Deployment;
use crate::definitions::find;
use crate::ports::{Alert, Alerts, Definitions, PortError, Time, causes};

/// The definition of this name and version, kept from now on if this release has it. What was kept before under this
/// version stays, and is what is meant.
///
/// # Errors
/// [`PortError`] when the release does not have it and the store fails. A definition of the release that cannot be kept
/// now is used as it is, and kept at the next use.
pub async fn settle(
    deployment: &Deployment,
    store: &impl Definitions,
    time: &impl Time,
    reference: &DefinitionRef,
) -> Result<Option<Arc<Definition>>, PortError> {
    match deployment.catalogue.get(reference) {
        Some(released) => Ok(Some(keep(deployment, store, released).await)),
        None => find(deployment, store, time, reference).await,
    }
}

/// Keeps a definition of this release, and gives what is kept.
pub async fn keep(
    deployment: &Deployment,
    store: &impl Definitions,
    released: &Definition,
) -> Arc<Definition> {
    let stored = || {
        let memory = deployment.learnt.memory();
        memory.stored.get(released.reference()).cloned()
    };
    if let Some(stored) = stored() {
        return stored;
    }
    let _turn = deployment.learnt.asking.lock().await;
    if let Some(stored) = stored() {
        return stored;
    }
    match store.keep_definition(released).await {
        Ok(stored) => deployment.learn(stored),
        Err(error) => {
            let definition = released.reference();
            tracing::warn!(%definition, error = causes(&error), "definition not kept; it is tried at its next use");
            Arc::new(released.clone())
        }
    }
}

/// Keeps every definition of this release, and tells of those that are kept with another text.
pub async fn keep_all(deployment: &Deployment, store: &impl Definitions, alerts: &impl Alerts) {
    for released in deployment.catalogue.iter() {
        let kept = keep(deployment, store, released).await;
        let reference = released.reference();
        if *kept == *released || deployment.learnt.memory().reported.contains(reference) {
            continue;
        }
        let alert = Alert {
            subject: format!("saga-bridge: {reference} was changed without a new version"),
            text: format!(
                "The release has another text of {reference} than the one that is kept beside the sagas.\n\nNothing is \
                 lost: sagas of it go on as it is kept, new ones, too. Give the changed definition a new version in a new \
                 file, and restore the old one."
            ),
        };
        match alerts.raise(alert).await {
            Ok(()) => deployment.learnt.memory().reported.push(reference.clone()),
            Err(error) => tracing::error!(definition = %reference, error = causes(&error), "alert not sent"),
        }
    }
}
