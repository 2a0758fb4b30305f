//! A message reaches a step on a cloud that does not keep the saga: one transaction with the step's record, the
//! participant's entities and the outgoing event, which is then published at once. Should that fail, the
//! outbox's sweep publishes it.

use saga_core::ids::bucket_of;
use saga_core::participant::Placement;
use saga_core::participate::{Message, Step};
use saga_core::step::{Effect, StepVerb};
use saga_core::{Cloud, Event, SagaId};
use saga_wire::event_grid;
use saga_wire::incoming::{Incoming, check};

use crate::handle_event::quarantine;
use crate::ports::{
    Alert, Alerts, Committed, Outbox, Partition, PortError, Publisher, Quarantine, StepCommit, StepStore,
    Time, back_off, causes,
};
use crate::{Deployment, Handled, MAX_CONFLICTS};

/// The ports that taking part needs.
pub struct Ports<'a, S, P, Q, A, T> {
    /// The steps, and the outbox beside them.
    pub store: &'a S,
    /// Where the outgoing events go.
    pub publisher: &'a P,
    /// Where what cannot be understood is kept.
    pub quarantine: &'a Q,
    /// The monitoring channel.
    pub alerts: &'a A,
    /// Time and chance.
    pub time: &'a T,
    /// The cloud that we are on.
    pub cloud: Cloud,
}

/// Where the steps of a participant are kept.
#[must_use]
pub fn partition(participant: &str, placement: Placement, saga: SagaId, buckets: u16) -> Partition {
    match placement {
        Placement::Together => Partition(bucket_of(participant.as_bytes(), buckets)),
        Placement::BySaga => Partition(saga.bucket(buckets)),
    }
}

/// Handles one message of the participant's queue.
///
/// # Errors
/// [`PortError`]: the message stays on its queue and comes again.
pub async fn participate<S, P, Q, A, T>(
    deployment: &Deployment,
    ports: &Ports<'_, S, P, Q, A, T>,
    body: &str,
) -> Result<Handled, PortError>
where
    S: StepStore + Outbox,
    P: Publisher,
    Q: Quarantine,
    A: Alerts,
    T: Time,
{
    let handled = match read(deployment, ports.cloud, body) {
        Ok(event) => decide(deployment, ports, &event).await?,
        Err(reason) => Handled::Quarantined(reason),
    };
    if let Handled::Quarantined(reason) = &handled {
        quarantine(
            ports.quarantine,
            ports.alerts,
            ports.time,
            "azure-participant",
            reason,
            body,
        )
        .await?;
    }
    Ok(handled)
}

fn read(deployment: &Deployment, cloud: Cloud, body: &str) -> Result<Event, String> {
    let event = match event_grid::event(body).map_err(|error| error.to_string())? {
        Incoming::Ours(event) => event,
        Incoming::Outside(outside) => {
            return Err(format!(
                "`{}` came without the attributes that address a step",
                outside.kind
            ));
        }
    };
    check(&event, &deployment.catalogue).map_err(|error| error.to_string())?;
    if event.target != cloud {
        return Err(format!("the event is for {}, and this is {cloud}", event.target));
    }
    Ok(event)
}

async fn decide<S, P, Q, A, T>(
    deployment: &Deployment,
    ports: &Ports<'_, S, P, Q, A, T>,
    event: &Event,
) -> Result<Handled, PortError>
where
    S: StepStore + Outbox,
    P: Publisher,
    A: Alerts,
    T: Time,
{
    let found = deployment
        .catalogue
        .get(&event.definition)
        .zip(Message::of(event));
    let Some((definition, (index, message))) = found else {
        return Ok(Handled::Quarantined("the event addresses no step".to_owned()));
    };
    let name = definition
        .step(index)
        .map(|step| step.participant.as_str())
        .unwrap_or_default();
    let Some(participant) = deployment.participants.get(name) else {
        return Ok(Handled::Quarantined(format!(
            "participant `{name}` is not part of this deployment"
        )));
    };
    let participant = participant.as_ref();
    let step = Step {
        saga: event.saga,
        definition,
        index,
        cloud: ports.cloud,
        participant,
    };
    let partition = partition(name, participant.placement(), event.saga, deployment.shards);

    for attempt in 1..=MAX_CONFLICTS {
        let known = ports.store.load(&partition, event.saga, index).await?;
        let record = known.as_ref().map(|known| &known.value);
        let context = step.context(record, &message);
        let keys = Step::work(record, message.verb)
            .map(|work| participant.reads(work, context))
            .unwrap_or_default();
        let read = if keys.is_empty() {
            Default::default()
        } else {
            ports.store.entities(&partition, &keys).await?
        };
        let decision = step.decide(record, &message, &read.entities, ports.time.now());
        let row = decision.emit.as_ref().map(|event| {
            let mut row = deployment.row(event);
            row.shard = partition.0;
            row
        });
        let commit = StepCommit {
            partition: &partition,
            saga: event.saga,
            index,
            record: decision.record.as_ref(),
            version: known.as_ref().map(|known| &known.version),
            writes: &decision.writes,
            read: &read,
            row: row.as_ref(),
        };
        if ports.store.commit(commit).await? == Committed::Conflict {
            back_off(ports.time, attempt).await;
            continue;
        }
        tracing::info!(
            saga_id = %event.saga,
            step = event.step_number,
            verb = event.address.verb(),
            event_id = %event.id,
            outcome = decision.outcome.as_str(),
            emitted = decision.emit.as_ref().map(|emitted| emitted.kind.as_str()),
            trace_id = event.trace.trace_id(),
            "event"
        );
        if decision.effect == Effect::Tombstone && message.verb == StepVerb::Compensate {
            let alert = Alert {
                subject: format!("saga-bridge: saga {} needs a look", event.saga),
                text: format!(
                    "step {index} was asked to undo what it never did (event {})",
                    event.id
                ),
            };
            if let Err(error) = ports.alerts.raise(alert).await {
                tracing::error!(saga_id = %event.saga, error = causes(&error), "alert not sent");
            }
        }
        if let Some(row) = row {
            publish(ports, &row).await;
        }
        return Ok(Handled::Decided(decision.outcome));
    }
    Err(PortError::Contended {
        what: "the step's partition",
        attempts: MAX_CONFLICTS,
    })
}

/// Publishes what was just committed. A failure is logged and left to the sweep: the row is still there.
async fn publish<S: Outbox, P: Publisher, Q, A, T>(
    ports: &Ports<'_, S, P, Q, A, T>,
    row: &saga_core::outbox::OutboxRow,
) {
    let rows = std::slice::from_ref(row);
    let published = match ports.publisher.publish(rows).await {
        Ok(mut answers) => match answers.pop() {
            Some(Ok(())) => ports.store.delete(rows).await,
            Some(Err(reason)) => Err(PortError::unavailable("publishing", reason)),
            None => Err(PortError::unavailable("publishing", "no answer for the event")),
        },
        Err(error) => Err(error),
    };
    if let Err(error) = published {
        let error = causes(&error);
        tracing::warn!(saga_id = %row.saga, event_id = %row.id, error, "left in the outbox for the sweep");
    }
}
