//! dlq-replayer: dead letters of both clouds behind a function URL, and reported by the schedule. Wiring only; the routes
//! are in [`routes`], the use cases in [`saga_app::dead_letters`].

mod answers;
mod invocation;
mod places;
mod routes;

use lambda_runtime::{Error, service_fn};
use saga_app::dead_letters::Ports;
use saga_aws::alerts::AlertsTopic;
use saga_aws::clients;
use saga_aws::saga_store::{DynamoSagas, Tables};
use saga_runtime::clock::SystemClock;
use saga_runtime::environment::required;
use saga_runtime::{deployment, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let deployment = deployment::load()?;
    let config = clients::config().await;
    let store = DynamoSagas::new(&config, Tables::named_by(required)?, deployment.shards);
    let alerts = AlertsTopic::new(&config, required("ALERTS_TOPIC_ARN")?);
    let places = places::connect(&config, deployment.shards)?;
    let ports = Ports {
        deployment: &deployment,
        sources: &places.sources,
        absent: places::ABSENT,
        outlet: &places.outlet,
        archive: &places.archive,
        store: &store,
        time: &SystemClock,
    };
    let (ports, alerts, memory) = (&ports, &alerts, &places.archive);
    lambda_runtime::run(service_fn(async |event| {
        invocation::answer(ports, alerts, memory, event).await
    }))
    .await
}
