//! The replayer's HTTP contract: requests signed with SigV4 as the function URL asks
//! (<https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html>). On this machine, where nobody checks, a made-up
//! identity signs, so that the local stack needs no set-up.

use std::fs;
use std::pin::pin;
use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use reqwest::{Method, Url};
use saga_app::ports::{Time, causes};
use saga_runtime::clock::SystemClock;
use saga_runtime::environment::optional;
use serde_json::Value;
use tokio::time::timeout;

use crate::output::complain;

/// Where the local stack says where it is.
const LOCAL: &str = "localstack/.state/endpoints.json";
/// Longer than the function may take.
const PATIENCE: Duration = Duration::from_secs(90);
/// A person is told that a request is under way after so long, and then every ten seconds.
const SILENCE: Duration = Duration::from_secs(2);

/// Why there is no answer.
#[derive(Debug)]
pub struct Failure {
    /// The status of a refusal.
    pub status: Option<u16>,
    pub why: String,
}

/// It is not known where the replayer is, or who asks.
fn unknown(why: impl Into<String>) -> Failure {
    let (status, why) = (None, why.into());
    Failure { status, why }
}

/// The replayer.
pub struct Client {
    http: reqwest::Client,
    base: String,
    region: String,
    credentials: Credentials,
}

impl Client {
    /// Finds the replayer, and who asks.
    pub async fn connect(endpoint: Option<String>) -> Result<Self, Failure> {
        let base = endpoint
            .or_else(|| optional("SAGA_DEAD_LETTERS_URL"))
            .or_else(local);
        let base = base.ok_or_else(|| {
            let how = "`make up` starts the local stack; else give --endpoint, or set SAGA_DEAD_LETTERS_URL";
            unknown(format!("it is not known where the replayer is: {how}"))
        })?;
        let base = base.trim_end_matches('/').to_owned();
        let url = Url::parse(&base).ok();
        let host = url.as_ref().and_then(Url::host_str);
        let host = host.ok_or_else(|| unknown(format!("`{base}` is no URL of a replayer")))?;
        let this_machine = ["127.0.0.1", "localhost", "[::1]"].contains(&host);
        if !base.starts_with("https:") && !this_machine {
            let why = "must begin with https://: the request is signed";
            return Err(unknown(format!("`{base}` {why}")));
        }
        let (region, credentials) = if this_machine {
            let credentials = Credentials::new("test", "test", None, None, "local");
            ("us-east-1".to_owned(), credentials)
        } else {
            identity(region_of(host)).await?
        };
        // An error says that a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().timeout(PATIENCE);
        let http = if this_machine { http.no_proxy() } else { http };
        let http = http.build().map_err(|error| unknown(error.to_string()))?;
        Ok(Self {
            http,
            base,
            region,
            credentials,
        })
    }

    /// Reads.
    pub async fn get(&self, path: &[&str], query: &[(&str, String)]) -> Result<Value, Failure> {
        let url = url(&self.base, path, query)?;
        self.send(Method::GET, url, String::new()).await
    }

    /// Does.
    pub async fn post(&self, path: &[&str], body: &Value) -> Result<Value, Failure> {
        let url = url(&self.base, path, &[])?;
        self.send(Method::POST, url, body.to_string()).await
    }

    async fn send(&self, method: Method, url: Url, body: String) -> Result<Value, Failure> {
        let mut request = self.http.request(method.clone(), url.clone());
        for (name, value) in self.signature(method.as_str(), url.as_str(), &body)? {
            request = request.header(name, value);
        }
        if !body.is_empty() {
            request = request.header("content-type", "application/json").body(body);
        }
        let answer = async {
            let response = request.send().await?;
            Ok((response.status().as_u16(), response.text().await?))
        };
        let (status, text) = not_in_silence(answer).await.map_err(|error: reqwest::Error| {
            unknown(format!("the replayer cannot be reached: {}", causes(&error)))
        })?;
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        if (200..300).contains(&status) {
            return Ok(answer);
        }
        let mut said = ["detail", "Message", "message"]
            .into_iter()
            .filter_map(|name| answer[name].as_str());
        let said: String = said.next().unwrap_or(&text).chars().take(500).collect();
        Err(Failure {
            status: Some(status),
            why: format!("the replayer refuses ({status}): {said}"),
        })
    }

