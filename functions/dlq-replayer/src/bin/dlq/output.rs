//! What a person reads, or a program.

use std::io::{ErrorKind, IsTerminal, Write, stderr, stdout};

use saga_core::text::{shown_lines, shown_whole, shown_within};
use saga_runtime::environment::optional;
use saga_wire::json::legible;
use serde_json::Value;

/// The longest reason in a table on a terminal.
const REASON: usize = 100;

/// Standard output. A reader that went away is no failure of ours.
pub struct Output {
    lost: Option<std::io::Error>,
    json: bool,
    colours: bool,
    terminal: bool,
    headed: bool,
    widths: [usize; 6],
}

/// Says what is wrong, on standard error. It may quote whatever answered.
pub fn complain(text: &str) {
    let _ = writeln!(stderr(), "dlq: {}", shown_lines(text));
}

impl Output {
    /// Colours only on a terminal, and not where NO_COLOR is set (<https://no-color.org>).
    pub fn new(json: bool) -> Self {
        let terminal = stdout().is_terminal();
        Self {
            lost: None,
            json,
            colours: terminal && optional("NO_COLOR").is_none(),
            terminal,
            headed: false,
            widths: [2, 4, 4, 5, 4, 0],
        }
    }

    pub fn text(&mut self, text: &str) {
        let written = writeln!(stdout(), "{text}").and_then(|()| stdout().flush());
        if let Err(error) = written
            && error.kind() != ErrorKind::BrokenPipe
        {
            self.lost = Some(error);
        }
    }

