//! What was asked for, checked as the replayer checks it: what it would refuse is no request.

use std::ffi::OsString;

use clap::{Args, Parser, Subcommand};
use reqwest::Url;
use saga_app::dead_letters::command::{Act, command, filter};
use saga_wire::dead_letter::DeadLetterId;
use saga_wire::json::parse_object;
use serde_json::{Map, Value, json};

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  some dead letters failed, were taken by another operator, or are not there
  2  wrong usage
  3  the replayer cannot be reached, or refuses";

/// Dead letters of both clouds
#[derive(Parser)]
#[command(name = "dlq", after_help = EXIT_CODES)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
    /// Shows what the replayer answers, one JSON document a request
    #[arg(long, global = true)]
    pub json: bool,
    /// The replayer's URL; else SAGA_DEAD_LETTERS_URL, else the local stack's
    #[arg(long, global = true, value_parser = endpoint)]
    pub endpoint: Option<String>,
}

#[derive(Subcommand)]
pub enum Command {
    /// Lists where dead letters are, why, and of which saga
    List {
        #[command(flatten)]
        filters: Filters,
        /// At most so many dead letters; else all
        #[arg(long, value_parser = positive)]
        limit: Option<usize>,
    },
    /// Shows one dead letter, whole, and what a replay would come to
    Show {
        #[arg(value_parser = id)]
        id: String,
    },
    /// Sends dead letters again; a dry run without --confirm
    Replay(Run),
    /// Archives dead letters and removes them; a dry run without --confirm
    Discard(Run),
}

/// Only some dead letters.
#[derive(Args)]
pub struct Filters {
    /// outbox, destination, events, stream, quarantine, services, azure-outbox, event-grid, poison, azure-quarantine or
    /// azure-services
    #[arg(long)]
    source: Option<String>,
    /// The id of a saga
    #[arg(long)]
    saga: Option<String>,
    /// The type of the event
    #[arg(long, allow_hyphen_values = true)]
    r#type: Option<String>,
    /// A part of the reason
    #[arg(long, allow_hyphen_values = true)]
    reason: Option<String>,
    /// Only what came then or later, such as 2026-11-21T00:00:00Z
    #[arg(long)]
    since: Option<String>,
}

/// A replay or a discard.
#[derive(Args)]
pub struct Run {
    /// The ids of dead letters; instead of them, filters or --all
    #[arg(value_parser = id)]
    ids: Vec<String>,
    #[command(flatten)]
    filters: Filters,
    /// All dead letters
    #[arg(long)]
    all: bool,
    /// Does it
    #[arg(long)]
    confirm: bool,
    /// Why, for the record; needed with --confirm
    #[arg(long, allow_hyphen_values = true)]
    why: Option<String>,
    /// Who, for the record; else the user's name. The signature's ARN is added
    #[arg(long, allow_hyphen_values = true)]
    by: Option<String>,
    /// At most so many dead letters; else all
    #[arg(long, value_parser = positive)]
    pub limit: Option<usize>,
    /// At most so many a second; else 20
    #[arg(long, value_parser = positive)]
    rate: Option<usize>,
    /// Stops at the n-th failure; else at the tenth
    #[arg(long, value_name = "N", value_parser = positive)]
    stop_after: Option<usize>,
}

/// Reads the process' arguments: what to print instead where they ask for no request, and whether that is an error.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Arguments, clap::Error> {
    let words: Vec<OsString> = words.into_iter().collect();
    let parsed = Arguments::try_parse_from(&words).and_then(|arguments| {
        let checked = match &arguments.command {
            Command::List { filters, .. } => filter(filters.given()).map(drop),
            Command::Show { .. } => Ok(()),
            Command::Replay(run) => run.check(Act::Replay),
            Command::Discard(run) => run.check(Act::Discard),
        };
        checked.map_err(|why| clap::Error::raw(clap::error::ErrorKind::ValueValidation, why))?;
        Ok(arguments)
    });
    let help = ["-h", "--help"].map(OsString::from);
    match parsed {
        // Whatever is beside it.
        Err(wrong) if wrong.use_stderr() && words.iter().any(|word| help.contains(word)) => {
            Arguments::try_parse_from(["dlq", "--help"])
        }
        parsed => parsed,
    }
}

