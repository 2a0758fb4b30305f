//! Publishes what a step has committed and could not publish itself; the first time in a process, keeps the definitions of
//! this release beforehand.

use saga_app::keep_definitions::keep_all;
use saga_app::outbox::{Relay, Stopped};
use saga_app::ports::{Alerts, Definitions, Outbox, Parking, Publisher, Time};

use crate::handler::{Handler, Outcome};

/// The handler answers within 20 seconds; what is left then is there for the next time.
const LONGEST_MILLIS: i64 = 8_000;

pub(crate) async fn handle<S, P, Q, A, T>(handler: &Handler<S, P, Q, A, T>) -> Outcome
where
    S: Definitions + Outbox,
    P: Publisher,
    A: Alerts + Parking,
    T: Time,
{
    let Ok(_permit) = handler.sweeps.try_acquire() else {
        return Ok("the sweep before is still under way".to_owned());
    };
    keep_all(&handler.deployment, &handler.store, &handler.alerts).await;
    let now = handler.time.now();
    let owner = format!("{:x}-{:x}", now.millis(), handler.time.below(u64::MAX));
    let (alerts, rules) = (&handler.alerts, handler.deployment.relay);
    let relay = Relay::new(
        &handler.store,
        &handler.publisher,
        alerts,
        alerts,
        &handler.time,
        rules,
    );
    let relay = relay.within(&owner, now.plus_millis(LONGEST_MILLIS));
    let report = relay.sweep(handler.deployment.shards).await?;
    let (published, left, set_aside) = (report.published, report.left, report.set_aside);
    let stopped = report.stopped.map(Stopped::as_str).unwrap_or_default();
    Ok(format!(
        "published {published}, left {left}, set aside {set_aside} {stopped}"
    ))
}
