//! Definition files (TOML) → [`Definition`]. The files of `definitions/` are part of every binary. Beside the sagas a
//! definition is kept as JSON of the same members, for the time after its file is gone.

use std::time::Duration;

use include_dir::{Dir, include_dir};
use saga_core::definition::{Catalogue, Cloud, Definition, DefinitionRef, InvalidDefinition, StepDefinition};
use saga_core::money::Amounts;
use serde::{Deserialize, Serialize};

static FILES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/definitions");

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    version: u32,
    deadline: String,
    amounts: Option<String>,
    step: Vec<Step>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    name: String,
    cloud: String,
    participant: String,
    done: String,
    compensate: String,
    cancel: String,
}

/// The form in which a definition is stored.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format: u32,
    definition: File,
}

/// The stored form that this version writes and reads. Another one is never guessed at.
const FORMAT: u32 = 1;

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
        let unknown = definition
            .steps()
            .iter()
            .find(|step| !participants(&step.participant));
        match unknown {
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
    definition(toml::from_str(text).map_err(|error| InvalidDefinition(error.to_string()))?)
}

/// A definition as it is stored: all that its file can say.
#[must_use]
pub fn write(definition: &Definition) -> String {
    let steps = definition.steps().iter().map(|step| Step {
        name: step.name.clone(),
        cloud: step.cloud.as_str().to_owned(),
        participant: step.participant.clone(),
        done: step.done.clone(),
        compensate: step.compensate.clone(),
        cancel: step.cancel.clone(),
    });
    let reference = definition.reference();
    let stored = Stored {
        format: FORMAT,
        definition: File {
            name: reference.name.clone(),
            version: reference.version,
            deadline: duration_text(definition.deadline_millis()),
            amounts: Some(definition.amounts().as_str().to_owned()),
            step: steps.collect(),
        },
    };
    serde_json::to_string(&stored).unwrap_or_default()
}

/// Reads a definition as [`write`] wrote it.
///
/// # Errors
/// [`InvalidDefinition`] when it is of another format, or says what this version does not know.
pub fn read(text: &str) -> Result<Definition, InvalidDefinition> {
    let stored: Stored = serde_json::from_str(text).map_err(|error| InvalidDefinition(error.to_string()))?;
    match stored.format {
        FORMAT => definition(stored.definition),
        other => Err(InvalidDefinition(format!(
            "its format is {other}, this version reads {FORMAT}"
        ))),
    }
}

fn definition(file: File) -> Result<Definition, InvalidDefinition> {
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
    let amounts = amounts(file.amounts.as_deref())?;
    let deadline_millis = i64::try_from(deadline.as_millis()).unwrap_or(i64::MAX);
    Definition::new(reference, deadline_millis, steps).map(|definition| definition.with_amounts(amounts))
}

