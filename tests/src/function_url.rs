//! What Lambda invokes a function with when its URL is called
//! (<https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads>).

use serde_json::{Map, Value, json};
use url::Url;

use crate::openapi::Answer;

/// Where a function's URL is: at the root of a host on AWS, below a path of the emulator on the local stack.
const ROOTS: [&str; 2] = [
    "https://abcdefghij.lambda-url.us-east-1.on.aws",
    "http://127.0.0.1:4566/_aws/lambda-url/abcdefghij",
];

/// A request to a function URL.
#[derive(Debug, Clone, Copy, Default)]
pub struct Call<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its path, with the query behind a `?`.
    pub path: &'a str,
    /// Its headers, with names in lower case.
    pub headers: &'a [(&'a str, &'a str)],
    /// Its body.
    pub body: &'a str,
    /// Who signed it, where the URL asks for signatures.
    pub signed_by: Option<&'a str>,
}

impl Call<'_> {
    /// The event, payload format 2.0.
    #[must_use]
    pub fn event(&self) -> Value {
        let (path, query) = self.path.split_once('?').unwrap_or((self.path, ""));
        let mut headers: Map<String, Value> = Map::new();
        for (name, value) in self.headers {
            // Lambda joins the lines of one header.
            let lines = match headers.get(*name).and_then(Value::as_str) {
                Some(before) => format!("{before},{value}"),
                None => (*value).to_owned(),
            };
            headers.insert((*name).to_owned(), json!(lines));
        }
        let mut context = json!({
            "accountId": "anonymous",
            "apiId": "abcdefghij",
            "domainName": "abcdefghij.lambda-url.us-east-1.on.aws",
            "domainPrefix": "abcdefghij",
            "http": {"method": self.method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.7", "userAgent": "test"},
            "requestId": "0f5e8a5c-0000-4000-8000-000000000001",
            "routeKey": "$default",
            "stage": "$default",
            "time": "21/Nov/2026:02:12:18 +0000",
            "timeEpoch": 1_795_227_138_123_i64,
        });
        if let Some(arn) = self.signed_by {
            context["accountId"] = json!("123456789012");
            context["authorizer"] = json!({"iam": {
                "accessKey": "AKIAIOSFODNN7EXAMPLE",
                "accountId": "123456789012",
                "callerId": "AIDACKCEVSQ6C2EXAMPLE",
                "cognitoIdentity": null,
                "principalOrgId": null,
                "userArn": arn,
                "userId": "AIDACKCEVSQ6C2EXAMPLE",
            }});
        }
        json!({
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": path,
            "rawQueryString": query,
            "headers": headers,
            "requestContext": context,
            "body": self.body,
            "isBase64Encoded": false,
        })
    }
}

/// The paths to which an answer to a request for `path` refers, resolved as a client does it (RFC 3986, 5): the page of
/// its problem, and what was created.
///
/// # Panics
/// When one leads elsewhere than to this function, wherever its URL is.
#[must_use]
pub fn references(path: &str, answer: &Answer) -> Vec<String> {
    // The answer to HEAD has no body.
    let problem =
        answer.header("content-type") == Some("application/problem+json") && !answer.body.is_empty();
    let problem = problem.then(|| answer.json()["type"].as_str().unwrap_or_default().to_owned());
    let location = answer.header("location").map(str::to_owned);
    let lead = |reference: String| {
        let mut paths = ROOTS.map(|root| {
            let asked = Url::parse(&format!("{root}{path}")).unwrap();
            let found = asked.join(&reference).unwrap();
            let below = found.as_str().strip_prefix(root).map(str::to_owned);
            below.unwrap_or_else(|| panic!("`{reference}` of {asked} leads to {found}"))
        });
        assert_eq!(paths[0], paths[1], "`{reference}` of {path}");
        std::mem::take(&mut paths[0])
    };
    problem.into_iter().chain(location).map(lead).collect()
}
