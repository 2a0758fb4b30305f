//! One saga of a run: what becomes of it, or would, in a word and in a sentence.

use saga_core::mark::Asked;
use saga_core::origin::Override;
use saga_core::{Outcome, SagaId};

use super::command::Act;
use super::report::Disposition;
use crate::about;
use crate::answer_step::{Answer, NotAnswered, answer_one};
use crate::log::About;
use crate::override_saga::{self, NotCommanded, command_one};
use crate::ports::{PortError, SagaStore, Time, causes};
use crate::transact::Sagas;

/// How often a saga is decided again that others change at the same time: the run has others to do.
pub(super) const ATTEMPTS: u32 = 4;

type Became = (Disposition, String);

/// Carries out the act, or says what would become of it where `sagas` commit nothing. `filtered`: it was meant by the filter
/// when the list was read.
pub(super) async fn one<S: SagaStore, T: Time>(
    sagas: &Sagas<'_, S, T>,
    act: &Act,
    asked: Asked<'_>,
    id: SagaId,
    filtered: bool,
) -> Became {
    let absent = if filtered {
        left("the filter does not mean it any more: it has changed, or has expired".to_owned())
    } else {
        failed("there is no saga with this id".to_owned())
    };
    let was = if sagas.is_dry_run() { "would be" } else { "was" };
    let became = match act {
        Act::Answer { step, reply, output } => {
            let answer = Answer {
                step,
                reply: *reply,
                output: output.clone(),
                reason: Some(asked.why),
                by: asked.by,
                caller: asked.caller,
            };
            let word = reply.as_str();
            answer_one(sagas, id, answer)
                .await
                .map(|answered| {
                    answered.map(|answered| match (answered.repeated, answered.forwarded) {
                        (true, _) => left(format!("step `{step}` was {word} before")),
                        (_, true) => done(format!(
                            "the answer for step `{step}` {was} sent to the step's cloud, which decides about it"
                        )),
                        _ => done(format!("step `{step}` {was} {word}")),
                    })
                })
                .or_else(|error| not_answered(error, id).map(Some))
        }
        Act::Cancel => command(sagas, id, override_saga::Command::Cancel, asked).await,
        Act::Retransmit => command(sagas, id, override_saga::Command::Retransmit, asked).await,
        Act::Resolve { to, force } => {
            let (to, force) = (*to, *force);
            command(sagas, id, override_saga::Command::Resolve { to, force }, asked).await
        }
    };
    match became {
        Ok(Some(became)) => became,
        Ok(None) => absent,
        Err(why) => failed(why),
    }
}

async fn command<S: SagaStore, T: Time>(
    sagas: &Sagas<'_, S, T>,
    id: SagaId,
    what: override_saga::Command,
    asked: Asked<'_>,
) -> Result<Option<Became>, String> {
    let (was, would_be) = match what {
        override_saga::Command::Retransmit => ("what carries it on was", "what carries it on would be"),
        _ => ("it was", "would be"),
    };
    let done_so = match what {
        override_saga::Command::Cancel => "asked to cancel",
        override_saga::Command::Retransmit => "sent again",
        override_saga::Command::Resolve {
            to: Override::Completed,
            ..
        } => "resolved as completed",
        override_saga::Command::Resolve {
            to: Override::Cancelled,
            ..
        } => "resolved as cancelled",
    };
    match command_one(sagas, id, what, asked).await {
        Ok(commanded) => Ok(commanded.map(|commanded| {
            let status = commanded.saga.status_with(commanded.definition.as_deref());
            match (commanded.too_late(), commanded.outcome) {
                (Some(late), _) => left(late.to_string()),
                (_, Outcome::Repeated) => left(format!("{was} {done_so} before; it is {status}")),
                _ if sagas.is_dry_run() => done(format!("it is {}, and {would_be} {done_so}", commanded.was)),
                _ => done(format!("{was} {done_so}; it is {status}")),
            }
        })),
        Err(NotCommanded::Port(error)) => Err(port(&error, id)),
        Err(error @ NotCommanded::Pivot(_)) => Ok(Some(left(error.to_string()))),
        Err(error) => Err(error.to_string()),
    }
}

/// What the saga's state says no to is left; what somebody has to mend has failed.
fn not_answered(error: NotAnswered, id: SagaId) -> Result<Became, String> {
    match error {
        NotAnswered::Port(error) => Err(port(&error, id)),
        error @ NotAnswered::NotWaiting(_) => Ok(left(error.to_string())),
        error => Err(error.to_string()),
    }
}

/// What an answer says of a store that failed; the log has the whole chain.
pub(super) fn port(error: &PortError, id: SagaId) -> String {
    let about = About {
        saga_id: Some(id.to_string()),
        ..About::default()
    };
    about!(
        warn,
        &about,
        error = causes(error),
        outcome = "failed",
        "saga of a run"
    );
    match error {
        PortError::Throttled { .. } | PortError::Contended { .. } => {
            "the store is busy, or the saga is changing at this moment; nothing was changed: run it again"
        }
        PortError::Unavailable { .. } => {
            "the store did not answer; whether it took effect is not known: run it again, it takes effect once"
        }
        PortError::Corrupt { .. } => {
            "it cannot be read here; nothing was changed: the function's log has the reason"
        }
    }
    .to_owned()
}

fn done(text: String) -> Became {
    (Disposition::Done, text)
}

fn left(text: String) -> Became {
    (Disposition::Left, text)
}

fn failed(text: String) -> Became {
    (Disposition::Failed, text)
}
