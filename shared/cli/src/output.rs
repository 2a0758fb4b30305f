//! What people and programs read. Results go to standard output, progress and complaints to standard error.

use std::io::{Error, ErrorKind, IsTerminal, Write, stderr, stdout};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use saga_core::text::shown_lines;
use saga_runtime::environment::optional;
use saga_wire::json::legible;
use serde_json::Value;
use tokio::time::timeout;

use crate::exit::Exit;

/// After so long a person is shown that something goes on, and then every ten seconds.
const SILENCE: Duration = Duration::from_secs(2);
const BETWEEN: Duration = Duration::from_secs(10);

pub const GOOD: Style = AnsiColor::Green.on_default();
pub const BAD: Style = AnsiColor::Red.on_default();
pub const ODD: Style = AnsiColor::Yellow.on_default();
pub const HEAD: Style = Style::new().bold();
pub const PLAIN: Style = Style::new();

/// Standard output, in the form that was asked for.
pub struct Output {
    json: bool,
    colours: bool,
    lost: Option<Error>,
}

/// Says what is wrong.
pub fn complain(text: &str) {
    say(&format!("saga: {}", shown_lines(text)));
}

/// A line about what is being done.
pub fn say(text: &str) {
    let _ = writeln!(stderr(), "{text}");
}

/// Shows help that was asked for, or what is wrong with the arguments.
pub fn of_clap(why: &clap::Error) -> Exit {
    if !why.use_stderr() {
        let _ = writeln!(stdout(), "{}", why.to_string().trim_end());
        return Exit::Done;
    }
    let text = why.to_string();
    let text = text.trim_end().strip_prefix("error: ").unwrap_or(text.trim_end());
    complain(text);
    Exit::Usage
}

/// Waits for it, and says that it goes on when it takes its time.
pub async fn not_in_silence<T>(name: &str, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    let (mut passed, mut next) = (Duration::ZERO, SILENCE);
    loop {
        match timeout(next, &mut work).await {
            Ok(done) => return done,
            Err(_) => {
                passed += next;
                next = BETWEEN;
                say(&format!("      … {name} goes on ({} s)", passed.as_secs()));
            }
        }
    }
}

impl Output {
    /// Colours only on a terminal, and not where NO_COLOR is set (<https://no-color.org>).
    pub fn new(json: bool) -> Self {
        Self {
            json,
            colours: stdout().is_terminal() && optional("NO_COLOR").is_none(),
            lost: None,
        }
    }

    /// Whether a program reads it.
    pub fn is_json(&self) -> bool {
        self.json
    }

    pub fn line(&mut self, text: &str) {
        let written = writeln!(stdout(), "{text}").and_then(|()| stdout().flush());
        // A reader that went away is no failure of ours.
        if let Err(error) = written
            && error.kind() != ErrorKind::BrokenPipe
        {
            self.lost = Some(error);
        }
    }

    /// A document for programs: nothing in it acts on a terminal.
    pub fn document(&mut self, value: &Value) {
        self.line(&legible(&value.to_string()));
    }

    pub fn paint(&self, style: Style, text: &str) -> String {
        if self.colours {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }

    /// Rows under a head, each cell as wide as its column; the last is as wide as it is. The style is the row's.
    pub fn table<const N: usize>(&mut self, head: [&str; N], rows: &[(Style, [String; N])]) {
        let width = |column: usize| {
            let cells = rows.iter().map(|(_, row)| row[column].chars().count());
            cells.chain([head[column].len()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..N).map(width).collect();
        let line = |cells: [&str; N]| {
            let padded = cells
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:<width$}"));
            padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        self.line(&self.paint(HEAD, &line(head)));
        for (style, row) in rows {
            let cells = std::array::from_fn(|column| row[column].as_str());
            self.line(&self.paint(*style, &line(cells)));
        }
    }

    /// The status, unless the result could not be written.
    pub fn end(self, exit: Exit) -> Exit {
        let Some(error) = self.lost else { return exit };
        complain(&format!("the result could not be written: {error}"));
        if exit == Exit::Done { Exit::Partly } else { exit }
    }
}
