//! outbox-poller: outbox → bus, from the table's stream at once and from the schedule for what was left. Wiring
//! only; the use case is [`saga_app::relay_outbox`].

mod stream;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use saga_app::relay_outbox::{Report, relay, sweep};
use saga_aws::clients;
use saga_aws::event_bridge::Bus;
use saga_aws::outbox::DynamoOutbox;
use saga_runtime::clock::SystemClock;
use saga_runtime::environment::required;
use saga_runtime::{deployment, telemetry};
use saga_wire::cloud_event::ORIGIN_SOURCE;

/// What the stream has not published by then, the schedule does.
const OVERDUE_MILLIS: i64 = 30_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let shards = deployment::load()?.shards;
    let config = clients::config().await;
    let outbox = DynamoOutbox::new(&config, required("OUTBOX_TABLE")?);
    let bus = Bus::new(&config, required("EVENT_BUS")?, ORIGIN_SOURCE);
    let (outbox, bus) = (&outbox, &bus);
    lambda_runtime::run(service_fn(async |event: LambdaEvent<stream::Invocation>| {
        let report: Report = match event.payload.records {
            Some(records) => relay(outbox, bus, stream::rows(records)).await?,
            None => sweep(outbox, bus, &SystemClock, shards, OVERDUE_MILLIS).await?,
        };
        // For the stream, an empty list of failures: what could not be published is still in the table.
        Ok::<_, Error>(serde_json::json!({
            "batchItemFailures": [], "published": report.published, "left": report.left, "calls": report.calls
        }))
    }))
    .await
}
