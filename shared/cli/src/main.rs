//! `saga`: one command line for what people do with sagas. A command is a module; what they share is how they are asked
//! (`arguments`), how they answer (`output`) and with which status they end (`exit`).

mod arguments;
mod conformance;
mod exit;
mod output;

use std::process::ExitCode;

use arguments::{Arguments, Command};
use exit::Exit;
use output::Output;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = match Arguments::read(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(why) => return output::of_clap(&why).into(),
    };
    let mut out = Output::new(arguments.json);
    let exit = match arguments.command {
        Command::Conformance(asked) => conformance::run(*asked, &mut out).await,
    };
    let exit = exit.unwrap_or_else(|why| {
        output::complain(&why.0);
        Exit::Usage
    });
    out.end(exit).into()
}
