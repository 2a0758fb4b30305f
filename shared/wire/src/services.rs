//! The services that a deployment may call, each under its name: the file `services.toml` of the local stack, and the same
//! structure as JSON in the environment of a deployment.
//!
//! Invariant: nothing but what is bound here is ever called, and no credential goes over an unencrypted connection that leaves
//! the machine.

mod name;

use std::collections::BTreeMap;

use saga_core::definition::Cloud;
use serde::Deserialize;
use url::{Host, Url};

use crate::json;

/// Requests to one service at the same time, where the file does not say.
const DEFAULT_CONCURRENCY: u16 = 5;
const MAX_CONCURRENCY: u16 = 100;
/// Where Key Vault is (<https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#dns-suffixes-for-object-identifiers>).
/// A vault's token is sent nowhere else.
const VAULTS: [&str; 3] = [".vault.azure.net", ".vault.azure.cn", ".vault.usgovcloudapi.net"];

/// Which service breaks which rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidServices {
    /// The text is no table of services.
    #[error("the services cannot be read: {0}")]
    Unreadable(String),
    /// One service is wrong.
    #[error("service `{name}`: {rule}")]
    Service {
        /// Its name.
        name: String,
        /// The rule.
        rule: String,
    },
}

/// The bound services by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Services(BTreeMap<String, Service>);

/// A service that may be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its name in definitions.
    pub name: String,
    /// Where it is.
    pub binding: Binding,
    /// The cloud whose functions call it.
    pub cloud: Cloud,
    /// How a caller proves who it is.
    pub auth: Auth,
    /// Requests at the same time, from 1 to 100.
    pub max_concurrency: u16,
}

/// Where a service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Binding {
    /// Over HTTP, below this URL, which ends without a slash.
    Url(Url),
    /// A Lambda function, invoked directly.
    Lambda(LambdaArn),
}

/// The ARN of a Lambda function, with or without a version or alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LambdaArn {
    arn: String,
    region: String,
}

/// How a caller proves who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// Not at all; only on this machine.
    None,
    /// A Standard Webhooks signature with secrets that are kept here.
    Signature(SecretPlace),
    /// Signature Version 4, for a function URL or an API Gateway.
    SigV4,
    /// The caller's role invokes a Lambda function.
    Lambda,
    /// A token of the caller's managed identity for this audience.
    Entra {
        /// The resource, such as `api://bank`; the token's scope is its `/.default`.
        audience: String,
    },
}

/// Where a service's signing secrets are kept. It never holds one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretPlace {
    /// Name or ARN of a secret of AWS Secrets Manager.
    SecretsManager(String),
    /// URL of a secret of Azure Key Vault.
    KeyVault(Url),
    /// An environment variable; only for a service on this machine.
    Environment(String),
}

/// A service as the file says it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    url: Option<String>,
    lambda: Option<String>,
    cloud: String,
    auth: String,
    audience: Option<String>,
    secret: Option<String>,
    max_concurrency: Option<u16>,
}

impl Services {
    /// Reads the services from JSON: an object with a member for each.
    ///
    /// # Errors
    /// [`InvalidServices`] names the service and the rule that it breaks.
    pub fn parse_json(text: &str) -> Result<Self, InvalidServices> {
        let members = json::members(text).map_err(|error| InvalidServices::Unreadable(error.0))?;
        let read = members.into_iter().map(|(name, raw)| {
            let entry = serde_json::from_str(raw.get()).map_err(|error| error.to_string());
            (name, entry)
        });
        Self::checked(read)
    }

    /// Reads the services from TOML: a table for each.
    ///
    /// # Errors
    /// [`InvalidServices`], as for [`Services::parse_json`].
    pub fn parse_toml(text: &str) -> Result<Self, InvalidServices> {
        let tables: toml::Table =
            toml::from_str(text).map_err(|error| InvalidServices::Unreadable(error.to_string()))?;
        let read = tables.into_iter().map(|(name, table)| {
            let entry = table.try_into().map_err(|error: toml::de::Error| {
                // A message of several lines would not stay on the line of a log.
                error.to_string().trim_end().replace('\n', "; ")
            });
            (name, entry)
        });
        Self::checked(read)
    }

