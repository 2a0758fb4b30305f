//! For which AWS service and region a request is signed.

use saga_wire::services::Binding;

/// Service and region of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scope<'a> {
    pub(super) service: &'static str,
    pub(super) region: &'a str,
}

/// A function URL is `<id>.lambda-url.<region>.on.aws`, an API `<id>.execute-api.<region>.amazonaws.com`. A domain of the user's own
/// stands before an API of the caller's region.
pub(super) fn of<'a>(binding: &'a Binding, own_region: &'a str) -> Scope<'a> {
    let url = match binding {
        Binding::Lambda(arn) => {
            return Scope {
                service: "lambda",
                region: arn.region(),
            };
        }
        Binding::Url(url) => url,
    };
    let host = url.host_str().unwrap_or_default();
    let behind = |label: &str| {
        let mut parts = host.split('.').skip_while(|part| *part != label);
        parts.nth(1)
    };
    if let Some(region) = behind("lambda-url") {
        return Scope {
            service: "lambda",
            region,
        };
    }
    Scope {
        service: "execute-api",
        region: behind("execute-api").unwrap_or(own_region),
    }
}

#[cfg(test)]
mod tests {
    use saga_wire::services::Services;

    use super::*;

    #[test]
    fn the_address_says_for_what_is_signed() {
        for (binding, service, region) in [
            (
                "url='https://abc.lambda-url.eu-west-1.on.aws/x'\nauth='sigv4'",
                "lambda",
                "eu-west-1",
            ),
            (
                "url='https://a.execute-api.us-west-2.amazonaws.com/v1'\nauth='sigv4'",
                "execute-api",
                "us-west-2",
            ),
            ("url='https://pay.example'\nauth='sigv4'", "execute-api", "own"),
            (
                "lambda='arn:aws:lambda:eu-north-1:123456789012:function:f'\nauth='lambda'",
                "lambda",
                "eu-north-1",
            ),
        ] {
            let services = Services::parse_toml(&format!("[s]\ncloud='aws'\n{binding}")).unwrap();
            let is = of(&services.get("s").unwrap().binding, "own");
            assert_eq!(is, Scope { service, region }, "{binding}");
        }
    }
}
