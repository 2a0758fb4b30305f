//! azure-participant: the steps that Azure owns, as a custom handler of Azure Functions. Wiring only.

mod calls;
mod config;
mod handler;
mod outbox_sweep;
mod participant;
mod places;
mod saga_step;
mod service_call;
mod trigger;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use saga_azure::Azure;
use saga_runtime::{clock::SystemClock, deployment, telemetry};

use crate::calls::Calls;
use crate::participant::Participant;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::init();
    let Err(error) = run().await else {
        return ExitCode::SUCCESS;
    };
    let error = saga_app::ports::causes(error.as_ref());
    tracing::error!(error, "the participant ends");
    ExitCode::FAILURE
}

async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let deployment = deployment::load()?;
    let config = config::azure()?;
    let azure = Azure::connect(&config, SystemClock)?;
    let participant = Participant::new(deployment, azure, Calls::connect(&config)?);
    Ok(handler::serve(Arc::new(participant), config::port()?).await?)
}
