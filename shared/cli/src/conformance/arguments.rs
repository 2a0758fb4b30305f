//! What to try, read and checked before anything is sent.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;
use saga_core::document::Fields;
use saga_core::step::Recover;
use saga_runtime::environment::optional;
use saga_wire::contract::signature::Secrets;
use saga_wire::json::parse_object;
use saga_wire::services;
use url::Url;

use super::plan::{Plan, Signing, UNIQUE};
use crate::exit::WrongUsage;

/// The longest attempt that a definition can ask for.
const MAX_TIMEOUT: Duration = Duration::from_secs(60);

pub const LONG_ABOUT: &str = "\
Tries whether a service keeps the contract of services (shared/wire/SERVICES.md),
as its callers would try it: repeats, many requests at once, undo before, during
and after its act, malformed requests, signatures.

It is for test environments: the service really does what it is asked, about a
hundred times. Each key is new. What the service accepts is taken back with
`undo`, unless --no-undo says that it has none.";

pub const EXIT_CODES: &str = "\
Exit codes:
  0  every promise that was tried is kept; the table says what was skipped, and why
  1  a promise is broken
  2  wrong usage, or the service refused the input
  3  the service could not be reached";

/// What is tried, and how
#[derive(Args)]
pub struct Arguments {
    /// The service's URL as it is bound; /act and /undo are added. https, or http on this machine
    #[arg(value_parser = services::endpoint)]
    url: Url,
    /// What the service promises: key, or tombstone (besides, an undo may come before its act)
    #[arg(long, default_value = "key", value_parser = PossibleValuesParser::new(["key", "tombstone"]))]
    recover: String,
    /// The service only does steps of the class pivot or retriable: undo is not tried, and nothing is taken back
    #[arg(long)]
    no_undo: bool,
    /// Signing secret of a service bound with auth `signature`: whsec_…, or two of them in quotation marks. Other users of
    /// the machine can see it; --secret-env hides it
    #[arg(long, value_name = "WHSEC", conflicts_with = "secret_env")]
    secret: Option<String>,
    /// The environment variable that holds the signing secret
    #[arg(long, value_name = "NAME")]
    secret_env: Option<String>,
    /// Time of one attempt, at most 60s
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = timeout)]
    timeout: Duration,
    /// How long a request is asked again until it is decided
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    decide_within: Duration,
    /// A JSON object that the service accepts as input of an act; `{unique}` in it stands for a new text in each act
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// A JSON object that it refuses as input; without it, refusals are not tried
    #[arg(long, value_name = "FILE")]
    refuse: Option<PathBuf>,
    /// A JSON object with the outputs of earlier steps, by the steps' names
    #[arg(long, value_name = "FILE")]
    outputs: Option<PathBuf>,
    /// The definition that requests name
    #[arg(long, value_name = "NAME", default_value = "conformance", value_parser = name)]
    definition: String,
    /// The step that requests name; else a new name, by which the keys of this run are found
    #[arg(long, value_name = "NAME", value_parser = name)]
    step: Option<String>,
    /// Writes the results as JUnit XML, too
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

impl Arguments {
    /// Reads the files and secrets. `run` names this run.
    pub fn plan(&self, run: &str) -> Result<Plan, WrongUsage> {
        let recover = if self.recover == "tombstone" {
            Recover::Tombstone
        } else {
            Recover::Key
        };
        if self.no_undo && recover == Recover::Tombstone {
            let why =
                "a service that promises `tombstone` has an undo: leave out --no-undo or --recover tombstone";
            return Err(WrongUsage(why.to_owned()));
        }
        let outputs = match &self.outputs {
            None => Vec::new(),
            Some(file) => outputs(file)?,
        };
        let template = |file: &Option<PathBuf>| file.as_deref().map(template).transpose();
        Ok(Plan {
            url: self.url.clone(),
            recover,
            undo: !self.no_undo,
            signing: self.signing()?,
            timeout: self.timeout,
            decide_within: self.decide_within,
            input: template(&self.input)?.unwrap_or_else(|| "{}".to_owned()),
            refuse: template(&self.refuse)?,
            outputs: outputs.into_iter().collect(),
            definition: self.definition.clone(),
            step: self.step.clone().unwrap_or_else(|| format!("conformance-{run}")),
            step_is_free: self.step.is_none(),
        })
    }

    fn signing(&self) -> Result<Option<Signing>, WrongUsage> {
        let text = match (&self.secret, &self.secret_env) {
            (Some(secret), _) => secret.clone(),
            (None, Some(name)) => optional(name).ok_or_else(|| {
                WrongUsage(format!(
                    "the environment variable {name} of --secret-env is not set"
                ))
            })?,
            (None, None) => return Ok(None),
        };
        let read = |text: &str| Secrets::parse(text).map_err(|error| WrongUsage(error.to_string()));
        Ok(Some(Signing {
            all: read(&text)?,
            each: text.split_whitespace().map(read).collect::<Result<_, _>>()?,
        }))
    }
}

fn template(file: &Path) -> Result<String, WrongUsage> {
    let text = text_of(file)?;
    // What it is with any text in it, it is with every.
    object(file, &text.replace(UNIQUE, "x"))?;
    Ok(text)
}

fn outputs(file: &Path) -> Result<Vec<(String, Fields)>, WrongUsage> {
    let members = object(file, &text_of(file)?)?.into_iter();
    let members = members.map(|(step, output)| match output {
        saga_core::Document::Map(fields) => Ok((step, fields)),
        _ => Err(WrongUsage(format!(
            "{}: `{step}` must be an object",
            file.display()
        ))),
    });
    members.collect()
}

fn text_of(file: &Path) -> Result<String, WrongUsage> {
    fs::read_to_string(file).map_err(|error| WrongUsage(format!("{}: {error}", file.display())))
}

fn object(file: &Path, text: &str) -> Result<Fields, WrongUsage> {
    parse_object(text).map_err(|error| WrongUsage(format!("{}: {error}", file.display())))
}

fn timeout(text: &str) -> Result<Duration, String> {
    let timeout = duration(text)?;
    if timeout > MAX_TIMEOUT {
        return Err("at most 60s".to_owned());
    }
    Ok(timeout)
}

/// Such as `500ms`, `10s` or `2m`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => 0,
    };
    let millis = number
        .parse::<u32>()
        .ok()
        .map(|number| u64::from(number) * millis);
    let millis = millis.filter(|millis| *millis > 0);
    millis
        .map(Duration::from_millis)
        .ok_or_else(|| "a time is such as 500ms, 10s or 2m".to_owned())
}

/// What the contract takes as the name of a definition or a step.
fn name(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let fits = (1..=64).contains(&text.len()) && text.bytes().all(plain);
    fits.then(|| text.to_owned())
        .ok_or_else(|| "a name is 1 to 64 letters, digits, `-` or `_`".to_owned())
}
