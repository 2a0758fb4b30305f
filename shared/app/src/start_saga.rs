//! Starts a saga: one transaction with the saga, the first step's entities and the opening event.

use std::collections::BTreeSet;
use std::sync::Arc;

use saga_core::document::{Document, Fields, is_same_input};
use saga_core::ids::{IdempotencyKey, SagaId, TraceParent};
use saga_core::origin::{Misaddressed, OriginDecision, Start, start};
use saga_core::participant::{FieldError, decimals};
use saga_core::{Address, Cloud, Definition, Event, Saga, StepDefinition};
use saga_wire::contract::output::MAX_OUTPUT_BYTES;
use saga_wire::{MAX_EVENT_BYTES, json};

use crate::Deployment;
use crate::about;
use crate::definitions::find;
use crate::keep_definitions::settle;
use crate::log::About;
use crate::ports::outbox::OutboxRow;
use crate::ports::{Inserted, PortError, SagaStore, Time};
use crate::transact::{Conflicts, MAX_CONFLICTS};

/// What a caller asks for.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The definition's name.
    pub definition: &'a str,
    /// The caller's name for this attempt.
    pub key: &'a IdempotencyKey,
    /// What the steps need.
    pub input: Fields,
    /// The caller's trace context, if it sent one.
    pub trace: Option<TraceParent>,
}

/// A saga that exists now.
#[derive(Debug)]
pub struct Started {
    /// The saga.
    pub saga: Saga,
    /// Its definition; `None` when the saga was started before, and nobody here knows it any more.
    pub definition: Option<Arc<Definition>>,
    /// Whether this request started it; otherwise one before did, with the same key and input.
    pub new: bool,
}

