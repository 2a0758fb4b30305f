//! What a step may give back: the one rule for the answer of its service and for the word of a person.
//!
//! Invariant: an output is kept whole or not at all.

use std::collections::BTreeSet;

use saga_core::document::{Document, Fields, carried};
use saga_core::text::shown_within;

use crate::json;

/// The largest output, as JSON without white space: it travels with every later event of the saga.
pub const MAX_OUTPUT_BYTES: usize = 4 * 1024;
/// An output stands inside other values on its way, which have a bound of their own.
const MAX_OUTPUT_DEPTH: usize = 8;
/// Names of ours begin with this.
const RESERVED: &str = "saga_";
/// How much of a member's name an error repeats, in characters.
const MAX_NAME: usize = 120;

/// The output in the form in which it travels.
///
/// # Errors
/// The rule that it breaks, for a person.
pub fn kept(output: Fields) -> Result<Fields, String> {
    if let Some(name) = output.keys().find(|name| name.starts_with(RESERVED)) {
        let name = shown_within(name, MAX_NAME);
        return Err(format!(
            "`output.{name}` begins with `{RESERVED}`, which is reserved"
        ));
    }
    if depth_of(output.values()) > MAX_OUTPUT_DEPTH {
        return Err(format!("`output` is nested more than {MAX_OUTPUT_DEPTH} deep"));
    }
    let output = carried(output, &BTreeSet::new());
    let bytes = json::write_object(&output).len();
    if bytes > MAX_OUTPUT_BYTES {
        return Err(format!(
            "`output` has {bytes} bytes, at most {MAX_OUTPUT_BYTES} are kept"
        ));
    }
    Ok(output)
}

/// The levels of a value with these members: 1 where all of them are plain.
fn depth_of<'a>(members: impl Iterator<Item = &'a Document>) -> usize {
    let below = |member: &Document| match member {
        Document::List(list) => depth_of(list.iter()),
        Document::Map(fields) => depth_of(fields.values()),
        _ => 0,
    };
    1 + members.map(below).max().unwrap_or(0)
}
