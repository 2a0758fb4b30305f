//! azure-participant: the steps that Azure owns, as a custom handler of Azure Functions. Wiring only.

mod config;
mod handler;
mod outbox_sweep;
mod participant;
mod saga_step;
mod service_call;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use saga_azure::{Azure, CallsQueue, ManagedIdentity};
use saga_runtime::clock::SystemClock;
use saga_runtime::service_client::HttpServices;
use saga_runtime::{deployment, telemetry};

use crate::participant::Participant;
use crate::service_call::Calls;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(
                error = saga_app::ports::causes(error.as_ref()),
                "the participant ends"
            );
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let deployment = deployment::load()?;
    let config = config::azure()?;
    let azure = Azure::connect(&config, SystemClock)?;
    let calls = match config::services()? {
        None => None,
        Some((services, queue)) => {
            let identity = ManagedIdentity::new(config.client_id.as_deref())?;
            let client = HttpServices::new(identity, SystemClock, None)?;
            Some(Calls::new(
                services,
                client,
                CallsQueue::connect(&config, &queue)?,
            ))
        }
    };
    let participant = Arc::new(Participant::new(deployment, azure, calls));
    handler::serve(participant, config::port()?).await?;
    Ok(())
}
