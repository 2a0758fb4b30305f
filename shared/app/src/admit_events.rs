//! Events of the other cloud come in: each is read, and what is meant for us is passed on to the bus. It is
//! acknowledged only when the bus took all of it; what cannot be understood goes to the quarantine.
//!
//! Invariant: no event waits for its neighbours. Whatever one of them fails at, each of the others goes its way.

use saga_core::Cloud;
use saga_core::ids::Timestamp;
use saga_wire::cloud_event;
use saga_wire::event_bridge::MAX_DETAIL_BYTES;
use saga_wire::inbound::{self, Inbound};
use saga_wire::notice::{PARKED, write_parked};
use saga_wire::quarantine::Headers;
use saga_wire::saga_event::{Outside, SagaEvent};

use crate::Deployment;
use crate::about;
use crate::definitions::{check, target_of_type};
use crate::handle_event::quarantine;
use crate::log::About;
use crate::ports::{
    Alerts, DefinitionNames, Envelope, Parked, PortError, Publisher, Quarantine, Refusal, Time,
};

const ENTRANCE: &str = "event-ingress";
const PASSING_ON: &str = "passing an event on to the bus";

/// The ports that the ingress needs.
pub struct Ports<'a, D, P, Q, A, T> {
    /// The definitions that are kept beside the sagas.
    pub definitions: &'a D,
    /// The bus.
    pub bus: &'a P,
    /// Where what cannot be understood is kept.
    pub quarantine: &'a Q,
    /// The monitoring channel.
    pub alerts: &'a A,
    /// Time and chance.
    pub time: &'a T,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Admitted {
    /// Events that the bus took.
    pub admitted: usize,
    /// Events that were quarantined.
    pub quarantined: usize,
}

