//! event-relay: queue of events for Azure → Event Grid topic, as the identity on Azure that trusts this function's
//! role. Wiring only; what becomes of an event is in [`relay`].

mod relay;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use saga_aws::clients;
use saga_aws::web_identity::{ENTRA_AUDIENCE, WebIdentity};
use saga_azure::{Assertion, EventGrid};
use saga_runtime::sqs_batch::{Batch, handle_each};
use saga_runtime::{environment::required, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let (tenant, client) = (required("AZURE_TENANT_ID")?, required("AZURE_CLIENT_ID")?);
    let identity = WebIdentity::new(&clients::config().await);
    let assertion = Assertion::new(tenant, client, move || {
        let identity = identity.clone();
        async move { identity.token(ENTRA_AUDIENCE).await }
    });
    let topic = &EventGrid::federated(&required("EVENTGRID_TOPIC_ENDPOINT")?, &assertion)?;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Batch>| {
        let failures = handle_each(&event.payload, |body: String| async move {
            relay::relay(topic, &body).await
        });
        Ok::<_, Error>(failures.await)
    }))
    .await
}
