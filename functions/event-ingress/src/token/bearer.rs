//! What a request says of its token before anything about it is believed. Pure, because it reads what anybody sends.

use jsonwebtoken::{Algorithm, decode_header};

/// Longer than any token of the issuer.
const MAX_TOKEN: usize = 8 * 1024;
/// Longer than any key's id.
const MAX_KEY_ID: usize = 256;

/// The token in the value of an Authorization header, and the id of the key that is to have signed it.
///
/// # Errors
/// Why this is no token of ours, for the log.
pub fn bearer(value: &[u8]) -> Result<(&str, String), &'static str> {
    let token = std::str::from_utf8(value)
        .ok()
        .and_then(token)
        .ok_or("no bearer token")?;
    let header = decode_header(token).map_err(|_| "not a token")?;
    if header.alg != Algorithm::RS256 {
        return Err("not signed with RS256");
    }
    let kid = header.kid.filter(|kid| kid.len() <= MAX_KEY_ID);
    Ok((token, kid.ok_or("no key id")?))
}

fn token(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && token.len() <= MAX_TOKEN).then(|| token.trim())
}