    fn signature(&self, method: &str, url: &str, body: &str) -> Result<Vec<(String, String)>, Failure> {
        let now = u64::try_from(SystemClock.now().millis()).unwrap_or(0);
        let sign = || -> Result<_, Box<dyn std::error::Error>> {
            let identity = self.credentials.clone().into();
            let parameters = v4::SigningParams::builder()
                .identity(&identity)
                .region(&self.region)
                .name("lambda")
                .time(UNIX_EPOCH + Duration::from_millis(now))
                .settings(SigningSettings::default())
                .build()?
                .into();
            let body = SignableBody::Bytes(body.as_bytes());
            let signable = SignableRequest::new(method, url, std::iter::empty(), body)?;
            let (instructions, _) = sign(signable, &parameters)?.into_parts();
            let headers = instructions.headers();
            Ok(headers
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect())
        };
        sign().map_err(|error| unknown(format!("the request cannot be signed: {error}")))
    }
}

/// Says on standard error that an answer takes its time: a run goes at its rate, and a deep queue is walked whole.
async fn not_in_silence<T>(answer: impl Future<Output = T>) -> T {
    let mut answer = pin!(answer);
    let (mut passed, mut next) = (Duration::ZERO, SILENCE);
    loop {
        match timeout(next, &mut answer).await {
            Ok(answer) => return answer,
            Err(_) => {
                passed += next;
                next = 5 * SILENCE;
                complain(&format!("no answer yet ({} s)", passed.as_secs()));
            }
        }
    }
}

/// The parts of a path escaped, each a part of its own. A space as SigV4 writes it, not as forms do; a plus sign is %2B
/// by then.
fn url(base: &str, path: &[&str], query: &[(&str, String)]) -> Result<Url, Failure> {
    let wrong = || unknown(format!("`{base}` is no URL of a replayer"));
    let mut url = Url::parse_with_params(base, query).map_err(|_| wrong())?;
    let mut segments = url.path_segments_mut().map_err(|()| wrong())?;
    segments.pop_if_empty().extend(path);
    drop(segments);
    let spaces = url.query().map(|query| query.replace('+', "%20"));
    url.set_query(spaces.as_deref().filter(|query| !query.is_empty()));
    Ok(url)
}

/// The replayer of the local stack, if one runs.
fn local() -> Option<String> {
    let endpoints: Value = serde_json::from_str(&fs::read_to_string(LOCAL).ok()?).ok()?;
    endpoints["dead_letters"].as_str().map(str::to_owned)
}

/// `<id>.lambda-url.<region>.on.aws`.
fn region_of(host: &str) -> Option<String> {
    let mut parts = host.split('.').skip_while(|part| *part != "lambda-url");
    parts.nth(1).map(str::to_owned)
}

/// Whoever the AWS SDKs would find: environment, profile, role.
async fn identity(region: Option<String>) -> Result<(String, Credentials), Failure> {
    let config = saga_aws::clients::config().await;
    let region = region.or_else(|| config.region().map(ToString::to_string));
    let region = region.ok_or_else(|| unknown("the region to sign for is not known: set AWS_REGION"))?;
    let none = |why: &str| unknown(format!("there are no AWS credentials{why}"));
    let provider = config.credentials_provider().ok_or_else(|| none(""))?;
    let credentials = provider.provide_credentials().await;
    let credentials = credentials.map_err(|error| none(&format!(": {}", causes(&error))))?;
    Ok((region, credentials))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_what_was_signed() {
        let query = [("reason", "not found + more".to_owned())];
        let sent =
            url("http://h", &["dead-letters"], &query).unwrap_or_else(|failure| panic!("{}", failure.why));
        assert_eq!(sent.query(), Some("reason=not%20found%20%2B%20more"));
        let bare =
            url("http://h/", &["dead-letters"], &[]).unwrap_or_else(|failure| panic!("{}", failure.why));
        assert_eq!((bare.query(), bare.as_str()), (None, "http://h/dead-letters"));
        let odd = url("http://h/_aws/x/", &["dead-letters", "a/b?c#d é~2F.x"], &[]);
        let odd = odd.unwrap_or_else(|failure| panic!("{}", failure.why));
        assert_eq!(
            odd.as_str(),
            "http://h/_aws/x/dead-letters/a%2Fb%3Fc%23d%20%C3%A9~2F.x"
        );
    }
}