    /// Why something of it could not be written, if it could not.
    pub fn lost(&self) -> Option<&std::io::Error> {
        self.lost.as_ref()
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colours {
            format!("\u{1b}[{colour}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    /// What others wrote, in one cell of a table.
    fn cut(&self, text: &str) -> String {
        let whole = shown_whole(text);
        if self.terminal && whole.chars().count() > REASON {
            shown_within(text, REASON - 1) + "…"
        } else {
            whole
        }
    }

    /// What the replayer answered, for programs: exact, and nothing in it acts on a terminal.
    fn document(&mut self, answer: &Value) {
        self.text(&legible(&answer.to_string()));
    }

    /// A page of the list.
    pub fn page(&mut self, answer: &Value) {
        if self.json {
            return self.document(answer);
        }
        let dead_letters = answer["letters"].as_array().cloned().unwrap_or_default();
        let rows: Vec<[String; 6]> = dead_letters
            .iter()
            .map(|dead_letter| self.row(dead_letter))
            .collect();
        for row in &rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        if !self.headed && !rows.is_empty() {
            let head = self.line(&["ID", "SAGA", "TYPE", "TRIES", "LAST", "REASON"].map(str::to_owned));
            let head = self.paint("1", &head);
            self.text(&head);
            self.headed = true;
        }
        for (row, dead_letter) in rows.iter().zip(&dead_letters) {
            let line = self.line(row);
            let line = if dead_letter["unreadable"].is_null() {
                line
            } else {
                self.paint("31", &line)
            };
            self.text(&line);
        }
        self.notices(answer);
    }

    fn row(&self, dead_letter: &Value) -> [String; 6] {
        let word = |name: &str| match &dead_letter[name] {
            Value::String(text) => shown_whole(text),
            Value::Null => "-".to_owned(),
            other => other.to_string(),
        };
        let reason = match dead_letter["unreadable"].as_str() {
            Some(why) => self.cut(&format!("{} [unreadable: {why}]", word("reason"))),
            None => self.cut(&word("reason")),
        };
        [
            word("id"),
            word("saga_id"),
            word("type"),
            word("attempts"),
            word("last_at"),
            reason,
        ]
    }

    /// The cells of a row, each as wide as the widest so far; the last is as wide as it is.
    fn line(&self, cells: &[String; 6]) -> String {
        let [id, saga, kind, tries, last, reason] = cells;
        let [a, b, c, d, e, _] = self.widths;
        format!("{id:<a$}  {saga:<b$}  {kind:<c$}  {tries:>d$}  {last:<e$}  {reason}")
    }

    /// The last line of a list.
    pub fn end_of_list(&mut self, shown: usize, more: bool) {
        if !self.json {
            let noun = if shown == 1 { "dead letter" } else { "dead letters" };
            let more = if more { "; there are more" } else { "" };
            self.text(&format!("{shown} {noun}{more}"));
        }
    }

    /// One dead letter.
    pub fn dead_letter(&mut self, dead_letter: &Value) {
        if self.json {
            return self.document(dead_letter);
        }
        let named = [
            "id",
            "source",
            "saga_id",
            "event_id",
            "type",
            "verb",
            "step",
            "reason",
            "attempts",
            "first_at",
            "last_at",
            "bytes",
            "unreadable",
        ];
        for name in named {
            let value = match &dead_letter[name] {
                Value::Null => continue,
                Value::String(text) => shown_whole(text),
                other => other.to_string(),
            };
            let name = self.paint("1", &format!("{name:<11}"));
            self.text(&format!("{name} {value}"));
        }
        for (name, value) in dead_letter["headers"].as_object().into_iter().flatten() {
            let head = self.paint("1", &format!("{:<11}", "header"));
            let value = Value::from(value.as_str().unwrap_or_default()).to_string();
            self.text(&format!("{head} {}: {}", shown_whole(name), legible(&value)));
        }
        if let (Some(number), Some(of)) = (
            dead_letter["part"]["number"].as_u64(),
            dead_letter["part"]["of"].as_u64(),
        ) {
            let head = self.paint("1", &format!("{:<11}", "part"));
            self.text(&format!(
                "{head} {number} of {of}; not all of the others were found"
            ));
        }
        let replay = &dead_letter["replay"];
        let (name, to) = (
            self.paint("1", "replay     "),
            shown_whole(replay["to"].as_str().unwrap_or("nowhere")),
        );
        let what = shown_whole(replay["text"].as_str().unwrap_or_default());
        self.text(&format!("{name} to the {to}: {what}"));
        if dead_letter["body_encoding"] == "base64" {
            self.text("\nThe body is shown in base64:");
        }
        let body = dead_letter["body"].as_str().unwrap_or_default();
        let pretty = serde_json::from_str::<Value>(body).and_then(|body| serde_json::to_string_pretty(&body));
        // What is no JSON is shown as a text in JSON, exact and escaped.
        let body = pretty.unwrap_or_else(|_| Value::from(body).to_string());
        self.text(&format!("\n{}", legible(&body)));
    }

    /// What a run did.
    pub fn report(&mut self, report: &Value) {
        if self.json {
            return self.document(report);
        }
        for item in report["items"].as_array().into_iter().flatten() {
            let word = |name: &str| shown_whole(item[name].as_str().unwrap_or("-"));
            let outcome = word("outcome");
            let colour = match outcome.as_str() {
                "replayed" | "discarded" | "tried" => "32",
                "failed" | "unknown" => "31",
                _ => "33",
            };
            let outcome = self.paint(colour, &format!("{outcome:<9}"));
            let line = format!(
                "{outcome} {:<56} {:<36} {}",
                word("id"),
                word("saga_id"),
                self.cut(&word("text"))
            );
            self.text(&line);
        }
        self.notices(report);
        let act = report["act"].as_str().unwrap_or_default();
        let (done, failed, left) = (&report["done"], &report["failed"], &report["left"]);
        let ended = match report["ended"].as_str() {
            Some("limit") => "; the limit is reached, there may be more",
            Some("failures") => "; stopped after so many failures",
            Some("time") => "; the function's time is over, there may be more",
            _ => "",
        };
        let line = if report["dry_run"] == true {
            format!(
                "dry run: {act} would take {done} dead letters and leave {left}{ended}; add --confirm --why TEXT to do it"
            )
        } else {
            format!("{act}: {done} done, {failed} failed, {left} left{ended}")
        };
        let line = self.paint("1", &line);
        self.text(&line);
    }

    fn notices(&self, answer: &Value) {
        for notice in answer["notices"].as_array().into_iter().flatten() {
            let (source, problem) = (&notice["source"], notice["problem"].as_str().unwrap_or_default());
            complain(&format!("{}: {problem}", source.as_str().unwrap_or_default()));
        }
    }
}
