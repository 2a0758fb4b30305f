//! An answer from outside for one step: a person approves, another system calls back, or an operator says what became of a
//! call whose service does not decide.
//!
//! Invariant: an answer is applied once. The same one again changes nothing, and another one is refused with the step's state.

use std::collections::BTreeSet;
use std::sync::Arc;

use saga_core::document::{Fields, fields, is_same_input};
use saga_core::mark::{Asked, Caller};
use saga_core::origin::{self, Command, Decided, Misaddressed};
use saga_core::step::{Class, Reply, StepState};
use saga_core::{Cloud, Definition, Outcome, Saga, SagaId, StepDefinition, StepIndex, Timestamp};
use saga_wire::contract::output::kept;
use saga_wire::http::{step_state, unknown_definition};

use crate::Deployment;
use crate::about;
use crate::log::About;
use crate::ports::{PortError, SagaStore, Time};
use crate::transact::{Refused, Sagas, transact};

/// What is said of a step.
#[derive(Debug, Clone)]
pub struct Answer<'a> {
    /// The step's name.
    pub step: &'a str,
    /// The decision.
    pub reply: Reply,
    /// The output of a step that is accepted.
    pub output: Fields,
    /// Why; needed unless a step that waits is accepted.
    pub reason: Option<&'a str>,
    /// Who says so, as they call themselves.
    pub by: &'a str,
    /// Who that is, where the edge proves it.
    pub caller: Option<&'a Caller>,
}

/// An answer that holds.
#[derive(Debug)]
pub struct Answered {
    /// The saga as it is now.
    pub saga: Saga,
    /// Its definition.
    pub definition: Option<Arc<Definition>>,
    /// The step is on the other cloud: the answer is on its way there, and is decided there.
    pub forwarded: bool,
    /// It was answered so before, and nothing was changed.
    pub repeated: bool,
}

/// Why an answer was not taken. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum NotAnswered {
    /// The definition has no step of this name.
    #[error("the saga has no step `{0}`")]
    UnknownStep(String),
    /// Somebody speaks for a service and does not say why.
    #[error("`reason` is needed: step `{0}` is answered in the place of its service")]
    NeedsReason(String),
    /// A step after the pivot cannot be refused.
    #[error("step `{0}` is retriable: it comes after the point of no return, and can only be accepted")]
    CannotRefuse(String),
    /// The output cannot be kept.
    #[error("{0}")]
    BadOutput(String),
    /// The step does not wait for this answer.
    #[error("{0}; nothing was changed")]
    NotWaiting(String),
    /// The deployment does not have the saga's definition.
    #[error("{0}")]
    UnknownDefinition(String),
    /// The saga's definition names a participant that this deployment does not have.
    #[error("{0}; nothing is lost: deploy a release that has it, and send the request again")]
    Misaddressed(Misaddressed),
    /// The store failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl From<Refused> for NotAnswered {
    fn from(refused: Refused) -> Self {
        match refused.why {
            Misaddressed::NoDefinition(reference) => Self::UnknownDefinition(unknown_definition(&reference)),
            why => Self::Misaddressed(why),
        }
    }
}

/// Answers a step; `None` when there is no such saga.
///
/// # Errors
/// [`NotAnswered`].
pub async fn answer_step(
    deployment: &Deployment,
    store: &impl SagaStore,
    time: &impl Time,
    id: SagaId,
    answer: Answer<'_>,
) -> Result<Option<Answered>, NotAnswered> {
    answer_one(&Sagas::new(deployment, store, time), id, answer).await
}

/// The same for one of these sagas.
///
/// # Errors
/// [`NotAnswered`].
pub async fn answer_one(
    sagas: &Sagas<'_, impl SagaStore, impl Time>,
    id: SagaId,
    answer: Answer<'_>,
) -> Result<Option<Answered>, NotAnswered> {
    let output = kept(answer.output.clone()).map_err(NotAnswered::BadOutput)?;
    let data = match (answer.reply, answer.reason) {
        (Reply::Accepted, _) => output,
        (Reply::Refused | Reply::Undone, Some(reason)) => fields([("reason", reason.into())]),
        (Reply::Refused | Reply::Undone, None) => {
            return Err(NotAnswered::NeedsReason(answer.step.to_owned()));
        }
    };
    let asked = Asked {
        by: answer.by,
        caller: answer.caller,
        why: answer.reason.unwrap_or("no reason given"),
    };
    let said = |saga: &Saga, definition: Option<&Definition>, _: Timestamp| {
        let definition = definition.ok_or_else(|| not_known(saga))?;
        let (step, its) = named(definition, answer.step)?;
        allowed(saga, definition, step, its, &answer)?;
        let said = origin::Answer {
            step,
            reply: answer.reply,
            data: data.clone(),
            asked: Some(asked),
        };
        Ok::<_, NotAnswered>(Some(Command::Answer(said)))
    };
    let Some(done) = transact(sagas, id, said).await? else {
        return Ok(None);
    };
    let outcome = done.decided.outcome();
    let decision = match (done.decided, done.definition.as_deref()) {
        (Decided::Commit(decision), _) => decision,
        (Decided::Nothing(_), None) => return Err(not_known(&done.before)),
        (Decided::Nothing(_), Some(definition)) => {
            let (step, its) = named(definition, answer.step)?;
            if outcome == Outcome::Repeated && says_the_same(&done.before, step, answer.reply, &data) {
                return Ok(Some(Answered {
                    saga: done.before,
                    definition: done.definition,
                    forwarded: false,
                    repeated: true,
                }));
            }
            let why = why_not(&done.before, definition, step, its, answer.reply);
            return Err(NotAnswered::NotWaiting(why));
        }
    };
    if !done.dry_run {
        about!(
            info,
            &About::saga(&decision.saga, decision.emit.as_ref()),
            command = "answer",
            answer = answer.reply.as_str(),
            caller = answer.caller.map(Caller::as_str),
            outcome = outcome.as_str(),
            "command"
        );
    }
    Ok(Some(Answered {
        saga: decision.saga,
        definition: done.definition,
        forwarded: outcome == Outcome::Noted,
        repeated: false,
    }))
}

