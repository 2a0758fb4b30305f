//! Shared access signatures of a topic, `r={resource}&e={expiration}&s={signature}`
//! (<https://learn.microsoft.com/azure/event-grid/security-authenticate-publishing-clients>).
//!
//! What is signed is the text before `&s=` as it was sent, with the topic's key as base64 means it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::{Timestamp, civil::DateTime, fmt::strtime, tz::TimeZone};
use ring::hmac;

/// Whether the token was signed with `key` for the topic at `host`, and has not expired.
pub(crate) fn admits(token: &str, key: &str, host: &str, now: Timestamp) -> bool {
    let Some((signed, signature)) = token.trim().rsplit_once("&s=") else {
        return false;
    };
    let (Ok(key), Ok(signature)) = (STANDARD.decode(key), STANDARD.decode(decoded(signature))) else {
        return false;
    };
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    if hmac::verify(&key, signed.as_bytes(), &signature).is_err() {
        return false;
    }
    let part = |name: &str| {
        let mut parts = signed.split('&').filter_map(|part| part.split_once('='));
        parts
            .find(|(known, _)| *known == name)
            .map(|(_, value)| decoded(value))
    };
    let (Some(resource), Some(expires)) = (part("r"), part("e").and_then(|text| expiry(&text))) else {
        return false;
    };
    is_topic(&resource, host) && now < expires
}

fn decoded(text: &str) -> String {
    // One value has no separator of its own.
    let pairs = form_urlencoded::parse(text.as_bytes());
    pairs.map(|(value, _)| value.into_owned()).collect()
}

/// `https://<host>/api/events`, with a version of the API behind it or without.
fn is_topic(resource: &str, host: &str) -> bool {
    let without_query = resource.split('?').next().unwrap_or_default();
    let place = without_query
        .strip_prefix("https://")
        .or_else(|| without_query.strip_prefix("http://"));
    let (authority, path) = place.and_then(|place| place.split_once('/')).unwrap_or_default();
    authority.eq_ignore_ascii_case(host) && path.trim_end_matches('/') == "api/events"
}

/// As the SDKs write it: "6/15/2017 6:20:15 PM" (Java, JavaScript, .NET, which adds an offset), or ISO 8601 with a blank
/// or a `T` (Python). Without an offset it is UTC.
fn expiry(text: &str) -> Option<Timestamp> {
    // ICU puts a narrow no-break space before AM and PM.
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ");
    let utc = |at: DateTime| at.to_zoned(TimeZone::UTC).ok().map(|at| at.timestamp());
    if text.contains('/') {
        let with_offset = strtime::parse("%m/%d/%Y %I:%M:%S %p %:z", &text).and_then(|at| at.to_timestamp());
        let without = || strtime::parse("%m/%d/%Y %I:%M:%S %p", &text).and_then(|at| at.to_datetime());
        return with_offset.ok().or_else(|| without().ok().and_then(utc));
    }
    text.parse::<Timestamp>()
        .ok()
        .or_else(|| text.parse().ok().and_then(utc))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "dGhlLWtleQ==";
    const HOST: &str = "127.0.0.1:4570";
    const RESOURCE: &str = "http%3A%2F%2F127.0.0.1%3A4570%2Fapi%2Fevents";

    fn signed(resource: &str, expires: &str, key: &str) -> String {
        let text = format!("r={resource}&e={expires}");
        let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(key).unwrap());
        let signature = STANDARD.encode(hmac::sign(&key, text.as_bytes()));
        let signature: String = form_urlencoded::byte_serialize(signature.as_bytes()).collect();
        format!("{text}&s={signature}")
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_token_is_good_until_its_expiry_in_every_spelling() {
        for expires in [
            "6%2F15%2F2027+6%3A20%3A15+PM",
            "6%2F15%2F2027%206%3A20%3A15%E2%80%AFPM",
            "6%2F15%2F2027+6%3A20%3A15+PM+%2B00%3A00",
            "6%2f15%2f2027+8%3a20%3a15+PM+%2B02%3a00",
            "06%2F15%2F2027+06%3A20%3A15+PM",
            "2027-06-15T18%3A20%3A15",
            "2027-06-15%2018%3A20%3A15.000000",
            "2027-06-15%2018%3A20%3A15%2B00%3A00",
            "2027-06-15T18%3A20%3A15Z",
        ] {
            let token = signed(RESOURCE, expires, KEY);
            assert!(admits(&token, KEY, HOST, at("2027-06-15T18:20:14Z")), "{expires}");
            assert!(
                !admits(&token, KEY, HOST, at("2027-06-15T18:20:15Z")),
                "{expires}"
            );
        }
    }

    #[test]
    fn the_resource_is_this_topic() {
        let now = at("2026-11-26T00:00:00Z");
        for (resource, good) in [
            (RESOURCE, true),
            ("http%3a%2f%2f127.0.0.1%3a4570%2fapi%2fevents", true),
            (
                "https%3A%2F%2F127.0.0.1%3A4570%2Fapi%2Fevents%3FapiVersion%3D2018-01-01",
                true,
            ),
            ("http%3A%2F%2F127.0.0.1%3A4570%2Fapi%2Fevents%2F", true),
            ("http%3A%2F%2F127.0.0.1%3A4571%2Fapi%2Fevents", false),
            ("http%3A%2F%2Fother.eventgrid.azure.net%2Fapi%2Fevents", false),
            ("http%3A%2F%2F127.0.0.1%3A4570%2F", false),
            ("", false),
        ] {
            let token = signed(resource, "2027-06-15T18%3A20%3A15Z", KEY);
            assert_eq!(admits(&token, KEY, HOST, now), good, "{resource}");
        }
    }

    #[test]
    fn nothing_of_it_can_be_changed() {
        let now = at("2026-11-26T00:00:00Z");
        let token = signed(RESOURCE, "2027-06-15T18%3A20%3A15Z", KEY);
        assert!(admits(&token, KEY, HOST, now));
        for changed in [
            signed(RESOURCE, "2027-06-15T18%3A20%3A15Z", "b3RoZXI="),
            token.replace("2027", "2028"),
            token.replace("%2Fevents", "%2Fevents%2F"),
            token.replace("&s=", "&s=A"),
            token.replace("&s=", "&e=2028-01-01T00%3A00%3A00Z&s="),
            signed(RESOURCE, "soon", KEY),
            token.split("&s=").next().unwrap().to_owned(),
            "&s=".to_owned(),
            String::new(),
        ] {
            assert!(!admits(&changed, KEY, HOST, now), "{changed}");
        }
        assert!(!admits(&token, "no base64!", HOST, now));
    }
}
