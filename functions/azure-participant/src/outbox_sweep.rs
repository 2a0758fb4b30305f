//! Publishes what a step has committed and could not publish itself; the first time in a process, keeps the definitions of
//! this release beforehand.

use saga_app::keep_definitions::keep_all;
use saga_app::outbox::{Relay, Stopped};
use saga_app::ports::{ParticipantCloud, Time};

use crate::participant::{Outcome, Participant};

/// The handler answers within 20 seconds; what is left then is there for the next time.
const LONGEST_MILLIS: i64 = 8_000;

pub(crate) async fn handle(participant: &Participant<impl ParticipantCloud>) -> Outcome {
    let Ok(_permit) = participant.sweeps.try_acquire() else {
        return Ok("the sweep before is still under way".to_owned());
    };
    let cloud = &participant.cloud;
    let (store, alerts, time) = (cloud.store(), cloud.alerts(), cloud.time());
    keep_all(&participant.deployment, store, alerts).await;
    let now = time.now();
    let owner = format!("{:x}-{:x}", now.millis(), time.below(u64::MAX));
    let rules = participant.deployment.relay;
    let relay = Relay::new(store, cloud.publisher(), alerts, alerts, time, rules);
    let relay = relay.within(&owner, now.plus_millis(LONGEST_MILLIS));
    let report = relay.sweep(participant.deployment.shards).await?;
    let (published, left, set_aside) = (report.published, report.left, report.set_aside);
    let stopped = report.stopped.map(Stopped::as_str).unwrap_or_default();
    Ok(format!(
        "published {published}, left {left}, set aside {set_aside} {stopped}"
    ))
}
