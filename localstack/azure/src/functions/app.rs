//! The function app's files: `host.json` and one `function.json` a function.
//!
//! Invariant: an [`App`] that was read can be run as it is; what this host does not do (other triggers) is
//! an error here and not a function that silently never runs.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use serde_json::Value;

use super::schedule::Schedule;
use crate::error::{StartError, read_json};

pub(crate) struct App {
    pub(crate) folder: PathBuf,
    pub(crate) executable: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) queues: QueueSettings,
    pub(crate) functions: Vec<Function>,
}

pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) trigger: Trigger,
}

pub(crate) enum Trigger {
    Queue { binding: String, queue: String },
    Timer { binding: String, schedule: Schedule },
}

/// `extensions.queues` of `host.json`, with the documented defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueueSettings {
    pub(crate) batch_size: usize,
    pub(crate) new_batch_threshold: usize,
    pub(crate) max_dequeue_count: u32,
    /// Pause before a failed message shows again.
    pub(crate) visibility_timeout: Duration,
    pub(crate) max_polling_interval: Duration,
    pub(crate) base64: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HostFile {
    version: String,
    custom_handler: CustomHandler,
    #[serde(default)]
    extensions: Extensions,
}

#[derive(Deserialize)]
struct CustomHandler {
    description: Description,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Description {
    default_executable_path: PathBuf,
    #[serde(default)]
    arguments: Vec<String>,
}

#[derive(Deserialize, Default)]
struct Extensions {
    #[serde(default)]
    queues: QueuesFile,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct QueuesFile {
    batch_size: usize,
    new_batch_threshold: Option<usize>,
    max_dequeue_count: u32,
    visibility_timeout: String,
    max_polling_interval: String,
    message_encoding: String,
}

impl Default for QueuesFile {
    fn default() -> Self {
        Self {
            batch_size: 16,
            new_batch_threshold: None,
            max_dequeue_count: 5,
            visibility_timeout: "00:00:00".to_owned(),
            max_polling_interval: "00:01:00".to_owned(),
            message_encoding: "base64".to_owned(),
        }
    }
}

#[derive(Deserialize)]
struct FunctionFile {
    bindings: Vec<BTreeMap<String, Value>>,
}

impl App {
    /// Reads the folder. `settings` resolve `%NAME%`.
    pub(crate) fn read(folder: &Path, settings: &BTreeMap<String, String>) -> Result<Self, StartError> {
        let unreadable = |why| StartError::unreadable(folder, why);
        let folder = folder.canonicalize().map_err(unreadable)?;
        let file = folder.join("host.json");
        let malformed = |why| StartError::malformed(&file, why);
        let host: HostFile = read_json(&file)?;
        if host.version != "2.0" {
            return Err(malformed("version must be \"2.0\""));
        }
        let description = host.custom_handler.description;
        let queues = QueueSettings::new(&host.extensions.queues).map_err(malformed)?;
        let mut functions = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(unreadable)? {
            let function_folder = entry.map_err(unreadable)?.path();
            let file = function_folder.join("function.json");
            let Some(name) = function_folder.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            if file.is_file() {
                let trigger = Trigger::read(read_json(&file)?, settings)
                    .map_err(|why| StartError::malformed(&file, why))?;
                let name = name.to_owned();
                functions.push(Function { name, trigger });
            }
        }
        functions.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self {
            executable: folder.join(description.default_executable_path),
            arguments: description.arguments,
            folder,
            queues,
            functions,
        })
    }
}

impl QueueSettings {
    fn new(file: &QueuesFile) -> Result<Self, &'static str> {
        let batch_size = file.batch_size;
        if !(1..=32).contains(&batch_size) {
            return Err("extensions.queues.batchSize is 1 to 32");
        }
        Ok(Self {
            batch_size,
            new_batch_threshold: file.new_batch_threshold.unwrap_or(batch_size / 2),
            max_dequeue_count: file.max_dequeue_count.max(1),
            visibility_timeout: time_span(&file.visibility_timeout)
                .ok_or("extensions.queues.visibilityTimeout must be hh:mm:ss")?,
            max_polling_interval: time_span(&file.max_polling_interval)
                .ok_or("extensions.queues.maxPollingInterval must be hh:mm:ss")?,
            base64: match file.message_encoding.as_str() {
                "base64" => true,
                "none" => false,
                _ => return Err("extensions.queues.messageEncoding is base64 or none"),
            },
        })
    }
}

