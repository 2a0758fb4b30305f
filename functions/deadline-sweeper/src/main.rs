//! deadline-sweeper: looks after sagas that are due. Wiring only; the use case is [`saga_app::sweep_sagas`].

use lambda_runtime::{Error, LambdaEvent, service_fn};
use saga_app::sweep_sagas::sweep_sagas;
use saga_aws::alerts::AlertsTopic;
use saga_aws::clients;
use saga_aws::saga_store::{DynamoSagas, Tables};
use saga_runtime::clock::{SystemClock, stop_at};
use saga_runtime::environment::required;
use saga_runtime::{deployment, telemetry};

/// Sagas of one bucket in one pass: 16 buckets of 50 take a few seconds, well within the function's time.
const PER_BUCKET: usize = 50;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let deployment = deployment::load()?;
    let tables = Tables::named_by(required)?;
    let config = clients::config().await;
    let store = DynamoSagas::new(&config, tables, deployment.shards);
    let alerts = AlertsTopic::new(&config, required("ALERTS_TOPIC_ARN")?);
    let (deployment, store, alerts) = (&deployment, &store, &alerts);
    lambda_runtime::run(service_fn(async |event: LambdaEvent<serde_json::Value>| {
        let until = stop_at(event.context.deadline);
        let sweep = sweep_sagas(deployment, store, alerts, &SystemClock, PER_BUCKET, until);
        // Boxed: nested in one another, the futures are deeper than the compiler likes.
        let report = Box::pin(sweep).await?;
        Ok::<_, Error>(serde_json::json!({
            "sent": report.sent, "moved": report.moved, "stuck": report.stuck, "held": report.held, "unreadable": report.unreadable
        }))
    }))
    .await
}
