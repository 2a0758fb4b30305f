//! saga-events: SQS → one conditional transaction for each event. Wiring only; the use case is
//! [`saga_app::handle_event`].

use lambda_runtime::{Error, LambdaEvent, service_fn};
use saga_app::handle_event::{Ports, handle_event};
use saga_aws::alerts::AlertsTopic;
use saga_aws::clients;
use saga_aws::quarantine::QuarantineQueue;
use saga_aws::saga_store::{DynamoSagas, Tables};
use saga_runtime::sqs_batch::{Batch, handle_each};
use saga_runtime::{clock::SystemClock, deployment, environment::required, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let deployment = deployment::load()?;
    let tables = Tables::named_by(required)?;
    let config = clients::config().await;
    let store = DynamoSagas::new(&config, tables, deployment.shards);
    let quarantine = QuarantineQueue::new(&config, required("QUARANTINE_QUEUE_URL")?);
    let alerts = AlertsTopic::new(&config, required("ALERTS_TOPIC_ARN")?);
    let ports = Ports {
        store: &store,
        quarantine: &quarantine,
        alerts: &alerts,
        time: &SystemClock,
    };
    let (deployment, ports) = (&deployment, &ports);
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Batch>| {
        let failures = handle_each(&event.payload, |body: String| async move {
            handle_event(deployment, ports, &body).await
        });
        Ok::<_, Error>(failures.await)
    }))
    .await
}
