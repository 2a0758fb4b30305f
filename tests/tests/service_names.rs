//! Terraform and the functions take the same names of services: a deployment never gives a function one that it refuses.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

use std::fs;

use proptest::prelude::*;
use regex_lite::Regex;
use saga_wire::services::Services;

/// What the condition of this module's variable asks of a name.
fn of_terraform(module: &str, subject: &str) -> Regex {
    let path = format!(
        "{}/../infra/modules/{module}/variables.tf",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = fs::read_to_string(path).unwrap();
    let behind = format!("\", {subject})");
    let line = text.lines().find(|line| line.contains(&behind)).unwrap();
    let (_, pattern) = line.split_once("can(regex(\"").unwrap();
    Regex::new(pattern.split_once(&behind).unwrap().0).unwrap()
}

fn is_taken(name: &str) -> bool {
    let entry = r#"{"url":"https://b","cloud":"aws","auth":"sigv4"}"#;
    Services::parse_json(&format!(r#"{{"{name}":{entry}}}"#)).is_ok()
}

proptest! {
    #[test]
    fn what_terraform_takes_as_a_name_the_functions_take_and_nothing_else(
        name in "[a-z0-9-]{0,4}|[a-z][a-z0-9-]{21,24}|[a-zA-Z0-9_.-]{0,3}"
    ) {
        for (module, subject) in [("services", "name"), ("service-caller", "var.name")] {
            prop_assert_eq!(is_taken(&name), of_terraform(module, subject).is_match(&name), "{} {}", module, name);
        }
    }
}