/// Why no saga was started. Nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    /// There is no definition of this name.
    #[error("there is no saga definition `{0}`")]
    UnknownDefinition(String),
    /// The input is not what the steps need.
    #[error("the input has {} invalid field(s)", .0.len())]
    Invalid(Vec<FieldError>),
    /// The key has started a saga with another input.
    #[error("the Idempotency-Key has already started saga {0} with another body")]
    KeyReused(SagaId),
    /// The key has started a saga that ended long ago; its payment is still known, its history has expired.
    #[error("the Idempotency-Key has started saga {0}, which ended and has expired")]
    KeySpent(SagaId),
    /// The first step refused.
    #[error("{0}")]
    Refused(String),
    /// The saga's events could grow past what every carrier on the way takes.
    #[error("an event of this saga could have {0} bytes; at most {MAX_EVENT_BYTES} reach the other cloud")]
    TooLarge(usize),
    /// A step calls a service that this deployment does not bind.
    #[error(
        "service `{service}` is not bound for {cloud} in this deployment: add it to `services` and deploy, then send the request again"
    )]
    Unbound {
        /// The service.
        service: String,
        /// The cloud of the step that calls it.
        cloud: Cloud,
    },
    /// The definition names what this deployment does not have.
    #[error(transparent)]
    Misaddressed(#[from] Misaddressed),
    /// The store failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// What each step's name, reason, and a participant's output may add to an event, in bytes.
const GROWTH_PER_STEP: usize = 512;

/// Starts the saga that `request` describes, or finds the one that it started before.
///
/// # Errors
/// [`NotStarted`].
pub async fn start_saga(
    deployment: &Deployment,
    store: &impl SagaStore,
    time: &impl Time,
    request: Request<'_>,
) -> Result<Started, NotStarted> {
    let unknown = || NotStarted::UnknownDefinition(request.definition.to_owned());
    let latest = deployment
        .catalogue
        .latest(request.definition)
        .ok_or_else(unknown)?;
    let definition = settle(deployment, store, time, latest.reference())
        .await?
        .ok_or_else(unknown)?;
    let mut input = request.input;
    // `null` says no more than absence does.
    input.retain(|_, value| *value != Document::Null);
    let id = SagaId::derive(&definition.reference().name, request.key);
    let trace = request.trace.unwrap_or_else(|| TraceParent::for_saga(id));
    let begin = Start {
        saga: id,
        input,
        trace,
        now: time.now(),
    };
    let decimals = decimals(&definition, &deployment.participants);
    let (saga, new) = match plan(deployment, &definition, begin.clone()) {
        Ok((decision, row)) => insert(store, time, &decision, row.as_ref(), &decimals).await?,
        // What no saga starts with today may have started one before: then that is the answer, not that there is none.
        Err(refused) => match store.load(id).await? {
            Some(known) => (same(known.value, &begin.input, &decimals)?, false),
            None => return Err(refused),
        },
    };
    // A saga that exists keeps the version that it started with, which may not be the latest.
    let definition = if saga.definition == *definition.reference() {
        Some(definition)
    } else {
        find(deployment, store, time, &saga.definition).await?
    };
    let outcome = if new { "applied" } else { "repeated" };
    let opening = saga.timeline.entries.first();
    let about = opening.map(|opening| About::named(saga.id, &opening.event).within(&saga));
    about!(
        info,
        &about.unwrap_or_else(|| About::saga(&saga, None)),
        definition = request.definition,
        outcome,
        "start"
    );
    Ok(Started {
        saga,
        definition,
        new,
    })
}

/// The saga's first decision, and the row of its opening event.
fn plan(
    deployment: &Deployment,
    definition: &Definition,
    begin: Start,
) -> Result<(OriginDecision, Option<OutboxRow>), NotStarted> {
    let mut participants = definition.steps().iter().filter_map(StepDefinition::participant);
    if let Some(missing) = participants.find(|name| !deployment.participants.contains_key(name)) {
        return Err(Misaddressed::NoParticipant(missing.to_owned()).into());
    }
    if let Some(step) = deployment.unbound(definition) {
        let service = step.call().map(|call| call.service.clone()).unwrap_or_default();
        return Err(NotStarted::Unbound {
            service,
            cloud: step.cloud,
        });
    }
    let problems = check(deployment, definition, &begin.input);
    if !problems.is_empty() {
        return Err(NotStarted::Invalid(problems));
    }
    let now = begin.now;
    let decision = start(definition, &deployment.participants, deployment.patience, begin)?
        .map_err(NotStarted::Refused)?;
    let row = decision
        .emit
        .as_ref()
        .map(|event| deployment.row(event, definition, now));
    let growth = definition.steps().iter().map(|step| match step.participant() {
        Some(_) => GROWTH_PER_STEP,
        None => GROWTH_PER_STEP + MAX_OUTPUT_BYTES,
    });
    // A request to a service leaves the input out, which every later event carries.
    let is_request = |event: &&Event| !matches!(event.address, Address::Advance(_));
    let left_out = decision.emit.as_ref().filter(is_request).map_or(0, |event| {
        let carried = json::write_object(&decision.saga.input).len();
        carried.saturating_sub(json::write_object(&event.data).len())
    });
    let opening = row.as_ref().map_or(0, |row| row.body.len()) + left_out;
    let largest = opening + growth.sum::<usize>();
    if largest > MAX_EVENT_BYTES {
        return Err(NotStarted::TooLarge(largest));
    }
    Ok((decision, row))
}

/// Stores the saga, or finds the one that the same request started before.
async fn insert(
    store: &impl SagaStore,
    time: &impl Time,
    decision: &OriginDecision,
    row: Option<&OutboxRow>,
    decimals: &BTreeSet<&str>,
) -> Result<(Saga, bool), NotStarted> {
    let mut conflicts = Conflicts::new(time, "the new saga", MAX_CONFLICTS);
    loop {
        match store.insert(decision, row).await? {
            Inserted::Yes => return Ok((decision.saga.clone(), true)),
            Inserted::Exists(saga) => return Ok((same(*saga, &decision.saga.input, decimals)?, false)),
            Inserted::Spent => return Err(NotStarted::KeySpent(decision.saga.id)),
            Inserted::Conflict => conflicts.one_more().await?,
        }
    }
}

/// The saga that exists, if it was started with this input.
fn same(saga: Saga, input: &Fields, decimals: &BTreeSet<&str>) -> Result<Saga, NotStarted> {
    if is_same_input(&saga.input, input, decimals) {
        Ok(saga)
    } else {
        Err(NotStarted::KeyReused(saga.id))
    }
}

/// What is wrong with the input, as all participants of the definition see it.
fn check(deployment: &Deployment, definition: &Definition, input: &Fields) -> Vec<FieldError> {
    let participants: Vec<_> = definition
        .steps()
        .iter()
        .filter_map(|step| deployment.participants.get(step.participant()?))
        .collect();
    // Services know fields that we do not.
    let open = definition.steps().iter().any(|step| step.participant().is_none());
    let known = |name: &str| {
        open || participants
            .iter()
            .any(|participant| participant.accepts().contains(&name))
    };
    let mut problems: Vec<FieldError> = participants
        .iter()
        .flat_map(|participant| participant.check(input, definition.amounts()))
        .collect();
    problems.extend(
        input
            .iter()
            .filter(|(name, _)| !known(name))
            .map(|(name, _)| FieldError::new(name, "is not a field of this saga")),
    );
    let mut seen = std::collections::BTreeSet::new();
    problems.retain(|problem| seen.insert(problem.field.clone()));
    problems
}
