//! Looks after sagas that are due: what the core's plan for each says is committed, and the outbox sends it.

use saga_core::origin::Origin;
use saga_core::{SagaId, Timestamp};

use crate::Deployment;
use crate::ports::{Alert, Alerts, Committed, PortError, SagaStore, Snapshot, Time, causes};

/// What a sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Sagas whose opening event, or whose cancel, was sent.
    pub sent: usize,
    /// Sagas that moved while they were looked at; whoever moved them looks after them.
    pub moved: usize,
    /// Sagas that are seen to be stuck for the first time.
    pub stuck: usize,
    /// Sagas that this version cannot read. They stay as they are; the log names each.
    pub unreadable: usize,
}

/// So many sagas of a bucket that cannot be read are stepped over.
const UNREADABLE: usize = 500;

/// One pass over all buckets, beginning anywhere, `per_bucket` sagas of each at most, until `until`: bounded work,
/// fair across buckets; what is left is still due at the next pass.
///
/// # Errors
/// [`PortError`] when the store fails; what was done is done, and the rest is still due.
pub async fn sweep_sagas(
    deployment: &Deployment,
    store: &impl SagaStore,
    alerts: &impl Alerts,
    time: &impl Time,
    per_bucket: usize,
    until: Timestamp,
) -> Result<Report, PortError> {
    let mut report = Report::default();
    let shards = deployment.shards;
    let first = u16::try_from(time.below(u64::from(shards))).unwrap_or_default();
    for bucket in (0..shards).map(|number| (first + number) % shards) {
        // Sagas that cannot be read stay due for ever, and must not fill the page of all others.
        let page = per_bucket + UNREADABLE;
        let mut looked_after = 0;
        for id in store.due(bucket, time.now(), page).await? {
            if looked_after == per_bucket {
                break;
            }
            looked_after += 1;
            if time.now() >= until {
                tracing::warn!(bucket, "out of time; what is left is still due");
                return Ok(finished(report));
            }
            match sweep_one(deployment, store, alerts, time, id).await {
                Ok(Some(Swept::Sent)) => report.sent += 1,
                Ok(Some(Swept::Stuck)) => {
                    report.sent += 1;
                    report.stuck += 1;
                }
                Ok(Some(Swept::Moved)) => report.moved += 1,
                Ok(None) => {}
                // One saga that cannot be read must not keep all others from being looked after.
                Err(error @ PortError::Corrupt { .. }) => {
                    tracing::error!(saga_id = %id, error = causes(&error), outcome = "left", "saga");
                    report.unreadable += 1;
                    looked_after -= 1;
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(finished(report))
}

fn finished(report: Report) -> Report {
    tracing::info!(
        sent = report.sent,
        moved = report.moved,
        stuck = report.stuck,
        unreadable = report.unreadable,
        "sagas swept"
    );
    report
}

enum Swept {
    Sent,
    Stuck,
    Moved,
}

async fn sweep_one(
    deployment: &Deployment,
    store: &impl SagaStore,
    alerts: &impl Alerts,
    time: &impl Time,
    id: SagaId,
) -> Result<Option<Swept>, PortError> {
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
    let Some(mut decision) = origin.sweep().map_err(|error| corrupt(error.to_string()))? else {
        return Ok(None);
    };
    let newly_stuck = saga.value.stuck.is_none() && decision.saga.stuck.is_some();
    if let Some(text) = decision.alert.take() {
        let alert = Alert {
            subject: format!("saga-bridge: saga {id} is stuck"),
            text,
        };
        // Told before it is marked as told. An alert that cannot be sent must not keep the saga from being looked after.
        if let Err(error) = alerts.raise(alert).await {
            tracing::error!(saga_id = %id, error = causes(&error), "alert not sent; it is tried at the next look");
            decision.saga.stuck = None;
        }
    }
    let row = decision
        .emit
        .as_ref()
        .map(|event| deployment.row(event, time.now()));
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
    Ok(Some(match committed {
        Committed::Conflict => Swept::Moved,
        Committed::Yes if newly_stuck && decision.saga.stuck.is_some() => {
            tracing::warn!(saga_id = %id, flag = "stuck", "saga flagged");
            Swept::Stuck
        }
        Committed::Yes => Swept::Sent,
    }))
}
