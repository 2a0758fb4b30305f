//! What was asked for, checked as the replayer checks it: what it would refuse is no request.

use lexopt::prelude::{Long, Short, Value};
use reqwest::Url;
use saga_app::dead_letters::command::{Act, command, filter as checked};
use saga_wire::dead_letter::DeadLetterId;
use saga_wire::json::parse_object;
use serde_json::{Map, json};

/// How it is used.
pub const USAGE: &str = "\
dlq: dead letters of both clouds

  dlq list    [filters] [--limit N]            what fell out, where, why, and of which saga
  dlq show    ID                               one dead letter, whole, and what a replay would come to
  dlq replay  ID… | filters | --all [options]  sends dead letters again; a dry run without --confirm
  dlq discard ID… | filters | --all [options]  archives dead letters and removes them; a dry run without --confirm

filters   --source outbox|destination|events|stream|quarantine|azure-outbox|event-grid|poison|azure-quarantine
          --saga ID   --type TYPE   --reason PART   --since 2026-11-21T00:00:00Z
options   --confirm          do it
          --why TEXT         why, for the record (needed with --confirm)
          --by NAME          who, for the record (default: the user's name; the signature's ARN is added)
          --limit N          at most so many dead letters (default: all)
          --rate N           at most so many a second (default 20)
          --stop-after N     stop at the n-th failure (default 10)
always    --json             what the replayer answers, one JSON document a request
          --endpoint URL     the replayer's URL (else SAGA_DEAD_LETTERS_URL, else the local stack's)
          --region NAME      the region to sign for (else that of the URL)

exit      0 done   1 some dead letters failed, were taken by somebody else, or are not there
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
        id: DeadLetterId,
    },
    Run(Run),
}

/// A replay or a discard.
pub struct Run {
    pub act: Act,
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
            Long("endpoint") => once(&mut endpoint, url(text(&mut parser)?)?, "--endpoint")?,
            Long("region") => once(&mut region, named(text(&mut parser)?, "--region")?, "--region")?,
            Long("source") => filter.push(("source", text(&mut parser)?)),
            Long("saga") => filter.push(("saga", text(&mut parser)?)),
            Long("type") => filter.push(("type", text(&mut parser)?)),
            Long("reason") => filter.push(("reason", text(&mut parser)?)),
            Long("since") => filter.push(("since", text(&mut parser)?)),
            Long("why") => once(&mut why, text(&mut parser)?, "--why")?,
            Long("by") => once(&mut by, text(&mut parser)?, "--by")?,
            Long("limit") => once(&mut limit, number(&text(&mut parser)?, "--limit")?, "--limit")?,
            Long("rate") => once(&mut rate, number(&text(&mut parser)?, "--rate")?, "--rate")?,
            Long("stop-after") => {
                let number = number(&text(&mut parser)?, "--stop-after")?;
                once(&mut stop_after, number, "--stop-after")?;
            }
            Value(word) => words.push(word.into_string()?),
            other => return Err(other.unexpected()),
        }
    }
    if words.first().is_some_and(|word| word == "help") {
        return Ok(Arguments {
            command: Command::Help,
            json,
            endpoint,
            region,
        });
    }
    let wrong = |text: &str| Err(lexopt::Error::from(text));
    if let Some((twice, _)) =
        (1..filter.len()).find_map(|at| filter[..at].iter().find(|(name, _)| *name == filter[at].0))
    {
        return wrong(&format!("--{twice} stands twice"));
    }
    checked(filter.iter().cloned()).map_err(lexopt::Error::from)?;
    let mut words = words.into_iter();
    let command = words.next().unwrap_or_default();
    let ids: Vec<String> = words.collect();
    let runs = ["replay", "discard"].contains(&command.as_str());
    if !runs && (confirm || all || why.is_some() || by.is_some() || rate.is_some() || stop_after.is_some()) {
        return wrong("--confirm, --all, --why, --by, --rate and --stop-after go with replay and discard");
    }
    let command = match command.as_str() {
        "" => return wrong("what is to be done? list, show, replay or discard"),
        "list" if ids.is_empty() => Command::List { filter, limit },
        "show" if ids.len() == 1 && filter.is_empty() && limit.is_none() => {
            let id = ids.concat().parse::<DeadLetterId>();
            let id = id.map_err(|error| format!("`{}` {error}", ids.concat()));
            Command::Show {
                id: id.map_err(lexopt::Error::from)?,
            }
        }
        "show" => return wrong("show takes the id of one dead letter, and neither filters nor --limit"),
        "list" => return wrong("list takes no ids; use show"),
        _ if runs => {
            let act = if command == "replay" {
                Act::Replay
            } else {
                Act::Discard
            };
            match (ids.is_empty(), filter.is_empty(), all) {
                (true, true, false) => return wrong("which dead letters? give ids, filters, or --all"),
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
            let body = serde_json::Value::from(body);
            let fields =
                parse_object(&body.to_string()).map_err(|error| lexopt::Error::from(error.to_string()))?;
            self::command(act, &fields).map_err(lexopt::Error::from)?;
            Command::Run(Run { act, body, limit })
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

/// The URL of a replayer, as far as it can be told from itself.
fn url(text: String) -> Result<String, lexopt::Error> {
    let is_base = |url: Url| {
        ["http", "https"].contains(&url.scheme())
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none()
    };
    if Url::parse(&text).is_ok_and(is_base) {
        Ok(text)
    } else {
        Err(format!("--endpoint: `{text}` is no URL of a replayer").into())
    }
}

fn named(text: String, name: &str) -> Result<String, lexopt::Error> {
    if text.is_empty() || text.contains(|c: char| !c.is_ascii_alphanumeric() && c != '-') {
        return Err(format!("{name}: `{text}` is no name of a region").into());
    }
    Ok(text)
}

/// Which of two is meant nobody can tell.
fn once<T>(slot: &mut Option<T>, value: T, name: &str) -> Result<(), lexopt::Error> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("{name} stands twice").into()),
    }
}

