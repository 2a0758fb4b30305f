//! dlq: dead letters of both clouds, from a terminal. It talks to dlq-replayer's routes and decides nothing itself.

mod arguments;
mod client;
mod output;

use std::process::ExitCode;

use saga_app::dead_letters::MAX_PAGE;
use saga_app::runs::MAX_RUN;
use serde_json::{Value, json};

use arguments::{Arguments, Command, Filters, Run};
use client::{Client, Failure};
use output::{Output, complain};

/// Everything that was asked for was done.
const DONE: u8 = 0;
/// Some dead letters failed, were taken by another operator, or are not there.
const SOME_FAILED: u8 = 1;
/// The arguments are wrong.
const WRONG_USAGE: u8 = 2;
/// The replayer cannot be reached, or refuses.
const REFUSED: u8 = 3;

/// What the paths of all routes begin with.
const PATH: &str = "dead-letters";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = arguments::parse(std::env::args_os());
    let mut out = Output::new(arguments.as_ref().is_ok_and(|arguments| arguments.json));
    let arguments = match arguments {
        Ok(arguments) => arguments,
        Err(help) if !help.use_stderr() => {
            out.text(help.to_string().trim_end());
            return ExitCode::from(DONE);
        }
        Err(wrong) => {
            // Its first paragraph says what is wrong, maybe in several lines.
            let wrong = wrong.to_string();
            let wrong: Vec<&str> = wrong
                .split("\n\n")
                .next()
                .unwrap_or_default()
                .split_whitespace()
                .collect();
            let wrong = wrong.join(" ");
            let wrong = wrong.strip_prefix("error: ").unwrap_or(&wrong);
            complain(&format!("{wrong}\n`dlq --help` shows all commands and options"));
            return ExitCode::from(WRONG_USAGE);
        }
    };
    let one_dead_letter = matches!(arguments.command, Command::Show { .. });
    let code = carry_out(arguments, &mut out).await.unwrap_or_else(|failure| {
        complain(&failure.why);
        match failure.status {
            Some(400) => WRONG_USAGE,
            // Elsewhere it is no dead letter that is missing, but the replayer.
            Some(404) if one_dead_letter => SOME_FAILED,
            _ => REFUSED,
        }
    });
    if let Some(error) = out.lost {
        complain(&format!(
            "the output could not be written: {error}. What it would have said of the dead letters is done; list them again"
        ));
        return ExitCode::from(code.max(SOME_FAILED));
    }
    ExitCode::from(code)
}

async fn carry_out(arguments: Arguments, out: &mut Output) -> Result<u8, Failure> {
    let client = Client::connect(arguments.endpoint).await?;
    match arguments.command {
        Command::List { filters, limit } => list(&client, &filters, limit, out).await,
        Command::Show { id } => {
            out.dead_letter(&client.get(&[PATH, &id], &[]).await?);
            Ok(DONE)
        }
        Command::Replay(run) => carry_on(&client, "replay", run, out).await,
        Command::Discard(run) => carry_on(&client, "discard", run, out).await,
    }
}

async fn list(
    client: &Client,
    filters: &Filters,
    limit: Option<usize>,
    out: &mut Output,
) -> Result<u8, Failure> {
    let (mut shown, mut cursor, mut code) = (0, None::<String>, DONE);
    loop {
        let mut query: Vec<(&str, String)> = filters.given().collect();
        query.push(("limit", limit.unwrap_or(MAX_PAGE).min(MAX_PAGE).to_string()));
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
async fn carry_on(client: &Client, act: &str, run: Run, out: &mut Output) -> Result<u8, Failure> {
    let (mut left, mut code) = (run.limit, DONE);
    loop {
        let mut body = Value::from(run.body());
        body["limit"] = json!(left.map_or(MAX_RUN, |left| left.min(MAX_RUN)));
        let report = client.post(&[PATH, act], &body).await?;
        out.report(&report);
        let count = |name: &str| usize::try_from(report[name].as_u64().unwrap_or(0)).unwrap_or(0);
        let is =
            |item: &Value, name: &str, words: &[&str]| words.contains(&item[name].as_str().unwrap_or(""));
        let failed = |item: &Value| is(item, "outcome", &["taken", "unknown", "failed"]);
        let some_failed = report["items"]
            .as_array()
            .is_some_and(|items| items.iter().any(failed));
        if some_failed || has_notices(&report) || report["ended"] == "failures" {
            code = SOME_FAILED;
        }
        left = left.map(|left| left.saturating_sub(count("done") + count("failed")));
        // Without progress the next would be the same; a dry run shows what one request takes.
        let goes_on = is(&report, "ended", &["limit", "time"]) && report["dry_run"] == false;
        if !goes_on || count("done") == 0 || left == Some(0) {
            return Ok(code);
        }
    }
}
