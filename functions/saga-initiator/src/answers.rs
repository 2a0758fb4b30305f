//! What became of a start that started nothing, as problem details with stable codes.

use saga_app::start_saga::NotStarted;
use saga_runtime::http::{internal, port};
use saga_wire::http::Problem;

pub fn not_started(error: NotStarted) -> Problem {
    match error {
        NotStarted::UnknownDefinition(_) => {
            Problem::new(404, "unknown-definition", "Not Found", error.to_string())
        }
        NotStarted::Invalid(fields) => {
            let named: Vec<String> = fields
                .iter()
                .map(|f| format!("{} {}", f.field, f.problem))
                .collect();
            Problem::new(422, "invalid-input", "Unprocessable Content", named.join("; ")).with_fields(fields)
        }
        NotStarted::KeyReused(_) | NotStarted::KeySpent(_) => {
            Problem::new(422, "key-reused", "Unprocessable Content", error.to_string())
        }
        NotStarted::Refused(_) => Problem::new(422, "refused", "Unprocessable Content", error.to_string()),
        NotStarted::TooLarge(_) => Problem::new(413, "too-large", "Content Too Large", error.to_string()),
        NotStarted::Misaddressed(_) => internal(&error),
        NotStarted::Port(error) => port(&error),
    }
}
