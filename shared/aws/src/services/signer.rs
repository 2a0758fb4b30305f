//! Signature Version 4 with the role's credentials
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>).

use std::time::{Duration, UNIX_EPOCH};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use saga_app::ports::PortError;
use saga_app::ports::services::{Headers, Outgoing};
use saga_core::Timestamp;

use super::scope::Scope;

pub(super) const WHAT: &str = "the AWS credentials of the caller";
/// Every header that a signature consists of.
const SIGNED: [&str; 4] = [
    "authorization",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-security-token",
];

/// Signs with whatever credentials are valid at the time. In a function they come from its environment, at no cost.
#[derive(Debug, Clone)]
pub(super) struct Signer {
    credentials: SharedCredentialsProvider,
}

impl Signer {
    pub(super) fn new(config: &SdkConfig) -> Option<Self> {
        let credentials = config.credentials_provider()?;
        Some(Self { credentials })
    }

    pub(super) async fn sign(
        &self,
        outgoing: Outgoing<'_>,
        scope: Scope<'_>,
        now: Timestamp,
    ) -> Result<Headers, PortError> {
        let credentials = self.credentials.provide_credentials().await;
        let credentials = credentials.map_err(|error| PortError::unavailable(WHAT, error))?;
        signature(credentials, outgoing, scope, now).map_err(|why| PortError::unavailable(WHAT, why))
    }
}

fn signature(
    credentials: Credentials,
    outgoing: Outgoing<'_>,
    scope: Scope<'_>,
    now: Timestamp,
) -> Result<Headers, String> {
    let identity = credentials.into();
    let mut settings = SigningSettings::default();
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(scope.region)
        .name(scope.service)
        .time(UNIX_EPOCH + Duration::from_millis(u64::try_from(now.millis()).unwrap_or(0)))
        .settings(settings)
        .build()
        .map_err(|error| error.to_string())?
        .into();
    let body = SignableBody::Bytes(outgoing.body.as_bytes());
    let request = SignableRequest::new("POST", outgoing.url, std::iter::empty(), body);
    let request = request.map_err(|error| error.to_string())?;
    let signed = sign(request, &parameters).map_err(|error| error.to_string())?;
    let (instructions, _) = signed.into_parts();
    let headers = instructions.headers().map(|(given, value)| {
        let known = SIGNED.into_iter().find(|name| given.eq_ignore_ascii_case(name));
        let known = known.ok_or_else(|| format!("the signature has an unknown header `{given}`"))?;
        Ok((known, value.to_owned()))
    });
    headers.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(url: &str, body: &str, scope: Scope<'_>, token: Option<&str>) -> Vec<(&'static str, String)> {
        let credentials = Credentials::new(
            "AKIDEXAMPLE",
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            token.map(str::to_owned),
            None,
            "test",
        );
        // 2015-08-30T12:36:00Z, the time of AWS's own examples.
        let now = Timestamp::from_millis(1_440_938_160_000);
        let mut headers = signature(credentials, Outgoing { url, body }, scope, now).unwrap();
        headers.sort_unstable();
        headers
    }

    /// The expected signatures were computed apart from this code, from these canonical requests:
    /// `POST`, the path with each `%` as `%25`, an empty query, the signed headers, and the hash of the body.
    #[test]
    fn the_signature_is_that_of_the_canonical_request() {
        let of_url = signed(
            "https://abc.lambda-url.eu-west-1.on.aws/saga/act",
            r#"{"a":1}"#,
            Scope {
                service: "lambda",
                region: "eu-west-1",
            },
            None,
        );
        assert_eq!(
            of_url,
            [
                (
                    "authorization",
                    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/eu-west-1/lambda/aws4_request, \
                     SignedHeaders=host;x-amz-content-sha256;x-amz-date, \
                     Signature=54c3060fc93f7005610a509cf53cf18095e068bf8c1d03fda4f64ad19876761a"
                        .to_owned()
                ),
                (
                    "x-amz-content-sha256",
                    "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862".to_owned()
                ),
                ("x-amz-date", "20150830T123600Z".to_owned()),
            ]
        );
        let of_function = signed(
            "https://lambda.eu-central-1.amazonaws.com/2015-03-31/functions/\
             arn%3Aaws%3Alambda%3Aeu-central-1%3A123456789012%3Afunction%3Aledger/invocations",
            "{}",
            Scope {
                service: "lambda",
                region: "eu-central-1",
            },
            Some("the-token"),
        );
        let [(_, authorization), .., (token, _)] = &of_function[..] else {
            panic!()
        };
        assert_eq!(*token, "x-amz-security-token");
        assert_eq!(
            authorization,
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/eu-central-1/lambda/aws4_request, \
             SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token, \
             Signature=c8880821f056bfef46c3cb43ac552ec147e353690efce0b08e5d299d680f296c"
        );
    }
}
