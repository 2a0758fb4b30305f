//! Publishes what a step has committed and could not publish itself.

use saga_app::ports::{Outbox, Publisher, Time};
use saga_app::relay_outbox::sweep;

use crate::handler::{Handler, Outcome};

/// A step publishes its own row at once; a row of this age was left behind.
const OLDER_THAN_MILLIS: i64 = 5_000;

pub(crate) async fn handle<S, P, Q, A, T>(handler: &Handler<S, P, Q, A, T>) -> Outcome
where
    S: Outbox,
    P: Publisher,
    T: Time,
{
    let Ok(_permit) = handler.sweeps.try_acquire() else {
        return Ok("the sweep before is still under way".to_owned());
    };
    let shards = handler.deployment.shards;
    let report = sweep(
        &handler.store,
        &handler.publisher,
        &handler.time,
        shards,
        OLDER_THAN_MILLIS,
    )
    .await?;
    Ok(format!("published {}, left {}", report.published, report.left))
}