/// `minor-units`, which is meant where nothing is said, or `fractions`.
fn amounts(word: Option<&str>) -> Result<Amounts, InvalidDefinition> {
    let Some(word) = word else {
        return Ok(Amounts::default());
    };
    let known = Amounts::ALL.into_iter().find(|known| known.as_str() == word);
    known.ok_or_else(|| {
        let words = Amounts::ALL.map(Amounts::as_str).join("` or `");
        InvalidDefinition(format!("amounts `{word}` must be `{words}`"))
    })
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

/// A deadline in the largest unit that says it exactly.
fn duration_text(millis: i64) -> String {
    let seconds = millis / 1_000;
    let units = [(86_400, 'd'), (3_600, 'h'), (60, 'm')];
    let exact = units.into_iter().find(|(length, _)| seconds % length == 0);
    let (length, unit) = exact.unwrap_or((1, 's'));
    format!("{}{unit}", seconds / length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../../../tests/definitions/payment.toml");

    /// Every key that a definition file can have, and none with the value that is meant without it: what is stored must not
    /// lose one.
    fn every_key() -> String {
        SAMPLE.replacen("deadline", "amounts = \"fractions\"\ndeadline", 1)
    }

    #[test]
    fn what_is_stored_says_all_that_the_file_says() {
        for file in FILES.files() {
            let definition = parse(file.contents_utf8().unwrap()).unwrap();
            assert_eq!(read(&write(&definition)), Ok(definition));
        }
        let file: File = toml::from_str(&every_key()).unwrap();
        let members = serde_json::to_string(&file).unwrap();
        assert!(!members.contains("null"), "a key is left out: {members}");
        let stored: Stored = serde_json::from_str(&write(&parse(&every_key()).unwrap())).unwrap();
        assert_eq!(serde_json::to_string(&stored.definition).unwrap(), members);
    }

    /// Stored by the first version that stored any, and never changed since.
    #[test]
    fn what_the_first_version_stored_is_read() {
        let stored = r#"{"format":1,"definition":{"name":"payment","version":1,"deadline":"15m","step":[
            {"name":"payment","cloud":"aws","participant":"payments","done":"PaymentReserved",
             "compensate":"PaymentCompensationRequested","cancel":"PaymentCancelRequested"},
            {"name":"inventory","cloud":"azure","participant":"inventory","done":"InventoryReserved",
             "compensate":"InventoryReleaseRequested","cancel":"InventoryCancelRequested"}]}}"#;
        assert_eq!(read(stored), parse(SAMPLE));
        let later = stored.replacen("\"format\":1", "\"format\":2", 1);
        assert!(read(&later).unwrap_err().0.contains("format is 2"));
        let unknown = stored.replacen("\"deadline\"", "\"limit\":1,\"deadline\"", 1);
        assert!(read(&unknown).unwrap_err().0.contains("limit"));
    }

    #[test]
    fn every_deadline_comes_back() {
        for text in [
            "1s",
            "90s",
            "15m",
            "61m",
            "24h",
            "25h",
            "7d",
            "4294967295s",
            "4294967295d",
        ] {
            let millis = i64::try_from(duration(text).unwrap().as_millis()).unwrap();
            let back = duration(&duration_text(millis)).unwrap();
            assert_eq!(i64::try_from(back.as_millis()).unwrap(), millis, "{text}");
        }
    }

    #[test]
    fn every_deployed_definition_is_valid_and_a_participant_that_is_not_registered_is_named() {
        for definition in load(&|_| true).unwrap().iter() {
            let participant = &definition.steps()[0].participant;
            let error = load(&|name| name != participant).unwrap_err();
            assert!(error.0.contains(&format!("`{participant}`")), "{error}");
        }
        let sample = parse(SAMPLE).unwrap();
        assert_eq!(
            (sample.deadline_millis(), sample.steps().len()),
            (15 * 60 * 1000, 2)
        );
    }

    #[test]
    fn a_definition_says_how_exact_its_amounts_are() {
        let says = |line: &str| {
            let file = SAMPLE.replacen("version = 1", &format!("version = 1\n{line}"), 1);
            parse(&file).map(|definition| definition.amounts())
        };
        assert_eq!(says(""), Ok(Amounts::MinorUnits));
        assert_eq!(says("amounts = \"minor-units\""), Ok(Amounts::MinorUnits));
        assert_eq!(says("amounts = \"fractions\""), Ok(Amounts::Fractions));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        for (from, to, part) in [
            ("version = 1", "version = 0", "versions start at 1"),
            ("\"15m\"", "\"soon\"", "deadline `soon`"),
            ("\"15m\"", "\"m\"", "deadline `m`"),
            ("cloud = \"azure\"", "cloud = \"moon\"", "unknown cloud `moon`"),
            ("InventoryReserved", "PaymentReserved", "stands twice"),
            ("name = \"inventory\"", "name = \"payment\"", "stands twice"),
            ("deadline", "deadlin", "deadlin"),
            (
                "version = 1",
                "version = 1\namounts = \"exact\"",
                "`minor-units` or `fractions`",
            ),
            ("version = 1", "version = 1\namounts = true", "amounts"),
            ("version = 1", "version = 1\namount = \"fractions\"", "amount"),
        ] {
            let error = parse(&SAMPLE.replacen(from, to, 1)).unwrap_err();
            assert!(error.0.contains(part), "{from} → {to}: {error}");
        }
    }
}