fn number(text: &str, name: &str) -> Result<usize, lexopt::Error> {
    let number = text.parse::<u32>().ok().filter(|number| *number > 0);
    let number = number.and_then(|number| usize::try_from(number).ok());
    number.ok_or_else(|| format!("{name} must be a whole number from 1 to {}", u32::MAX).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<Arguments, String> {
        of_words(
            &line
                .split(' ')
                .filter(|word| !word.is_empty())
                .collect::<Vec<_>>(),
        )
    }

    fn of_words(words: &[&str]) -> Result<Arguments, String> {
        read(lexopt::Parser::from_args(words)).map_err(|error| error.to_string())
    }

    #[test]
    fn an_id_is_checked_before_anything_is_asked() {
        let odd = [
            "",
            " ",
            ".",
            "..",
            "../health",
            "/",
            "?limit=1",
            "#",
            "%2e%2e",
            "events",
            "events.",
            ".1",
            "events./",
            "events.1/..",
            "events.1?x",
            "events.1#x",
            "events.1%2F",
            "events.1 ",
            " events.1",
            "events.1\n",
            "events.é",
            "events.~2",
            "events.~zz",
            "events.~41",
            "nowhere.1",
            "Events.1",
            "events.1\u{200b}",
            "events.\u{202e}1",
        ];
        for id in odd {
            for words in [
                &["show", id][..],
                &["replay", id],
                &["replay", "events.1", id],
                &["discard", id, "--confirm", "--why", "w", "--by", "b"],
            ] {
                assert!(of_words(words).is_err(), "{words:?}");
            }
        }
        let many: Vec<&str> = std::iter::once("replay").chain(vec!["events.1"; 2_001]).collect();
        assert!(of_words(&many).is_err());
        for id in [
            "events.1",
            "event-grid.SUB~2F2026~2F1~2Fa~2Ejson",
            "poison.1795226400123-5f1c",
        ] {
            let Ok(Command::Show { id: read }) = of_words(&["show", id]).map(|read| read.command) else {
                panic!("{id}")
            };
            assert_eq!(read.to_string(), id);
        }
    }

    #[test]
    fn what_stands_twice_is_refused_and_help_is_help_whatever_stands_beside_it() {
        for twice in [
            "list --limit 1 --limit 2",
            "list --region a --region a",
            "list --endpoint http://a --endpoint http://b",
            "replay --all --rate 1 --rate 2",
            "replay --all --stop-after 1 --stop-after 1",
            "replay --all --confirm --by b --why w --why v",
            "replay --all --confirm --why w --by b --by c",
        ] {
            assert!(of(twice).is_err_and(|why| why.contains("twice")), "{twice}");
        }
        for help in [
            "--help",
            "-h",
            "help",
            "replay --all --confirm --why w --help",
            "list x -h",
        ] {
            assert!(matches!(of(help).unwrap().command, Command::Help), "{help}");
        }
        let huge = of("list --limit 99999999999").err().unwrap();
        assert!(huge.contains("from 1 to"), "{huge}");
    }

    #[test]
    fn a_filter_or_a_setting_that_says_nothing_is_no_request() {
        let commands = [
            &["list"][..],
            &["replay"],
            &["discard", "--confirm", "--why", "w", "--by", "b"],
        ];
        let saga = "0193e0b1-0000-8000-8000-000000000001";
        for (name, values) in [
            ("--source", &["", " ", "event", "Events", "events,poison"][..]),
            (
                "--saga",
                &["", "5f1c", "0193e0b1", "0193e0b100008000800000000000001", "../x"],
            ),
            (
                "--since",
                &[
                    "",
                    "yesterday",
                    "2026-11-21",
                    "2026-11-21T00:00:00",
                    "2026-11-21T00:00:00+25:59",
                ],
            ),
            ("--type", &["", " ", "a\nb", "a\u{202e}b"]),
            ("--reason", &["", "\u{200b}", "a\u{1b}b"]),
        ] {
            for (command, value) in commands
                .iter()
                .flat_map(|command| values.iter().map(move |value| (command, value)))
            {
                let words = [*command, &[name, value]].concat();
                assert!(of_words(&words).is_err(), "{words:?}");
            }
        }
        for command in commands {
            let words = [
                command,
                &[
                    "--saga",
                    saga,
                    "--source",
                    "poison",
                    "--since",
                    "2026-11-21T00:00:00Z",
                ],
            ]
            .concat();
            assert!(of_words(&words).is_ok(), "{words:?}");
            assert!(of_words(&[command, &["--source", "poison", "--source", "events"]].concat()).is_err());
        }
        for more in [
            &["--endpoint", ""][..],
            &["--endpoint", "localhost:4566"],
            &["--endpoint", "ftp://h"],
            &["--endpoint", "https://h/?x=1"],
            &["--region", ""],
            &["--region", "eu west"],
            &["--limit", "-1"],
            &["--limit", "1.5"],
        ] {
            assert!(of_words(&[&["list"], more].concat()).is_err(), "{more:?}");
        }
        for more in [
            &["--confirm", "--why", "", "--by", "b"][..],
            &["--confirm", "--why", " \u{200b}", "--by", "b"],
            &["--confirm", "--why", "w", "--by", ""],
            &["--confirm", "--why", "w", "--by", "a\u{202e}b"],
            &["--rate", "1001"],
            &["--stop-after", "2001"],
        ] {
            assert!(
                of_words(&[&["replay", "events.1"], more].concat()).is_err(),
                "{more:?}"
            );
        }
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
            "show events.1 events.2",
            "show events.1 --limit 3",
            "remove events.1",
            "list --colour",
        ] {
            assert!(of(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_run_says_what_it_was_asked() {
        let Command::Run(run) = of("replay --source events --confirm --why mended --by me --rate 5")
            .unwrap()
            .command
        else {
            panic!("no run");
        };
        let expected = json!({"filter": {"source": "events"}, "confirm": true, "reason": "mended", "by": "me",
            "rate_per_second": 5});
        assert_eq!((run.act, run.body, run.limit), (Act::Replay, expected, None));
        let Command::Run(run) = of("discard events.1 poison.2~2E3 --by me --limit 3")
            .unwrap()
            .command
        else {
            panic!("no run");
        };
        assert_eq!(
            run.body,
            json!({"ids": ["events.1", "poison.2~2E3"], "confirm": false, "by": "me"})
        );
        assert_eq!(run.limit, Some(3));
    }
}
