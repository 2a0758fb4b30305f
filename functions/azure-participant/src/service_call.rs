//! One request to an outside service, from the queue of all services' requests.
//!
//! Invariant: a service that answers slowly keeps no other waiting. Each service has so many places; a request that finds
//! them taken goes back on the queue for a moment.

use saga_app::Handled;
use saga_app::call_service::{Caller, ParticipantSteps};
use saga_app::ports::{CallQueue, ParticipantCloud, PortError, Time};
use saga_core::Cloud;
use saga_wire::inbound::{self, Inbound};
use saga_wire::saga_event::SagaEvent;

use crate::participant::{Outcome, Participant};
use crate::trigger;

pub(crate) async fn handle(participant: &Participant<impl ParticipantCloud>, body: &[u8]) -> Outcome {
    let Some(calls) = &participant.calls else {
        // It stays on its queue: what is bound here may change.
        return Err(PortError::unavailable(
            "this deployment's services",
            "none is bound",
        ));
    };
    let message = trigger::message(body);
    let time = participant.cloud.time();
    let _place = match calls.places.get(&service_of(&message).unwrap_or_default()) {
        None => None,
        Some(places) => {
            let place = places.take().await;
            if place.is_none() {
                let away = places.away(time.now(), |bound| time.below(bound));
                calls.queue.put(&message, away).await?;
                return Ok("put back: its service has no place free".to_owned());
            }
            place
        }
    };
    let cloud = &participant.cloud;
    let steps = ParticipantSteps {
        deployment: &participant.deployment,
        ports: cloud,
        cloud: Cloud::Azure,
    };
    let caller = Caller {
        deployment: &participant.deployment,
        services: &calls.services,
        steps: &steps,
        client: &calls.client,
        queue: &calls.queue,
        quarantine: cloud.quarantine(),
        time,
    };
    Ok(match caller.handle(&message).await? {
        Handled::Decided(outcome) => outcome.as_str().to_owned(),
        // The reason may quote the message, and this line is logged by the host.
        Handled::Quarantined(_) => "quarantined".to_owned(),
    })
}

/// The service that a request is for.
fn service_of(message: &[u8]) -> Option<String> {
    match inbound::participant_queue(message) {
        Inbound::Event(event) => match *event {
            SagaEvent::Ours(event) => event.mailbox,
            SagaEvent::Outside(_) => None,
        },
        _ => None,
    }
}
