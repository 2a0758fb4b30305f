//! What a request says of its token before anything about it is believed. Pure, because it reads what anybody sends.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, decode_header};
use saga_core::document::Fields;
use saga_wire::json::parse_object;

/// Longer than any token of the issuer.
const MAX_TOKEN: usize = 8 * 1024;
/// Longer than any key's id.
const MAX_KEY_ID: usize = 256;
/// Headers by which a token asks to be read in another way than it is read here. `crit` names those that must be understood
/// (<https://www.rfc-editor.org/rfc/rfc7515#section-4.1.11>); none is.
const NOT_UNDERSTOOD: [&str; 4] = ["crit", "b64", "zip", "enc"];
/// What a token for this purpose is called, if it says so
/// (<https://www.rfc-editor.org/rfc/rfc8725#section-3.11>).
const TYPES: [&str; 2] = ["jwt", "at+jwt"];

/// The token in the value of an Authorization header, and the id of the key that is to have signed it.
///
/// # Errors
/// Why this is no token of ours, for the log.
pub fn bearer(value: &[u8]) -> Result<(&str, String), &'static str> {
    let value = std::str::from_utf8(value).ok();
    let token = value.and_then(token).ok_or("no bearer token")?;
    let header = decode_header(token).map_err(|_| "not a token")?;
    let names = part(token, 0).ok_or("not a token")?;
    if NOT_UNDERSTOOD.iter().any(|name| names.contains_key(*name)) {
        return Err("a header that is not understood");
    }
    let kind = header.typ.map(|kind| kind.to_ascii_lowercase());
    let kind = kind.as_deref();
    let kind = kind.map(|kind| kind.strip_prefix("application/").unwrap_or(kind));
    if kind.is_some_and(|kind| !TYPES.contains(&kind)) || header.cty.is_some() {
        return Err("a token for another purpose");
    }
    if header.alg != Algorithm::RS256 {
        return Err("not signed with RS256");
    }
    let kid = header.kid.filter(|kid| kid.len() <= MAX_KEY_ID);
    Ok((token, kid.ok_or("no key id")?))
}

/// The header (0) or the claims (1) of a token; `None` when they are no JSON object, or can be read in two ways.
pub fn part(token: &str, index: usize) -> Option<Fields> {
    let json = URL_SAFE_NO_PAD.decode(token.split('.').nth(index)?).ok()?;
    parse_object(std::str::from_utf8(&json).ok()?).ok()
}

fn token(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && token.len() <= MAX_TOKEN).then(|| token.trim())
}
