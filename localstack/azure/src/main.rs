//! Command line of the stand-in: reads the configuration, runs until a signal asks it to stop.

use std::process::ExitCode;

use saga_azure_standin::{StandIn, config::Config};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(flag), Some(file), None) = (arguments.next(), arguments.next(), arguments.next()) else {
        return usage();
    };
    if flag != "--config" {
        return usage();
    }
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .from_env_lossy();
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(filter)
        .init();
    match run(file.as_ref()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the stand-in stopped");
            ExitCode::FAILURE
        }
    }
}

async fn run(file: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stand_in = StandIn::start(Config::load(file)?).await?;
    tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    stand_in.stop().await;
    Ok(())
}

#[allow(
    clippy::print_stderr,
    reason = "a usage error is for the person at the terminal, before logging exists"
)]
fn usage() -> ExitCode {
    eprintln!("usage: saga-azure-standin --config <file.json>");
    ExitCode::from(2)
}