impl Trigger {
    fn read(file: FunctionFile, settings: &BTreeMap<String, String>) -> Result<Self, String> {
        let mut triggers = file.bindings.iter().filter_map(|binding| {
            let kind = binding.get("type")?.as_str()?;
            let triggers = kind.to_ascii_lowercase().ends_with("trigger");
            triggers.then_some((kind, binding))
        });
        let (Some((kind, binding)), None) = (triggers.next(), triggers.next()) else {
            return Err("a function has exactly one trigger".to_owned());
        };
        let given = |field: &str| binding.get(field).and_then(Value::as_str);
        let text = |field: &str| {
            let value = given(field).filter(|text| !text.is_empty());
            resolve(
                value.ok_or_else(|| format!("the {kind} needs '{field}'"))?,
                settings,
            )
        };
        match kind {
            "queueTrigger" => {
                check_connection(given("connection").unwrap_or("AzureWebJobsStorage"), settings)?;
                let (binding, queue) = (text("name")?, text("queueName")?);
                Ok(Self::Queue { binding, queue })
            }
            "timerTrigger" => {
                let schedule = text("schedule")?.parse();
                let schedule = schedule.map_err(|why| format!("schedule: {why}"))?;
                let binding = text("name")?;
                Ok(Self::Timer { binding, schedule })
            }
            other => Err(format!(
                "trigger '{other}' is not one this host runs (queueTrigger, timerTrigger)"
            )),
        }
    }
}

/// The host needs a setting of the connection's name, or settings below it for an identity.
fn check_connection(connection: &str, settings: &BTreeMap<String, String>) -> Result<(), String> {
    let below = format!("{connection}__");
    let is_its = |name: &String| name == connection || name.starts_with(&below);
    if settings.keys().any(is_its) {
        return Ok(());
    }
    Err(format!(
        "no app setting '{connection}' or '{below}…' for the trigger's connection"
    ))
}

/// Replaces every `%NAME%` by the app setting of that name.
fn resolve(text: &str, settings: &BTreeMap<String, String>) -> Result<String, String> {
    let mut resolved = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        let Some((name, remainder)) = after.split_once('%') else {
            break;
        };
        let value = settings
            .get(name)
            .ok_or_else(|| format!("'%{name}%' does not resolve to a value"))?;
        resolved.push_str(before);
        resolved.push_str(value);
        rest = remainder;
    }
    resolved.push_str(rest);
    Ok(resolved)
}

/// `hh:mm:ss` as .NET writes a time span; fractions of a second are allowed.
fn time_span(text: &str) -> Option<Duration> {
    let [hours, minutes, seconds] = text.split(':').collect::<Vec<_>>().try_into().ok()?;
    let (seconds, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
    let milliseconds = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let [hours, minutes, seconds]: [u64; 3] =
        [hours.parse().ok()?, minutes.parse().ok()?, seconds.parse().ok()?];
    (minutes < 60 && seconds < 60).then(|| {
        Duration::from_secs(hours * 3600 + minutes * 60 + seconds) + Duration::from_millis(milliseconds)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> BTreeMap<String, String> {
        [("QUEUE", "saga-events"), ("Store__queueServiceUri", "http://x")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    fn trigger(binding: Value) -> Result<Trigger, String> {
        Trigger::read(
            serde_json::from_value(serde_json::json!({"bindings": [binding]})).unwrap(),
            &settings(),
        )
    }

    #[test]
    fn a_queue_trigger_resolves_app_settings() {
        let binding = serde_json::json!({
            "type": "queueTrigger", "direction": "in", "name": "event", "queueName": "%QUEUE%-x", "connection": "Store",
        });
        let Ok(Trigger::Queue { binding, queue }) = trigger(binding) else {
            panic!("not a queue trigger")
        };
        assert_eq!((binding.as_str(), queue.as_str()), ("event", "saga-events-x"));
    }

    #[test]
    fn what_the_host_cannot_run_is_an_error() {
        for binding in [
            serde_json::json!({"type": "queueTrigger", "name": "e", "queueName": "%NONE%", "connection": "Store"}),
            serde_json::json!({"type": "queueTrigger", "name": "e", "queueName": "q"}),
            serde_json::json!({"type": "queueTrigger", "name": "e", "connection": "Store"}),
            serde_json::json!({"type": "timerTrigger", "name": "t", "schedule": "often"}),
            serde_json::json!({"type": "cosmosDBTrigger", "name": "c"}),
            serde_json::json!({"type": "http", "name": "h"}),
        ] {
            assert!(trigger(binding.clone()).is_err(), "{binding}");
        }
    }

    #[test]
    fn host_json_defaults_are_the_documented_ones() {
        let defaults = QueueSettings::new(&QueuesFile::default()).unwrap();
        assert_eq!(
            (
                defaults.batch_size,
                defaults.new_batch_threshold,
                defaults.max_dequeue_count
            ),
            (16, 8, 5)
        );
        assert_eq!(
            (defaults.visibility_timeout, defaults.base64),
            (Duration::ZERO, true)
        );
        let file = serde_json::from_str(
            r#"{"batchSize": 4, "visibilityTimeout": "00:00:30", "maxPollingInterval": "00:00:02.5"}"#,
        );
        let given = QueueSettings::new(&file.unwrap()).unwrap();
        assert_eq!((given.batch_size, given.new_batch_threshold), (4, 2));
        assert_eq!(given.visibility_timeout, Duration::from_secs(30));
        assert_eq!(given.max_polling_interval, Duration::from_millis(2500));
    }
}
