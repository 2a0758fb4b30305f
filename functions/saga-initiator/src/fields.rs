//! Members that requests about one saga and requests for runs over many have in common.

use saga_core::document::{Document, Fields};
use saga_core::origin::Override;
use saga_core::participant::FieldError;
use saga_core::step::Reply;
use saga_runtime::http::{invalid, wrong_field};
use saga_wire::problem::Problem;

/// The end that an override gives.
pub fn end(fields: &Fields) -> Result<Override, Problem> {
    match word(fields, "to")? {
        "completed" => Ok(Override::Completed),
        "cancelled" => Ok(Override::Cancelled),
        _ => Err(invalid("`to` must be `completed` or `cancelled`")),
    }
}

/// One of a few words, which the caller of this knows; empty where none is given.
fn word<'a>(fields: &'a Fields, name: &str) -> Result<&'a str, Problem> {
    match fields.get(name) {
        None | Some(Document::Null) => Ok(""),
        Some(Document::Text(text)) => Ok(text.trim()),
        Some(_) => Err(wrong_field(FieldError::new(name, "must be a text"))),
    }
}

/// Whether an override goes past a step that may be done and cannot be undone.
pub fn force(fields: &Fields) -> Result<bool, Problem> {
    match fields.get("force") {
        None | Some(Document::Null) => Ok(false),
        Some(Document::Bool(force)) => Ok(*force),
        Some(_) => Err(wrong_field(FieldError::new("force", "must be true or false"))),
    }
}

/// What is said of a step.
pub fn decision(fields: &Fields) -> Result<Reply, Problem> {
    Reply::of_word(word(fields, "decision")?)
        .ok_or_else(|| invalid("`decision` must be `accepted`, `refused` or `undone`"))
}

/// What a step that is accepted gives to later ones.
pub fn output(fields: &Fields, reply: Reply) -> Result<Fields, Problem> {
    match fields.get("output") {
        None | Some(Document::Null) => Ok(Fields::new()),
        Some(_) if reply != Reply::Accepted => Err(invalid("only a step that is `accepted` has an `output`")),
        Some(Document::Map(output)) => Ok(output.clone()),
        Some(_) => Err(wrong_field(FieldError::new("output", "must be a JSON object"))),
    }
}
