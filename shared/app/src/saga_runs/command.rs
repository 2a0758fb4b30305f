//! A run, as it was asked for: what, with which sagas, how many, how fast, by whom and why.

use saga_core::SagaId;
use saga_core::document::{Document, Fields};
use saga_core::origin::Override;
use saga_core::participant::FieldError;
use saga_core::step::Reply;
use saga_wire::http::parse_cursor;

use super::filter::{Filter, HELD};
use crate::runs::request::{TERMS, ids, only, text};
use crate::runs::{Terms, request, terms};
use crate::walk_sagas::Cursor;

/// At most so many ids in one request.
pub const MAX_IDS: usize = 100;

/// What is done with each saga.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// It is asked to cancel.
    Cancel,
    /// It is ended now.
    Resolve {
        /// The end.
        to: Override,
        /// Also where a step that cannot be undone may be done.
        force: bool,
    },
    /// A step of it is answered.
    Answer {
        /// The step's name.
        step: String,
        /// What is said.
        reply: Reply,
        /// The output of a step that is accepted.
        output: Fields,
    },
    /// What carries it on is sent again.
    Retransmit,
}

impl Act {
    /// The word for it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Act::Cancel => "cancel",
            Act::Resolve { .. } => "resolve",
            Act::Answer { .. } => "answer",
            Act::Retransmit => "retransmit",
        }
    }

    /// The members of a request that say more of it.
    fn members(&self) -> &'static [&'static str] {
        match self {
            Act::Cancel | Act::Retransmit => &[],
            Act::Resolve { .. } => &["to", "force"],
            Act::Answer { .. } => &["step", "decision", "output"],
        }
    }
}

/// Which sagas a run is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// These, each once.
    Ids {
        /// In the order in which they were named.
        ids: Vec<SagaId>,
        /// So many of them were dealt with before.
        done: usize,
    },
    /// All that the filter takes, newest first.
    All {
        /// The filter.
        filter: Filter,
        /// Behind which saga the run begins.
        place: Option<Cursor>,
    },
}

/// A run, as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// What.
    pub act: Act,
    /// With which sagas.
    pub selection: Selection,
    /// Whether it is meant, by whom, why, and its bounds.
    pub terms: Terms,
}

/// Reads a run of this act.
///
/// # Errors
/// What to change, in a sentence.
pub fn command(act: Act, fields: &Fields) -> Result<Command, String> {
    let known = [&TERMS[..], &["ids", "filter", "cursor"], act.members()].concat();
    only(fields, &known, "this request")?;
    let cursor = text(fields, "cursor")?;
    let wrong = || "`cursor` must be the `next` of the answer before".to_owned();
    let selection = match (fields.get("ids"), fields.get("filter")) {
        (Some(Document::List(given)), None) => {
            let ids = once(ids(given, MAX_IDS)?);
            let done = cursor.map(|text| text.parse().ok().filter(|done| *done <= ids.len()));
            let done = done.map_or(Ok(0), |done| done.ok_or_else(wrong))?;
            Selection::Ids { ids, done }
        }
        (None, Some(Document::Map(given))) => {
            let filter = Filter::read(given)?;
            let place = cursor.map(|text| parse_cursor(&text).ok_or_else(wrong));
            let place = place.transpose()?;
            Selection::All { filter, place }
        }
        _ => {
            let why = "give either `ids`, a list, or `filter`, an object that says which sagas are meant";
            return Err(why.to_owned());
        }
    };
    let terms = terms(fields)?;
    Ok(Command {
        act,
        selection,
        terms,
    })
}

fn once(mut ids: Vec<SagaId>) -> Vec<SagaId> {
    let mut seen = std::collections::BTreeSet::new();
    ids.retain(|id| seen.insert(*id));
    ids
}

/// A member of a request that holds a value of another type than it takes.
#[must_use]
pub fn mistyped(fields: &Fields) -> Option<FieldError> {
    const TEXTS: [&str; 6] = ["by", "reason", "cursor", "to", "step", "decision"];
    request::mistyped(fields, &TEXTS, &[HELD]).or_else(|| match fields.get("filter")? {
        Document::Map(filter) if !matches!(filter.get(HELD), None | Some(Document::Bool(_))) => {
            Some(FieldError::new(format!("filter.{HELD}"), "must be true or false"))
        }
        _ => None,
    })
}
