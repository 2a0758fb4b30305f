//! The bodies of the routes under `/dead-letters`.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use saga_core::address::Address;
use saga_core::dead_letter::{Act, DeadLetter, Filter, Forward, LetterId, Prospect, Source, Verdict};
use saga_core::dead_letter_run::Bounds;
use saga_core::document::{Document, Fields};
use saga_core::ids::StepIndex;
use saga_core::participant::FieldError;
use saga_core::text::{id_breaks, is_readable, shown};
use serde::Serialize;

use super::bytes;
use crate::quarantine::as_text;
use crate::time;

/// At most so many letters in one page of the list. A page of a queue costs a pass over it, so pages are large.
pub const MAX_PAGE: usize = 5_000;
/// A page has fewer letters, if their lines are longer than this: a function may answer with 6 MB.
pub const MAX_PAGE_BYTES: usize = 4_000_000;
/// At most so many letters in one run; a longer one is several, one after the other.
pub const MAX_RUN: usize = 2_000;
/// The fastest run, in letters a second.
pub const MAX_RATE: u32 = 1_000;
const MAX_TEXT: usize = 200;

/// The run that nobody said otherwise.
pub const DEFAULT_BOUNDS: Bounds = Bounds {
    limit: 100,
    per_second: 20,
    stop_after: 10,
};

/// A letter of the list.
#[derive(Debug, Serialize)]
pub struct Listed {
    id: String,
    source: &'static str,
    cloud: &'static str,
    saga_id: Option<String>,
    event_id: Option<String>,
    r#type: Option<String>,
    verb: Option<String>,
    /// The step that the event is for; none at the two ends of a saga.
    step: Option<u8>,
    reason: String,
    attempts: Option<u32>,
    first_at: Option<String>,
    last_at: Option<String>,
    bytes: usize,
    /// Why nobody understands it, when that can be seen from the letter alone.
    unreadable: Option<String>,
}

impl Listed {
    /// The line of a letter.
    #[must_use]
    pub fn of(letter: &DeadLetter) -> Self {
        let facts = &letter.facts;
        Self {
            id: letter.id.to_string(),
            source: letter.id.source.as_str(),
            cloud: letter.id.source.cloud().as_str(),
            saga_id: facts.saga.map(|saga| saga.to_string()),
            event_id: facts.event.as_ref().map(|id| id.as_str().to_owned()),
            r#type: facts.kind.clone(),
            verb: facts.verb.clone(),
            step: facts.address().and_then(Address::step).map(StepIndex::get),
            reason: letter.reason.clone(),
            attempts: letter.attempts,
            first_at: letter.first.map(time::format),
            last_at: letter.last.map(time::format),
            bytes: letter.bytes,
            unreadable: facts.unreadable.clone(),
        }
    }

    /// How long its line is in an answer.
    #[must_use]
    pub fn bytes_of_json(&self) -> usize {
        serde_json::to_vec(self).map_or(0, |json| json.len())
    }
}

/// What is to be said of a source beside its letters.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Notice {
    /// The source.
    pub source: &'static str,
    /// What an operator must know: it could not be read, or not all of it.
    pub problem: String,
}

/// A page of the list. `next` is the cursor of the page after, if there may be one.
#[derive(Debug, Serialize)]
pub struct Page {
    /// The letters.
    pub letters: Vec<Listed>,
    /// Give this as `cursor` to go on.
    pub next: Option<String>,
    /// The sources that were looked at.
    pub sources: Vec<&'static str>,
    /// What kept the list from being whole.
    pub notices: Vec<Notice>,
}

/// One letter, whole.
#[derive(Debug, Serialize)]
pub struct Shown {
    #[serde(flatten)]
    listed: Listed,
    /// The headers it came with that say how to read it.
    headers: BTreeMap<String, String>,
    /// What lies there: the text, or the base64 of the bytes.
    body: String,
    body_encoding: &'static str,
    /// Set when the body is one part of a larger one, and the others were not found.
    part: Option<ShownPart>,
    replay: Replay,
}

#[derive(Debug, Serialize)]
struct ShownPart {
    number: u32,
    of: u32,
    body_sha256: String,
}

#[derive(Debug, Serialize)]
struct Replay {
    to: Option<&'static str>,
    verdict: &'static str,
    text: String,
}

