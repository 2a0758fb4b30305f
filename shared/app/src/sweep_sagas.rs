//! Looks after sagas that are due: what the core's plan for each says is committed, and the outbox sends it.

use saga_core::SagaId;
use saga_core::origin::Origin;

use crate::Deployment;
use crate::ports::{Committed, PortError, SagaStore, Snapshot, Time, causes};

/// What a sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Sagas whose opening event, or whose cancel, was sent.
    pub sent: usize,
    /// Sagas that moved while they were looked at; whoever moved them looks after them.
    pub moved: usize,
    /// Sagas that this version cannot read. They stay as they are; the log names each.
    pub unreadable: usize,
}

/// One pass over all buckets, `per_bucket` sagas of each at most: bounded work, fair across buckets; what is
/// left is still due at the next pass.
///
/// # Errors
/// [`PortError`] when the store fails; what was done is done, and the rest is still due.
pub async fn sweep_sagas(
    deployment: &Deployment,
    store: &impl SagaStore,
    time: &impl Time,
    per_bucket: usize,
) -> Result<Report, PortError> {
    let mut report = Report::default();
    for bucket in 0..deployment.shards {
        for id in store.due(bucket, time.now(), per_bucket).await? {
            match sweep_one(deployment, store, time, id).await {
                Ok(Some(Committed::Yes)) => report.sent += 1,
                Ok(Some(Committed::Conflict)) => report.moved += 1,
                Ok(None) => {}
                // One saga that cannot be read must not keep all others from being looked after.
                Err(error @ PortError::Corrupt { .. }) => {
                    tracing::error!(saga_id = %id, error = causes(&error), outcome = "left", "saga");
                    report.unreadable += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }
    tracing::info!(
        sent = report.sent,
        moved = report.moved,
        unreadable = report.unreadable,
        "sagas swept"
    );
    Ok(report)
}

async fn sweep_one(
    deployment: &Deployment,
    store: &impl SagaStore,
    time: &impl Time,
    id: SagaId,
) -> Result<Option<Committed>, PortError> {
    let Some(saga) = store.load(id).await? else {
        return Ok(None);
    };
    let corrupt = |why: String| PortError::Corrupt {
        what: "the saga store",
        why,
    };
    let definition = deployment.catalogue.get(&saga.value.definition);
    let definition =
        definition.ok_or_else(|| corrupt(format!("{} is not known here", saga.value.definition)))?;
    let origin = Origin {
        saga: &saga.value,
        definition,
        participants: &deployment.participants,
        patience: deployment.patience,
        now: time.now(),
    };
    let Some(decision) = origin.sweep().map_err(|error| corrupt(error.to_string()))? else {
        return Ok(None);
    };
    let row = decision.emit.as_ref().map(|event| deployment.row(event));
    let committed = store
        .commit(&decision, &saga.version, &Snapshot::default(), row.as_ref())
        .await?;
    if let (Committed::Yes, Some(event)) = (&committed, &decision.emit) {
        tracing::info!(
            saga_id = %id,
            step = event.step_number,
            event_id = %event.id,
            nudges = decision.saga.nudges,
            outcome = "sent again",
            trace_id = event.trace.trace_id(),
            "saga"
        );
    }
    Ok(Some(committed))
}
