//! Names of services, the same for Terraform and the functions.

/// Events whose target is this name go to nobody's service.
const RESERVED: &str = "outside";
/// A rule of EventBridge is named after the service: it takes 64 characters, of which a deployment's prefix has up to 28 and
/// `saga-calls-` has 11 (<https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html>).
const MAX_NAME: usize = 24;

/// Whether a service may have this name.
///
/// # Errors
/// The rule that it breaks.
pub(super) fn check(name: &str) -> Result<(), String> {
    if !fits_a_name(name) {
        return Err(format!(
            "the name must be 1 to {MAX_NAME} lower-case letters, digits and hyphens, begin with a letter and not end in a hyphen"
        ));
    }
    if name == RESERVED {
        return Err(format!("the name `{RESERVED}` is reserved"));
    }
    Ok(())
}

fn fits_a_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(fits)
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('-')
}
