//! What was asked for.

use lexopt::prelude::{Long, Short, Value};
use serde_json::{Map, json};

/// How it is used.
pub const USAGE: &str = "\
dlq: dead letters of both clouds

  dlq list    [filters] [--limit N]            what fell out, where, why, and of which saga
  dlq show    ID                               one letter, whole, and what a replay would come to
  dlq replay  ID… | filters | --all [options]  sends letters again; a dry run without --confirm
  dlq discard ID… | filters | --all [options]  archives letters and removes them; a dry run without --confirm

filters   --source outbox|destination|events|stream|quarantine|azure-outbox|event-grid|poison|azure-quarantine
          --saga ID   --type TYPE   --reason PART   --since 2026-11-21T00:00:00Z
options   --confirm          do it
          --why TEXT         why, for the record (needed with --confirm)
          --by NAME          who, for the record (default: the user's name; the signature's ARN is added)
          --limit N          at most so many letters (default: all)
          --rate N           at most so many a second (default 20)
          --stop-after N     stop at the n-th failure (default 10)
always    --json             what the replayer answers, one JSON document a request
          --endpoint URL     the replayer's URL (else SAGA_DEAD_LETTERS_URL, else the local stack's)
          --region NAME      the region to sign for (else that of the URL)

exit      0 done   1 some letters failed, were taken by somebody else, or are not there
          2 wrong usage   3 the replayer cannot be reached, or refuses";

/// The arguments.
pub struct Arguments {
    pub command: Command,
    pub json: bool,
    pub endpoint: Option<String>,
    pub region: Option<String>,
}

