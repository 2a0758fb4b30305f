//! A message reaches a step on a cloud that does not keep the saga: one transaction with the step's record, the
//! participant's entities and the outgoing event, which is then published at once. Should that fail, the
//! outbox's sweep publishes it. A message that fails for the last time says so to the origin.

use saga_core::ids::bucket_of;
use saga_core::participant::Placement;
use saga_core::participate::undid_nothing;
use saga_core::participate::{Message, Step};
use saga_core::step::{Effect, StepVerb};
use saga_core::text::shown;
use saga_core::{Cloud, Definition, Event, SagaId};
use saga_wire::inbound::{self, Inbound};
use saga_wire::quarantine::NO_HEADERS;
use saga_wire::saga_event::SagaEvent;

use crate::about;
use crate::definitions::held_against;
use crate::handle_event::quarantine;
use crate::keep_definitions::settle;
use crate::log::{About, not_shown};
use crate::outbox::Relay;
use crate::ports::outbox::OutboxRow;
use crate::ports::{
    Alert, Alerts, Committed, Outbox, Parked, Parking, Partition, PortError, Publisher, Quarantine,
    StepCommit, StepStore, Time, causes,
};
use crate::transact::{Conflicts, MAX_CONFLICTS};
use crate::{Deployment, Handled};

/// The ports that taking part needs.
pub struct Ports<'a, S, P, Q, A, K, T> {
    /// The steps, and the outbox beside them.
    pub store: &'a S,
    /// Where the outgoing events go.
    pub publisher: &'a P,
    /// Where what cannot be understood is kept.
    pub quarantine: &'a Q,
    /// The monitoring channel.
    pub alerts: &'a A,
    /// The way to the origin for what comes to rest here.
    pub parking: &'a K,
    /// Time and chance.
    pub time: &'a T,
    /// The cloud that we are on.
    pub cloud: Cloud,
    /// Whether the queue gives this message up when it fails now.
    pub last_try: bool,
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
pub async fn participate<S, P, Q, A, K, T>(
    deployment: &Deployment,
    ports: &Ports<'_, S, P, Q, A, K, T>,
    body: &[u8],
) -> Result<Handled, PortError>
where
    S: StepStore + Outbox,
    P: Publisher,
    Q: Quarantine,
    A: Alerts,
    K: Parking,
    T: Time,
{
    let unaddressed = |kind: &str| format!("`{kind}` came without the attributes that address a step");
    let read = match inbound::participant_queue(body) {
        Inbound::Event(event) => match *event {
            SagaEvent::Ours(event) => Ok(event),
            SagaEvent::Outside(event) => Err(unaddressed(&event.kind)),
        },
        Inbound::NotUnderstood(reason) => Err(reason),
        other => Err(unaddressed(other.kind())),
    };
    let handled = match read {
        Ok(event) => match understand(deployment, ports, &event).await {
            Ok(handled) => handled,
            Err(error) => {
                if ports.last_try {
                    park(ports, &event, &error).await;
                }
                return Err(error);
            }
        },
        Err(reason) => Handled::Quarantined(reason),
    };
    if let Handled::Quarantined(reason) = &handled {
        const ENTRANCE: &str = "azure-participant";
        quarantine(ports.quarantine, ports.time, ENTRANCE, reason, &NO_HEADERS, body).await?;
        alert_quarantined(
            ports.alerts,
            reason,
            &About::message(&String::from_utf8_lossy(body)),
        )
        .await;
    }
    Ok(handled)
}

/// Raises an alert at once: whoever watches the dead letters may have no access to this cloud's.
async fn alert_quarantined(alerts: &impl Alerts, reason: &str, about: &About) {
    let reason = shown(reason);
    let alert = Alert {
        subject: "saga-bridge: an event was quarantined at azure-participant".to_owned(),
        text: format!(
            "{reason}\n\nThe event is kept whole in the quarantine queue and no saga was changed by it. \
             If it belongs to a saga of yours, mend its publisher and send it again."
        ),
    };
    // The message is safe; an alert that cannot be sent must not bring it back for a second copy.
    if let Err(error) = alerts.raise(alert).await {
        about!(
            error,
            about,
            error = causes(&error),
            outcome = "not told",
            "alert not sent"
        );
    }
}

