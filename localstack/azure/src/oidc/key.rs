//! The RSA key: signing, checking, and its public half as a JSON Web Key.
//!
//! By hand on `ring`, because the only algorithm needed is RS256 and the header is fixed: a token of any
//! other form is refused before its signature is looked at.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    digest,
    rand::SystemRandom,
    rsa::{KeyPair, PublicKeyComponents},
    signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256},
};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use serde_json::{Map, Value, json};

use crate::StartError;

pub(crate) struct SigningKey {
    pair: KeyPair,
    public: PublicKeyComponents<Vec<u8>>,
    id: String,
}

impl SigningKey {
    pub(crate) fn load(file: &Path) -> Result<Self, StartError> {
        let text = std::fs::read_to_string(file).map_err(|why| StartError::unreadable(file, why))?;
        Self::from_pem(&text)
            .ok_or_else(|| StartError::invalid("oidc.key_file must be a PKCS#8 RSA private key in PEM"))
    }

    pub(crate) fn from_pem(pem: &str) -> Option<Self> {
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).ok()?;
        let pair = KeyPair::from_pkcs8(key.secret_pkcs8_der()).ok()?;
        let public: PublicKeyComponents<Vec<u8>> = pair.public().into();
        // The thumbprint of RFC 7638: required members in alphabetical order, no blanks.
        let canonical = format!(
            r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#,
            encode(&public.e),
            encode(&public.n)
        );
        let thumbprint = digest::digest(&digest::SHA256, canonical.as_bytes());
        let id = encode(&thumbprint.as_ref()[..20]);
        Some(Self { pair, public, id })
    }

    pub(crate) fn key_set(&self) -> Value {
        let (n, e) = (encode(&self.public.n), encode(&self.public.e));
        json!({"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.id, "x5t": self.id, "n": n, "e": e}]})
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        let header = json!({"typ": "JWT", "alg": "RS256", "kid": self.id});
        let message = format!(
            "{}.{}",
            encode(header.to_string().as_bytes()),
            encode(claims.to_string().as_bytes())
        );
        let mut signature = vec![0; self.pair.public().modulus_len()];
        // `ring` fails here only for a buffer of another length than the modulus.
        let random = SystemRandom::new();
        if let Err(error) = self
            .pair
            .sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature)
        {
            tracing::error!(%error, "a token could not be signed");
        }
        format!("{message}.{}", encode(&signature))
    }

    pub(crate) fn verify(&self, token: &str) -> Option<Map<String, Value>> {
        let (message, signature) = token.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        let header: Value = decode(header)?;
        if header.get("alg")? != "RS256" || *header.get("kid")? != self.id.as_str() {
            return None;
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        self.public
            .verify(&RSA_PKCS1_2048_8192_SHA256, message.as_bytes(), &signature)
            .ok()?;
        decode(claims)
    }
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode<T: serde::de::DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SigningKey {
        SigningKey::from_pem(include_str!("../../tests/fixtures/rsa-test-key.pem")).unwrap()
    }

    #[test]
    fn a_token_of_this_key_is_read_back() {
        let token = key().sign(&json!({"aud": "x"}));
        assert_eq!(key().verify(&token).unwrap()["aud"], "x");
    }

    #[test]
    fn a_changed_token_is_not() {
        let token = key().sign(&json!({"aud": "x"}));
        let mut parts: Vec<&str> = token.split('.').collect();
        let other = encode(json!({"aud": "y"}).to_string().as_bytes());
        parts[1] = &other;
        assert!(key().verify(&parts.join(".")).is_none());
        let unsigned = encode(json!({"alg": "none", "kid": key().id}).to_string().as_bytes());
        assert!(key().verify(&format!("{unsigned}.{other}.")).is_none());
        assert!(key().verify("nonsense").is_none());
    }

    #[test]
    fn the_key_set_names_the_key_that_signs() {
        let set = key().key_set();
        let published = &set["keys"][0];
        let token = key().sign(&json!({}));
        let header: Value = decode(token.split('.').next().unwrap()).unwrap();
        assert_eq!(published["kid"], header["kid"]);
        assert_eq!(published["e"], "AQAB");
    }
}
