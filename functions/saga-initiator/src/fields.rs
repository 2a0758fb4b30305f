//! Members that requests about one saga and requests for runs over many have in common.

use saga_core::document::{Document, Fields};
use saga_core::origin::Override;
use saga_core::participant::FieldError;
use saga_core::step::Reply;
use saga_runtime::http::{invalid, text_field, wrong_field};
use saga_wire::problem::Problem;

/// The end that an override gives.
pub fn end(fields: &Fields) -> Result<Override, Problem> {
    match text_field(fields, "to")?.as_str() {
        "completed" => Ok(Override::Completed),
        "cancelled" => Ok(Override::Cancelled),
        _ => Err(invalid("`to` must be `completed` or `cancelled`")),
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
    Reply::of_word(&text_field(fields, "decision")?)
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
