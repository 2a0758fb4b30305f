//! A replay or a discard, as it was asked for: which dead letters, how many, how fast, by whom and why.

use saga_core::SagaId;
use saga_core::Timestamp;
use saga_core::document::{Document, Fields};
use saga_core::participant::FieldError;
use saga_core::text::{id_breaks, is_readable, shown};
use saga_wire::dead_letter::{DeadLetter, DeadLetterId, Source};
use saga_wire::time;

use super::pace::Bounds;

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

/// What an operator did with a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// Sent again.
    Replay,
    /// Taken out, and archived.
    Discard,
}

impl Act {
    /// The word for it in timelines and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Act::Replay => "replay",
            Act::Discard => "discard",
        }
    }
}

/// Which letters are meant. What is `None` does not matter.
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
    /// Whether the letter is meant.
    #[must_use]
    pub fn takes(&self, letter: &DeadLetter) -> bool {
        let says = |wanted: &String| letter.reason.to_lowercase().contains(&wanted.to_lowercase());
        self.source.is_none_or(|source| source == letter.id.source)
            && self.saga.is_none_or(|saga| letter.facts.saga == Some(saga))
            && (self.kind.is_none() || self.kind == letter.facts.kind)
            && self.reason.as_ref().is_none_or(says)
            && self.since.is_none_or(|since| letter.arrived() >= since)
    }
}

/// Which letters a command is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// These.
    Ids(Vec<DeadLetterId>),
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

fn letters(ids: &[Document]) -> Result<Vec<DeadLetterId>, String> {
    if ids.is_empty() || ids.len() > MAX_RUN {
        return Err(format!("`ids` must have 1 to {MAX_RUN} ids"));
    }
    let parsed = ids.iter().enumerate().map(|(index, id)| {
        let id = id.as_text().unwrap_or_default();
        id.parse::<DeadLetterId>()
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
