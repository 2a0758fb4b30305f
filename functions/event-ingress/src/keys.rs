//! The issuer's public keys: fetched once, kept for a day, and fetched again for an unknown key id at most once a
//! minute, so that forged tokens cannot make us hammer the issuer. The URL is configured; no token can name another.
//!
//! Invariant: who has a key that is kept waits for nobody, also while the keys are fetched for somebody else.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jsonwebtoken::DecodingKey;
use saga_app::ports::Time;
use saga_core::Timestamp;
use serde::Deserialize;
use tokio::sync::Mutex as Turn;

const TIMEOUT: Duration = Duration::from_secs(3);
const REFRESH_MILLIS: i64 = 60_000;
/// While there are no keys at all, every delivery depends on the next try.
const FIRST_MILLIS: i64 = 5_000;
/// A key that the issuer took back is believed no longer than this.
const KEPT_MILLIS: i64 = 24 * 3_600_000;
/// More than any issuer publishes; the rest is not read.
const MAX_BYTES: usize = 256 * 1024;

/// Why a key was not found.
#[derive(Debug, thiserror::Error)]
pub enum NoKey {
    /// The issuer has no such key. The token is refused.
    #[error("the issuer has no such key")]
    Unknown,
    /// The keys could not be fetched. Nothing is known about the token: the caller comes again.
    #[error("the issuer's keys could not be fetched")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    kid: Option<String>,
    kty: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

#[derive(Default)]
struct Kept {
    keys: HashMap<String, DecodingKey>,
    fetched: Option<Timestamp>,
    tried: Option<Timestamp>,
}

impl Kept {
    /// The key, or that there is none; `None` when the issuer is to be asked.
    fn get(&self, kid: &str, now: Timestamp) -> Option<Result<DecodingKey, NoKey>> {
        let past = |since: Timestamp| now.millis() - since.millis();
        let fresh = self.fetched.is_some_and(|fetched| past(fetched) < KEPT_MILLIS);
        if fresh && let Some(key) = self.keys.get(kid) {
            return Some(Ok(key.clone()));
        }
        let pause = if fresh { REFRESH_MILLIS } else { FIRST_MILLIS };
        if self.tried.is_none_or(|tried| past(tried) >= pause) {
            return None;
        }
        // After a try that failed, nobody knows whether the issuer has the key.
        Some(Err(if fresh && self.fetched == self.tried {
            NoKey::Unknown
        } else {
            NoKey::Unreachable("the last try failed, and the next is not due".into())
        }))
    }
}

/// The keys of one issuer.
pub struct Keys {
    url: String,
    http: reqwest::Client,
    kept: Mutex<Kept>,
    turn: Turn<()>,
}

impl Keys {
    /// The keys published at this URL.
    pub fn new(url: String) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .connect_timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self {
            url,
            http,
            kept: Mutex::default(),
            turn: Turn::default(),
        })
    }

    /// The key with this id.
    pub async fn get(&self, kid: &str, time: &impl Time) -> Result<DecodingKey, NoKey> {
        if let Some(known) = self.kept(|kept| kept.get(kid, time.now())) {
            return known;
        }
        // One asks the issuer; who waited for it finds what it brought.
        let _turn = self.turn.lock().await;
        let now = time.now();
        if let Some(known) = self.kept(|kept| kept.get(kid, now)) {
            return known;
        }
        self.kept(|kept| kept.tried = Some(now));
        let keys = self.fetch().await?;
        self.kept(|kept| {
            (kept.keys, kept.fetched) = (keys, Some(now));
            kept.keys.get(kid).cloned().ok_or(NoKey::Unknown)
        })
    }

    fn kept<R>(&self, with: impl FnOnce(&mut Kept) -> R) -> R {
        with(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn fetch(&self) -> Result<HashMap<String, DecodingKey>, NoKey> {
        let unreachable = |error: reqwest::Error| NoKey::Unreachable(error.into());
        let answer = self.http.get(&self.url).send().await.map_err(unreachable)?;
        let mut answer = answer.error_for_status().map_err(unreachable)?;
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(unreachable)? {
            if body.len() + part.len() > MAX_BYTES {
                return Err(NoKey::Unreachable("the answer is larger than any key set".into()));
            }
            body.extend_from_slice(&part);
        }
        let set: KeySet = serde_json::from_slice(&body).map_err(|error| NoKey::Unreachable(error.into()))?;
        let keys = set.keys.into_iter().filter_map(|key| {
            let signs = key.purpose.is_none_or(|purpose| purpose == "sig");
            if !signs || key.kty? != "RSA" {
                return None;
            }
            Some((key.kid?, DecodingKey::from_rsa_components(&key.n?, &key.e?).ok()?))
        });
        Ok(keys.collect())
    }
}
