//! Signing secrets, kept for five minutes: a secret that is replaced is used soon, and the store is not asked for each request.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use saga_app::ports::{PortError, SigningSecrets, Time};
use saga_core::Timestamp;
use saga_wire::contract::signature::Secrets;
use saga_wire::services::SecretPlace;

use crate::environment;

/// While a secret is replaced both are valid for longer than this.
const FRESH_MILLIS: i64 = 5 * 60 * 1_000;
/// A service that refuses every signature does not lead to more than two reads a minute.
const DOUBTED_MILLIS: i64 = 30 * 1_000;
const WHAT: &str = "the environment";

struct Known {
    secrets: Secrets,
    read: Timestamp,
    doubted: bool,
}

impl Known {
    fn is_fresh(&self, now: Timestamp) -> bool {
        let lasts = if self.doubted {
            DOUBTED_MILLIS
        } else {
            FRESH_MILLIS
        };
        (0..lasts).contains(&(now.millis() - self.read.millis()))
    }
}

/// The secrets that were read, by their place.
#[derive(Default)]
pub(super) struct KnownSecrets(Mutex<BTreeMap<String, Known>>);

impl KnownSecrets {
    /// The secrets of this place, read anew when they are old or doubted.
    pub(super) async fn at(
        &self,
        place: &SecretPlace,
        store: &impl SigningSecrets,
        time: &impl Time,
    ) -> Result<Secrets, PortError> {
        let now = time.now();
        if let Some(known) = self.with(|all| {
            let known = all.get(&name(place)).filter(|known| known.is_fresh(now))?;
            Some(known.secrets.clone())
        }) {
            return Ok(known);
        }
        let secrets = match place {
            SecretPlace::Environment(variable) => of_environment(variable)?,
            _ => store.secrets(place).await?,
        };
        let known = Known {
            secrets: secrets.clone(),
            read: now,
            doubted: false,
        };
        self.with(|all| all.insert(name(place), known));
        Ok(secrets)
    }

    /// A service refused what these secrets signed: they may have been replaced.
    pub(super) fn doubt(&self, place: &SecretPlace) {
        self.with(|all| {
            if let Some(known) = all.get_mut(&name(place)) {
                known.doubted = true;
            }
        });
    }

    fn with<R>(&self, f: impl FnOnce(&mut BTreeMap<String, Known>) -> R) -> R {
        // Nothing panics while it holds the lock.
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn name(place: &SecretPlace) -> String {
    match place {
        SecretPlace::SecretsManager(name) => format!("aws {name}"),
        SecretPlace::KeyVault(url) => format!("azure {url}"),
        SecretPlace::Environment(variable) => format!("env {variable}"),
    }
}

fn of_environment(variable: &str) -> Result<Secrets, PortError> {
    let text = environment::optional(variable).ok_or_else(|| {
        let why = format!("environment variable {variable} is not set");
        PortError::unavailable(WHAT, why)
    })?;
    Secrets::parse(&text).map_err(|error| PortError::Corrupt {
        what: WHAT,
        why: error.to_string(),
    })
}
