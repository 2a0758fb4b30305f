//! Where a request goes, and with which body.

use saga_wire::contract::{Request, Verb, lambda};
use saga_wire::services::{Binding, LambdaArn, Service};
use url::Url;

/// A POST without its headers.
pub(super) struct Target {
    pub(super) url: String,
    pub(super) body: String,
}

impl Target {
    pub(super) fn of(service: &Service, request: &Request, lambda_endpoint: Option<&Url>) -> Self {
        match &service.binding {
            Binding::Url(url) => Self {
                url: address(url, request.verb),
                body: request.body.clone(),
            },
            Binding::Lambda(arn) => Self {
                url: invocation(arn, lambda_endpoint),
                body: lambda::write(request),
            },
        }
    }
}

/// The URL of a request to the service at `url`.
#[must_use]
pub fn address(url: &Url, verb: Verb) -> String {
    format!("{}/{}", url.as_str().trim_end_matches('/'), verb.as_str())
}

/// <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>. The ARN is one part of the path, its colons escaped.
fn invocation(arn: &LambdaArn, endpoint: Option<&Url>) -> String {
    let base = match endpoint {
        Some(endpoint) => endpoint.as_str().trim_end_matches('/').to_owned(),
        None => {
            let china = arn.as_str().starts_with("arn:aws-cn:");
            let suffix = if china { ".cn" } else { "" };
            format!("https://lambda.{}.amazonaws.com{suffix}", arn.region())
        }
    };
    // An ARN holds nothing else that a path does not take as it is.
    let name = arn.as_str().replace(':', "%3A");
    format!("{base}/2015-03-31/functions/{name}/invocations")
}
