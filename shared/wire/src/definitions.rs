//! Definition files (TOML) → [`Definition`]. The files of `definitions/` are part of every binary. Beside the sagas a
//! definition is kept as JSON of the same members, for the time after its file is gone.

use std::time::Duration;

use include_dir::{Dir, include_dir};
use saga_core::definition::{
    Answerer, Call, Catalogue, Cloud, Definition, DefinitionRef, InvalidDefinition, OnTimeout,
    StepDefinition, StepWork, Wait,
};
use saga_core::money::Amounts;
use saga_core::participant::Participants;
use saga_core::step::{Class, Recover};
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
    #[serde(skip_serializing_if = "Option::is_none")]
    participant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recover: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hold_after: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_lifetime: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    within: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_timeout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    when: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compensate: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancel: Option<String>,
}

/// The form in which a definition is stored.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format: u32,
    definition: File,
}

/// The stored form of a definition whose steps are all local. Another form than these two is never guessed at.
const FORMAT: u32 = 1;
/// The stored form of a definition with steps that are answered from outside: versions that know only local steps refuse it.
const FORMAT_OUTSIDE: u32 = 2;

/// Every definition of this release.
///
/// # Errors
/// [`InvalidDefinition`] names the file, the line and the rule that is broken.
pub fn all() -> Result<Catalogue, InvalidDefinition> {
    let files = FILES
        .files()
        .filter(|file| file.path().extension().is_some_and(|ending| ending == "toml"));
    let definitions = files.map(|file| {
        let path = file.path().display();
        let text = file
            .contents_utf8()
            .ok_or_else(|| InvalidDefinition(format!("{path} is not UTF-8")))?;
        parse(text).map_err(|error| InvalidDefinition(format!("{path}: {error}")))
    });
    Catalogue::new(definitions.collect::<Result<Vec<_>, _>>()?)
}

/// Whether every participant that a definition names is there, and those after its pivot never refuse.
///
/// # Errors
/// [`InvalidDefinition`] names the step.
pub fn check_participants(
    definition: &Definition,
    participants: &Participants,
) -> Result<(), InvalidDefinition> {
    for step in definition.steps() {
        let Some(name) = step.participant() else {
            continue;
        };
        let Some(participant) = participants.get(name) else {
            return Err(InvalidDefinition(format!(
                "step `{}` names the participant `{name}`, which is not registered",
                step.name
            )));
        };
        if step.class == Class::Retriable && !participant.never_refuses() {
            return Err(InvalidDefinition(format!(
                "step `{}` is retriable, and the participant `{name}` may refuse: nothing after a pivot can refuse",
                step.name
            )));
        }
    }
    Ok(())
}

/// Reads one definition.
///
/// # Errors
/// [`InvalidDefinition`] names the line and the rule.
pub fn parse(text: &str) -> Result<Definition, InvalidDefinition> {
    let file = toml::from_str(text).map_err(|error| InvalidDefinition(error.to_string()))?;
    definition(file).map_err(|InvalidDefinition(why)| match line_of(text, &why) {
        Some(line) => InvalidDefinition(format!("line {line}: {why}")),
        None => InvalidDefinition(why),
    })
}

/// The line on which the step that an error names begins.
fn line_of(text: &str, error: &str) -> Option<usize> {
    let (_, named) = error
        .split_once("step `")
        .or_else(|| error.split_once("step name `"))?;
    let (name, _) = named.split_once('`')?;
    let names = |line: &str| {
        let value = line
            .trim()
            .strip_prefix("name")
            .map(|rest| rest.trim().trim_start_matches('='));
        value.is_some_and(|value| value.trim().trim_matches(['"', '\'']) == name)
    };
    text.lines().position(names).map(|line| line + 1)
}

/// A definition as it is stored: all that its file can say.
#[must_use]
pub fn write(definition: &Definition) -> String {
    let steps = definition.steps().iter().map(stored_step);
    let local = definition
        .steps()
        .iter()
        .all(|step| step.participant().is_some() && step.class == Class::Compensatable);
    let reference = definition.reference();
    let stored = Stored {
        format: if local { FORMAT } else { FORMAT_OUTSIDE },
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
        FORMAT | FORMAT_OUTSIDE => definition(stored.definition),
        other => Err(InvalidDefinition(format!(
            "its format is {other}, this version reads {FORMAT} and {FORMAT_OUTSIDE}"
        ))),
    }
}

