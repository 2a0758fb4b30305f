//! A replay or a discard, as it was asked for: which dead letters, how many, how fast, by whom and why.

use saga_core::document::{Document, Fields};
use saga_core::participant::FieldError;
use saga_core::{SagaId, Timestamp};
use saga_wire::dead_letter::{DeadLetter, DeadLetterId, Source};

use crate::runs::request::{TERMS, bounded, ids, moment, only};
use crate::runs::{Bounds, MAX_RUN, Terms, request, terms};

/// The members of a filter.
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
    only(fields, &[&TERMS[..], &["ids", "filter"]].concat(), "this request")?;
    let selection = match (fields.get("ids"), fields.get("filter")) {
        (Some(Document::List(given)), None) => Selection::Ids(ids(given, MAX_RUN)?),
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
    let Terms {
        confirm,
        by,
        reason,
        bounds,
    } = terms(fields)?;
    Ok(Command {
        act,
        selection,
        confirm,
        by,
        reason,
        bounds,
    })
}

/// A field of a command that must be a text and is another value.
#[must_use]
pub fn mistyped(fields: &Fields) -> Option<FieldError> {
    request::mistyped(fields, &["by", "reason"], &[])
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
            "since" => filter.since = Some(moment("since", value)?),
            _ => {}
        }
    }
    Ok(filter)
}