    /// The service of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Service> {
        self.0.get(name)
    }

    /// Every service, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Service> {
        self.0.values()
    }

    fn checked(read: impl Iterator<Item = (String, Result<Entry, String>)>) -> Result<Self, InvalidServices> {
        let services = read.map(|(name, entry)| {
            let service = entry.and_then(|entry| Service::checked(&name, entry));
            match service {
                Ok(service) => Ok((name, service)),
                Err(rule) => Err(InvalidServices::Service { name, rule }),
            }
        });
        services.collect::<Result<_, _>>().map(Self)
    }
}

impl Service {
    /// Whether it is reached on this machine only.
    #[must_use]
    pub fn is_local(&self) -> bool {
        matches!(&self.binding, Binding::Url(url) if is_loopback(url))
    }

    fn checked(name: &str, entry: Entry) -> Result<Self, String> {
        name::check(name)?;
        let cloud: Cloud = match entry.cloud.parse() {
            Ok(cloud) => cloud,
            Err(_) => return Err("`cloud` must be `aws` or `azure`".to_owned()),
        };
        let binding = match (&entry.url, &entry.lambda) {
            (Some(url), None) => Binding::Url(endpoint(url)?),
            (None, Some(arn)) => Binding::Lambda(LambdaArn::parse(arn)?),
            _ => return Err("give exactly one of `url` and `lambda`".to_owned()),
        };
        let auth = auth(&entry, cloud, &binding)?;
        let max_concurrency = entry.max_concurrency.unwrap_or(DEFAULT_CONCURRENCY);
        if !(1..=MAX_CONCURRENCY).contains(&max_concurrency) {
            return Err(format!("`max_concurrency` must be from 1 to {MAX_CONCURRENCY}"));
        }
        Ok(Self {
            name: name.to_owned(),
            binding,
            cloud,
            auth,
            max_concurrency,
        })
    }
}

impl LambdaArn {
    /// The ARN's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.arn
    }

    /// The region that it names.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// `arn:<partition>:lambda:<region>:<account>:function:<name>`, and a version or alias if one is meant.
    fn parse(text: &str) -> Result<Self, String> {
        let plain = |part: &&str| {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || byte == b'$';
            !part.is_empty() && part.bytes().all(fits)
        };
        let parts: Vec<&str> = text.split(':').collect();
        match parts[..] {
            [
                "arn",
                partition,
                "lambda",
                region,
                account,
                "function",
                name,
                ref version @ ..,
            ] if version.len() <= 1
                && account.len() == 12
                && account.bytes().all(|byte| byte.is_ascii_digit())
                && [partition, region, name].iter().all(plain)
                && version.iter().all(plain) =>
            {
                Ok(Self {
                    arn: text.to_owned(),
                    region: region.to_owned(),
                })
            }
            _ => Err(
                "`lambda` must be the ARN of a function: arn:aws:lambda:<region>:<account>:function:<name>"
                    .to_owned(),
            ),
        }
    }
}