fn definition(file: File) -> Result<Definition, InvalidDefinition> {
    let steps = file.step.into_iter().map(step);
    let steps = steps.collect::<Result<_, InvalidDefinition>>()?;
    let reference = DefinitionRef {
        name: file.name,
        version: file.version,
    };
    let amounts = amounts(file.amounts.as_deref())?;
    let deadline_millis = duration("deadline", &file.deadline)?;
    Definition::new(reference, deadline_millis, steps).map(|definition| definition.with_amounts(amounts))
}

fn step(step: Step) -> Result<StepDefinition, InvalidDefinition> {
    let name = step.name.clone();
    read_step(step).map_err(|InvalidDefinition(why)| InvalidDefinition(format!("step `{name}`: {why}")))
}

fn read_step(step: Step) -> Result<StepDefinition, InvalidDefinition> {
    let of_calls = [
        ("recover", step.recover.is_some()),
        ("timeout", step.timeout.is_some()),
        ("hold_after", step.hold_after.is_some()),
        ("key_lifetime", step.key_lifetime.is_some()),
    ];
    let of_waits = [
        ("within", step.within.is_some()),
        ("on_timeout", step.on_timeout.is_some()),
        ("when", step.when.is_some()),
    ];
    let only = |keys: &[(&str, bool)], kind: &str| match keys.iter().find(|(_, set)| *set) {
        Some((key, _)) => Err(InvalidDefinition(format!(
            "`{key}` is for steps with `{kind}` only"
        ))),
        None => Ok(()),
    };
    let millis = |what, text: &Option<String>, default| match text {
        Some(text) => duration(what, text),
        None => Ok(default),
    };
    let work = match (step.participant, step.call, step.wait) {
        (Some(participant), None, None) => {
            only(&of_calls, "call").and_then(|()| only(&of_waits, "wait"))?;
            StepWork::Local { participant }
        }
        (None, Some(service), None) => {
            only(&of_waits, "wait")?;
            StepWork::Call(Call {
                service,
                recover: word("recover", step.recover.as_deref(), &RECOVERS)?.unwrap_or_default(),
                timeout_millis: millis("timeout", &step.timeout, Call::TIMEOUT)?,
                hold_after_millis: millis("hold_after", &step.hold_after, Call::HOLD_AFTER)?,
                key_lifetime_millis: millis("key_lifetime", &step.key_lifetime, Call::KEY_LIFETIME)?,
            })
        }
        (None, None, Some(wait)) => {
            only(&of_calls, "call")?;
            let answerers = Answerer::ALL.map(|known| (known.as_str(), known));
            let on_timeouts = OnTimeout::ALL.map(|known| (known.as_str(), known));
            let answerer = word("wait", Some(&wait), &answerers)?.unwrap_or(Answerer::Approval);
            let within = step.within.as_deref().map(|text| duration("within", text));
            if step.on_timeout.is_some() && within.is_none() {
                return Err(InvalidDefinition("`on_timeout` needs `within`".to_owned()));
            }
            let usual = match answerer {
                Answerer::Timer => OnTimeout::Accept,
                Answerer::Approval | Answerer::Callback => OnTimeout::Refuse,
            };
            StepWork::Wait(Wait {
                answerer,
                within_millis: within.transpose()?,
                on_timeout: word("on_timeout", step.on_timeout.as_deref(), &on_timeouts)?.unwrap_or(usual),
                when: step.when.map(|when| when.parse()).transpose()?,
            })
        }
        _ => {
            return Err(InvalidDefinition(
                "it needs exactly one of `participant`, `call` and `wait`".to_owned(),
            ));
        }
    };
    let [done, compensate, cancel] = StepDefinition::default_types(&step.name);
    Ok(StepDefinition {
        name: step.name,
        cloud: step.cloud.parse::<Cloud>()?,
        work,
        class: word("class", step.class.as_deref(), &CLASSES)?.unwrap_or_default(),
        done: step.done.unwrap_or(done),
        compensate: step.compensate.unwrap_or(compensate),
        cancel: step.cancel.unwrap_or(cancel),
    })
}

