//! dlq: dead letters of both clouds, from a terminal. It talks to dlq-replayer's routes and decides nothing itself.

mod arguments;
mod client;
mod output;

use std::process::ExitCode;

use saga_app::dead_letters::MAX_PAGE;
use saga_app::dead_letters::command::MAX_RUN;
use serde_json::{Value, json};

use arguments::{Arguments, Command, Run};
use client::{Client, Failure};
use output::Output;

/// Everything that was asked for was done.
const DONE: u8 = 0;
/// Some dead letters failed, were taken by somebody else, or are not there.
const SOME_FAILED: u8 = 1;
/// The arguments are wrong.
const WRONG_USAGE: u8 = 2;
/// The replayer cannot be reached, or refuses.
const REFUSED: u8 = 3;

/// What the paths of all routes begin with.
const PATH: &str = "dead-letters";
/// Dead letters of one request of a list that shows all.
const PAGE: usize = MAX_PAGE;
/// Dead letters of one request of a run.
const RUN: usize = MAX_RUN;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = match arguments::parse() {
        Ok(arguments) => arguments,
        Err(problem) => {
            output::complain(&format!("{problem}\n`dlq --help` shows all commands and options"));
            return ExitCode::from(WRONG_USAGE);
        }
    };
    let mut out = Output::new(arguments.json);
    let one_dead_letter = matches!(arguments.command, Command::Show { .. });
    let code = match carry_out(arguments, &mut out).await {
        Ok(code) => code,
        Err(failure) => {
            output::complain(&failure.to_string());
            match failure.status() {
                Some(400) => WRONG_USAGE,
                // Elsewhere it is no dead letter that is missing, but the replayer.
                Some(404) if one_dead_letter => SOME_FAILED,
                _ => REFUSED,
            }
        }
    };
    if let Some(error) = out.lost() {
        output::complain(&format!(
            "the output could not be written: {error}. What it would have said of the dead letters is done; list them again"
        ));
        return ExitCode::from(code.max(SOME_FAILED));
    }
    ExitCode::from(code)
}

async fn carry_out(arguments: Arguments, out: &mut Output) -> Result<u8, Failure> {
    if let Command::Help = arguments.command {
        out.text(arguments::USAGE);
        return Ok(DONE);
    }
    let client = Client::connect(arguments.endpoint, arguments.region).await?;
    match arguments.command {
        Command::Help => Ok(DONE),
        Command::List { filter, limit } => list(&client, filter, limit, out).await,
        Command::Show { id } => {
            out.dead_letter(&client.get(&[PATH, &id.to_string()], &[]).await?);
            Ok(DONE)
        }
        Command::Run(run) => carry_on(&client, run, out).await,
    }
}

async fn list(
    client: &Client,
    mut query: Vec<(&'static str, String)>,
    limit: Option<usize>,
    out: &mut Output,
) -> Result<u8, Failure> {
    let page = limit.unwrap_or(PAGE).min(PAGE);
    query.push(("limit", page.to_string()));
    let (mut shown, mut cursor, mut code) = (0, None::<String>, DONE);
    loop {
        let mut query = query.clone();
        query.extend(cursor.map(|cursor| ("cursor", cursor)));
        let answer = client.get(&[PATH], &query).await?;
        shown += answer["letters"].as_array().map_or(0, Vec::len);
        out.page(&answer);
        if has_notices(&answer) {
            code = SOME_FAILED;
        }
        cursor = answer["next"].as_str().map(str::to_owned);
        let enough = limit.is_some_and(|limit| shown >= limit);
        if cursor.is_none() || enough {
            out.end_of_list(shown, cursor.is_some());
            return Ok(code);
        }
    }
}

/// Whether something could not be looked at.
fn has_notices(answer: &Value) -> bool {
    answer["notices"]
        .as_array()
        .is_some_and(|notices| !notices.is_empty())
}

/// Sends the same request until nothing is left, each bounded by the function's time: what an interruption leaves, the
/// same command takes up again.
async fn carry_on(client: &Client, run: Run, out: &mut Output) -> Result<u8, Failure> {
    let mut left = run.limit;
    let mut code = DONE;
    loop {
        let limit = left.map_or(RUN, |left| left.min(RUN));
        let mut body = run.body.clone();
        body["limit"] = json!(limit);
        let report = client.post(&[PATH, run.act.as_str()], &body).await?;
        out.report(&report);
        let count = |name: &str| usize::try_from(report[name].as_u64().unwrap_or(0)).unwrap_or(0);
        let taken =
            |item: &Value| ["taken", "unknown", "failed"].contains(&item["outcome"].as_str().unwrap_or(""));
        if report["items"]
            .as_array()
            .is_some_and(|items| items.iter().any(taken))
            || has_notices(&report)
        {
            code = SOME_FAILED;
        }
        left = left.map(|left| left.saturating_sub(count("done") + count("failed")));
        let may_go_on = ["limit", "time"].contains(&report["ended"].as_str().unwrap_or(""));
        let dry = report["dry_run"].as_bool().unwrap_or(true);
        // Without progress the next would be the same; a dry run shows what one request takes.
        if dry || !may_go_on || count("done") == 0 || left == Some(0) {
            let stopped = report["ended"] == "failures";
            return Ok(if stopped { SOME_FAILED } else { code });
        }
    }
}