impl Shown {
    /// The letter, and what a replay would come to.
    #[must_use]
    pub fn of(letter: &DeadLetter, prospect: &Prospect) -> Self {
        let to = match &letter.forward {
            Forward::Send { to, .. } => Some(to.as_str()),
            Forward::Requeue => Some("outbox"),
            Forward::Nothing(_) => None,
        };
        let facts = &letter.facts;
        // An answer holds 6 MB, and some texts are six times as long in JSON.
        let is_text = !facts.is_base64 && as_text(facts.text.as_bytes()).is_some();
        let (body, body_encoding) = if is_text {
            (facts.text.clone(), "text")
        } else {
            (STANDARD.encode(bytes(facts)), "base64")
        };
        let part = facts.part.clone();
        Self {
            listed: Listed::of(letter),
            headers: facts.headers.clone(),
            body,
            body_encoding,
            part: part.map(|part| ShownPart {
                number: part.number,
                of: part.of,
                body_sha256: part.sha256,
            }),
            replay: Replay {
                to,
                verdict: word(prospect.verdict),
                text: prospect.text.clone(),
            },
        }
    }
}

/// The word of a verdict.
#[must_use]
pub fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Tried => "tried",
        Verdict::Ignored => "ignored",
        Verdict::Left => "left",
    }
}

/// What became, or would become, of one letter.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Item {
    /// The letter.
    pub id: String,
    /// Its saga.
    pub saga_id: Option<String>,
    /// `replayed`, `discarded`, `left`, `taken`, `unknown` or `failed`; in a dry run `tried`, `ignored`, `discarded`
    /// or `left`.
    pub outcome: &'static str,
    /// The same in a sentence.
    pub text: String,
}

/// What a run did, or would do.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Report {
    /// `replay` or `discard`.
    pub act: &'static str,
    /// Nothing was changed: confirm it.
    pub dry_run: bool,
    /// How many were replayed or discarded.
    pub done: usize,
    /// How many failed.
    pub failed: usize,
    /// How many were left as they are.
    pub left: usize,
    /// Why it ended: `done`, `limit`, `failures` or `time`.
    pub ended: &'static str,
    /// Whether the same request again would go on.
    pub more: bool,
    /// Letter by letter.
    pub items: Vec<Item>,
    /// What kept the run from seeing everything.
    pub notices: Vec<Notice>,
}

/// Which letters a command is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// These.
    Ids(Vec<LetterId>),
    /// All that the filter takes.
    All(Filter),
}

/// A replay or a discard, as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// What.
    pub act: Act,
    /// Which letters.
    pub selection: Selection,
    /// Whether it is meant: else it is a dry run.
    pub confirm: bool,
    /// Who asks.
    pub by: Option<String>,
    /// Why.
    pub reason: String,
    /// How many, how fast, and when to give up.
    pub bounds: Bounds,
}

/// Reads a command.
///
/// # Errors
/// What to change, in a sentence.
pub fn command(act: Act, fields: &Fields) -> Result<Command, String> {
    const KNOWN: [&str; 8] = [
        "ids",
        "filter",
        "confirm",
        "by",
        "reason",
        "limit",
        "rate_per_second",
        "stop_after_failures",
    ];
    only(fields, &KNOWN, "this request")?;
    let confirm = match fields.get("confirm") {
        None | Some(Document::Bool(false)) => false,
        Some(Document::Bool(true)) => true,
        Some(_) => return Err("`confirm` must be true or false".to_owned()),
    };
    let selection = match (fields.get("ids"), fields.get("filter")) {
        (Some(Document::List(ids)), None) => Selection::Ids(letters(ids)?),
        (None, Some(Document::Map(filter))) => Selection::All(parse_filter(filter)?),
        _ => {
            return Err(
                "give either `ids`, a list, or `filter`, an object; `{}` means all letters".to_owned(),
            );
        }
    };
    let reason = text(fields, "reason")?;
    if confirm && reason.is_none() {
        return Err(format!(
            "`reason` must be a text of 1 to {MAX_TEXT} characters: the record says why"
        ));
    }
    let count = |name: &str, default: usize, max: usize| match fields.get(name) {
        None => Ok(default),
        Some(value) => {
            let number = if let Document::Number(number) = value {
                number.as_i64()
            } else {
                None
            };
            let number = number.and_then(|number| usize::try_from(number).ok());
            number
                .filter(|number| (1..=max).contains(number))
                .ok_or_else(|| format!("`{name}` must be a number from 1 to {max}"))
        }
    };
    let by = text(fields, "by")?;
    if let Some(rule) = by.as_deref().and_then(id_breaks) {
        return Err(format!("`by` {rule}"));
    }
    let rate = count(
        "rate_per_second",
        DEFAULT_BOUNDS.per_second as usize,
        MAX_RATE as usize,
    )?;
    Ok(Command {
        act,
        selection,
        confirm,
        by,
        reason: reason.unwrap_or_default(),
        bounds: Bounds {
            limit: count("limit", DEFAULT_BOUNDS.limit, MAX_RUN)?,
            per_second: u32::try_from(rate).unwrap_or(DEFAULT_BOUNDS.per_second),
            stop_after: count("stop_after_failures", DEFAULT_BOUNDS.stop_after, MAX_RUN)?,
        },
    })
}

