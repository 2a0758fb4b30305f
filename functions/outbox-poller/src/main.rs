//! outbox-poller: outbox → bus, from the table's stream at once and from the schedule for what was left. Wiring
//! only; the use case is [`saga_app::outbox`].

mod stream;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use saga_app::{outbox::Relay, park_saga::AtOrigin};
use saga_aws::saga_store::{DynamoSagas, Tables};
use saga_aws::{alerts::AlertsTopic, clients, event_bridge::Bus, outbox::DynamoOutbox};
use saga_runtime::clock::{SystemClock, stop_at};
use saga_runtime::{deployment, environment::required, telemetry};
use saga_wire::cloud_event::ORIGIN_SOURCE;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let (deployment, time) = (&deployment::load()?, &SystemClock);
    let tables = Tables::named_by(required)?;
    let config = clients::config().await;
    let outbox = DynamoOutbox::new(&config, tables.outbox.clone());
    let store = &DynamoSagas::new(&config, tables, deployment.shards);
    let bus = Bus::new(&config, required("EVENT_BUS")?, ORIGIN_SOURCE);
    let alerts = AlertsTopic::new(&config, required("ALERTS_TOPIC_ARN")?);
    let parking = AtOrigin::new(store, time);
    let relay = &Relay::new(&outbox, &bus, &alerts, &parking, time, deployment.relay);
    lambda_runtime::run(service_fn(async |event: LambdaEvent<stream::Invocation>| {
        let until = stop_at(event.context.deadline);
        let relay = relay.within(&event.context.request_id, until);
        let report = match event.payload.records {
            Some(records) => stream::reported(relay.publish(stream::rows(records)).await),
            None => relay.sweep(deployment.shards).await?,
        };
        Ok::<_, Error>(stream::answer(&report))
    }))
    .await
}
