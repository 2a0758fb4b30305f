//! An issuer on loopback, its tokens, and everything that is not one of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use lambda_http::http::{HeaderMap, HeaderValue};
use ring::rand::SystemRandom;
use ring::rsa::{KeyPair, PublicKeyComponents};
use ring::signature::RSA_PKCS1_SHA256;
use saga_core::Timestamp;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const TENANT: &str = "11111111-2222-3333-4444-555555555555";
const EVENT_GRID: &str = "4962773b-9cdb-44cf-a8bf-237846a00ab7";
const ROLE: &str = "AzureEventGridSecureWebhookSubscriber";
const HOUR: i64 = 3_600_000;

pub(crate) struct Clock(AtomicI64);

impl Clock {
    fn pass(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::Relaxed);
    }
}

impl Time for Clock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }
    async fn sleep(&self, _: u64) {}
    fn below(&self, _: u64) -> u64 {
        0
    }
}

/// How the issuer answers who asks for its keys.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Works = 0,
    Fails = 1,
    Hangs = 2,
    Floods = 3,
}

pub(crate) struct Issuer {
    pair: Arc<KeyPair>,
    pub(crate) guard: Guard,
    pub(crate) clock: Clock,
    asked: Arc<AtomicUsize>,
    mood: Arc<AtomicUsize>,
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The same key as the local issuer's tests.
fn key_pair() -> KeyPair {
    let pem = include_str!("../../../../localstack/azure/tests/fixtures/rsa-test-key.pem");
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    KeyPair::from_pkcs8(&STANDARD.decode(body).unwrap()).unwrap()
}

fn seconds() -> i64 {
    #[allow(
        clippy::disallowed_methods,
        reason = "tokens are judged by the process' own clock"
    )]
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

impl Issuer {
    pub(crate) async fn start() -> Self {
        crate::ring_jwt::install();
        let pair = Arc::new(key_pair());
        let (asked, mood) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let jwks_url = format!("http://{}/keys", listener.local_addr().unwrap());
        let public: PublicKeyComponents<Vec<u8>> = pair.public().into();
        let (n, e) = (encode(&public.n), encode(&public.e));
        let set = json!({ "keys": [
            { "kid": "ours", "kty": "RSA", "use": "sig", "n": n, "e": e },
            { "kid": "to encrypt", "kty": "RSA", "use": "enc", "n": n, "e": e },
            { "kid": "a curve", "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA" },
        ]});
        let (count, how) = (Arc::clone(&asked), Arc::clone(&mood));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (how, set) = (how.load(Ordering::SeqCst), set.to_string());
                tokio::spawn(async move {
                    let _ = stream.read(&mut [0; 4096]).await;
                    let answer = |status: u16, body: &str| {
                        let length = body.len();
                        format!(
                            "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
                        )
                    };
                    let text = match how {
                        0 => answer(200, &set),
                        1 => answer(500, ""),
                        2 => return tokio::time::sleep(Duration::from_secs(60)).await,
                        _ => answer(200, &format!("{}{set}", " ".repeat(300 * 1024))),
                    };
                    let _ = stream.write_all(text.as_bytes()).await;
                });
            }
        });
        let issuers = [
            "https://sts.windows.net/T/",
            "https://login.microsoftonline.com/T/v2.0",
        ];
        let trust = Trust {
            jwks_url,
            issuers: issuers.map(|issuer| issuer.replace('T', TENANT)).to_vec(),
            audience: "api://saga-ingress".to_owned(),
            tenant: TENANT.to_owned(),
            client: EVENT_GRID.to_owned(),
            role: ROLE.to_owned(),
        };
        let guard = Guard::new(trust).unwrap();
        let clock = Clock(AtomicI64::new(1_795_226_400_000));
        Self {
            pair,
            guard,
            clock,
            asked,
            mood,
        }
    }

    fn is(&self, mood: Mood) {
        self.mood.store(mood as usize, Ordering::SeqCst);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_parts(&encode(header.to_string()), &encode(claims.to_string()))
    }

    fn sign_parts(&self, header: &str, claims: &str) -> String {
        let message = format!("{header}.{claims}");
        let mut signature = vec![0; self.pair.public().modulus_len()];
        let random = SystemRandom::new();
        self.pair
            .sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature)
            .unwrap();
        format!("{message}.{}", encode(signature))
    }

    /// A token that differs from a valid one in these claims; `null` leaves one out.
    pub(crate) fn token(&self, changed: Value) -> String {
        let mut claims = claims();
        for (name, value) in changed.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
            .as_object_mut()
            .unwrap()
            .retain(|_, value| !value.is_null());
        self.sign(&header(), &claims)
    }

    /// The status that the webhook answers to these Authorization headers; 200 is admission.
    async fn status(&self, authorizations: &[&str]) -> u16 {
        let mut headers = HeaderMap::new();
        for value in authorizations {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        match self.guard.admit(&headers, &self.clock).await {
            Ok(()) => 200,
            Err(Refused::Unauthenticated(_)) => 401,
            Err(Refused::Forbidden(_)) => 403,
            Err(Refused::Unknown(_)) => 503,
        }
    }

    async fn bearer(&self, token: &str) -> u16 {
        self.status(&[&format!("Bearer {token}")]).await
    }
}