async fn understand<S, P, Q, A, K, T>(
    deployment: &Deployment,
    ports: &Ports<'_, S, P, Q, A, K, T>,
    event: &Event,
) -> Result<Handled, PortError>
where
    S: StepStore + Outbox,
    P: Publisher,
    A: Alerts,
    K: Parking,
    T: Time,
{
    let found = settle(deployment, ports.store, ports.time, &event.definition).await?;
    let definition = match held_against(event, found) {
        Ok(definition) => definition,
        Err(reason) => return Ok(Handled::Quarantined(reason)),
    };
    if event.target != ports.cloud {
        let reason = format!("the event is for {}, and this is {}", event.target, ports.cloud);
        return Ok(Handled::Quarantined(reason));
    }
    decide(deployment, ports, &definition, event).await
}

/// The queue gives the message up: its saga is marked as parked, if that is possible.
async fn park<S, P, Q, A, K: Parking, T: Time>(
    ports: &Ports<'_, S, P, Q, A, K, T>,
    event: &Event,
    error: &PortError,
) {
    let parked = Parked {
        saga: event.saga,
        event: event.id.clone(),
        reason: format!(
            "{} failed at every try on {}: {}",
            event.kind,
            ports.cloud,
            causes(error)
        ),
        at: ports.time.now(),
    };
    let about = About::event(event);
    about!(error, &about, error = causes(error), outcome = "parked", "event");
    if let Err(error) = ports.parking.park(&parked).await {
        not_shown(&about, &error);
    }
}

async fn decide<S, P, Q, A, K, T>(
    deployment: &Deployment,
    ports: &Ports<'_, S, P, Q, A, K, T>,
    definition: &Definition,
    event: &Event,
) -> Result<Handled, PortError>
where
    S: StepStore + Outbox,
    P: Publisher,
    A: Alerts,
    K: Parking,
    T: Time,
{
    let Some((index, message)) = Message::of(event) else {
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

    let mut conflicts = Conflicts::new(ports.time, "the step's partition", MAX_CONFLICTS);
    let (decision, row) = loop {
        let known = ports.store.load(&partition, event.saga, index).await?;
        let record = known.as_ref().map(|known| &known.value);
        let keys = step.reads(record, &message);
        let read = if keys.is_empty() {
            Default::default()
        } else {
            ports.store.entities(&partition, &keys).await?
        };
        let decision = step.decide(record, &message, &read.entities, ports.time.now());
        let row = decision.emit.as_ref().map(|event| {
            let mut row = deployment.row(event, definition, ports.time.now());
            row.shard = partition.0;
            // What a step says first has nothing of its own before it.
            row.follows = known.is_some();
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
        match ports.store.commit(commit).await? {
            Committed::Yes => break (decision, row),
            Committed::Conflict => conflicts.one_more().await?,
        }
    };
    let about = About::event(event);
    about!(
        info,
        &about,
        outcome = decision.outcome.as_str(),
        emitted = decision.emit.as_ref().map(|emitted| emitted.kind.as_str()),
        "event"
    );
    if decision.effect == Effect::Tombstone && message.verb == StepVerb::Compensate {
        let alert = Alert {
            subject: format!("saga-bridge: saga {} needs a look", event.saga),
            text: format!("{} (event {})", undid_nothing(definition, index), event.id),
        };
        if let Err(error) = ports.alerts.raise(alert).await {
            about!(
                error,
                &about,
                error = causes(&error),
                outcome = "not told",
                "alert not sent"
            );
        }
    }
    if let Some(row) = row {
        publish(deployment, ports, row).await;
    }
    Ok(Handled::Decided(decision.outcome))
}

/// Publishes what was just committed. A failure is logged and left to the sweep: the row is still there.
async fn publish<S, P, Q, A, K, T>(
    deployment: &Deployment,
    ports: &Ports<'_, S, P, Q, A, K, T>,
    row: OutboxRow,
) where
    S: Outbox,
    P: Publisher,
    A: Alerts,
    K: Parking,
    T: Time,
{
    let about = About::envelope(&row);
    let rules = deployment.relay;
    let relay = Relay::new(
        ports.store,
        ports.publisher,
        ports.alerts,
        ports.parking,
        ports.time,
        rules,
    );
    let until = ports.time.now().plus_millis(5_000);
    if let Err(error) = relay.within("participant", until).publish(vec![row]).await {
        let error = causes(&error);
        about!(
            warn,
            &about,
            error,
            outcome = "left",
            "left in the outbox for the sweep"
        );
    }
}
