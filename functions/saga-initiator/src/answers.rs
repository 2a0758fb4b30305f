//! What became of a start that started nothing, as problem details with stable codes.

use saga_app::start_saga::NotStarted;
use saga_runtime::http::{internal, port};
use saga_wire::problem::{Code, Problem};

pub fn not_started(error: NotStarted) -> Problem {
    let code = match &error {
        NotStarted::UnknownDefinition(_) => Code::UnknownDefinition,
        NotStarted::Invalid(_) => Code::InvalidInput,
        NotStarted::KeyReused(_) | NotStarted::KeySpent(_) => Code::KeyReused,
        NotStarted::Refused(_) => Code::Refused,
        NotStarted::TooLarge(_) => Code::TooLarge,
        NotStarted::Misaddressed(_) => return internal(&error),
        NotStarted::Port(error) => return port(error),
    };
    if let NotStarted::Invalid(fields) = error {
        let named: Vec<String> = fields
            .iter()
            .map(|f| format!("{} {}", f.field, f.problem))
            .collect();
        return Problem::new(code, named.join("; ")).with_fields(fields);
    }
    Problem::new(code, error.to_string())
}
