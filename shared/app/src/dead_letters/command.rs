//! A replay or a discard, as it was asked for: which dead letters, how many, how fast, by whom and why.

use saga_core::document::{Document, Fields};
use saga_core::participant::FieldError;
use saga_core::text::{id_breaks, is_readable, shown};
use saga_core::{SagaId, Timestamp};
use saga_wire::dead_letter::{DeadLetter, DeadLetterId, Source};
use saga_wire::time;

use super::pace::Bounds;

/// At most so many dead letters in one run; a longer one is several, one after the other.
pub const MAX_RUN: usize = 2_000;
/// The fastest run, in dead letters a second.
pub const MAX_RATE: u32 = 1_000;
const MAX_TEXT: usize = 200;

/// The run that nobody said otherwise.
pub const DEFAULT_BOUNDS: Bounds = Bounds {
    limit: 100,
    per_second: 20,
    stop_after: 10,
};

/// The members of a request, and those of its filter.
const MEMBERS: [&str; 8] = [
    "ids",
    "filter",
    "confirm",
    "by",
    "reason",
    "limit",
    "rate_per_second",
    "stop_after_failures",
];
const FILTERS: [&str; 5] = ["source", "saga", "type", "reason", "since"];

saga_wire::words! {
    /// What an operator does with a dead letter.
    pub enum Act {
        /// Sends it again.
        Replay = "replay",
        /// Takes it out, and archives it.
        Discard = "discard",
    }
}

/// Which dead letters are meant. What is `None` does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only this source.
    pub source: Option<Source>,
    /// Only this saga.
    pub saga: Option<SagaId>,
    /// Only this type of event.
    pub kind: Option<String>,
    /// Only with this in the reason, whatever the case.
    pub reason: Option<String>,
    /// Only what came here then or later.
    pub since: Option<Timestamp>,
}

impl Filter {
    /// Whether the dead letter is meant.
    #[must_use]
    pub fn takes(&self, one: &DeadLetter) -> bool {
        let says = |wanted: &String| one.reason.to_lowercase().contains(&wanted.to_lowercase());
        self.source.is_none_or(|source| source == one.id.source)
            && self.saga.is_none_or(|saga| one.facts.saga == Some(saga))
            && (self.kind.is_none() || self.kind == one.facts.kind)
            && self.reason.as_ref().is_none_or(says)
            && self.since.is_none_or(|since| one.arrived() >= since)
    }
}

/// Which dead letters a command is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// These.
    Ids(Vec<DeadLetterId>),
    /// All that the filter takes.
    All(Filter),
}

impl Selection {
    /// Whether a dead letter of this source may be meant.
    #[must_use]
    pub fn names(&self, source: Source) -> bool {
        match self {
            Selection::Ids(ids) => ids.iter().any(|id| id.source == source),
            Selection::All(filter) => filter.source.is_none_or(|only| only == source),
        }
    }
}

/// A replay or a discard, as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// What.
    pub act: Act,
    /// Which dead letters.
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
    only(fields, &MEMBERS, "this request")?;
    let confirm = match fields.get("confirm") {
        None | Some(Document::Bool(false)) => false,
        Some(Document::Bool(true)) => true,
        Some(_) => return Err("`confirm` must be true or false".to_owned()),
    };
    let selection = match (fields.get("ids"), fields.get("filter")) {
        (Some(Document::List(ids)), None) => Selection::Ids(parse_ids(ids)?),
        (None, Some(Document::Map(given))) => {
            only(given, &FILTERS, "a filter")?;
            let text = |value: &Document| value.as_text().unwrap_or_default().to_owned();
            let given = given.iter().map(|(name, value)| (name.as_str(), text(value)));
            Selection::All(filter(given)?)
        }
        _ => {
            let why = "give either `ids`, a list, or `filter`, an object; `{}` means all dead letters";
            return Err(why.to_owned());
        }
    };
    let reason = text(fields, "reason")?;
    if confirm && reason.is_none() {
        return Err(format!(
            "`reason` must be a text of 1 to {MAX_TEXT} characters: the record says why"
        ));
    }
    let by = text(fields, "by")?;
    if let Some(rule) = by.as_deref().and_then(id_breaks) {
        return Err(format!("`by` {rule}"));
    }
    let default = DEFAULT_BOUNDS;
    Ok(Command {
        act,
        selection,
        confirm,
        by,
        reason: reason.unwrap_or_default(),
        bounds: Bounds {
            limit: count(fields, "limit", default.limit, MAX_RUN)?,
            per_second: count(fields, "rate_per_second", default.per_second, MAX_RATE)?,
            stop_after: count(fields, "stop_after_failures", default.stop_after, MAX_RUN)?,
        },
    })
}

/// A field of a command that must be a text and is another value.
#[must_use]
pub fn mistyped(fields: &Fields) -> Option<FieldError> {
    let words = ["by", "reason"].map(|name| (name.to_owned(), fields.get(name)));
    let mut texts: Vec<(String, Option<&Document>)> = words.into();
    if let Some(Document::List(ids)) = fields.get("ids") {
        texts.extend(
            ids.iter()
                .enumerate()
                .map(|(index, id)| (format!("ids[{index}]"), Some(id))),
        );
    }
    if let Some(Document::Map(filter)) = fields.get("filter") {
        texts.extend(
            filter
                .iter()
                .map(|(name, value)| (format!("filter.{name}"), Some(value))),
        );
    }
    let mut texts = texts.into_iter();
    let wrong = texts.find(|(_, value)| value.is_some_and(|value| value.as_text().is_none()));
    wrong.map(|(field, _)| FieldError::new(field, "must be a text"))
}

fn parse_ids(ids: &[Document]) -> Result<Vec<DeadLetterId>, String> {
    if ids.is_empty() || ids.len() > MAX_RUN {
        return Err(format!("`ids` must have 1 to {MAX_RUN} ids"));
    }
    let parsed = ids.iter().enumerate().map(|(index, id)| {
        let id = id.as_text().unwrap_or_default().parse::<DeadLetterId>();
        id.map_err(|error| format!("`ids[{index}]` {error}"))
    });
    parsed.collect()
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
            "source" => filter.source = Some(value.parse().map_err(|error| format!("`source` {error}"))?),
            "saga" => filter.saga = Some(value.parse().map_err(|error| format!("`saga`: {error}"))?),
            "type" => filter.kind = Some(value.to_owned()),
            "reason" => filter.reason = Some(value.to_owned()),
            "since" => {
                let why = "`since` must be an RFC 3339 time, such as 2026-11-21T00:00:00Z";
                filter.since = Some(time::parse(value).map_err(|_| why.to_owned())?);
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

fn count<N: TryFrom<i64> + PartialOrd + From<u8> + std::fmt::Display>(
    fields: &Fields,
    name: &str,
    default: N,
    max: N,
) -> Result<N, String> {
    let Some(value) = fields.get(name) else {
        return Ok(default);
    };
    let number = value.as_number().and_then(|number| number.as_i64());
    number
        .and_then(|number| N::try_from(number).ok())
        .filter(|number| *number >= N::from(1) && *number <= max)
        .ok_or_else(|| format!("`{name}` must be a number from 1 to {max}"))
}

fn text(fields: &Fields, name: &str) -> Result<Option<String>, String> {
    let given = fields.get(name).map(|value| value.as_text().unwrap_or_default());
    let text = given.map(|text| bounded(name, text)).transpose()?;
    Ok(text.map(str::to_owned))
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
