//! saga-initiator: the HTTP API behind a function URL. Wiring only; the routes are in [`routes`].

mod answers;
mod fields;
mod routes;
mod runs;

use lambda_http::{Error, Request, service_fn};
use saga_aws::clients;
use saga_aws::saga_store::{DynamoSagas, Tables};
use saga_runtime::clock::SystemClock;
use saga_runtime::environment::required;
use saga_runtime::{deployment, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let deployment = deployment::load()?;
    let tables = Tables::named_by(required)?;
    let config = clients::config().await;
    let store = DynamoSagas::new(&config, tables, deployment.shards);
    let api = routes::Api {
        deployment: &deployment,
        store: &store,
        time: &SystemClock,
    };
    let api = &api;
    lambda_http::run(service_fn(async |request: Request| {
        Ok::<_, Error>(api.answer(request).await)
    }))
    .await
}