/// What to do.
pub enum Command {
    Help,
    List {
        filter: Vec<(&'static str, String)>,
        limit: Option<usize>,
    },
    Show {
        id: String,
    },
    Run(Run),
}

/// A replay or a discard.
pub struct Run {
    pub act: &'static str,
    /// Without the limit, which is each request's own.
    pub body: serde_json::Value,
    pub limit: Option<usize>,
}

/// Reads the process' arguments.
pub fn parse() -> Result<Arguments, String> {
    read(lexopt::Parser::from_env()).map_err(|error| error.to_string())
}

fn read(mut parser: lexopt::Parser) -> Result<Arguments, lexopt::Error> {
    let mut words: Vec<String> = Vec::new();
    let mut filter: Vec<(&'static str, String)> = Vec::new();
    let (mut json, mut endpoint, mut region) = (false, None, None);
    let (mut confirm, mut all) = (false, false);
    let (mut why, mut by, mut limit, mut rate, mut stop_after) = (None, None, None, None, None);
    while let Some(argument) = parser.next()? {
        let text = |parser: &mut lexopt::Parser| parser.value()?.into_string().map_err(lexopt::Error::from);
        match argument {
            Short('h') | Long("help") => words.insert(0, "help".to_owned()),
            Long("json") => json = true,
            Long("confirm") => confirm = true,
            Long("all") => all = true,
            Long("endpoint") => endpoint = Some(text(&mut parser)?),
            Long("region") => region = Some(text(&mut parser)?),
            Long("source") => filter.push(("source", text(&mut parser)?)),
            Long("saga") => filter.push(("saga", text(&mut parser)?)),
            Long("type") => filter.push(("type", text(&mut parser)?)),
            Long("reason") => filter.push(("reason", text(&mut parser)?)),
            Long("since") => filter.push(("since", text(&mut parser)?)),
            Long("why") => why = Some(text(&mut parser)?),
            Long("by") => by = Some(text(&mut parser)?),
            Long("limit") => limit = Some(number(&text(&mut parser)?, "--limit")?),
            Long("rate") => rate = Some(number(&text(&mut parser)?, "--rate")?),
            Long("stop-after") => stop_after = Some(number(&text(&mut parser)?, "--stop-after")?),
            Value(word) => words.push(word.into_string()?),
            other => return Err(other.unexpected()),
        }
    }
    let wrong = |text: &str| Err(lexopt::Error::from(text));
    let mut words = words.into_iter();
    let command = words.next().unwrap_or_default();
    let ids: Vec<String> = words.collect();
    let runs = ["replay", "discard"].contains(&command.as_str());
    if !runs && (confirm || all || why.is_some() || by.is_some() || rate.is_some() || stop_after.is_some()) {
        return wrong("--confirm, --all, --why, --by, --rate and --stop-after go with replay and discard");
    }
    let command = match command.as_str() {
        "help" => Command::Help,
        "" => return wrong("what is to be done? list, show, replay or discard"),
        "list" if ids.is_empty() => Command::List { filter, limit },
        "show" if ids.len() == 1 && filter.is_empty() => Command::Show { id: ids.concat() },
        "show" => return wrong("show takes the id of one letter"),
        "list" => return wrong("list takes no ids; use show"),
        _ if runs => {
            let act = if command == "replay" { "replay" } else { "discard" };
            match (ids.is_empty(), filter.is_empty(), all) {
                (true, true, false) => return wrong("which letters? give ids, filters, or --all"),
                (false, true, false) | (true, false, false) | (true, true, true) => {}
                _ => return wrong("give ids, or filters, or --all: not two of them"),
            }
            if confirm && why.is_none() {
                return wrong("--confirm needs --why: the record says why");
            }
            let mut body = Map::new();
            if ids.is_empty() {
                let filter: Map<_, _> = filter
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), json!(value)))
                    .collect();
                body.insert("filter".to_owned(), filter.into());
            } else {
                body.insert("ids".to_owned(), json!(ids));
            }
            body.insert("confirm".to_owned(), json!(confirm));
            let by = by.or_else(|| saga_runtime::environment::optional("USER"));
            if confirm && by.is_none() {
                return wrong("--confirm needs --by where no USER is set: the record says who");
            }
            let more = [("reason", why), ("by", by)];
            body.extend(
                more.into_iter()
                    .filter_map(|(name, text)| Some((name.to_owned(), json!(text?)))),
            );
            let numbers = [("rate_per_second", rate), ("stop_after_failures", stop_after)];
            body.extend(
                numbers
                    .into_iter()
                    .filter_map(|(name, number)| Some((name.to_owned(), json!(number?)))),
            );
            Command::Run(Run {
                act,
                body: body.into(),
                limit,
            })
        }
        other => return wrong(&format!("`{other}` is not known: list, show, replay or discard")),
    };
    Ok(Arguments {
        command,
        json,
        endpoint,
        region,
    })
}

fn number(text: &str, name: &str) -> Result<usize, lexopt::Error> {
    let number = text.parse::<usize>().ok().filter(|number| *number > 0);
    number.ok_or_else(|| lexopt::Error::from(format!("{name} must be a number greater than zero").as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<Arguments, String> {
        let words = line.split(' ').filter(|word| !word.is_empty());
        read(lexopt::Parser::from_args(words)).map_err(|error| error.to_string())
    }

    #[test]
    fn what_changes_something_is_never_a_guess() {
        for line in [
            "",
            "replay",
            "replay --confirm --all",
            "replay events.1 --all",
            "replay events.1 --source events",
            "discard --limit 0 --all",
            "discard --all --rate x",
            "list events.1",
            "list --confirm",
            "show",
            "show a b",
            "remove a",
            "list --colour",
        ] {
            assert!(of(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_run_says_what_it_was_told() {
        let Command::Run(run) = of("replay --source events --confirm --why mended --by me --rate 5")
            .unwrap()
            .command
        else {
            panic!("no run");
        };
        let expected = json!({"filter": {"source": "events"}, "confirm": true, "reason": "mended", "by": "me",
            "rate_per_second": 5});
        assert_eq!((run.act, run.body, run.limit), ("replay", expected, None));
        let Command::Run(run) = of("discard a b --by me --limit 3").unwrap().command else {
            panic!("no run");
        };
        assert_eq!(run.body, json!({"ids": ["a", "b"], "confirm": false, "by": "me"}));
        assert_eq!(run.limit, Some(3));
    }
}
