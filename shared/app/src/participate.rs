//! A message reaches a step on a cloud that does not keep the saga: one transaction with the step's record, the
//! participant's entities and the outgoing event, which is then published at once. Should that fail, the
//! outbox's sweep publishes it. A message that fails for the last time says so to the origin.

use saga_core::origin;
use saga_core::participate::{Message, Step, StepRecord};
use saga_core::step::StepVerb;
use saga_core::text::shown;
use saga_core::{Address, Cloud, Definition, Event, Outcome};
use saga_wire::inbound::{self, Inbound};
use saga_wire::quarantine::NO_HEADERS;
use saga_wire::saga_event::SagaEvent;

use crate::about;
use crate::alerts::send;
use crate::definitions::held_against;
use crate::handle_event::quarantine;
use crate::keep_definitions::settle;
use crate::log::{About, not_shown};
use crate::pause_service::hear_of_service;
use crate::ports::{
    Alert, Alerts, Outbox, Parked, Parking, PortError, Publisher, Quarantine, ServiceStates, StepStore, Time,
    causes,
};
use crate::step_transact::Steps;
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
    S: StepStore + Outbox + ServiceStates,
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
        Inbound::Service(state) => {
            let heard = hear_of_service(ports.store, ports.time, &state).await?;
            return Ok(Handled::Decided(heard));
        }
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
            ENTRANCE,
            reason,
            &About::message(&String::from_utf8_lossy(body)),
        )
        .await;
    }
    Ok(handled)
}

/// Raises an alert at once: whoever watches the dead letters may have no access to this cloud's.
pub(crate) async fn alert_quarantined(alerts: &impl Alerts, entrance: &str, reason: &str, about: &About) {
    let reason = shown(reason);
    let alert = Alert {
        subject: format!("saga-bridge: an event was quarantined at {entrance}"),
        text: format!(
            "{reason}\n\nThe event is kept whole in the quarantine queue and no saga was changed by it. \
             If it belongs to a saga of yours, mend its publisher and send it again."
        ),
    };
    // The message is safe; an alert that cannot be sent must not bring it back for a second copy.
    send(alerts, alert, about).await;
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
    let quarantined = |reason: String| Ok(Handled::Quarantined(reason));
    let answered = origin::reply_of(&event.data);
    let (index, message) = match (Message::of(event), event.address, &answered) {
        (Some(addressed), _, _) => addressed,
        (None, Address::Answer(index), Some((reply, data))) => {
            let verb = StepVerb::Answer(*reply);
            (index, Message::own(verb, event.time, &event.trace, data))
        }
        _ => return quarantined("the event asks nothing of a step".to_owned()),
    };
    let step = match Step::find(event.saga, definition, index, &deployment.participants) {
        Ok(step) => step,
        Err(missing) => return quarantined(missing.to_string()),
    };
    let steps = Steps {
        deployment,
        store: ports.store,
        publisher: ports.publisher,
        alerts: ports.alerts,
        parking: ports.parking,
        time: ports.time,
    };
    let about = About::event(event);
    let from_outside = matches!(event.address, Address::Answer(_));
    let decided = steps
        .decide(&step, &about, Some(&message), |record, entities, now| {
            // Nobody knows what becomes of a request that was not made yet.
            let takes = !from_outside || record.is_some_and(StepRecord::takes_answers);
            takes.then(|| step.decide(record, &message, entities, now))
        })
        .await?;
    Ok(Handled::Decided(
        decided.map_or(Outcome::Late, |decision| decision.outcome),
    ))
}
