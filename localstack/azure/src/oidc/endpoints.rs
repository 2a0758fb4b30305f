//! The issuer over HTTP: discovery document, key set, token endpoint.
//!
//! The token endpoint takes client credentials as Entra documents them, and beside that what other senders
//! of client credentials are known to do: HTTP Basic, a JSON body, `audience` for `scope`.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{Issuer, token::LIFETIME};

/// The three routes, below the tenant's id.
pub(crate) fn routes(issuer: Arc<Issuer>) -> Router {
    let tenant = Router::new()
        .route("/v2.0/.well-known/openid-configuration", get(discovery))
        .route("/discovery/v2.0/keys", get(keys))
        .route("/oauth2/v2.0/token", post(token))
        .with_state(Arc::clone(&issuer));
    let known = format!("/{}", issuer.settings.tenant);
    let unknown = async || {
        let why = "AADSTS90002: tenant not found";
        refusal(StatusCode::BAD_REQUEST, "invalid_tenant", why)
    };
    Router::new()
        .nest(&known, tenant)
        .route("/{tenant}/v2.0/.well-known/openid-configuration", get(unknown))
        .route("/{tenant}/discovery/v2.0/keys", get(unknown))
        .route("/{tenant}/oauth2/v2.0/token", post(unknown))
}

async fn discovery(State(issuer): State<Arc<Issuer>>) -> Json<Value> {
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
}

async fn keys(State(issuer): State<Arc<Issuer>>) -> Json<Value> {
    Json(issuer.key.key_set())
}

async fn token(State(issuer): State<Arc<Issuer>>, headers: HeaderMap, body: Bytes) -> Response {
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
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default()
    };
    let mut parameters: BTreeMap<String, String> =
        if header(header::CONTENT_TYPE).starts_with("application/json") {
            let members: BTreeMap<String, Value> = serde_json::from_slice(body).unwrap_or_default();
            let texts = members.into_iter();
            texts
                .filter_map(|(name, value)| Some((name, value.as_str()?.to_owned())))
                .collect()
        } else {
            form_urlencoded::parse(body).into_owned().collect()
        };
    let basic = header(header::AUTHORIZATION).strip_prefix("Basic ");
    let basic = basic.and_then(|text| String::from_utf8(STANDARD.decode(text).ok()?).ok());
    if let Some((id, secret)) = basic.as_deref().and_then(|text| text.split_once(':')) {
        parameters.insert("client_id".to_owned(), id.to_owned());
        parameters.insert("client_secret".to_owned(), secret.to_owned());
    }
    parameters
}

fn refusal(status: StatusCode, error: &str, description: &str) -> Response {
    let body = Json(json!({"error": error, "error_description": description}));
    (status, body).into_response()
}
