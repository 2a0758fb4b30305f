//! The issuer over HTTP: discovery document, key set, token endpoint.
//!
//! The token endpoint takes client credentials as Entra documents them, and beside that what other senders
//! of client credentials are known to do: HTTP Basic, a JSON body, `audience` for `scope`.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{Issuer, token::LIFETIME};

/// The three routes, below the tenant's id.
pub(crate) fn routes(issuer: Arc<Issuer>) -> Router {
    Router::new()
        .route("/{tenant}/v2.0/.well-known/openid-configuration", get(discovery))
        .route("/{tenant}/discovery/v2.0/keys", get(keys))
        .route("/{tenant}/oauth2/v2.0/token", post(token))
        .with_state(issuer)
}

async fn discovery(State(issuer): State<Arc<Issuer>>, Path(tenant): Path<String>) -> Response {
    if tenant != issuer.settings.tenant {
        return unknown_tenant();
    }
    let settings = &issuer.settings;
    let base = settings.issuer.strip_suffix("/v2.0").unwrap_or(&settings.issuer);
    Json(json!({
        "issuer": settings.issuer,
        "jwks_uri": format!("{base}/discovery/v2.0/keys"),
        "token_endpoint": format!("{base}/oauth2/v2.0/token"),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": ["token"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }))
    .into_response()
}

async fn keys(State(issuer): State<Arc<Issuer>>, Path(tenant): Path<String>) -> Response {
    if tenant != issuer.settings.tenant {
        return unknown_tenant();
    }
    Json(issuer.key.key_set()).into_response()
}

async fn token(
    State(issuer): State<Arc<Issuer>>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if tenant != issuer.settings.tenant {
        return unknown_tenant();
    }
    match grant(&issuer, &headers, &body) {
        Ok(audience) => {
            tracing::info!(%audience, "token issued");
            let answer = json!({
                "token_type": "Bearer", "expires_in": LIFETIME, "ext_expires_in": LIFETIME,
                "access_token": issuer.client_token(&audience),
            });
            ([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response()
        }
        Err((status, error, description)) => {
            tracing::warn!(error, description, "token refused");
            refusal(status, error, description)
        }
    }
}

/// The audience that is granted, or the refusal in OAuth's and Entra's words.
fn grant(
    issuer: &Issuer,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<String, (StatusCode, &'static str, &'static str)> {
    let parameters = parameters(headers, body);
    let parameter = |name: &str| parameters.get(name).map_or("", String::as_str);
    if parameter("grant_type") != "client_credentials" {
        let why = "AADSTS70003: the grant type is not supported, use client_credentials";
        return Err((StatusCode::BAD_REQUEST, "unsupported_grant_type", why));
    }
    if parameter("client_id") != issuer.settings.client_id {
        let why = "AADSTS700016: the application was not found in the directory";
        return Err((StatusCode::BAD_REQUEST, "unauthorized_client", why));
    }
    if parameter("client_secret") != issuer.settings.client_secret {
        let why = "AADSTS7000215: invalid client secret provided";
        return Err((StatusCode::UNAUTHORIZED, "invalid_client", why));
    }
    match (parameter("scope"), parameter("audience")) {
        ("", "") => {
            let why = "AADSTS900144: the request body must contain the parameter 'scope'";
            Err((StatusCode::BAD_REQUEST, "invalid_request", why))
        }
        ("", audience) => Ok(audience.to_owned()),
        (scope, _) => match scope.strip_suffix("/.default") {
            Some(audience) if !audience.is_empty() && !scope.contains(' ') => Ok(audience.to_owned()),
            _ => {
                let why = "AADSTS1002012: the scope of a client credentials request ends in /.default";
                Err((StatusCode::BAD_REQUEST, "invalid_scope", why))
            }
        },
    }
}

fn parameters(headers: &HeaderMap, body: &[u8]) -> BTreeMap<String, String> {
    let header = |name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let mut parameters: BTreeMap<String, String> = BTreeMap::new();
    if header(header::CONTENT_TYPE).starts_with("application/json") {
        let members: BTreeMap<String, Value> = serde_json::from_slice(body).unwrap_or_default();
        parameters.extend(
            members
                .iter()
                .filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))),
        );
    } else {
        parameters.extend(form_urlencoded::parse(body).into_owned());
    }
    let basic = header(header::AUTHORIZATION)
        .strip_prefix("Basic ")
        .and_then(|text| STANDARD.decode(text).ok());
    if let Some((id, secret)) = basic.and_then(|text| {
        String::from_utf8(text)
            .ok()?
            .split_once(':')
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
    }) {
        parameters.insert("client_id".to_owned(), id);
        parameters.insert("client_secret".to_owned(), secret);
    }
    parameters
}

fn unknown_tenant() -> Response {
    refusal(
        StatusCode::BAD_REQUEST,
        "invalid_tenant",
        "AADSTS90002: tenant not found",
    )
}

fn refusal(status: StatusCode, error: &str, description: &str) -> Response {
    (
        status,
        Json(json!({"error": error, "error_description": description})),
    )
        .into_response()
}
