//! Signatures by Standard Webhooks 1.0
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>): HMAC-SHA256 over id,
//! timestamp and body. While a secret is replaced there are two, and both sign.

use std::fmt;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ring::hmac;

const PREFIX: &str = "whsec_";
/// Bytes of a secret, as the specification bounds them.
const MIN_BYTES: usize = 24;
const MAX_BYTES: usize = 64;
/// The new secret and the one before it.
const MAX_SECRETS: usize = 2;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a text is not one or two secrets. It never shows the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecrets {
    /// None, or more than two.
    #[error("there must be one or two secrets, separated by a blank")]
    Count,
    /// One is not in the form of Standard Webhooks.
    #[error("a secret must be `whsec_` and {MIN_BYTES} to {MAX_BYTES} bytes in base64")]
    Form,
}

/// One or two signing secrets.
#[derive(Clone)]
pub struct Secrets(Vec<hmac::Key>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

impl Secrets {
    /// Reads one or two secrets, separated by white space.
    ///
    /// # Errors
    /// [`InvalidSecrets`].
    pub fn parse(text: &str) -> Result<Self, InvalidSecrets> {
        let keys = text.split_whitespace().map(|secret| {
            let bytes = secret
                .strip_prefix(PREFIX)
                .and_then(|text| BASE64.decode(text).ok());
            let fits = |bytes: &Vec<u8>| (MIN_BYTES..=MAX_BYTES).contains(&bytes.len());
            let bytes = bytes.filter(fits).ok_or(InvalidSecrets::Form)?;
            Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
        });
        let keys: Vec<_> = keys.collect::<Result<_, _>>()?;
        if keys.is_empty() || keys.len() > MAX_SECRETS {
            return Err(InvalidSecrets::Count);
        }
        Ok(Self(keys))
    }

    /// The value of `webhook-signature` for a request with this `webhook-id` and `webhook-timestamp` (seconds since 1970): one
    /// signature for each secret.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let signed = format!("{id}.{timestamp}.{body}");
        let each = self.0.iter().map(|key| {
            let tag = hmac::sign(key, signed.as_bytes());
            format!("v1,{}", BASE64.encode(tag))
        });
        each.collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const OTHER: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    /// The vector of the reference libraries of Standard Webhooks.
    #[test]
    fn the_official_vector_is_signed_as_it_is_published() {
        let secrets = Secrets::parse(SECRET).unwrap();
        let signature = secrets.sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            "{\"test\": 2432232314}",
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn each_of_two_secrets_signs() {
        let one = |secret: &str| Secrets::parse(secret).unwrap().sign("id", 1, "{}");
        let both = one(&format!("{SECRET} {OTHER}\n"));
        assert_eq!(both, format!("{} {}", one(SECRET), one(OTHER)));
        assert_ne!(one(SECRET), one(OTHER));
    }

    #[test]
    fn what_is_no_secret_is_refused_and_not_shown() {
        let long = format!("whsec_{}", "A".repeat(88));
        for (text, why) in [
            ("", InvalidSecrets::Count),
            (" ", InvalidSecrets::Count),
            (&*format!("{SECRET} {OTHER} {SECRET}"), InvalidSecrets::Count),
            ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", InvalidSecrets::Form),
            ("whsec_", InvalidSecrets::Form),
            ("whsec_c2hvcnQ=", InvalidSecrets::Form),
            ("whsec_****************************", InvalidSecrets::Form),
            (&*long, InvalidSecrets::Form),
            (&*format!("{SECRET} x"), InvalidSecrets::Form),
        ] {
            assert_eq!(Secrets::parse(text).map(|_| ()), Err(why), "{text}");
        }
        let shown = format!("{:?}", Secrets::parse(SECRET).unwrap());
        assert_eq!(shown, "Secrets(1)");
    }

    #[test]
    fn a_secret_without_its_padding_is_the_same() {
        let padded = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAA==";
        let bare = padded.trim_end_matches('=');
        let sign = |text: &str| Secrets::parse(text).unwrap().sign("id", 1, "{}");
        assert_eq!(sign(padded), sign(bare));
    }
}
