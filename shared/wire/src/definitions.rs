//! Definition files (TOML) → [`Definition`]. The files of `definitions/` are part of every binary.

use std::time::Duration;

use include_dir::{Dir, include_dir};
use saga_core::definition::{Catalogue, Cloud, Definition, DefinitionRef, InvalidDefinition, StepDefinition};
use serde::Deserialize;

static FILES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/definitions");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    version: u32,
    deadline: String,
    step: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    name: String,
    cloud: String,
    participant: String,
    done: String,
    compensate: String,
    cancel: String,
}

/// Every definition of this deployment. `participants` says which participants it has.
///
/// # Errors
/// [`InvalidDefinition`] names the file's rule that is broken, or the participant that is missing.
pub fn load(participants: &dyn Fn(&str) -> bool) -> Result<Catalogue, InvalidDefinition> {
    let files = FILES
        .files()
        .filter(|file| file.path().extension().is_some_and(|ending| ending == "toml"));
    let definitions = files.map(|file| {
        let path = file.path().display();
        let text = file
            .contents_utf8()
            .ok_or_else(|| InvalidDefinition(format!("{path} is not UTF-8")))?;
        let definition = parse(text).map_err(|error| InvalidDefinition(format!("{path}: {error}")))?;
        let stranger = definition
            .steps()
            .iter()
            .find(|step| !participants(&step.participant));
        match stranger {
            Some(step) => Err(InvalidDefinition(format!(
                "{path}: step `{}` names the participant `{}`, which is not registered",
                step.name, step.participant
            ))),
            None => Ok(definition),
        }
    });
    Catalogue::new(definitions.collect::<Result<Vec<_>, _>>()?)
}

/// Reads one definition.
///
/// # Errors
/// [`InvalidDefinition`] names the line or the rule.
pub fn parse(text: &str) -> Result<Definition, InvalidDefinition> {
    let file: File = toml::from_str(text).map_err(|error| InvalidDefinition(error.to_string()))?;
    let steps = file.step.into_iter().map(|step| {
        Ok(StepDefinition {
            name: step.name,
            cloud: step.cloud.parse::<Cloud>()?,
            participant: step.participant,
            done: step.done,
            compensate: step.compensate,
            cancel: step.cancel,
        })
    });
    let steps = steps.collect::<Result<_, InvalidDefinition>>()?;
    let deadline = duration(&file.deadline)?;
    let reference = DefinitionRef {
        name: file.name,
        version: file.version,
    };
    Definition::new(
        reference,
        i64::try_from(deadline.as_millis()).unwrap_or(i64::MAX),
        steps,
    )
}

/// `90s`, `15m`, `24h` or `7d`.
fn duration(text: &str) -> Result<Duration, InvalidDefinition> {
    let invalid = || {
        InvalidDefinition(format!(
            "deadline `{text}` is not like `90s`, `15m`, `24h` or `7d`"
        ))
    };
    let unit = text.chars().last().ok_or_else(invalid)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(invalid()),
    };
    let count: u32 = text[..text.len() - 1].parse().map_err(|_| invalid())?;
    Ok(Duration::from_secs(u64::from(count) * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deployed_definitions_are_valid() {
        let catalogue = load(&|_| true).unwrap();
        let payment = catalogue.latest("payment").unwrap();
        assert_eq!(payment.deadline_millis(), 15 * 60 * 1000);
        assert_eq!(payment.steps().len(), 2);
    }

    #[test]
    fn a_participant_that_is_not_registered_is_named() {
        let error = load(&|name| name != "inventory").unwrap_err();
        assert!(error.0.contains("`inventory`"), "{error}");
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        let good = include_str!("../definitions/payment.toml");
        for (from, to, part) in [
            ("version = 1", "version = 0", "versions start at 1"),
            ("\"15m\"", "\"soon\"", "deadline `soon`"),
            ("\"15m\"", "\"m\"", "deadline `m`"),
            ("cloud = \"azure\"", "cloud = \"moon\"", "unknown cloud `moon`"),
            ("InventoryReserved", "PaymentReserved", "stands twice"),
            ("name = \"inventory\"", "name = \"payment\"", "stands twice"),
            ("deadline", "deadlin", "deadlin"),
        ] {
            let error = parse(&good.replacen(from, to, 1)).unwrap_err();
            assert!(error.0.contains(part), "{from} → {to}: {error}");
        }
    }
}