/// All that is said of a step, with what is meant where nothing is said left out.
fn stored_step(step: &StepDefinition) -> Step {
    fn word_of<T: PartialEq>(value: &T, words: &[(&str, T)]) -> Option<String> {
        let (word, _) = words.iter().find(|(_, known)| known == value)?;
        Some((*word).to_owned())
    }
    let call = step.call();
    let wait = step.wait();
    let class = Some(&step.class).filter(|class| **class != Class::Compensatable);
    let on_timeouts = OnTimeout::ALL.map(|known| (known.as_str(), known));
    Step {
        name: step.name.clone(),
        cloud: step.cloud.as_str().to_owned(),
        participant: step.participant().map(str::to_owned),
        call: call.map(|call| call.service.clone()),
        wait: wait.map(|wait| wait.answerer.as_str().to_owned()),
        class: class.and_then(|class| word_of(class, &CLASSES)),
        recover: call.and_then(|call| word_of(&call.recover, &RECOVERS)),
        timeout: call.map(|call| duration_text(call.timeout_millis)),
        hold_after: call.map(|call| duration_text(call.hold_after_millis)),
        key_lifetime: call.map(|call| duration_text(call.key_lifetime_millis)),
        within: wait.and_then(|wait| wait.within_millis).map(duration_text),
        on_timeout: wait
            .filter(|wait| wait.within_millis.is_some())
            .and_then(|wait| word_of(&wait.on_timeout, &on_timeouts)),
        when: wait.and_then(|wait| wait.when.as_ref()).map(ToString::to_string),
        done: Some(step.done.clone()),
        compensate: Some(step.compensate.clone()),
        cancel: Some(step.cancel.clone()),
    }
}

const CLASSES: [(&str, Class); 3] = [
    ("compensatable", Class::Compensatable),
    ("pivot", Class::Pivot),
    ("retriable", Class::Retriable),
];

const RECOVERS: [(&str, Recover); 2] = [("key", Recover::Key), ("tombstone", Recover::Tombstone)];

/// What a word of a closed set means.
fn word<T: Copy>(
    what: &str,
    word: Option<&str>,
    words: &[(&'static str, T)],
) -> Result<Option<T>, InvalidDefinition> {
    let Some(word) = word else {
        return Ok(None);
    };
    let known = words.iter().find(|(known, _)| *known == word);
    known.map(|(_, value)| Some(*value)).ok_or_else(|| {
        let words: Vec<_> = words.iter().map(|(known, _)| *known).collect();
        InvalidDefinition(format!("{what} `{word}` must be `{}`", words.join("` or `")))
    })
}

/// `minor-units`, which is meant where nothing is said, or `fractions`.
fn amounts(said: Option<&str>) -> Result<Amounts, InvalidDefinition> {
    let words = Amounts::ALL.map(|known| (known.as_str(), known));
    Ok(word("amounts", said, &words)?.unwrap_or_default())
}

/// `90s`, `15m`, `24h` or `7d`, in milliseconds.
fn duration(what: &str, text: &str) -> Result<i64, InvalidDefinition> {
    let invalid = || InvalidDefinition(format!("{what} `{text}` is not like `90s`, `15m`, `24h` or `7d`"));
    let unit = text.chars().last().ok_or_else(invalid)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(invalid()),
    };
    let count: u32 = text[..text.len() - 1].parse().map_err(|_| invalid())?;
    let millis = Duration::from_secs(u64::from(count) * seconds).as_millis();
    Ok(i64::try_from(millis).unwrap_or(i64::MAX))
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
        let later = stored.replacen("\"format\":1", "\"format\":3", 1);
        assert!(read(&later).unwrap_err().0.contains("format is 3"));
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
            let millis = duration("deadline", text).unwrap();
            assert_eq!(duration("deadline", &duration_text(millis)), Ok(millis), "{text}");
        }
    }

    #[test]
    fn every_deployed_definition_is_valid_and_a_participant_that_is_not_registered_is_named() {
        for definition in all().unwrap().iter() {
            let error = check_participants(definition, &Participants::new());
            let named = definition.steps().iter().find_map(StepDefinition::participant);
            match named {
                Some(participant) => assert!(error.unwrap_err().0.contains(&format!("`{participant}`"))),
                None => assert_eq!(error, Ok(())),
            }
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
