//! service-caller: requests of one service's queue → the service, and its answer → one conditional transaction. Wiring only;
//! the use case is [`saga_app::call_service`].

use lambda_runtime::{Error, LambdaEvent, service_fn};
use saga_app::call_service::{Caller, OriginSteps};
use saga_aws::alerts::AlertsTopic;
use saga_aws::call_queue::ServiceQueue;
use saga_aws::clients;
use saga_aws::quarantine::QuarantineQueue;
use saga_aws::saga_store::{DynamoSagas, Tables};
use saga_aws::services::RoleIdentity;
use saga_runtime::environment::{optional, required};
use saga_runtime::service_client::HttpServices;
use saga_runtime::sqs_batch::{Batch, handle_each};
use saga_runtime::{clock::SystemClock, deployment, telemetry};
use saga_wire::services::Services;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let deployment = deployment::load()?;
    let services = Services::parse_json(&required("SERVICES")?)?;
    let tables = Tables::named_by(required)?;
    let config = clients::config().await;
    let store = DynamoSagas::new(&config, tables, deployment.shards);
    let quarantine = QuarantineQueue::new(&config, required("QUARANTINE_QUEUE_URL")?);
    let alerts = AlertsTopic::new(&config, required("ALERTS_TOPIC_ARN")?);
    let queue = ServiceQueue::new(&config, required("SERVICE_QUEUE_URL")?);
    // Only the local stack has an endpoint of its own.
    let lambda = optional("AWS_ENDPOINT_URL").map(|url| url.parse()).transpose()?;
    let identity = RoleIdentity::new(&config, SystemClock)?;
    let client = HttpServices::new(identity, SystemClock, lambda)?;
    let steps = OriginSteps {
        deployment: &deployment,
        store: &store,
        alerts: &alerts,
        time: &SystemClock,
    };
    let caller = Caller {
        deployment: &deployment,
        services: &services,
        steps: &steps,
        client: &client,
        queue: &queue,
        quarantine: &quarantine,
        time: &SystemClock,
    };
    let caller = &caller;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Batch>| {
        let failures = handle_each(&event.payload, |body: String| async move {
            caller.handle(body.as_bytes()).await
        });
        Ok::<_, Error>(failures.await)
    }))
    .await
}