/// The URL of a service. `/act` and `/undo` are added to it.
///
/// # Errors
/// The rule that it breaks: https but on this machine, and neither credentials nor a query in it.
pub fn endpoint(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("`url` is no URL: {error}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("`url` must hold no user name and no password".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(
            "`url` must have no query and no fragment: `/act` and `/undo` are added to it".to_owned(),
        );
    }
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        _ => return Err("`url` must begin with https:// (http:// only on this machine)".to_owned()),
    }
    let path = url.path().trim_end_matches('/').to_owned();
    let mut url = url;
    url.set_path(&path);
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn auth(entry: &Entry, cloud: Cloud, binding: &Binding) -> Result<Auth, String> {
    let fits = |good: bool, rule: &str| good.then_some(()).ok_or_else(|| rule.to_owned());
    let only_with = |member: &str, given: &Option<String>, auth: &str| {
        let stray = given.is_some() && entry.auth != auth;
        fits(!stray, &format!("`{member}` goes only with auth `{auth}`"))
    };
    only_with("audience", &entry.audience, "entra")?;
    only_with("secret", &entry.secret, "signature")?;
    let url = match binding {
        Binding::Url(url) => Some(url),
        Binding::Lambda(_) => None,
    };
    fits(
        url.is_some() || entry.auth == "lambda",
        "a service with `lambda` needs auth `lambda`",
    )?;
    match entry.auth.as_str() {
        "none" => {
            fits(
                url.is_some_and(is_loopback),
                "auth `none` is only for a service on this machine",
            )?;
            Ok(Auth::None)
        }
        "signature" => {
            let local = url.is_some_and(is_loopback);
            secret_place(entry.secret.as_deref(), cloud, local).map(Auth::Signature)
        }
        "sigv4" => {
            fits(cloud == Cloud::Aws, "auth `sigv4` needs cloud `aws`")?;
            Ok(Auth::SigV4)
        }
        "lambda" => {
            fits(cloud == Cloud::Aws, "auth `lambda` needs cloud `aws`")?;
            fits(url.is_none(), "auth `lambda` needs `lambda`, the function's ARN")?;
            Ok(Auth::Lambda)
        }
        "entra" => {
            fits(cloud == Cloud::Azure, "auth `entra` needs cloud `azure`")?;
            let origin = url.map(|url| url.origin().ascii_serialization());
            let audience = entry.audience.clone().or(origin).unwrap_or_default();
            let audience = audience.trim_end_matches('/').to_owned();
            let visible = !audience.is_empty() && audience.bytes().all(|byte| byte.is_ascii_graphic());
            fits(visible, "`audience` must be a URI such as `api://bank`")?;
            Ok(Auth::Entra { audience })
        }
        _ => Err("`auth` must be `sigv4`, `lambda`, `entra`, `signature` or `none`".to_owned()),
    }
}

/// Where the secret is kept. What is written there is never shown: somebody may have pasted the secret itself.
fn secret_place(secret: Option<&str>, cloud: Cloud, local: bool) -> Result<SecretPlace, String> {
    let Some(secret) = secret.filter(|secret| !secret.is_empty()) else {
        return Err("auth `signature` needs `secret`, which says where the secret is kept".to_owned());
    };
    if secret.contains("whsec_") {
        return Err("`secret` must say where the secret is kept; it must not hold the secret".to_owned());
    }
    if let Some(variable) = secret.strip_prefix("env:") {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        return match (local, !variable.is_empty() && variable.bytes().all(plain)) {
            (true, true) => Ok(SecretPlace::Environment(variable.to_owned())),
            (true, false) => Err("`secret` names no environment variable".to_owned()),
            (false, _) => {
                Err("a `secret` in the environment is only for a service on this machine".to_owned())
            }
        };
    }
    match cloud {
        Cloud::Aws => {
            // <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html>
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"/_+=.@-:".contains(&byte);
            let good = secret.len() <= 2048 && secret.bytes().all(fits);
            let rule = || "`secret` must be the name or ARN of a secret of Secrets Manager".to_owned();
            good.then(|| SecretPlace::SecretsManager(secret.to_owned()))
                .ok_or_else(rule)
        }
        Cloud::Azure => vault_secret(secret).map(SecretPlace::KeyVault).ok_or_else(|| {
            "`secret` must be a Key Vault URL: https://<vault>.vault.azure.net/secrets/<name>".to_owned()
        }),
    }
}

fn vault_secret(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let host = url.host_str()?;
    let parts: Vec<&str> = url.path_segments()?.collect();
    let names_a_secret = matches!(parts[..], ["secrets", name] | ["secrets", name, _] if !name.is_empty());
    let good = url.scheme() == "https"
        && VAULTS.iter().any(|suffix| host.ends_with(suffix))
        && url.port().is_none()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && names_a_secret;
    good.then_some(url)
}

#[cfg(test)]
mod tests;
