//! The deployment of this process, from its environment.

use std::error::Error;

use saga_app::outbox::Rules;
use saga_app::ports::outbox::DEFAULT_SHARDS;
use saga_app::{Deployment, Settings};
use saga_core::document::Number;
use saga_core::patience::Patience;
use saga_wire::services::Services;

use crate::environment::{Misconfigured, optional, parsed};

/// Loads definitions and participants, with `INVENTORY_LIMIT` (10000), `NUDGE_AFTER_SECONDS` (60),
/// `STUCK_AFTER_SECONDS` (900), `OUTBOX_SHARDS` (16), `OUTBOX_MAX_ATTEMPTS` (20) and `OUTBOX_MAX_AGE_SECONDS` (86400); and `SERVICES`,
/// the services that may be called.
///
/// # Errors
/// Names the setting or the definition that is wrong.
pub fn load() -> Result<Deployment, Box<dyn Error + Send + Sync>> {
    let defaults = Patience::default();
    let patience = Patience {
        first_millis: seconds("NUDGE_AFTER_SECONDS", defaults.first_millis)?,
        stuck_millis: seconds("STUCK_AFTER_SECONDS", defaults.stuck_millis)?,
        ..defaults
    };
    let rules = Rules::default();
    let relay = Rules {
        attempts: parsed("OUTBOX_MAX_ATTEMPTS", rules.attempts)?,
        age_millis: seconds("OUTBOX_MAX_AGE_SECONDS", rules.age_millis)?,
        ..rules
    };
    let inventory_limit = parsed::<Number>("INVENTORY_LIMIT", Settings::default().inventory_limit)?;
    let shards = parsed("OUTBOX_SHARDS", DEFAULT_SHARDS)?;
    if !(1..=64).contains(&shards) {
        let why = format!("{shards} is not from 1 to 64");
        return Err(Misconfigured::invalid("OUTBOX_SHARDS", why).into());
    }
    let deployment = Deployment::load(&Settings { inventory_limit }, patience, shards)?;
    let services = optional("SERVICES").map(|text| Services::parse_json(&text));
    let services = services
        .transpose()
        .map_err(|why| Misconfigured::invalid("SERVICES", why))?;
    Ok(Deployment {
        relay,
        services,
        ..deployment
    })
}

/// A time in whole seconds, in milliseconds.
fn seconds(name: &'static str, default_millis: i64) -> Result<i64, Misconfigured> {
    let default = u32::try_from(default_millis / 1_000).unwrap_or(u32::MAX);
    parsed(name, default).map(|seconds: u32| i64::from(seconds) * 1_000)
}