/// Admits the events of one delivery, which came with these headers.
///
/// # Errors
/// [`PortError`]: the delivery must not be acknowledged, and comes again whole.
pub async fn admit_events<D: DefinitionNames, P: Publisher, Q: Quarantine, A: Alerts, T: Time>(
    deployment: &Deployment,
    ports: &Ports<'_, D, P, Q, A, T>,
    headers: &Headers,
    events: &[Vec<u8>],
) -> Result<Admitted, PortError> {
    let mut report = Admitted::default();
    let (mut passed, mut refused) = (Vec::with_capacity(events.len()), Vec::new());
    let (mut alerts, mut failed) = (Vec::new(), None);
    for bytes in events {
        match inbound::webhook(bytes) {
            Inbound::Event(event) => match refusal(deployment, ports, &event).await {
                Ok(None) => match envelope(&event, bytes, ports.time.now()) {
                    Ok(envelope) => passed.push((envelope, bytes)),
                    Err(reason) => refused.push((reason, bytes)),
                },
                Ok(Some(reason)) => refused.push((reason, bytes)),
                // Its definition cannot be looked up now: the others do not wait for it.
                Err(error) => failed = Some(error),
            },
            Inbound::Parked(parked) => passed.push((notice(parked, ports.time.now()), bytes)),
            Inbound::Alert(alert) => alerts.push(alert),
            Inbound::SubscriptionDeleted => {
                tracing::warn!(
                    outcome = "acknowledged",
                    "Event Grid deleted its subscription: no more events come from Azure until there is another"
                );
            }
            // Only the origin says it, which does not speak from outside.
            other @ Inbound::Service(_) => {
                let reason = format!("`{}` does not come in here", other.kind());
                refused.push((reason, bytes));
            }
            Inbound::NotUnderstood(reason) => refused.push((reason, bytes)),
        }
    }
    let mut rest = passed.as_slice();
    while !rest.is_empty() {
        let call = P::LIMITS.first_call(rest.iter().map(|(event, _)| event));
        let batch;
        (batch, rest) = rest.split_at(call);
        let events: Vec<&Envelope> = batch.iter().map(|(event, _)| event).collect();
        let mut answers = match ports.bus.publish(&events).await {
            Ok(answers) => answers.into_iter(),
            // It is about no single event: the others would fail, too.
            Err(error) => {
                failed = Some(error);
                break;
            }
        };
        for (event, bytes) in batch {
            match answers.next() {
                Some(Ok(())) => {
                    let (about, kind) = (&About::envelope(event), &event.kind);
                    about!(info, about, r#type = kind, outcome = "admitted", "event");
                    report.admitted += 1;
                }
                Some(Err(Refusal::Never(reason))) => {
                    refused.push((format!("the bus refuses it for good: {reason}"), bytes));
                }
                Some(Err(refusal)) => failed = Some(refusal.into_error(PASSING_ON)),
                None => failed = Some(PortError::unavailable(PASSING_ON, "there is no answer for it")),
            }
        }
    }
    for (reason, bytes) in refused {
        match quarantine(ports.quarantine, ports.time, ENTRANCE, &reason, headers, bytes).await {
            Ok(()) => report.quarantined += 1,
            Err(error) => failed = Some(error),
        }
    }
    // Last: a monitoring channel that does not answer keeps no saga waiting.
    for alert in alerts {
        match ports.alerts.raise(alert).await {
            Ok(()) => report.admitted += 1,
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(report), Err)
}

/// Keeps the body of a delivery in which no events can be told apart.
///
/// # Errors
/// [`PortError`]: the delivery must not be acknowledged, and comes again.
pub async fn keep_delivery<D, P, Q: Quarantine, A, T: Time>(
    ports: &Ports<'_, D, P, Q, A, T>,
    headers: &Headers,
    reason: &str,
    body: &[u8],
) -> Result<Admitted, PortError> {
    quarantine(ports.quarantine, ports.time, ENTRANCE, reason, headers, body).await?;
    Ok(Admitted {
        admitted: 0,
        quarantined: 1,
    })
}

/// Why an event does not come in here, if it does not.
async fn refusal<D: DefinitionNames, P, Q, A, T: Time>(
    deployment: &Deployment,
    ports: &Ports<'_, D, P, Q, A, T>,
    event: &SagaEvent,
) -> Result<Option<String>, PortError> {
    let (store, time) = (ports.definitions, ports.time);
    Ok(match event {
        SagaEvent::Ours(event) => match check(deployment, store, time, event).await? {
            Err(reason) => Some(reason),
            Ok(_) if event.comes_in() => None,
            Ok(_) => {
                let (from, to) = (event.sender, event.target);
                Some(format!("an event from {from} for {to} does not come in here"))
            }
        },
        SagaEvent::Outside(Outside { kind, .. }) => {
            match target_of_type(deployment, store, time, kind).await? {
                Some(Cloud::ORIGIN) => None,
                Some(other) => Some(format!("`{kind}` is for {other} and does not come in here")),
                None => Some(format!("`{kind}` is no event of any definition here")),
            }
        }
    })
}

/// The event as it goes onto the bus, or why the bus would never take it.
fn envelope(event: &SagaEvent, bytes: &[u8], now: Timestamp) -> Result<Envelope, String> {
    // It was read, so it is UTF-8.
    let body = cloud_event::admitted(event, &String::from_utf8_lossy(bytes), now);
    // What the bus refuses for good must not come back for ever.
    let bytes = body.len();
    if bytes > MAX_DETAIL_BYTES {
        return Err(format!(
            "the event has {bytes} bytes; at most {MAX_DETAIL_BYTES} reach the bus"
        ));
    }
    Ok(Envelope {
        id: event.id().clone(),
        saga: event.saga(),
        kind: event.kind().to_owned(),
        body,
    })
}

/// The event of a parked message, as it goes onto the bus.
fn notice(parked: Parked, now: Timestamp) -> Envelope {
    let parked = Parked { at: now, ..parked };
    Envelope {
        body: write_parked(&parked),
        id: parked.event,
        saga: parked.saga,
        kind: PARKED.to_owned(),
    }
}