fn not_known(saga: &Saga) -> NotAnswered {
    NotAnswered::UnknownDefinition(unknown_definition(&saga.definition))
}

fn named<'d>(definition: &'d Definition, name: &str) -> Result<(StepIndex, &'d StepDefinition), NotAnswered> {
    let mut steps = (0..).map(StepIndex::new).zip(definition.steps());
    let found = steps.find(|(_, step)| step.name == name);
    found.ok_or_else(|| NotAnswered::UnknownStep(name.to_owned()))
}

/// What can be refused before the step's record is looked at, or without having one here.
fn allowed(
    saga: &Saga,
    definition: &Definition,
    step: StepIndex,
    its: &StepDefinition,
    answer: &Answer<'_>,
) -> Result<(), NotAnswered> {
    if let Some(participant) = its.participant() {
        return Err(NotAnswered::NotWaiting(format!(
            "step `{}` is done by the participant `{participant}` of this deployment; nobody answers for it",
            its.name
        )));
    }
    if its.call().is_some() && answer.reason.is_none() {
        return Err(NotAnswered::NeedsReason(its.name.clone()));
    }
    if its.class == Class::Retriable && answer.reply == Reply::Refused {
        return Err(NotAnswered::CannotRefuse(its.name.clone()));
    }
    // What was not heard of a step of the other cloud may still follow from the steps before it, and from the end.
    let observed = saga.observed(definition);
    let heard = observed.get(&step).is_some_and(|known| known.state.is_some());
    if its.cloud != Cloud::ORIGIN && !heard && step_state(saga, definition, step) != "UNKNOWN" {
        let why = why_not(saga, definition, step, its, answer.reply);
        return Err(NotAnswered::NotWaiting(why));
    }
    Ok(())
}

/// Whether an answer that was given before said this, too. What a step of the other cloud gave back is not kept here.
fn says_the_same(saga: &Saga, step: StepIndex, reply: Reply, data: &Fields) -> bool {
    let record = saga.steps.get(&step);
    reply != Reply::Accepted
        || record.is_none_or(|record| is_same_input(&record.output, data, &BTreeSet::new()))
}

/// Why the step takes no such answer, with its state as the API shows it.
fn why_not(
    saga: &Saga,
    definition: &Definition,
    step: StepIndex,
    its: &StepDefinition,
    reply: Reply,
) -> String {
    let name = &its.name;
    let Some(record) = saga.steps.get(&step) else {
        return match step_state(saga, definition, step) {
            "WAITING" => {
                format!("step `{name}` is WAITING: it has not been asked, and takes no answer before")
            }
            state => format!("step `{name}` is {state} and takes no answer"),
        };
    };
    let pause = record
        .progress
        .as_ref()
        .filter(|progress| progress.paused.is_some());
    match (record.state, reply) {
        (state, _) if state.is_calling() && !record.takes_answers() && pause.is_some() => {
            let why = pause.and_then(|progress| progress.error.as_deref());
            let may_cancel = state == StepState::Acting && its.class != Class::Retriable;
            format!(
                "step `{name}` is {} and was not asked, because {}. Resume the service{}",
                shown(state),
                why.unwrap_or("its service is paused"),
                if may_cancel { ", or cancel the saga" } else { "" }
            )
        }
        (state, _) if state.is_calling() && !record.takes_answers() => format!(
            "step `{name}` is {}, and its service has not answered the first attempt yet; an answer in its place is \
             taken after that",
            shown(state)
        ),
        (StepState::Undoing, _) => {
            format!("step `{name}` is UNDOING: its effect exists, and only `undone` can be said of it")
        }
        (StepState::Stopping, Reply::Undone) => format!(
            "step `{name}` is ACTING and told to stop: say first whether it was done; after `accepted` it is undone, \
             after `refused` nothing is left to undo"
        ),
        (StepState::Waiting | StepState::Acting, Reply::Undone) => format!(
            "step `{name}` is {} and not asked to be undone: it can be `accepted` or `refused`",
            shown(record.state)
        ),
        (state, _) => format!("step `{name}` is {} and takes no other answer", shown(state)),
    }
}

fn shown(state: StepState) -> &'static str {
    match state {
        StepState::Stopping => "ACTING (told to stop)",
        state => state.as_str(),
    }
}
