//! A run, as it was asked for: what, with which sagas, how many, how fast, by whom and why.

use saga_core::SagaId;
use saga_core::document::{Document, Fields};
use saga_core::origin::Override;
use saga_core::participant::FieldError;
use saga_core::step::Reply;
use saga_wire::http::parse_cursor;
use saga_wire::quarantine::mark;

use super::filter::{Filter, HELD};
use crate::Deployment;
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
    let selection = match (fields.get("ids"), fields.get("filter")) {
        (Some(Document::List(given)), None) => Selection::Ids {
            ids: once(ids(given, MAX_IDS)?),
            done: 0,
        },
        (None, Some(Document::Map(given))) => Selection::All {
            filter: Filter::read(given)?,
            place: None,
        },
        _ => {
            let why = "give either `ids`, a list, or `filter`, an object that says which sagas are meant";
            return Err(why.to_owned());
        }
    };
    let terms = terms(fields)?;
    let mut command = Command {
        act,
        selection,
        terms,
    };
    if let Some(cursor) = cursor {
        command.go_on(&cursor)?;
    }
    Ok(command)
}

impl Command {
    /// The cursor for a place in this run. A checksum binds it to what is done, with which sagas, and whether it is
    /// confirmed. The checksum is only compared, so another release may make another one: it then refuses the cursor.
    #[must_use]
    pub fn next(&self, place: &str) -> String {
        let selection = match &self.selection {
            Selection::Ids { ids, .. } => format!("{ids:?}"),
            Selection::All { filter, .. } => format!("{filter:?}"),
        };
        let request = format!("{:?} {} {selection} {place}", self.act, self.terms.confirm);
        format!("{place}.{}", mark(&request))
    }

    fn go_on(&mut self, cursor: &str) -> Result<(), String> {
        let wrong = || "`cursor` must be the `next` of the answer before".to_owned();
        let (place, _) = cursor.rsplit_once('.').ok_or_else(wrong)?;
        if self.next(place) != cursor {
            return Err("`cursor` belongs to another request: begin without it".to_owned());
        }
        match &mut self.selection {
            Selection::Ids { ids, done } => {
                let so_many = place.parse().ok().filter(|so_many| *so_many <= ids.len());
                *done = so_many.ok_or_else(wrong)?;
            }
            Selection::All { place: at, .. } => *at = Some(parse_cursor(place).ok_or_else(wrong)?),
        }
        Ok(())
    }

    /// A member of the filter with which it can mean no saga.
    #[must_use]
    pub fn unknown(&self, deployment: &Deployment) -> Option<FieldError> {
        match &self.selection {
            Selection::All { filter, .. } => filter.unknown(deployment),
            Selection::Ids { .. } => None,
        }
    }
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
