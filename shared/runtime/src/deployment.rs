//! The deployment of this process, from its environment.

use saga_app::{Deployment, Settings};
use saga_core::document::Number;
use saga_core::outbox::DEFAULT_SHARDS;
use saga_core::sweep::Patience;

use crate::environment::{Misconfigured, parsed};

/// Why the process cannot start.
#[derive(Debug, thiserror::Error)]
pub enum CannotStart {
    /// A setting is missing or wrong.
    #[error(transparent)]
    Environment(#[from] Misconfigured),
    /// A definition is wrong.
    #[error(transparent)]
    Definition(#[from] saga_core::definition::InvalidDefinition),
}

/// Loads definitions and participants, with `INVENTORY_LIMIT` (10000), `NUDGE_AFTER_SECONDS` (60) and
/// `OUTBOX_SHARDS` (16).
///
/// # Errors
/// [`CannotStart`] names the setting or the definition.
pub fn load() -> Result<Deployment, CannotStart> {
    let defaults = Patience::default();
    let first: u32 = parsed(
        "NUDGE_AFTER_SECONDS",
        u32::try_from(defaults.first_millis / 1_000).unwrap_or(60),
    )?;
    let patience = Patience {
        first_millis: i64::from(first) * 1_000,
        ..defaults
    };
    let inventory_limit = parsed::<Number>("INVENTORY_LIMIT", Settings::default().inventory_limit)?;
    let shards = parsed("OUTBOX_SHARDS", DEFAULT_SHARDS)?;
    if !(1..=64).contains(&shards) {
        let why = format!("{shards} is not from 1 to 64");
        return Err(Misconfigured::Invalid {
            name: "OUTBOX_SHARDS",
            why,
        }
        .into());
    }
    Ok(Deployment::load(&Settings { inventory_limit }, patience, shards)?)
}
