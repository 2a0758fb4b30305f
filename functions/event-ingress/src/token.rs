//! Who may deliver: Event Grid, with a token of the configured tenant for this audience and with the role that
//! secure webhooks have
//! (<https://learn.microsoft.com/azure/event-grid/secure-webhook-delivery>).

use jsonwebtoken::{Algorithm, Validation, decode};
use lambda_http::http::HeaderMap;
use lambda_http::http::header::AUTHORIZATION;
use saga_app::ports::Time;
use saga_runtime::environment::{Misconfigured, optional, required};
use serde::Deserialize;

use self::bearer::{bearer, part};
use crate::keys::{Keys, NoKey};

mod bearer;
#[cfg(test)]
pub(crate) mod tests;

const LEEWAY_SECONDS: u64 = 60;

/// Why a caller was turned away. The answer says no more than the status.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// No token, or none that can be believed: 401.
    #[error("unauthenticated: {0}")]
    Unauthenticated(&'static str),
    /// A believable token of somebody who may not: 403.
    #[error("forbidden: {0}")]
    Forbidden(&'static str),
    /// The issuer's keys cannot be had: 503, the delivery is tried again.
    #[error(transparent)]
    Unknown(NoKey),
}

/// The claims that the library does not judge, or not strictly: it takes an issuer that is a list.
#[derive(Deserialize)]
struct Claims {
    #[serde(rename = "iss")]
    _issuer: String,
    tid: Option<String>,
    appid: Option<String>,
    azp: Option<String>,
    #[serde(default)]
    roles: Vec<String>,
}

/// Whose tokens are believed, and for whom they must be.
#[derive(Clone)]
pub struct Trust {
    pub jwks_url: String,
    pub issuers: Vec<String>,
    pub audience: String,
    pub tenant: String,
    pub client: String,
    pub role: String,
}

/// The check at the door.
pub struct Guard {
    keys: Keys,
    validation: Validation,
    tenant: String,
    client: String,
    role: String,
}

impl Guard {
    /// The guard that the environment describes.
    pub fn from_environment() -> Result<Self, Misconfigured> {
        let event_grid = "4962773b-9cdb-44cf-a8bf-237846a00ab7";
        let issuers = required("OIDC_ISSUERS")?;
        let trust = Trust {
            jwks_url: required("OIDC_JWKS_URL")?,
            issuers: issuers.split(',').map(|one| one.trim().to_owned()).collect(),
            audience: required("OIDC_AUDIENCE")?,
            tenant: required("OIDC_TENANT")?,
            client: optional("OIDC_CLIENT_ID").unwrap_or_else(|| event_grid.to_owned()),
            role: optional("OIDC_ROLE").unwrap_or_else(|| "AzureEventGridSecureWebhookSubscriber".to_owned()),
        };
        Self::new(trust).map_err(|error| Misconfigured::invalid("OIDC_JWKS_URL", error))
    }

    /// The guard that trusts like this.
    pub fn new(trust: Trust) -> Result<Self, reqwest::Error> {
        let mut validation = Validation::new(Algorithm::RS256);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.set_issuer(&trust.issuers);
        validation.set_audience(&[trust.audience]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud"]);
        Ok(Self {
            keys: Keys::new(trust.jwks_url)?,
            validation,
            tenant: trust.tenant,
            client: trust.client,
            role: trust.role,
        })
    }

    /// Whether the caller with these headers may deliver.
    pub async fn admit(&self, headers: &HeaderMap, time: &impl Time) -> Result<(), Refused> {
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (given.next(), given.next()) else {
            return Err(Refused::Unauthenticated("not exactly one Authorization header"));
        };
        let (token, kid) = bearer(value.as_bytes()).map_err(Refused::Unauthenticated)?;
        let key = self.keys.get(&kid, time).await.map_err(|error| match error {
            NoKey::Unknown => Refused::Unauthenticated("unknown key id"),
            NoKey::Unreachable(_) => Refused::Unknown(error),
        })?;
        let claims = decode::<Claims>(token, &key, &self.validation)
            .map_err(|_| Refused::Unauthenticated("signature, time, issuer or audience"))?
            .claims;
        // Of two readers, each could take another of them.
        part(token, 1).ok_or(Refused::Unauthenticated("claims that cannot be read in one way"))?;
        if claims.tid.as_deref() != Some(&self.tenant) {
            return Err(Refused::Forbidden("another tenant"));
        }
        // One of them, by the token's version; where both are there, they say the same.
        let clients: Vec<_> = [claims.appid, claims.azp].into_iter().flatten().collect();
        if clients.is_empty() || clients.iter().any(|client| *client != self.client) {
            return Err(Refused::Forbidden("another application"));
        }
        if !claims.roles.contains(&self.role) {
            return Err(Refused::Forbidden("the role is missing"));
        }
        Ok(())
    }
}
