//! Events of the other cloud come in: each is read, and what is meant for us is passed on to the bus. It is
//! acknowledged only when the bus took all of it; what cannot be understood goes to the quarantine.
//!
//! Invariant: no event waits for its neighbours. Whatever one of them fails at, each of the others goes its way.

use saga_core::Cloud;
use saga_core::ids::Timestamp;
use saga_wire::event_bridge::MAX_DETAIL_BYTES;
use saga_wire::incoming::Incoming;
use saga_wire::quarantine::Headers;
use saga_wire::{alert_event, cloud_event, event_grid, parked_event};

use crate::Deployment;
use crate::about;
use crate::definitions::{check, target_of_type};
use crate::handle_event::quarantine;
use crate::log::About;
use crate::ports::{
    Alert, Alerts, DefinitionNames, Envelope, PortError, Publisher, Quarantine, Refusal, Time,
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
    let (mut meant, mut bodies) = (Vec::with_capacity(events.len()), Vec::new());
    let (mut refused, mut alerts, mut failed) = (Vec::new(), Vec::new(), None);
    for bytes in events {
        let read = match read(deployment, ports, bytes).await {
            Ok(read) => read,
            // Its definition cannot be looked up now: the others do not wait for it.
            Err(error) => {
                failed = Some(error);
                continue;
            }
        };
        match read {
            Ok(Read::Event(event)) => {
                meant.push(event);
                bodies.push(bytes);
            }
            Ok(Read::Alert(alert)) => alerts.push(alert),
            Ok(Read::Deletion) => {
                tracing::warn!(
                    outcome = "acknowledged",
                    "Event Grid deleted its subscription: no more events come from Azure until there is another"
                );
            }
            Err(reason) => refused.push((reason, bytes)),
        }
    }
    let meant: Vec<&Envelope> = meant.iter().collect();
    let (mut meant, mut bodies) = (meant.as_slice(), bodies.as_slice());
    while !meant.is_empty() {
        let call = P::LIMITS.first_call(meant.iter().copied());
        let (batch, of_batch);
        (batch, meant) = meant.split_at(call);
        (of_batch, bodies) = bodies.split_at(call);
        let mut answers = match ports.bus.publish(batch).await {
            Ok(answers) => answers.into_iter(),
            // It is about no event: the others would fare no better now.
            Err(error) => {
                failed = Some(error);
                break;
            }
        };
        for (event, bytes) in batch.iter().zip(of_batch) {
            match answers.next() {
                Some(Ok(())) => {
                    about!(
                        info,
                        &About::envelope(event),
                        r#type = event.kind,
                        outcome = "admitted",
                        "event"
                    );
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

enum Read {
    Event(Envelope),
    Alert(Alert),
    Deletion,
}

/// What the bytes say; the inner error is the reason for the quarantine.
async fn read<D: DefinitionNames, P, Q, A, T: Time>(
    deployment: &Deployment,
    ports: &Ports<'_, D, P, Q, A, T>,
    bytes: &[u8],
) -> Result<Result<Read, String>, PortError> {
    let (store, time) = (ports.definitions, ports.time);
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Ok(Err(event_grid::no_text().0));
    };
    let incoming = match parse(text, time.now()) {
        Ok(Parsed::Incoming(incoming)) => incoming,
        Ok(Parsed::Read(read)) => return Ok(Ok(read)),
        Err(reason) => return Ok(Err(reason)),
    };
    let meant = match &incoming {
        Incoming::Ours(event) => match check(deployment, store, time, event).await? {
            Err(reason) => Err(reason),
            Ok(_) if event.comes_in() => Ok(()),
            Ok(_) => Err(format!(
                "an event from {} for {} does not come in here",
                event.sender, event.target
            )),
        },
        Incoming::Outside(event) => match target_of_type(deployment, store, time, &event.kind).await? {
            Some(Cloud::ORIGIN) => Ok(()),
            Some(other) => Err(format!(
                "`{}` is for {other} and does not come in here",
                event.kind
            )),
            None => Err(format!("`{}` is no event of any definition here", event.kind)),
        },
    };
    Ok(meant.and_then(|()| envelope(&incoming, text, time.now())))
}

/// An event that has to be held against its definition, or something else of ours.
enum Parsed {
    Incoming(Incoming),
    Read(Read),
}

fn parse(text: &str, now: Timestamp) -> Result<Parsed, String> {
    let stranger = |source: &str| {
        let is_ours = source.trim().eq_ignore_ascii_case(cloud_event::ORIGIN_SOURCE);
        let why = || format!("nobody out there speaks as `{}`", cloud_event::ORIGIN_SOURCE);
        if is_ours { Err(why()) } else { Ok(()) }
    };
    if let Some(source) = cloud_event::source(text).map_err(|error| error.to_string())? {
        stranger(&source)?;
    }
    if event_grid::is_deletion(text) {
        return Ok(Parsed::Read(Read::Deletion));
    }
    if let Some(alert) = alert_event::parse(text) {
        return Ok(Parsed::Read(Read::Alert(Alert {
            subject: alert.subject,
            text: alert.text,
        })));
    }
    if let Some(parked) = parked_event::parse(text) {
        return Ok(Parsed::Read(Read::Event(Envelope {
            id: parked.event.clone(),
            saga: parked.saga,
            kind: parked_event::TYPE.to_owned(),
            body: parked_event::write(&parked, now),
        })));
    }
    let incoming = event_grid::event(text).map_err(|error| error.to_string())?;
    if let Incoming::Outside(event) = &incoming {
        // In Event Grid's own schema it is the topic.
        stranger(&event.source)?;
    }
    Ok(Parsed::Incoming(incoming))
}

/// The event as it goes onto the bus.
fn envelope(incoming: &Incoming, text: &str, now: Timestamp) -> Result<Read, String> {
    let (id, kind, saga) = match incoming {
        Incoming::Ours(event) => (&event.id, &event.kind, event.saga),
        Incoming::Outside(event) => (&event.id, &event.kind, event.saga),
    };
    let body = cloud_event::admitted(incoming, text, now);
    // What the bus refuses for good must not come back for ever.
    if body.len() > MAX_DETAIL_BYTES {
        return Err(format!(
            "the event has {} bytes; at most {MAX_DETAIL_BYTES} reach the bus",
            body.len()
        ));
    }
    Ok(Read::Event(Envelope {
        id: id.clone(),
        saga,
        kind: kind.clone(),
        body,
    }))
}
