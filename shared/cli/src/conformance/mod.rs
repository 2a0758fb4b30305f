//! `saga conformance URL`: tries a service as its callers would, and says which promises it keeps.
//!
//! Invariant: requests are written and answers are read by [`saga_wire::contract`], as the callers do it; what is checked
//! here is how answers fit together.

mod arguments;
mod ask;
mod checks;
mod exchange;
mod finding;
mod ids;
mod junit;
mod plan;
mod report;
mod session;

use std::fs;

use saga_app::ports::{Time, causes};
use saga_core::text::shown_within;
use saga_runtime::clock::SystemClock;
use saga_wire::contract::Verb;

pub use arguments::{Arguments, EXIT_CODES, LONG_ABOUT};

use crate::exit::{Exit, WrongUsage};
use crate::output::{Output, complain, not_in_silence, say};
use checks::{ALL, By, Check};
use finding::{Stop, Verdict};
use ids::ACT_DECIDES;
use report::{Report, Row};
use session::Session;

/// Tries the service and shows what came of it.
pub async fn run(asked: Arguments, out: &mut Output) -> Result<Exit, WrongUsage> {
    let run = format!("{:06x}", SystemClock.below(1 << 24));
    let plan = asked.plan(&run)?;
    let session = Session::new(plan, run).map_err(|error| WrongUsage(causes(&error)))?;
    announce(&session);
    let report = try_all(&session).await;
    report.show(out);
    if let Some(file) = &asked.junit {
        junit::write(&report)
            .and_then(|bytes| fs::write(file, bytes))
            .map_err(|error| WrongUsage(format!("{}: {error}", file.display())))?;
    }
    if let Some(why) = &report.unreachable {
        complain(&format!("{} cannot be reached: {why}", report.url));
        return Ok(Exit::Unreachable);
    }
    Ok(report.exit())
}

/// Says what is about to be done to the service.
fn announce(session: &Session) {
    let plan = &session.plan;
    let promise = if plan.tombstone() { "tombstone" } else { "key" };
    let saga = if plan.step_is_free { "…" } else { "<a new saga>" };
    let input = |text: &str| shown_within(&text.split_whitespace().collect::<Vec<_>>().join(" "), 200);
    say(&format!("{} is tried for the promise `{promise}`.", plan.url));
    say("This is for test environments: the service does what it is asked. It is asked");
    say(&format!(
        "  about a hundred acts with new keys, `{saga}.{}.act`, and the input {}",
        plan.step,
        input(&plan.input)
    ));
    if let Some(refuse) = &plan.refuse {
        say(&format!(
            "  some with an input that it refuses, {}",
            input(refuse)
        ));
    }
    say("  some that are malformed on purpose");
    say(if plan.undo {
        "  and to undo what it accepts.\n"
    } else {
        "Nothing that it accepts is undone.\n"
    });
}

async fn try_all(session: &Session) -> Report {
    let began = session.clock.now();
    let (mut rows, mut blocked, mut unreachable, mut unfit) = (Vec::new(), None::<String>, None, None);
    for check in &ALL {
        let (started, mut silent) = (session.clock.now(), false);
        let verdict = match (&check.by, &blocked) {
            (By::EveryAnswer(not_seen), _) => {
                not_seen(&session.seen.borrow()).map_or(Verdict::Kept, |why| Verdict::Skipped(why.to_owned()))
            }
            (By::Requests(_), Some(why)) => Verdict::Skipped(why.clone()),
            (By::Requests(tried), None) => match not_in_silence(check.id, tried(session)).await {
                Ok(()) => Verdict::Kept,
                Err(stop) => {
                    if check.id == ACT_DECIDES && !session.seen.borrow().answered {
                        unreachable = Some(silence(&stop));
                    }
                    if let Stop::Unfit(why) = &stop {
                        unfit.get_or_insert_with(|| why.clone());
                    }
                    silent = matches!(stop, Stop::Silent(_)) || check.id.starts_with("malformed");
                    let verdict = session.judge(check.id, stop);
                    if check.id == ACT_DECIDES {
                        blocked = Some(format!("nothing can be tried before {ACT_DECIDES} is kept"));
                    }
                    verdict
                }
            },
        };
        let millis = session.clock.now().millis() - started.millis();
        let row = Row {
            check,
            verdict,
            millis,
        };
        if blocked.is_none() || !matches!(row.verdict, Verdict::Skipped(_)) {
            say(&row.line());
        }
        rows.push(row);
        if blocked.is_none() {
            not_in_silence("taking back", session.take_back()).await;
        }
        if silent && blocked.is_none() {
            blocked = not_in_silence("waiting for any answer", gone(session, check)).await;
        }
    }
    let mut seen = session.seen.take();
    for row in &mut rows {
        // Whenever in the run it was seen.
        if let Some(finding) = seen.broken.remove(row.check.id) {
            row.verdict = Verdict::Broken(finding);
        }
    }
    Report {
        url: session.plan.url.to_string(),
        tombstone: session.plan.tombstone(),
        step: session.plan.step.clone(),
        requests: seen.requests,
        millis: session.clock.now().millis() - began.millis(),
        standing: seen.standing.into_keys().collect(),
        rows,
        unreachable,
        unfit,
    }
}

/// Whether the service still answers, after a check to which it did not.
async fn gone(session: &Session, check: &Check) -> Option<String> {
    match session.decide(Verb::Act, &session.fresh()).await {
        Err(Stop::Silent(_)) => Some(format!("the service answers nothing since {}", check.id)),
        _ => None,
    }
}

fn silence(stop: &Stop) -> String {
    match stop {
        Stop::Silent(finding) => finding.came.clone(),
        _ => "nothing answers".to_owned(),
    }
}

impl Session {
    /// What this means for the check, and keeps what it means for others.
    fn judge(&self, check: &'static str, stop: Stop) -> Verdict {
        match stop {
            Stop::Broken(finding) | Stop::Silent(finding) => {
                let mut seen = self.seen.borrow_mut();
                Verdict::Broken(seen.broken.entry(check).or_insert(finding).clone())
            }
            Stop::Elsewhere(other, finding) if other == check => Verdict::Broken(finding),
            Stop::Elsewhere(other, finding) => {
                self.seen.borrow_mut().broken.entry(other).or_insert(finding);
                Verdict::Skipped(format!("it could not be tried: {other} is broken"))
            }
            Stop::Skipped(why) | Stop::Unfit(why) => Verdict::Skipped(why),
        }
    }
}
