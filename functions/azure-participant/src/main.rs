//! azure-participant: the steps that Azure owns, as a custom handler of Azure Functions. Wiring only.

mod config;
mod handler;
mod outbox_sweep;
mod participant;
mod saga_step;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use saga_azure::Azure;
use saga_runtime::clock::SystemClock;
use saga_runtime::{deployment, telemetry};

use crate::participant::Participant;

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
    let azure = Azure::connect(&config::azure()?, SystemClock)?;
    let participant = Arc::new(Participant::new(deployment, azure));
    handler::serve(participant, config::port()?).await?;
    Ok(())
}
