//! The issuer's public keys: fetched once, kept, and fetched again for an unknown key id at most once a minute, so
//! that forged tokens cannot make us hammer the issuer. The URL is configured; no token can name another.

use std::collections::HashMap;
use std::time::Duration;

use jsonwebtoken::DecodingKey;
use saga_app::ports::Time;
use saga_core::Timestamp;
use serde::Deserialize;
use tokio::sync::Mutex;

const TIMEOUT: Duration = Duration::from_secs(3);
const REFRESH_MILLIS: i64 = 60_000;
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
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    kty: Option<String>,
    #[serde(default)]
    n: Option<String>,
    #[serde(default)]
    e: Option<String>,
}

#[derive(Default)]
struct Kept {
    keys: HashMap<String, DecodingKey>,
    fetched: Option<Timestamp>,
}

/// The keys of one issuer.
pub struct Keys {
    url: String,
    http: reqwest::Client,
    kept: Mutex<Kept>,
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
        })
    }

    /// The key with this id.
    pub async fn get(&self, kid: &str, time: &impl Time) -> Result<DecodingKey, NoKey> {
        let mut kept = self.kept.lock().await;
        if let Some(key) = kept.keys.get(kid) {
            return Ok(key.clone());
        }
        let now = time.now();
        let due = kept
            .fetched
            .is_none_or(|fetched| now.millis() - fetched.millis() >= REFRESH_MILLIS);
        if !due {
            return Err(NoKey::Unknown);
        }
        kept.keys = self.fetch().await?;
        kept.fetched = Some(now);
        kept.keys.get(kid).cloned().ok_or(NoKey::Unknown)
    }

    async fn fetch(&self) -> Result<HashMap<String, DecodingKey>, NoKey> {
        let unreachable = |error: reqwest::Error| NoKey::Unreachable(error.into());
        let answer = self.http.get(&self.url).send().await.map_err(unreachable)?;
        let answer = answer.error_for_status().map_err(unreachable)?;
        let body = answer.bytes().await.map_err(unreachable)?;
        if body.len() > MAX_BYTES {
            return Err(NoKey::Unreachable("the answer is larger than any key set".into()));
        }
        let set: KeySet = serde_json::from_slice(&body).map_err(|error| NoKey::Unreachable(error.into()))?;
        let keys = set
            .keys
            .into_iter()
            .filter(|key| key.kty.as_deref() == Some("RSA"))
            .filter_map(|key| {
                let decoding = DecodingKey::from_rsa_components(&key.n?, &key.e?).ok()?;
                Some((key.kid?, decoding))
            });
        Ok(keys.collect())
    }
}
