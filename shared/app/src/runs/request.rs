//! The members that every request for a run has, read strictly: whether it is meant, by whom, why, and its bounds.

use saga_core::Timestamp;
use saga_core::document::{Document, Fields};
use saga_core::mark::Caller;
use saga_core::participant::FieldError;
use saga_core::text::{id_breaks, is_readable, shown};
use saga_wire::time;

use super::pace::Bounds;
use super::{DEFAULT_BOUNDS, MAX_RATE, MAX_RUN};

const MAX_TEXT: usize = 200;

/// The members of a request that [`terms`] reads.
pub const TERMS: [&str; 6] = [
    "confirm",
    "by",
    "reason",
    "limit",
    "rate_per_second",
    "stop_after_failures",
];

/// Those of them that are numbers.
const COUNTS: [&str; 3] = ["limit", "rate_per_second", "stop_after_failures"];

/// Whether a run is meant, by whom, why, and its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Whether it is meant: else it is a dry run.
    pub confirm: bool,
    /// Who asks.
    pub by: Option<String>,
    /// Why.
    pub reason: String,
    /// How many, how fast, and when to give up.
    pub bounds: Bounds,
}

/// Reads them.
///
/// # Errors
/// What to change, in a sentence.
pub fn terms(fields: &Fields) -> Result<Terms, String> {
    let confirm = match fields.get("confirm") {
        None | Some(Document::Bool(false)) => false,
        Some(Document::Bool(true)) => true,
        Some(_) => return Err("`confirm` must be true or false".to_owned()),
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
    Ok(Terms {
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

/// Who asks, as records show it: as they call themselves, which may be left out where the edge proves who they are, or
/// nothing is changed.
///
/// # Errors
/// What to change, in a sentence.
pub fn name<'a>(by: Option<&'a str>, confirm: bool, caller: Option<&Caller>) -> Result<&'a str, String> {
    match (by, caller) {
        (Some(by), _) => Ok(by),
        (None, None) if confirm => Err(format!(
            "`by` must be a text of 1 to {MAX_TEXT} characters: the record says who"
        )),
        (None, Some(_)) => Ok("caller"),
        (None, None) => Ok("nobody"),
    }
}

/// A member that must be a number and is another value; or that must be a text and is none: one of `texts`, an id of `ids`, or
/// a member of `filter` besides `others`.
#[must_use]
pub fn mistyped(fields: &Fields, texts: &[&str], others: &[&str]) -> Option<FieldError> {
    let is_number = |name: &&str| matches!(fields.get(*name), None | Some(Document::Number(_)));
    if let Some(name) = COUNTS.iter().find(|name| !is_number(name)) {
        return Some(FieldError::new(*name, "must be a number"));
    }
    let mut all: Vec<(String, Option<&Document>)> = Vec::new();
    all.extend(texts.iter().map(|name| ((*name).to_owned(), fields.get(*name))));
    if let Some(Document::List(ids)) = fields.get("ids") {
        let ids = ids.iter().enumerate();
        all.extend(ids.map(|(index, id)| (format!("ids[{index}]"), Some(id))));
    }
    if let Some(Document::Map(filter)) = fields.get("filter") {
        let texts = filter.iter().filter(|(name, _)| !others.contains(&name.as_str()));
        all.extend(texts.map(|(name, value)| (format!("filter.{name}"), Some(value))));
    }
    let mut all = all.into_iter();
    let wrong = all.find(|(_, value)| value.is_some_and(|value| value.as_text().is_none()));
    wrong.map(|(field, _)| FieldError::new(field, "must be a text"))
}

/// Reads 1 to `max` ids.
///
/// # Errors
/// What to change, in a sentence.
pub fn ids<I: std::str::FromStr<Err: std::fmt::Display>>(
    given: &[Document],
    max: usize,
) -> Result<Vec<I>, String> {
    if given.is_empty() || given.len() > max {
        return Err(format!("`ids` must have 1 to {max} ids"));
    }
    let parsed = given.iter().enumerate().map(|(index, id)| {
        let id = id.as_text().unwrap_or_default().parse::<I>();
        id.map_err(|error| format!("`ids[{index}]` {error}"))
    });
    parsed.collect()
}

/// Refuses a member that is not known: it would go unseen.
///
/// # Errors
/// Names the member.
pub fn only(fields: &Fields, known: &[&str], what: &str) -> Result<(), String> {
    let unknown = fields.keys().find(|name| !known.contains(&name.as_str()));
    unknown.map_or(Ok(()), |name| {
        Err(format!("`{}` is not a field of {what}", shown(name)))
    })
}

/// A text of some length on one line.
///
/// # Errors
/// Names the member.
pub fn bounded<'a>(name: &str, text: &'a str) -> Result<&'a str, String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > MAX_TEXT || !is_readable(text) {
        return Err(format!(
            "`{name}` must be a text of 1 to {MAX_TEXT} characters on one line, all of which can be seen"
        ));
    }
    Ok(text)
}

/// A time.
///
/// # Errors
/// Names the member.
pub fn moment(name: &str, text: &str) -> Result<Timestamp, String> {
    time::parse(text).map_err(|_| format!("`{name}` must be an RFC 3339 time, such as 2026-11-21T00:00:00Z"))
}

/// A member that is a text of some length on one line, where it is given.
///
/// # Errors
/// Names the member.
pub fn text(fields: &Fields, name: &str) -> Result<Option<String>, String> {
    let given = fields.get(name).map(|value| value.as_text().unwrap_or_default());
    let text = given.map(|text| bounded(name, text)).transpose()?;
    Ok(text.map(str::to_owned))
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
