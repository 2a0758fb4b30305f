//! The command line.

use std::ffi::OsString;

use clap::{Parser, Subcommand};

use crate::conformance;

/// Sagas across AWS and Azure: one command line
#[derive(Parser)]
#[command(name = "saga", version)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
    /// Writes one JSON document in place of tables
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Subcommand)]
pub enum Command {
    /// Tries whether a service keeps the contract of services; for test environments only
    #[command(long_about = conformance::LONG_ABOUT, after_help = conformance::EXIT_CODES)]
    Conformance(Box<conformance::Arguments>),
}

impl Arguments {
    /// Reads the words of a process. The error may be help that was asked for.
    pub fn read(words: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        Self::try_parse_from(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let read = |line: &str| Arguments::read(line.split(' ').map(OsString::from));
        for line in [
            "saga",
            "saga conformance",
            "saga conformance bank",
            "saga conformance http://bank.example/saga",
            "saga conformance ftp://127.0.0.1/",
            "saga conformance https://user:word@bank.example/",
            "saga conformance https://bank.example/?x=1",
            "saga conformance http://127.0.0.1:1 --recover both",
            "saga conformance http://127.0.0.1:1 --timeout 0s",
            "saga conformance http://127.0.0.1:1 --timeout 61s",
            "saga conformance http://127.0.0.1:1 --timeout 10",
            "saga conformance http://127.0.0.1:1 --step a.b",
            "saga conformance http://127.0.0.1:1 --secret a --secret-env B",
        ] {
            assert!(read(line).is_err_and(|error| error.use_stderr()), "{line}");
        }
        for line in [
            "saga conformance http://127.0.0.1:1",
            "saga conformance http://localhost:1/bank/ --json --no-undo --timeout 500ms",
            "saga --json conformance https://bank.example/saga --recover tombstone --decide-within 2m",
        ] {
            assert!(read(line).is_ok(), "{line}");
        }
    }
}
