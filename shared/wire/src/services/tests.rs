use super::*;

const ARN: &str = "arn:aws:lambda:eu-central-1:123456789012:function:ledger";

fn one(members: &str) -> Result<Service, String> {
    let read = Services::parse_toml(&format!("[bank]\n{members}"));
    match read {
        Ok(services) => Ok(services.get("bank").unwrap().clone()),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn both_forms_say_the_same() {
    let toml = format!(
        r#"
            [bank]
            url = "https://bank.internal/saga/"
            cloud = "azure"
            auth = "entra"
            audience = "api://bank"
            max_concurrency = 100

            [ledger]
            lambda = "{ARN}:live"
            cloud = "aws"
            auth = "lambda"
            "#
    );
    let json = format!(
        r#"{{"ledger":{{"lambda":"{ARN}:live","cloud":"aws","auth":"lambda"}},
                "bank":{{"url":"https://bank.internal/saga","cloud":"azure","auth":"entra","audience":"api://bank",
                "max_concurrency":100}}}}"#
    );
    let services = Services::parse_toml(&toml).unwrap();
    assert_eq!(Services::parse_json(&json), Ok(services.clone()));
    let names: Vec<&str> = services.iter().map(|service| service.name.as_str()).collect();
    assert_eq!(names, ["bank", "ledger"]);
    let bank = services.get("bank").unwrap();
    assert_eq!(
        bank,
        &Service {
            name: "bank".to_owned(),
            binding: Binding::Url("https://bank.internal/saga".parse().unwrap()),
            cloud: Cloud::Azure,
            auth: Auth::Entra {
                audience: "api://bank".to_owned()
            },
            max_concurrency: 100,
        }
    );
    let ledger = services.get("ledger").unwrap();
    let Binding::Lambda(arn) = &ledger.binding else {
        panic!()
    };
    assert_eq!(
        (arn.region(), arn.as_str()),
        ("eu-central-1", format!("{ARN}:live").as_str())
    );
    assert_eq!((&ledger.auth, ledger.max_concurrency), (&Auth::Lambda, 5));
    assert_eq!(services.get("other"), None);
    assert_eq!(Services::parse_json("{}"), Ok(Services::default()));
    assert_eq!(Services::parse_toml(""), Ok(Services::default()));
}

#[test]
fn each_auth_has_what_it_needs() {
    for (members, is) in [
        (
            "url='http://127.0.0.1:9/bank'\ncloud='aws'\nauth='none'",
            Auth::None,
        ),
        ("url='http://localhost:9'\ncloud='azure'\nauth='none'", Auth::None),
        ("url='http://[::1]:9'\ncloud='azure'\nauth='none'", Auth::None),
        (
            "url='https://x.execute-api.eu-west-1.amazonaws.com/v1'\ncloud='aws'\nauth='sigv4'",
            Auth::SigV4,
        ),
        (
            "url='https://bank.internal:8443/saga'\ncloud='azure'\nauth='entra'",
            Auth::Entra {
                audience: "https://bank.internal:8443".to_owned(),
            },
        ),
        (
            "url='https://b'\ncloud='aws'\nauth='signature'\nsecret='prod/bank'",
            Auth::Signature(SecretPlace::SecretsManager("prod/bank".to_owned())),
        ),
        (
            "url='https://b'\ncloud='azure'\nauth='signature'\nsecret='https://v.vault.azure.net/secrets/bank'",
            Auth::Signature(SecretPlace::KeyVault(
                "https://v.vault.azure.net/secrets/bank".parse().unwrap(),
            )),
        ),
        (
            "url='http://127.0.0.1:9'\ncloud='azure'\nauth='signature'\nsecret='env:BANK_SECRET'",
            Auth::Signature(SecretPlace::Environment("BANK_SECRET".to_owned())),
        ),
    ] {
        assert_eq!(one(members).map(|service| service.auth), Ok(is), "{members}");
    }
}

