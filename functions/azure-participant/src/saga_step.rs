//! One message of the saga queue. What cannot be read is kept in the quarantine and not shown again.

use saga_app::ports::ParticipantCloud;
use saga_app::{Handled, participate};
use saga_core::Cloud;
use saga_wire::custom_handler;

use crate::participant::{Outcome, Participant};
use crate::trigger;

/// The host shows a message so often (`maxDequeueCount` in `host.json`), and then moves it to the poison queue.
pub(crate) const LAST_TRY: u32 = 5;

pub(crate) async fn handle(participant: &Participant<impl ParticipantCloud>, body: &[u8]) -> Outcome {
    // The semaphore is never closed.
    let _permit = participant.steps.acquire().await.ok();
    if body.trim_ascii().is_empty() {
        return Ok("an empty invocation: nothing to do and nothing to keep".to_owned());
    }
    let text = std::str::from_utf8(body).unwrap_or_default();
    let last_try = custom_handler::dequeue_count(text) >= LAST_TRY;
    let message = trigger::message(body);
    let cloud = &participant.cloud;
    let ports = participate::Ports {
        store: cloud.store(),
        publisher: cloud.publisher(),
        quarantine: cloud.quarantine(),
        alerts: cloud.alerts(),
        parking: cloud.alerts(),
        time: cloud.time(),
        cloud: Cloud::Azure,
        last_try,
    };
    Ok(
        match participate::participate(&participant.deployment, &ports, &message).await? {
            Handled::Decided(outcome) => outcome.as_str().to_owned(),
            // The reason may quote the message, and this line is logged by the host.
            Handled::Quarantined(_) => "quarantined".to_owned(),
        },
    )
}
