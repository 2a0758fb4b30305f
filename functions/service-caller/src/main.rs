//! service-caller: requests of one service's queue → the service, and its answer → one conditional transaction. Wiring only;
//! the use case is [`saga_app::call_service`].

mod parts;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use saga_app::call_service::{Caller, OriginSteps};
use saga_runtime::clock::SystemClock;
use saga_runtime::sqs_batch::{Batch, handle_each};
use saga_runtime::telemetry;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let parts = parts::connect().await?;
    let steps = OriginSteps {
        deployment: &parts.deployment,
        store: &parts.store,
        alerts: &parts.alerts,
        time: &SystemClock,
    };
    let caller = &Caller {
        deployment: &parts.deployment,
        services: &parts.services,
        steps: &steps,
        client: &parts.client,
        queue: &parts.queue,
        quarantine: &parts.quarantine,
        time: &SystemClock,
    };
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Batch>| {
        let failures = handle_each(&event.payload, |body: String| async move {
            caller.handle(body.as_bytes()).await
        });
        Ok::<_, Error>(failures.await)
    }))
    .await
}
