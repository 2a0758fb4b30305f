//! What the caller consists of, from its environment.

use lambda_runtime::Error;
use saga_app::Deployment;
use saga_aws::alerts::AlertsTopic;
use saga_aws::call_queue::ServiceQueue;
use saga_aws::clients;
use saga_aws::quarantine::QuarantineQueue;
use saga_aws::saga_store::{DynamoSagas, Tables};
use saga_aws::services::RoleIdentity;
use saga_runtime::clock::SystemClock;
use saga_runtime::deployment;
use saga_runtime::environment::{optional, required};
use saga_runtime::service_client::HttpServices;
use saga_wire::services::Services;

pub struct Parts {
    pub deployment: Deployment,
    pub services: Services,
    pub store: DynamoSagas,
    pub quarantine: QuarantineQueue,
    pub alerts: AlertsTopic,
    pub queue: ServiceQueue,
    pub client: HttpServices<RoleIdentity<SystemClock>, SystemClock>,
}

/// Reads the settings and builds the clients. Nothing is sent.
pub async fn connect() -> Result<Parts, Error> {
    let deployment = deployment::load()?;
    let tables = Tables::named_by(required)?;
    let config = clients::config().await;
    // Only the local stack has an endpoint of its own.
    let lambda = optional("AWS_ENDPOINT_URL").map(|url| url.parse()).transpose()?;
    let identity = RoleIdentity::new(&config, SystemClock)?;
    Ok(Parts {
        services: Services::parse_json(&required("SERVICES")?)?,
        store: DynamoSagas::new(&config, tables, deployment.shards),
        quarantine: QuarantineQueue::new(&config, required("QUARANTINE_QUEUE_URL")?),
        alerts: AlertsTopic::new(&config, required("ALERTS_TOPIC_ARN")?),
        queue: ServiceQueue::new(&config, required("SERVICE_QUEUE_URL")?),
        client: HttpServices::new(identity, SystemClock, lambda)?,
        deployment,
    })
}
