//! The issuer as its clients see it.

use serde_json::{Value, json};

use crate::bench::{Bench, Client};

impl Client {
    /// A token by client credentials.
    pub(crate) async fn token(&self, scope: &str) -> String {
        let body = json!({"grant_type": "client_credentials", "client_id": "client", "client_secret": "secret", "scope": scope});
        let (status, answer) = self.ask(&form(&body), "application/x-www-form-urlencoded").await;
        assert_eq!(status, 200, "{answer}");
        answer["access_token"].as_str().unwrap().to_owned()
    }

    async fn ask(&self, body: &str, content_type: &str) -> (u16, Value) {
        let request = self.http.post(format!("{}/tenant/oauth2/v2.0/token", self.base));
        let answer = request
            .header("content-type", content_type)
            .body(body.to_owned())
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }
}

fn form(parameters: &Value) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters.as_object().unwrap() {
        form.append_pair(name, value.as_str().unwrap());
    }
    form.finish()
}

#[tokio::test]
async fn discovery_leads_to_the_keys() {
    let bench = Bench::new(true).await;
    let (_stand_in, client) = bench.start().await;
    let get = async |path: &str| {
        client
            .http
            .get(format!("{}{path}", client.base))
            .send()
            .await
            .unwrap()
    };
    let discovery: Value = get("/tenant/v2.0/.well-known/openid-configuration")
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(discovery["issuer"], "http://127.0.0.1/tenant/v2.0");
    assert_eq!(
        discovery["jwks_uri"],
        "http://127.0.0.1/tenant/discovery/v2.0/keys"
    );
    assert_eq!(
        discovery["token_endpoint"],
        "http://127.0.0.1/tenant/oauth2/v2.0/token"
    );
    let keys: Value = get("/tenant/discovery/v2.0/keys").await.json().await.unwrap();
    assert_eq!(keys["keys"][0]["kty"], "RSA");
    assert_eq!(get("/other/discovery/v2.0/keys").await.status(), 400);
}

#[tokio::test]
async fn client_credentials_are_checked_in_every_form_they_come_in() {
    let bench = Bench::new(true).await;
    let (_stand_in, client) = bench.start().await;
    let good = json!({
        "grant_type": "client_credentials", "client_id": "client", "client_secret": "secret", "scope": "api://in/.default",
    });
    for (name, value, status, error) in [
        ("client_id", "client", 200, Value::Null),
        ("client_secret", "wrong", 401, json!("invalid_client")),
        ("client_id", "other", 400, json!("unauthorized_client")),
        ("grant_type", "password", 400, json!("unsupported_grant_type")),
        ("scope", "", 400, json!("invalid_request")),
        ("scope", "api://in", 400, json!("invalid_scope")),
    ] {
        let mut changed = good.clone();
        changed[name] = value.into();
        for (body, content_type) in [
            (form(&changed), "application/x-www-form-urlencoded"),
            (changed.to_string(), "application/json"),
        ] {
            let (actual, answer) = client.ask(&body, content_type).await;
            assert_eq!(
                (actual, &answer["error"]),
                (status, &error),
                "{name}={value} as {content_type}"
            );
        }
    }
    let request = client
        .http
        .post(format!("{}/tenant/oauth2/v2.0/token", client.base))
        .basic_auth("client", Some("secret"));
    let answer = request
        .body("grant_type=client_credentials&audience=x")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
}
