//! What came of a run, for people and for programs.

use serde_json::{Value, json};

use super::checks::Check;
use super::finding::Verdict;
use crate::exit::Exit;
use crate::output::{BAD, GOOD, HEAD, ODD, Output, PLAIN};

/// A check and what came of it.
pub struct Row {
    pub check: &'static Check,
    pub verdict: Verdict,
    pub millis: i64,
}

/// A run.
pub struct Report {
    pub url: String,
    pub tombstone: bool,
    pub step: String,
    pub requests: u32,
    pub millis: i64,
    /// Keys of acts that were accepted and not taken back.
    pub standing: Vec<String>,
    pub rows: Vec<Row>,
    /// Why nothing could be tried.
    pub unreachable: Option<String>,
    /// Why not everything could be tried with the inputs that were given.
    pub unfit: Option<String>,
}

impl Row {
    /// While the run goes on.
    pub fn line(&self) -> String {
        let why = match &self.verdict {
            Verdict::Skipped(why) => format!(" ({why})"),
            Verdict::Broken(finding) => format!(" ({})", finding.why),
            Verdict::Kept => String::new(),
        };
        format!("{:<8}{}{why}", self.verdict, self.check.id)
    }
}

impl Report {
    fn count(&self, is: fn(&Verdict) -> bool) -> usize {
        self.rows.iter().filter(|row| is(&row.verdict)).count()
    }

    fn kept(&self) -> usize {
        self.count(|verdict| *verdict == Verdict::Kept)
    }

    pub fn broken(&self) -> usize {
        self.count(|verdict| matches!(verdict, Verdict::Broken(_)))
    }

    pub fn skipped(&self) -> usize {
        self.count(|verdict| matches!(verdict, Verdict::Skipped(_)))
    }

    pub fn exit(&self) -> Exit {
        match (&self.unreachable, self.broken(), &self.unfit) {
            (Some(_), ..) => Exit::Unreachable,
            (None, 0, None) => Exit::Done,
            (None, 0, Some(_)) => Exit::Usage,
            _ => Exit::Partly,
        }
    }

    pub fn show(&self, out: &mut Output) {
        if out.is_json() {
            return out.document(&self.document());
        }
        if self.unreachable.is_some() {
            return;
        }
        self.show_table(out);
        self.show_broken(out);
        self.show_skipped(out);
        if !self.standing.is_empty() {
            let (count, keys) = (self.standing.len(), self.standing.join(", "));
            out.line(&format!(
                "\nNot taken back, of what was accepted: {count} ({keys})"
            ));
        }
        if let Some(why) = &self.unfit {
            out.line(&format!("\nNot everything could be tried: {why}"));
        }
        let (kept, broken, skipped) = (self.kept(), self.broken(), self.skipped());
        let line = format!(
            "\n{kept} kept, {broken} broken, {skipped} skipped; {} requests",
            self.requests
        );
        out.line(&out.paint(HEAD, &line));
    }

    fn show_table(&self, out: &mut Output) {
        let mut rows = Vec::new();
        for row in &self.rows {
            let style = match row.verdict {
                Verdict::Kept => GOOD,
                Verdict::Broken(_) => BAD,
                Verdict::Skipped(_) => ODD,
            };
            let time = format!("{:>6} ms", row.millis);
            let (id, promise) = (row.check.id.to_owned(), row.check.promise.to_owned());
            rows.push((style, [row.verdict.to_string(), time, id, promise]));
        }
        out.line("");
        out.table(["RESULT", "     TIME", "CHECK", "PROMISE"], &rows);
    }

    fn show_broken(&self, out: &mut Output) {
        for row in &self.rows {
            let Verdict::Broken(finding) = &row.verdict else {
                continue;
            };
            let title = format!("\n{}: {}", row.check.id, row.check.promise);
            out.line(&out.paint(BAD, &title));
            for (name, text) in [
                ("sent", &*finding.sent),
                ("came", &finding.came),
                ("why", &finding.why),
                ("mend", row.check.mend),
            ] {
                out.line(&format!("  {name:<4}  {}", text.replace('\n', "\n        ")));
            }
        }
    }

    fn show_skipped(&self, out: &mut Output) {
        let mut rows = Vec::new();
        for row in &self.rows {
            if let Verdict::Skipped(why) = &row.verdict {
                rows.push((PLAIN, [row.check.id.to_owned(), why.clone()]));
            }
        }
        if !rows.is_empty() {
            out.line("");
            out.table(["SKIPPED", "WHY"], &rows);
        }
    }

    fn document(&self) -> Value {
        let checks = self.rows.iter().map(|row| {
            let mut check = json!({
                "id": row.check.id, "promise": row.check.promise, "result": row.verdict.to_string(), "millis": row.millis,
            });
            match &row.verdict {
                Verdict::Kept => {}
                Verdict::Skipped(why) => check["why"] = json!(why),
                Verdict::Broken(finding) => {
                    check["sent"] = json!(finding.sent);
                    check["came"] = json!(finding.came);
                    check["why"] = json!(finding.why);
                    check["mend"] = json!(row.check.mend);
                }
            }
            check
        });
        json!({
            "url": self.url,
            "recover": if self.tombstone { "tombstone" } else { "key" },
            "step": self.step,
            "kept": self.kept(), "broken": self.broken(), "skipped": self.skipped(),
            "requests": self.requests, "millis": self.millis,
            "unreachable": self.unreachable, "unfit": self.unfit,
            "not_taken_back": self.standing,
            "checks": checks.collect::<Vec<_>>(),
        })
    }
}
