//! Command line of the stand-in: reads the configuration, runs until a signal asks it to stop.

use std::{error::Error, ffi::OsString, path::Path, process::ExitCode};

use saga_azure_standin::{StandIn, config::Config};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
#[allow(
    clippy::print_stderr,
    reason = "a usage error is for the person at the terminal, before logging exists"
)]
async fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let [flag, file] = &arguments[..] else {
        eprintln!("usage: saga-azure-standin --config <file.json>");
        return ExitCode::from(2);
    };
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .from_env_lossy();
    let lines = tracing_subscriber::fmt().json().flatten_event(true);
    lines.with_env_filter(filter).init();
    match run(flag, file.as_ref()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the stand-in stopped");
            ExitCode::FAILURE
        }
    }
}

async fn run(flag: &OsString, file: &Path) -> Result<(), Box<dyn Error>> {
    if flag != "--config" {
        return Err("the first argument must be --config".into());
    }
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stand_in = StandIn::start(Config::load(file)?).await?;
    tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    stand_in.stop().await;
    Ok(())
}