/// A field of a command that must be a text and is another value.
#[must_use]
pub fn mistyped(fields: &Fields) -> Option<FieldError> {
    let filter = match fields.get("filter") {
        Some(Document::Map(filter)) => Some(filter),
        _ => None,
    };
    let ids = match fields.get("ids") {
        Some(Document::List(ids)) => ids.as_slice(),
        _ => &[],
    };
    let words = ["by", "reason"].map(|name| (name.to_owned(), fields.get(name)));
    let ids = ids
        .iter()
        .zip(0..)
        .map(|(id, index): (_, usize)| (format!("ids[{index}]"), Some(id)));
    let filter = filter
        .into_iter()
        .flatten()
        .map(|(name, value)| (format!("filter.{name}"), Some(value)));
    let mut wrong = words.into_iter().chain(ids).chain(filter);
    let wrong = wrong.find(|(_, value)| value.is_some_and(|value| value.as_text().is_none()));
    wrong.map(|(field, _)| FieldError::new(field, "must be a text"))
}

fn letters(ids: &[Document]) -> Result<Vec<LetterId>, String> {
    if ids.is_empty() || ids.len() > MAX_RUN {
        return Err(format!("`ids` must have 1 to {MAX_RUN} ids"));
    }
    let parsed = ids.iter().enumerate().map(|(index, id)| {
        let id = id.as_text().unwrap_or_default();
        id.parse::<LetterId>()
            .map_err(|error| format!("`ids[{index}]` {error}"))
    });
    parsed.collect()
}

fn parse_filter(fields: &Fields) -> Result<Filter, String> {
    only(fields, &["source", "saga", "type", "reason", "since"], "a filter")?;
    let given = |name: &'static str| text(fields, name).map(|text| text.map(|text| (name, text)));
    filter(
        [
            given("source")?,
            given("saga")?,
            given("type")?,
            given("reason")?,
            given("since")?,
        ]
        .into_iter()
        .flatten(),
    )
}

/// The filter that these names and values say: those of a query or of a body.
///
/// # Errors
/// What to change, in a sentence.
pub fn filter<'a>(given: impl Iterator<Item = (&'a str, String)>) -> Result<Filter, String> {
    let mut filter = Filter::default();
    for (name, value) in given {
        let value = bounded(name, &value)?;
        match name {
            "source" => {
                let source = value
                    .parse::<Source>()
                    .map_err(|error| format!("`source` {error}"))?;
                filter.source = Some(source);
            }
            "saga" => filter.saga = Some(value.parse().map_err(|error| format!("`saga`: {error}"))?),
            "type" => filter.kind = Some(value.to_owned()),
            "reason" => filter.reason = Some(value.to_owned()),
            "since" => {
                let since = time::parse(value);
                filter.since = Some(since.map_err(|_| {
                    "`since` must be an RFC 3339 time, such as 2026-11-21T00:00:00Z".to_owned()
                })?);
            }
            _ => {}
        }
    }
    Ok(filter)
}

fn only(fields: &Fields, known: &[&str], what: &str) -> Result<(), String> {
    let unknown = fields.keys().find(|name| !known.contains(&name.as_str()));
    unknown.map_or(Ok(()), |name| {
        Err(format!("`{}` is not a field of {what}", shown(name)))
    })
}

fn text(fields: &Fields, name: &str) -> Result<Option<String>, String> {
    let given = fields.get(name).map(|value| value.as_text().unwrap_or_default());
    given
        .map(|text| bounded(name, text).map(str::to_owned))
        .transpose()
}

fn bounded<'a>(name: &str, text: &'a str) -> Result<&'a str, String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > MAX_TEXT || !is_readable(text) {
        return Err(format!(
            "`{name}` must be a text of 1 to {MAX_TEXT} characters on one line, all of which can be seen"
        ));
    }
    Ok(text)
}
