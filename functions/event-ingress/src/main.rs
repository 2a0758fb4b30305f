//! event-ingress: Event Grid's webhook → bus. Wiring only; the webhook is in [`webhook`], who may call it in
//! [`token`].

mod keys;
mod ring_jwt;
mod token;
mod webhook;

use lambda_http::{Error, Request, service_fn};
use saga_app::admit_events::Ports;
use saga_aws::definitions::DynamoDefinitions;
use saga_aws::{alerts::AlertsTopic, clients, event_bridge::Bus, quarantine::QuarantineQueue};
use saga_runtime::{clock::SystemClock, deployment, environment::required, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    ring_jwt::install();
    let deployment = deployment::load()?;
    let config = clients::config().await;
    let webhook = webhook::Webhook {
        deployment: &deployment,
        ports: Ports {
            definitions: &DynamoDefinitions::new(&config, required("SAGAS_TABLE")?),
            bus: &Bus::new(&config, required("EVENT_BUS")?, "saga.ingress"),
            quarantine: &QuarantineQueue::new(&config, required("QUARANTINE_QUEUE_URL")?),
            alerts: &AlertsTopic::new(&config, required("ALERTS_TOPIC_ARN")?),
            time: &SystemClock,
        },
        guard: token::Guard::from_environment()?,
        allowed_origin: required("WEBHOOK_ALLOWED_ORIGIN")?,
    };
    let webhook = &webhook;
    lambda_http::run(service_fn(async |request: Request| {
        Ok::<_, Error>(webhook.answer(&request).await)
    }))
    .await
}
