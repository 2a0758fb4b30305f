//! What became of a start or a command that did nothing, as problem details with stable codes.

use saga_app::answer_step::NotAnswered;
use saga_app::override_saga::NotCommanded;
use saga_app::pause_service::NotChanged;
use saga_app::start_saga::NotStarted;
use saga_core::participant::FieldError;
use saga_runtime::http::{invalid, port};
use saga_wire::problem::{Code, Problem};

pub fn not_started(error: NotStarted) -> Problem {
    let code = match &error {
        NotStarted::UnknownDefinition(_) => Code::UnknownDefinition,
        NotStarted::Invalid(_) => Code::InvalidInput,
        NotStarted::KeyReused(_) | NotStarted::KeySpent(_) => Code::KeyReused,
        NotStarted::Refused(_) => Code::Refused,
        NotStarted::TooLarge(_) => Code::TooLarge,
        NotStarted::Misaddressed(_) | NotStarted::Unbound { .. } => Code::NotDeployed,
        NotStarted::Port(error) => return port(error),
    };
    if let NotStarted::Invalid(fields) = error {
        let named = fields.iter().map(|f| format!("{} {}", f.field, f.problem));
        let named: Vec<String> = named.collect();
        return Problem::new(code, named.join("; ")).with_fields(fields);
    }
    Problem::new(code, error.to_string())
}

pub fn not_commanded(error: NotCommanded) -> Problem {
    match error {
        NotCommanded::Port(error) => port(&error),
        NotCommanded::Pivot(_) => Problem::new(Code::PastPivot, error.to_string()),
        NotCommanded::UnknownDefinition(_) | NotCommanded::Misaddressed(_) => {
            Problem::new(Code::NotDeployed, error.to_string())
        }
    }
}

pub fn not_changed(error: NotChanged) -> Problem {
    match error {
        NotChanged::Unknown { .. } => Problem::new(Code::UnknownService, error.to_string()),
        NotChanged::Port(error) => port(&error),
    }
}

pub fn not_answered(error: NotAnswered) -> Problem {
    let detail = error.to_string();
    let field = |name: &str| {
        let wrong = FieldError::new(name, detail.clone());
        Problem::new(Code::InvalidInput, &detail).with_fields(vec![wrong])
    };
    match error {
        NotAnswered::UnknownStep(_) => Problem::new(Code::UnknownStep, detail),
        NotAnswered::NeedsReason(_) => invalid(detail),
        NotAnswered::CannotRefuse(_) => field("decision"),
        NotAnswered::BadOutput(_) => field("output"),
        NotAnswered::NotWaiting(_) => Problem::new(Code::NotWaiting, detail),
        NotAnswered::UnknownDefinition(_) | NotAnswered::Misaddressed(_) => {
            Problem::new(Code::NotDeployed, detail)
        }
        NotAnswered::Port(error) => port(&error),
    }
}