#[test]
fn what_is_wrong_is_said_with_the_service_and_the_rule() {
    let https = "url='https://b/saga'";
    for (members, rule) in [
        (
            "cloud='aws'\nauth='sigv4'".to_owned(),
            "exactly one of `url` and `lambda`",
        ),
        (
            format!("{https}\nlambda='{ARN}'\ncloud='aws'\nauth='lambda'"),
            "exactly one",
        ),
        (format!("{https}\ncloud='moon'\nauth='none'"), "`cloud` must be"),
        (format!("{https}\nauth='sigv4'"), "cloud"),
        (format!("{https}\ncloud='aws'\nauth='basic'"), "`auth` must be"),
        (
            format!("{https}\ncloud='aws'\nauth='sigv4'\ntimeout='1s'"),
            "timeout",
        ),
        (format!("{https}\ncloud='aws'\nauth='none'"), "on this machine"),
        (
            "url='http://b/saga'\ncloud='aws'\nauth='sigv4'".to_owned(),
            "must begin with https",
        ),
        (
            "url='http://127.0.0.1.b/saga'\ncloud='aws'\nauth='none'".to_owned(),
            "must begin with https",
        ),
        (
            "url='http://localhost.b'\ncloud='aws'\nauth='none'".to_owned(),
            "must begin with https",
        ),
        (
            "url='ftp://127.0.0.1'\ncloud='aws'\nauth='none'".to_owned(),
            "must begin with https",
        ),
        ("url='bank'\ncloud='aws'\nauth='sigv4'".to_owned(), "no URL"),
        (
            "url='https://u:p@b'\ncloud='aws'\nauth='sigv4'".to_owned(),
            "no user name",
        ),
        (
            "url='https://b/?code=1'\ncloud='aws'\nauth='sigv4'".to_owned(),
            "no query",
        ),
        (
            "url='https://b/#x'\ncloud='aws'\nauth='sigv4'".to_owned(),
            "no query and no fragment",
        ),
        (
            format!("{https}\ncloud='azure'\nauth='sigv4'"),
            "needs cloud `aws`",
        ),
        (
            format!("{https}\ncloud='aws'\nauth='entra'"),
            "needs cloud `azure`",
        ),
        (
            format!("{https}\ncloud='aws'\nauth='lambda'"),
            "the function's ARN",
        ),
        (
            format!("lambda='{ARN}'\ncloud='aws'\nauth='sigv4'"),
            "needs auth `lambda`",
        ),
        (
            format!("lambda='{ARN}'\ncloud='azure'\nauth='lambda'"),
            "needs cloud `aws`",
        ),
        (
            "lambda='ledger'\ncloud='aws'\nauth='lambda'".to_owned(),
            "must be the ARN",
        ),
        (
            format!("lambda='{ARN}:a:b'\ncloud='aws'\nauth='lambda'"),
            "must be the ARN",
        ),
        (
            format!("lambda='{ARN}/../x'\ncloud='aws'\nauth='lambda'"),
            "must be the ARN",
        ),
        (
            format!("{https}\ncloud='aws'\nauth='sigv4'\nsecret='x'"),
            "only with auth `signature`",
        ),
        (
            format!("{https}\ncloud='aws'\nauth='sigv4'\naudience='x'"),
            "only with auth `entra`",
        ),
        (
            format!("{https}\ncloud='azure'\nauth='entra'\naudience='a b'"),
            "must be a URI",
        ),
        (
            format!("{https}\ncloud='aws'\nauth='signature'"),
            "needs `secret`",
        ),
        (
            format!("{https}\ncloud='aws'\nauth='signature'\nsecret=''"),
            "needs `secret`",
        ),
        (
            format!("{https}\ncloud='aws'\nauth='signature'\nsecret='a b'"),
            "Secrets Manager",
        ),
        (
            format!("{https}\ncloud='aws'\nauth='signature'\nsecret='env:S'"),
            "only for a service on this machine",
        ),
        (
            format!("{https}\ncloud='azure'\nauth='signature'\nsecret='bank'"),
            "Key Vault URL",
        ),
        (
            format!(
                "{https}\ncloud='azure'\nauth='signature'\nsecret='https://v.vault.azure.net.evil/secrets/s'"
            ),
            "Key Vault URL",
        ),
        (
            format!("{https}\ncloud='azure'\nauth='signature'\nsecret='http://v.vault.azure.net/secrets/s'"),
            "Key Vault URL",
        ),
        (
            format!("{https}\ncloud='azure'\nauth='signature'\nsecret='https://v.vault.azure.net/keys/s'"),
            "Key Vault URL",
        ),
        (
            format!("{https}\ncloud='aws'\nauth='sigv4'\nmax_concurrency=0"),
            "from 1 to 100",
        ),
        (
            format!("{https}\ncloud='aws'\nauth='sigv4'\nmax_concurrency=101"),
            "from 1 to 100",
        ),
        (
            format!("{https}\ncloud='aws'\nauth='sigv4'\nmax_concurrency='5'"),
            "max_concurrency",
        ),
    ] {
        let error = one(&members).unwrap_err();
        assert!(
            error.starts_with("service `bank`: ") && error.contains(rule),
            "{members}\n{error}"
        );
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn a_secret_in_the_place_of_its_name_is_refused_and_not_shown() {
    for secret in ["whsec_c2VjcmV0", "env:whsec_c2VjcmV0"] {
        let members = format!("url='https://b'\ncloud='aws'\nauth='signature'\nsecret='{secret}'");
        let error = one(&members).unwrap_err();
        assert!(
            error.contains("must not hold the secret") && !error.contains("c2VjcmV0"),
            "{error}"
        );
    }
}

#[test]
fn names_are_plain_and_stand_once() {
    let entry = r#"{"url":"https://b","cloud":"aws","auth":"sigv4"}"#;
    let read = |name: &str| Services::parse_json(&format!(r#"{{"{name}":{entry}}}"#));
    for name in ["a", "bank-2", "b--2", &"b".repeat(24)] {
        assert!(read(name).is_ok(), "{name}");
    }
    for (name, rule) in [
        ("", "1 to 24"),
        (&*"b".repeat(25), "1 to 24"),
        ("a.b", "1 to 24"),
        ("a_b", "1 to 24"),
        ("Bank", "1 to 24"),
        ("2-banks", "1 to 24"),
        ("-a", "1 to 24"),
        ("a-", "1 to 24"),
        ("ä", "1 to 24"),
        ("outside", "reserved"),
    ] {
        let error = read(name).unwrap_err().to_string();
        assert!(
            error.contains(rule) && error.contains(&format!("`{name}`")),
            "{error}"
        );
    }
    for text in [
        &format!(r#"{{"b":{entry},"b":{entry}}}"#),
        "[]",
        "",
        r#"{"b":1}"#,
        r#"{"b":{"url":"https://b","url":"https://c","cloud":"aws","auth":"sigv4"}}"#,
    ] {
        assert!(Services::parse_json(text).is_err(), "{text}");
    }
    assert!(Services::parse_toml("[b]\n[b]\n").is_err());
    assert!(
        Services::parse_toml("b = 1")
            .unwrap_err()
            .to_string()
            .contains("service `b`")
    );
}
