//! The routes under `/runs`: one act for many sagas. Each reads its request strictly, calls one use case, and answers.

use lambda_http::http::StatusCode;
use lambda_http::{Request, RequestExt};
use saga_app::Deployment;
use saga_app::ports::{SagaStore, Time};
use saga_app::runs::request::name;
use saga_app::saga_runs::command::{command, mistyped};
use saga_app::saga_runs::{Act, Report, run};
use saga_core::Timestamp;
use saga_core::document::Fields;
use saga_core::participant::FieldError;
use saga_runtime::http::{self, Answer, MAX_BODY, body, caller, invalid, text_field, wrong_field};
use saga_wire::contract::output::kept;
use saga_wire::problem::Problem;
use serde_json::{Value, json};

use crate::fields;

/// What is left of the function's time when a run ends: enough for the sagas that were begun.
const MARGIN_MILLIS: i64 = 4_000;
/// How long a run may take that nothing says the time of.
const UNTIMED_MILLIS: i64 = 5_000;

/// An act, as a path names it.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Cancel,
    Resolve,
    Answer,
    Retransmit,
}

/// Carries out a run, or says what it would do.
pub async fn answer<S: SagaStore, T: Time>(
    on: (&Deployment, &S, &T),
    request: &Request,
    kind: Kind,
) -> Answer {
    let fields = body(request, MAX_BODY)?;
    if let Some(error) = mistyped(&fields) {
        return Err(wrong_field(error));
    }
    let command = command(act(kind, &fields)?, &fields).map_err(invalid)?;
    if let Some(error) = command.unknown(on.0) {
        return Err(wrong_field(error));
    }
    let caller = caller(request);
    let terms = &command.terms;
    let by = name(terms.by.as_deref(), terms.confirm, caller.as_ref()).map_err(invalid)?;
    let until = until(request, on.2.now());
    let report = run(on, &command, by, caller.as_ref(), until).await;
    let report = report.map_err(|error| http::port(&error))?;
    Ok(http::json(StatusCode::OK, shown(&report).to_string()))
}

fn act(kind: Kind, fields: &Fields) -> Result<Act, Problem> {
    Ok(match kind {
        Kind::Cancel => Act::Cancel,
        Kind::Retransmit => Act::Retransmit,
        Kind::Resolve => Act::Resolve {
            to: fields::end(fields)?,
            force: fields::force(fields)?,
        },
        Kind::Answer => {
            let (step, reply) = (text_field(fields, "step")?, fields::decision(fields)?);
            let output = kept(fields::output(fields, reply)?);
            let output = output.map_err(|why| wrong_field(FieldError::new("output", why)))?;
            Act::Answer { step, reply, output }
        }
    })
}

/// When a run has to have ended: before the function has.
fn until(request: &Request, now: Timestamp) -> Timestamp {
    let deadline = request.lambda_context_ref().map(|context| context.deadline);
    match deadline.and_then(|deadline| i64::try_from(deadline).ok()) {
        Some(deadline) => Timestamp::from_millis(deadline).plus_millis(-MARGIN_MILLIS),
        None => now.plus_millis(UNTIMED_MILLIS),
    }
}

/// What a run did, or would do.
fn shown(report: &Report) -> Value {
    let items = report.items.iter().map(|item| {
        json!({
            "saga_id": item.saga.to_string(),
            "outcome": item.disposition.as_str(),
            "text": item.text,
        })
    });
    json!({
        "act": report.act.as_str(),
        "dry_run": report.dry_run,
        "done": report.done,
        "failed": report.failed,
        "left": report.left,
        "looked_at": report.looked_at,
        "ended": report.ended.as_str(),
        "items": items.collect::<Vec<_>>(),
        "notice": report.notice,
        "next": report.next,
    })
}