impl Filters {
    /// Their names in a request, and what they say.
    pub fn given(&self) -> impl Iterator<Item = (&'static str, String)> {
        let all = [
            ("source", &self.source),
            ("saga", &self.saga),
            ("type", &self.r#type),
            ("reason", &self.reason),
            ("since", &self.since),
        ];
        all.into_iter()
            .filter_map(|(name, value)| Some((name, value.clone()?)))
    }
}

impl Run {
    /// The body of the request, without the limit, which is each request's own.
    pub fn body(&self) -> Map<String, Value> {
        let filter = || {
            Map::from_iter(
                self.filters
                    .given()
                    .map(|(name, value)| (name.to_owned(), json!(value))),
            )
        };
        let by = self
            .by
            .clone()
            .or_else(|| saga_runtime::environment::optional("USER"));
        let members = [
            ("ids", (!self.ids.is_empty()).then(|| json!(self.ids))),
            ("filter", self.ids.is_empty().then(|| json!(filter()))),
            ("confirm", Some(json!(self.confirm))),
            ("reason", self.why.as_ref().map(|why| json!(why))),
            ("by", by.map(|by| json!(by))),
            ("rate_per_second", self.rate.map(|rate| json!(rate))),
            ("stop_after_failures", self.stop_after.map(|count| json!(count))),
        ];
        let members = members.into_iter();
        members
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }

    fn check(&self, act: Act) -> Result<(), String> {
        let ways = [
            !self.ids.is_empty(),
            self.filters.given().next().is_some(),
            self.all,
        ];
        match ways.into_iter().filter(|way| *way).count() {
            0 => return Err("which dead letters? give ids, filters, or --all".to_owned()),
            1 => {}
            _ => return Err("give ids, or filters, or --all: not two of them".to_owned()),
        }
        let body = self.body();
        if self.confirm && self.why.is_none() {
            return Err("--confirm needs --why: the record says why".to_owned());
        }
        if self.confirm && !body.contains_key("by") {
            return Err("--confirm needs --by where no USER is set: the record says who".to_owned());
        }
        let fields = parse_object(&Value::from(body).to_string()).map_err(|error| error.to_string())?;
        command(act, &fields).map(drop)
    }
}

fn id(text: &str) -> Result<String, String> {
    let id = text.parse::<DeadLetterId>().map_err(|error| error.to_string())?;
    Ok(id.to_string())
}

fn endpoint(text: &str) -> Result<String, &'static str> {
    let is_base = |url: Url| {
        let is_http = ["http", "https"].contains(&url.scheme());
        is_http && url.has_host() && url.query().is_none() && url.fragment().is_none()
    };
    let valid = Url::parse(text).is_ok_and(is_base);
    valid.then(|| text.to_owned()).ok_or("it is no URL of a replayer")
}

fn positive(text: &str) -> Result<usize, String> {
    let number = text.parse::<u32>().ok().filter(|number| *number > 0);
    let number = number.and_then(|number| usize::try_from(number).ok());
    number.ok_or_else(|| format!("it must be a whole number from 1 to {}", u32::MAX))
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
        let words = std::iter::once(&"dlq").chain(words);
        parse(words.map(OsString::from)).map_err(|error| error.to_string())
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
            assert_eq!(read, id);
        }
    }

    #[test]
    fn what_stands_twice_is_refused_and_help_is_help_whatever_stands_beside_it() {
        for twice in [
            "list --limit 1 --limit 2",
            "list --endpoint http://a --endpoint http://b",
            "replay --all --rate 1 --rate 2",
            "replay --all --stop-after 1 --stop-after 1",
            "replay --all --confirm --by b --why w --why v",
            "replay --all --confirm --why w --by b --by c",
        ] {
            assert!(
                of(twice).is_err_and(|why| why.contains("multiple times")),
                "{twice}"
            );
        }
        for help in [
            "--help",
            "-h",
            "help",
            "replay --all --confirm --why w --help",
            "list x -h",
        ] {
            let shown = of(help).err().unwrap();
            assert!(
                shown.contains("Exit codes") || shown.contains("Usage: dlq replay"),
                "{help}: {shown}"
            );
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
        let Ok(Command::Replay(run)) =
            of("replay --source events --confirm --why mended --by me --rate 5").map(|read| read.command)
        else {
            panic!("no run");
        };
        let expected = json!({"filter": {"source": "events"}, "confirm": true, "reason": "mended", "by": "me",
            "rate_per_second": 5});
        assert_eq!((Value::from(run.body()), run.limit), (expected, None));
        let Ok(Command::Discard(run)) =
            of("discard events.1 poison.2~2E3 --by me --limit 3").map(|read| read.command)
        else {
            panic!("no run");
        };
        assert_eq!(
            Value::from(run.body()),
            json!({"ids": ["events.1", "poison.2~2E3"], "confirm": false, "by": "me"})
        );
        assert_eq!(run.limit, Some(3));
    }
}