fn header() -> Value {
    json!({ "alg": "RS256", "kid": "ours", "typ": "JWT" })
}

fn claims() -> Value {
    json!({
        "aud": "api://saga-ingress", "iss": format!("https://sts.windows.net/{TENANT}/"), "tid": TENANT,
        "appid": EVENT_GRID, "roles": [ROLE], "nbf": seconds() - 10, "exp": seconds() + 3_600,
    })
}

#[tokio::test]
async fn what_event_grid_shows_is_admitted() {
    let issuer = Issuer::start().await;
    let v2 = format!("https://login.microsoftonline.com/{TENANT}/v2.0");
    for changed in [
        json!({}),
        json!({ "iss": v2, "appid": null, "azp": EVENT_GRID }),
        json!({ "aud": ["api://other", "api://saga-ingress"] }),
        json!({ "roles": ["Other", ROLE] }),
        json!({ "exp": seconds() - 30 }),
        json!({ "nbf": seconds() + 30 }),
        json!({ "exp": f64::from(i32::try_from(seconds()).unwrap()) + 600.5 }),
        json!({ "azp": EVENT_GRID, "more": { "claims": [1.5, null] } }),
    ] {
        assert_eq!(
            issuer.bearer(&issuer.token(changed.clone())).await,
            200,
            "{changed}"
        );
    }
    assert_eq!(
        issuer
            .status(&[&format!("bearer {}", issuer.token(json!({})))])
            .await,
        200
    );
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn a_signed_token_of_somebody_else_is_refused() {
    let issuer = Issuer::start().await;
    let other = "99999999-2222-3333-4444-555555555555";
    let cases = [
        (json!({ "iss": format!("https://sts.windows.net/{other}/") }), 401),
        (json!({ "iss": format!("https://sts.windows.net/{TENANT}") }), 401),
        (json!({ "iss": null }), 401),
        (json!({ "aud": "api://other" }), 401),
        (json!({ "aud": [] }), 401),
        (json!({ "aud": null }), 401),
        (json!({ "exp": seconds() - 90 }), 401),
        (json!({ "exp": null }), 401),
        (json!({ "exp": "9999999999" }), 401),
        (json!({ "nbf": seconds() + 90 }), 401),
        (json!({ "nbf": null }), 401),
        (
            json!({ "iss": [format!("https://sts.windows.net/{TENANT}/")] }),
            401,
        ),
        (
            json!({ "iss": ["https://evil", format!("https://sts.windows.net/{TENANT}/")] }),
            401,
        ),
        (json!({ "iss": { "a": 1 } }), 401),
        (json!({ "aud": ["api://other"] }), 401),
        (json!({ "aud": [1, "api://saga-ingress"] }), 401),
        (json!({ "aud": { "api://saga-ingress": 1 } }), 401),
        (json!({ "exp": 1e300 }), 401),
        (json!({ "exp": -1 }), 401),
        (json!({ "exp": true }), 401),
        (json!({ "exp": [9_999_999_999_u64] }), 401),
        (json!({ "nbf": "1" }), 401),
        (json!({ "nbf": 1e18 }), 401),
        (json!({ "nbf": -1 }), 401),
        (json!({ "tid": [TENANT] }), 401),
        (json!({ "tid": 1 }), 401),
        (json!({ "appid": [EVENT_GRID] }), 401),
        (json!({ "azp": { "a": EVENT_GRID } }), 401),
        (json!({ "roles": ROLE }), 401),
        (json!({ "roles": { "0": ROLE } }), 401),
        (json!({ "roles": [1, ROLE] }), 401),
        (json!({ "roles": [[ROLE]] }), 401),
        (json!({ "tid": other }), 403),
        (json!({ "tid": null }), 403),
        (json!({ "appid": other }), 403),
        (json!({ "appid": other, "azp": EVENT_GRID }), 403),
        (json!({ "appid": null }), 403),
        (json!({ "appid": "", "azp": EVENT_GRID }), 403),
        (json!({ "azp": other }), 403),
        (json!({ "tid": TENANT.to_uppercase() + "0" }), 403),
        (json!({ "roles": [] }), 403),
        (json!({ "roles": null }), 403),
        (json!({ "roles": ["azureeventgridsecurewebhooksubscriber"] }), 403),
    ];
    for (changed, status) in cases {
        assert_eq!(
            issuer.bearer(&issuer.token(changed.clone())).await,
            status,
            "{changed}"
        );
    }
}

#[tokio::test]
async fn a_header_can_choose_neither_algorithm_nor_key() {
    let issuer = Issuer::start().await;
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", elsewhere.local_addr().unwrap());
    for changed in [
        json!({ "alg": "none" }),
        json!({ "alg": "HS256" }),
        json!({ "alg": "RS512" }),
        json!({ "alg": "PS256" }),
        json!({ "alg": "rs256" }),
        json!({ "alg": null }),
        json!({ "kid": null }),
        json!({ "kid": "a curve" }),
        json!({ "kid": "to encrypt" }),
        json!({ "kid": "k".repeat(257) }),
        json!({ "kid": "unknown", "jku": url, "x5u": url }),
        json!({ "kid": ["ours"] }),
        json!({ "kid": " ours" }),
        json!({ "alg": ["RS256"] }),
        json!({ "crit": ["exp"] }),
        json!({ "crit": ["unknown"], "unknown": 1 }),
        json!({ "crit": ["b64"], "b64": false }),
        json!({ "crit": [] }),
        json!({ "crit": null }),
        json!({ "crit": "exp" }),
        json!({ "b64": false }),
        json!({ "zip": "DEF" }),
        json!({ "enc": "A128GCM" }),
        json!({ "cty": "JWT" }),
        json!({ "typ": "logout+jwt" }),
        json!({ "typ": "" }),
        json!({ "typ": 1 }),
    ] {
        let mut header = header();
        for (name, value) in changed.as_object().unwrap() {
            header[name] = value.clone();
        }
        assert_eq!(
            issuer.bearer(&issuer.sign(&header, &claims())).await,
            401,
            "{changed}"
        );
    }
    // What names a key changes nothing about whose key it is.
    for changed in [
        json!({ "jku": url, "x5u": url, "jwk": { "kty": "RSA", "n": "AQAB", "e": "AQAB" }, "x5c": ["AAAA"], "x5t": "x" }),
        json!({ "typ": null }),
        json!({ "typ": "application/AT+JWT" }),
        json!({ "unknown": { "nested": true } }),
    ] {
        let mut header = header();
        for (name, value) in changed.as_object().unwrap() {
            header[name] = value.clone();
        }
        header
            .as_object_mut()
            .unwrap()
            .retain(|_, value| !value.is_null());
        let status = issuer.bearer(&issuer.sign(&header, &claims())).await;
        assert_eq!(status, 200, "{changed}");
    }
    let nobody = tokio::time::timeout(Duration::from_millis(50), elsewhere.accept()).await;
    assert!(nobody.is_err(), "somebody asked for the keys that a token named");
}

#[tokio::test]
async fn what_is_no_single_token_is_refused() {
    let issuer = Issuer::start().await;
    let token = issuer.token(json!({}));
    let bearer = format!("Bearer {token}");
    let (message, signature) = token.rsplit_once('.').unwrap();
    let cut = &token[..token.len() - 20];
    let none = format!(
        "{}.{}.",
        encode(r#"{"alg":"none"}"#),
        encode(claims().to_string())
    );
    let garbled = format!("{message}.{}A", &signature[..signature.len() - 2]);
    for token in [
        "",
        "x",
        "..",
        message,
        cut,
        &none,
        &garbled,
        &"x".repeat(9_000),
        &format!("{token}.x"),
    ] {
        assert_eq!(issuer.bearer(token).await, 401, "{token}");
    }
    let forged = "Bearer a.b.c";
    // Lambda makes one header of two, with a comma between.
    let joined = [
        format!("{bearer},{forged}"),
        format!("{forged}, {bearer}"),
        format!("{bearer} {token}"),
    ];
    let more: Vec<Vec<&str>> = vec![
        vec![],
        vec![""],
        vec![&token],
        vec!["Basic dTpw"],
        vec![&bearer, &bearer],
        vec![&bearer, forged],
        vec![&joined[0]],
        vec![&joined[1]],
        vec![&joined[2]],
    ];
    for authorizations in more {
        assert_eq!(issuer.status(&authorizations).await, 401, "{authorizations:?}");
    }
}

#[tokio::test]
async fn what_is_signed_and_can_be_read_in_two_ways_is_refused() {
    let issuer = Issuer::start().await;
    let (header, claims) = (header().to_string(), claims().to_string());
    let with = |json: &str, member: &str| encode(format!("{{{member},{}", &json[1..]));
    let foreign = "99999999-2222-3333-4444-555555555555";
    for member in [
        format!(r#""tid":"{TENANT}""#),
        format!(r#""appid":"{foreign}""#),
        r#""exp":1"#.to_owned(),
        r#""aud":"api://other""#.to_owned(),
        r#""iss":"https://evil""#.to_owned(),
        r#""roles":[]"#.to_owned(),
        r#""more":1,"more":2"#.to_owned(),
        r#""more":{"a":1,"\u0061":2}"#.to_owned(),
    ] {
        let token = issuer.sign_parts(&encode(&header), &with(&claims, &member));
        assert_eq!(issuer.bearer(&token).await, 401, "{member}");
    }
    for member in [
        r#""alg":"none""#,
        r#""kid":"other""#,
        r#""typ":"JWT""#,
        r#""unknown":1,"unknown":2"#,
    ] {
        let token = issuer.sign_parts(&with(&header, member), &encode(&claims));
        assert_eq!(issuer.bearer(&token).await, 401, "{member}");
    }
    let (header, claims) = (encode(&header), encode(&claims));
    let trailing = encode("{} {}");
    let utf16: Vec<u8> = "{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (header, claims) in [
        (format!("{header}="), claims.clone()),
        (header.clone(), format!("{claims}==")),
        (format!("{header}\t"), claims.clone()),
        (header.clone(), format!(" {claims}")),
        (header.clone(), trailing),
        (header.clone(), encode(utf16)),
        (header.clone(), encode("[]")),
        (header.clone(), format!("{claims}.{claims}")),
    ] {
        let token = issuer.sign_parts(&header, &claims);
        assert_eq!(issuer.bearer(&token).await, 401, "{token}");
    }
    let token = issuer.sign_parts(&header, &claims);
    for signature in ["=", "==", "A", " A"] {
        assert_eq!(issuer.bearer(&format!("{token}{signature}")).await, 401);
    }
    assert_eq!(issuer.bearer(&token).await, 200);
}

#[tokio::test]
async fn unknown_key_ids_ask_the_issuer_once_a_minute() {
    let issuer = Issuer::start().await;
    let good = issuer.token(json!({}));
    assert_eq!(issuer.bearer(&good).await, 200);
    for minute in 1..4 {
        for n in 0..1_000 {
            let forged = issuer.sign(
                &json!({ "alg": "RS256", "kid": format!("{minute}-{n}") }),
                &claims(),
            );
            if n % 100 == 0 {
                assert_eq!(issuer.bearer(&good).await, 200);
            }
            assert_eq!(issuer.bearer(&forged).await, 401);
        }
        assert_eq!(issuer.asked(), minute);
        issuer.clock.pass(60_000);
    }
}

#[tokio::test]
async fn keys_that_cannot_be_fetched_are_503_and_stop_nobody_whose_key_is_kept() {
    let issuer = Issuer::start().await;
    let good = issuer.token(json!({}));
    let unknown = issuer.sign(&json!({ "alg": "RS256", "kid": "new" }), &claims());
    for mood in [Mood::Fails, Mood::Floods] {
        issuer.is(mood);
        assert_eq!(issuer.bearer(&good).await, 503);
        assert_eq!(
            issuer.bearer(&good).await,
            503,
            "and is not asked for each of them"
        );
        issuer.clock.pass(5_000);
    }
    assert_eq!(issuer.asked(), 2);
    issuer.is(Mood::Works);
    assert_eq!(issuer.bearer(&good).await, 200);

    issuer.clock.pass(60_000);
    issuer.is(Mood::Fails);
    assert_eq!(issuer.bearer(&unknown).await, 503);
    assert_eq!(
        issuer.bearer(&unknown).await,
        503,
        "it may be a new key: the delivery must not be dropped"
    );
    assert_eq!(issuer.bearer(&good).await, 200);

    issuer.clock.pass(60_000);
    issuer.is(Mood::Hangs);
    let mut waits = std::pin::pin!(issuer.bearer(&unknown));
    // Who is asked for first is polled first: it waits for the issuer when the other one comes.
    let went_on = tokio::select! {
        biased;
        _ = &mut waits => panic!("it did not wait for the issuer"),
        status = issuer.bearer(&good) => status,
    };
    assert_eq!((waits.await, went_on), (503, 200));
}

#[tokio::test]
async fn keys_are_believed_for_a_day() {
    let issuer = Issuer::start().await;
    let good = issuer.token(json!({}));
    assert_eq!(issuer.bearer(&good).await, 200);
    issuer.clock.pass(24 * HOUR - 1);
    issuer.is(Mood::Fails);
    assert_eq!((issuer.bearer(&good).await, issuer.asked()), (200, 1));
    issuer.clock.pass(1);
    assert_eq!((issuer.bearer(&good).await, issuer.asked()), (503, 2));
}
