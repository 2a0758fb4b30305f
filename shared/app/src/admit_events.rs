//! Events of the other cloud come in: each is read, and what is meant for us is passed on to the bus. It is
//! acknowledged only when the bus took all of it; what cannot be understood goes to the quarantine.

use saga_core::Cloud;
use saga_core::ids::Timestamp;
use saga_core::outbox::{OutboxRow, Tries};
use saga_wire::event_bridge::MAX_DETAIL_BYTES;
use saga_wire::incoming::{Incoming, check};
use saga_wire::{alert_event, cloud_event, event_grid, json, parked_event};

use crate::Deployment;
use crate::handle_event::quarantine;
use crate::ports::{Alert, Alerts, PortError, Publisher, Quarantine, Time};

/// The ports that the ingress needs.
pub struct Ports<'a, P, Q, A, T> {
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

/// Admits the events of one delivery.
///
/// # Errors
/// [`PortError`]: the delivery must not be acknowledged, and comes again whole.
pub async fn admit_events<P: Publisher, Q: Quarantine, A: Alerts, T: Time>(
    deployment: &Deployment,
    ports: &Ports<'_, P, Q, A, T>,
    events: &[String],
) -> Result<Admitted, PortError> {
    let mut report = Admitted::default();
    let mut rows = Vec::with_capacity(events.len());
    let mut alerts = Vec::new();
    for text in events {
        match read(deployment, text, ports.time.now()) {
            Ok(Read::Event(row)) => rows.push(row),
            Ok(Read::Alert(alert)) => alerts.push(alert),
            Err(reason) => {
                quarantine(ports.quarantine, ports.time, "event-ingress", &reason, text).await?;
                report.quarantined += 1;
            }
        }
    }
    for batch in rows.chunks(P::LIMITS.events.max(1)) {
        let answers = ports.bus.publish(batch).await?;
        if let Some(refusal) = answers.into_iter().find_map(Result::err) {
            return Err(refusal.into_error("passing an event on to the bus"));
        }
        for row in batch {
            tracing::info!(saga_id = %row.saga, event_id = %row.id, r#type = row.kind, outcome = "admitted", "event");
        }
        report.admitted += batch.len();
    }
    // Last: a monitoring channel that does not answer keeps no saga waiting.
    for alert in alerts {
        ports.alerts.raise(alert).await?;
        report.admitted += 1;
    }
    Ok(report)
}

enum Read {
    Event(OutboxRow),
    Alert(Alert),
}

fn read(deployment: &Deployment, text: &str, now: Timestamp) -> Result<Read, String> {
    let stranger = |source: &str| {
        let is_ours = source.trim().eq_ignore_ascii_case(cloud_event::ORIGIN_SOURCE);
        let why = || format!("nobody out there speaks as `{}`", cloud_event::ORIGIN_SOURCE);
        if is_ours { Err(why()) } else { Ok(()) }
    };
    if let Some(source) = cloud_event::source(text).map_err(|error| error.to_string())? {
        stranger(&source)?;
    }
    if let Some(alert) = alert_event::parse(text) {
        return Ok(Read::Alert(Alert {
            subject: alert.subject,
            text: alert.text,
        }));
    }
    if let Some(parked) = parked_event::parse(text) {
        return Ok(Read::Event(OutboxRow {
            shard: 0,
            id: parked.event.clone(),
            saga: parked.saga,
            kind: parked_event::TYPE.to_owned(),
            body: parked_event::write(&parked, now),
            at: now,
            queued: now,
            follows: false,
            tries: Tries::default(),
        }));
    }
    let incoming = event_grid::event(text).map_err(|error| error.to_string())?;
    let (id, kind, saga) = match &incoming {
        Incoming::Ours(event) => {
            check(event, &deployment.catalogue).map_err(|error| error.to_string())?;
            if event.sender == Cloud::ORIGIN || event.target != Cloud::ORIGIN {
                return Err(format!(
                    "an event from {} for {} does not come in here",
                    event.sender, event.target
                ));
            }
            (&event.id, &event.kind, event.saga)
        }
        Incoming::Outside(event) => {
            // In Event Grid's own schema it is the topic.
            stranger(&event.source)?;
            match deployment.catalogue.target_of_type(&event.kind) {
                Some(Cloud::ORIGIN) => {}
                Some(other) => {
                    return Err(format!(
                        "`{}` is for {other} and does not come in here",
                        event.kind
                    ));
                }
                None => return Err(format!("`{}` is no event of any definition here", event.kind)),
            }
            (&event.id, &event.kind, event.saga)
        }
    };
    let body = match &incoming {
        Incoming::Ours(_) => json::portable(text).into_owned(),
        Incoming::Outside(event) => cloud_event::write_outside(event, Cloud::ORIGIN, now),
    };
    // What the bus refuses for good must not come back for ever.
    if body.len() > MAX_DETAIL_BYTES {
        return Err(format!(
            "the event has {} bytes; at most {MAX_DETAIL_BYTES} reach the bus",
            body.len()
        ));
    }
    Ok(Read::Event(OutboxRow {
        shard: 0,
        id: id.clone(),
        saga,
        kind: kind.clone(),
        body,
        at: now,
        queued: now,
        follows: false,
        tries: Tries::default(),
    }))
}
