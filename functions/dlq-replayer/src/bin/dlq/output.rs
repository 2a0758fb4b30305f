//! What a person reads, or a program.

use std::io::{ErrorKind, IsTerminal, Write, stderr, stdout};

use saga_core::text::{shown_lines, shown_whole, shown_within};
use saga_runtime::environment::optional;
use saga_wire::json::legible;
use serde_json::Value;

/// The longest reason in a table on a terminal.
const REASON: usize = 100;
/// What is shown of one dead letter beside its body.
const SHOWN: [&str; 13] = [
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

/// Standard output. A reader that went away is no failure of ours.
pub struct Output {
    /// Why something of it could not be written, if it could not.
    pub lost: Option<std::io::Error>,
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

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colours && colour != "0" {
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
        let rows: Vec<[String; 6]> = each(answer, "letters").map(|one| self.row(one)).collect();
        for row in &rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        if !self.headed && !rows.is_empty() {
            self.headed = true;
            let head = ["ID", "SAGA", "TYPE", "TRIES", "LAST", "REASON"].map(str::to_owned);
            self.text(&self.paint("1", &self.line(&head)));
        }
        for (row, one) in rows.iter().zip(each(answer, "letters")) {
            let colour = if one["unreadable"].is_null() { "0" } else { "31" };
            self.text(&self.paint(colour, &self.line(row)));
        }
        notices(answer);
    }

    fn row(&self, one: &Value) -> [String; 6] {
        let mut row = ["id", "saga_id", "type", "attempts", "last_at", "reason"]
            .map(|name| word(&one[name]).unwrap_or_else(|| "-".to_owned()));
        if let Some(why) = one["unreadable"].as_str() {
            row[5] += &format!(" [unreadable: {why}]");
        }
        row[5] = self.cut(&row[5]);
        row
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
    pub fn dead_letter(&mut self, one: &Value) {
        if self.json {
            return self.document(one);
        }
        let mut lines: Vec<(&str, String)> = Vec::new();
        for name in SHOWN {
            lines.extend(word(&one[name]).map(|value| (name, value)));
        }
        for (name, value) in one["headers"].as_object().into_iter().flatten() {
            lines.push((
                "header",
                format!("{}: {}", shown_whole(name), legible(&value.to_string())),
            ));
        }
        if let (Some(number), Some(of)) = (one["part"]["number"].as_u64(), one["part"]["of"].as_u64()) {
            lines.push((
                "part",
                format!("{number} of {of}; not all of the others were found"),
            ));
        }
        let replay = |name: &str| word(&one["replay"][name]);
        let to = replay("to").unwrap_or_else(|| "nowhere".to_owned());
        lines.push((
            "replay",
            format!("to the {to}: {}", replay("text").unwrap_or_default()),
        ));
        for (name, value) in lines {
            let name = self.paint("1", &format!("{name:<11}"));
            self.text(&format!("{name} {value}"));
        }
        if one["body_encoding"] == "base64" {
            self.text("\nThe body is shown in base64:");
        }
        let body = one["body"].as_str().unwrap_or_default();
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
        for item in each(report, "items") {
            let [outcome, id, saga, text] = ["outcome", "id", "saga_id", "text"]
                .map(|name| word(&item[name]).unwrap_or_else(|| "-".to_owned()));
            let colour = match outcome.as_str() {
                "replayed" | "discarded" | "tried" => "32",
                "failed" | "unknown" => "31",
                _ => "33",
            };
            let outcome = self.paint(colour, &format!("{outcome:<9}"));
            self.text(&format!("{outcome} {id:<56} {saga:<36} {}", self.cut(&text)));
        }
        notices(report);
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
        self.text(&self.paint("1", &line));
    }
}

fn each<'a>(answer: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    answer[name].as_array().into_iter().flatten()
}

/// A value on one line, if it says something. Others wrote it.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(shown_whole(text)),
        other => Some(other.to_string()),
    }
}

fn notices(answer: &Value) {
    for notice in each(answer, "notices") {
        let [source, problem] = ["source", "problem"].map(|name| notice[name].as_str().unwrap_or_default());
        complain(&format!("{source}: {problem}"));
    }
}
