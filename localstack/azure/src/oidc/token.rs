//! Whose token says what.
//!
//! Claims are those of an Entra v2 access token for an application. A token for the protected webhook's
//! audience is given in Event Grid's name, with the role its subscriptions need; so a test can call the
//! webhook exactly as Event Grid would.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use serde_json::{Map, Value, json};

use super::key::SigningKey;
use crate::{StartError, config::Oidc, system};

/// The application id of the Microsoft.EventGrid service principal, the same in every tenant.
const EVENT_GRID_APPLICATION: &str = "4962773b-9cdb-44cf-a8bf-237846a00ab7";
/// The app role that a protected webhook's application gives to Event Grid.
const SUBSCRIBER_ROLE: &str = "AzureEventGridSecureWebhookSubscriber";
const EVENT_GRID_AUDIENCE: &str = "https://eventgrid.azure.net";
/// Lifetime of a token, and how long before its end it is replaced, in seconds.
pub(crate) const LIFETIME: i64 = 3600;
const RENEW_BEFORE: i64 = 300;
/// Leeway for another machine's clock, in seconds.
const LEEWAY: i64 = 60;

/// The issuer: configuration, key and the tokens it holds for Event Grid's own use.
pub(crate) struct Issuer {
    pub(super) settings: Oidc,
    pub(super) key: SigningKey,
    held: Mutex<BTreeMap<String, (i64, String)>>,
}

impl Issuer {
    pub(crate) fn new(settings: Oidc) -> Result<Self, StartError> {
        let key = SigningKey::load(&settings.key_file)?;
        Ok(Self {
            settings,
            key,
            held: Mutex::new(BTreeMap::new()),
        })
    }

    /// The token Event Grid shows to a webhook with this audience; kept until near its end.
    pub(crate) fn webhook_token(&self, audience: &str) -> String {
        let now = system::now().as_second();
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((until, token)) = held.get(audience)
            && now < *until
        {
            return token.clone();
        }
        let token = self.key.sign(&self.event_grid_claims(audience, now));
        let until = now + LIFETIME - RENEW_BEFORE;
        held.insert(audience.to_owned(), (until, token.clone()));
        token
    }

    /// The token the configured client gets for an audience.
    pub(super) fn client_token(&self, audience: &str) -> String {
        let now = system::now().as_second();
        let claims = if audience == self.settings.audience {
            self.event_grid_claims(audience, now)
        } else {
            self.claims(audience, &self.settings.client_id, now)
        };
        self.key.sign(&claims)
    }

    /// Whether a bearer token lets its holder publish to a topic.
    pub(crate) fn may_publish(&self, token: &str) -> bool {
        let now = system::now().as_second();
        self.key
            .verify(token)
            .is_some_and(|claims| self.is_for_event_grid(&claims, now))
    }

    fn is_for_event_grid(&self, claims: &Map<String, Value>, now: i64) -> bool {
        let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
        let time = |name: &str| claims.get(name).and_then(Value::as_i64);
        text("iss") == self.settings.issuer
            && text("aud").trim_end_matches('/') == EVENT_GRID_AUDIENCE
            && time("exp").is_some_and(|end| now < end + LEEWAY)
            && time("nbf").is_none_or(|start| start - LEEWAY <= now)
    }

    /// A webhook's token is in Event Grid's name, with the role its subscriptions need.
    fn event_grid_claims(&self, audience: &str, now: i64) -> Value {
        let mut claims = self.claims(audience, EVENT_GRID_APPLICATION, now);
        claims["roles"] = json!([SUBSCRIBER_ROLE]);
        claims
    }

    fn claims(&self, audience: &str, application: &str, now: i64) -> Value {
        json!({
            "aud": audience, "iss": self.settings.issuer, "iat": now, "nbf": now, "exp": now + LIFETIME,
            "tid": self.settings.tenant, "azp": application, "appid": application, "azpacr": "1",
            "sub": application, "oid": application, "uti": system::guid(), "ver": "2.0",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer() -> Issuer {
        let settings = serde_json::from_value(json!({
            "issuer": "http://127.0.0.1:4570/t/v2.0", "tenant": "t", "audience": "api://saga-ingress",
            "client_id": "client", "client_secret": "secret",
            "key_file": concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/rsa-test-key.pem"),
        }))
        .unwrap();
        Issuer::new(settings).unwrap()
    }

    #[test]
    fn the_webhook_token_is_event_grids_and_is_kept() {
        let issuer = issuer();
        let token = issuer.webhook_token("api://other");
        let claims = issuer.key.verify(&token).unwrap();
        assert_eq!(claims["aud"], "api://other");
        assert_eq!(claims["iss"], "http://127.0.0.1:4570/t/v2.0");
        assert_eq!(claims["tid"], "t");
        assert_eq!(claims["azp"], EVENT_GRID_APPLICATION);
        assert_eq!(claims["appid"], EVENT_GRID_APPLICATION);
        assert_eq!(claims["roles"], json!([SUBSCRIBER_ROLE]));
        assert_eq!(
            claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
            3600
        );
        assert_eq!(claims["nbf"], claims["iat"]);
        assert_eq!(token, issuer.webhook_token("api://other"));
    }

    #[test]
    fn the_client_gets_event_grids_name_for_the_ingress_only() {
        let issuer = issuer();
        let ingress = issuer
            .key
            .verify(&issuer.client_token("api://saga-ingress"))
            .unwrap();
        assert_eq!(ingress["azp"], EVENT_GRID_APPLICATION);
        let other = issuer.key.verify(&issuer.client_token("api://other")).unwrap();
        assert_eq!(other["azp"], "client");
        assert!(!other.contains_key("roles"));
    }

    #[test]
    fn only_a_current_token_for_event_grid_may_publish() {
        let issuer = issuer();
        assert!(issuer.may_publish(&issuer.client_token(EVENT_GRID_AUDIENCE)));
        assert!(issuer.may_publish(&issuer.client_token("https://eventgrid.azure.net/")));
        assert!(!issuer.may_publish(&issuer.client_token("api://saga-ingress")));
        let now = system::now().as_second();
        for issued in [now - LIFETIME - 2 * LEEWAY, now + 2 * LEEWAY] {
            let token = issuer
                .key
                .sign(&issuer.claims(EVENT_GRID_AUDIENCE, "client", issued));
            assert!(!issuer.may_publish(&token));
        }
        assert!(!issuer.may_publish("a.b.c"));
    }
}
