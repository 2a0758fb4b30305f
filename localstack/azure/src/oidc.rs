//! A token issuer in the manner of Entra ID: discovery, keys, client credentials.
//!
//! It signs what Event Grid carries to a protected webhook and what publishers show to the topic, so both
//! sides check real RS256 signatures against a real key set. There is one tenant, one client, one key.

mod endpoints;
mod key;
mod token;

pub(crate) use endpoints::routes;
pub(crate) use token::Issuer;
