//! A run over dead letters: bounded in number, rate, failures and time, and only looking unless it is confirmed.
//!
//! What is not done stays where it is, so a run that ended early goes on when it is asked for again.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use saga_core::dead_letter::{Act, DeadLetter, Filter, LetterId, Verdict};
use saga_core::dead_letter_run::{End, Run};
use saga_core::saga::{Asked, Caller};
use saga_core::{SagaId, Timestamp};
use saga_wire::dead_letter::http::{Command, Item, MAX_RUN, Report, Selection, word};

use super::act::{Done, act, item};
use super::find::lease_ends;
use super::foresee::{Foreseen, foresee};
use super::ports::{Held, LetterSource, Receipt, Walk};
use super::{LEASE_SECONDS, MAX_HELD, Ports, notice, problem};
use crate::ports::{PortError, SagaStore, Time};

/// So many letters are worked on side by side: each waits for several services one after the other.
const SIDE_BY_SIDE: usize = 10;

/// Carries out the command for `by`, who is `caller` where the edge proves it, and ends before `until`.
pub async fn run<S: SagaStore, T: Time>(
    ports: &Ports<'_, S, T>,
    command: &Command,
    by: &str,
    caller: Option<&Caller>,
    until: Timestamp,
) -> Report {
    let (sources, notices) = ports.chosen(|source| match &command.selection {
        Selection::Ids(ids) => ids.iter().any(|id| id.source == source),
        Selection::All(filter) => filter.source.is_none_or(|only| only == source),
    });
    let mut going = Going {
        ports,
        command,
        asked: Asked {
            by,
            caller,
            why: &command.reason,
        },
        until,
        run: Run::new(command.bounds, ports.time.now(), until),
        missing: match &command.selection {
            Selection::Ids(ids) => ids.iter().cloned().collect(),
            Selection::All(_) => BTreeSet::new(),
        },
        ended: None,
        report: Report {
            act: command.act.as_str(),
            dry_run: !command.confirm,
            done: 0,
            failed: 0,
            left: 0,
            ended: End::Done.as_str(),
            more: false,
            items: Vec::new(),
            notices,
        },
    };
    for source in sources {
        if going.ended.is_some() {
            break;
        }
        if let Err(error) = going.through(source).await {
            going.report.notices.push(problem(source.source(), &error));
            let unseen = |id: &&LetterId| id.source == source.source();
            let unseen: Vec<LetterId> = going.missing.iter().filter(unseen).cloned().collect();
            for id in unseen {
                going.missing.remove(&id);
                going.say_of(&id, "failed", format!("its source could not be read: {error}"));
                going.report.failed += 1;
            }
        }
    }
    going.finish()
}

struct Going<'a, S, T> {
    ports: &'a Ports<'a, S, T>,
    command: &'a Command,
    asked: Asked<'a>,
    until: Timestamp,
    run: Run,
    /// Letters asked for by id that no source has shown yet.
    missing: BTreeSet<LetterId>,
    ended: Option<End>,
    report: Report,
}

impl<S: SagaStore, T: Time> Going<'_, S, T> {
    /// One source, from its front to its end or that of the run.
    async fn through(&mut self, source: &dyn LetterSource) -> Result<(), PortError> {
        let mut walk = Walk {
            lease_seconds: LEASE_SECONDS,
            only: self.keys_of(source),
            since: self.filter().and_then(|filter| filter.since),
            ..Walk::default()
        };
        let ends = lease_ends(self.ports.time.now()).min(self.until);
        let depth = source.depth().await?;
        // What stays is put back at the end: put back at once, the walk would come to it again.
        let mut stays: Vec<Receipt> = Vec::new();
        let mut seen = 0;
        let walked = loop {
            let letters = match source.next(&mut walk).await {
                Ok(letters) if letters.is_empty() => break Ok(()),
                Ok(letters) => letters,
                Err(error) => break Err(error),
            };
            seen += letters.len();
            let (wanted, others): (Vec<_>, Vec<_>) =
                letters.into_iter().partition(|held| self.is_wanted(&held.letter));
            stays.extend(others.into_iter().map(|held| held.receipt));
            let mut wanted = wanted.into_iter().peekable();
            while wanted.peek().is_some() {
                let some: Vec<Held> = wanted.by_ref().take(SIDE_BY_SIDE).collect();
                stays.extend(self.batch(source, some).await);
            }
            if !source.is_queue() {
                stays.clear();
            }
            if self.ended.is_some() || (walk.only.is_some() && self.has_all_of(source)) {
                break Ok(());
            }
            if seen >= MAX_HELD || self.ports.time.now() >= ends {
                self.ended = Some(End::Time);
                break Ok(());
            }
        };
        if !stays.is_empty() {
            source.put_back(stays).await?;
        }
        if depth.hidden > 0 && self.ended.is_none() {
            let text = format!(
                "{} letters were held by somebody else and not looked at",
                depth.hidden
            );
            self.report.notices.push(notice(source.source(), text));
        }
        walked
    }

    /// Some letters side by side, each in its time; gives back the receipts of those that stay.
    async fn batch(&mut self, source: &dyn LetterSource, letters: Vec<Held>) -> Vec<Receipt> {
        let foreseen = join_all(letters.iter().map(|held| foresee(self.ports, &held.letter))).await;
        let mut stays = Vec::new();
        let mut begun = Vec::new();
        for (held, foreseen) in letters.into_iter().zip(foreseen) {
            if self.ended.is_some() {
                stays.push(held.receipt);
                continue;
            }
            self.missing.remove(&held.letter.id);
            let foreseen = match foreseen {
                Ok(foreseen) => foreseen,
                Err(error) => {
                    self.fail(
                        &held,
                        format!("its saga could not be read: {error}; nothing was done"),
                    );
                    stays.push(held.receipt);
                    continue;
                }
            };
            if self.command.act == Act::Replay && foreseen.prospect.verdict == Verdict::Left {
                self.report.left += 1;
                self.say(item(&held, word(Verdict::Left), foreseen.prospect.text));
                stays.push(held.receipt);
                continue;
            }
            let slot = if self.command.confirm {
                self.run.begin(self.ports.time.now())
            } else if self.report.items.len() < self.command.bounds.limit {
                Ok(self.ports.time.now())
            } else {
                Err(End::Limit)
            };
            match slot {
                Ok(slot) if self.command.confirm => begun.push((held, foreseen, slot)),
                Ok(_) => {
                    let (outcome, text) = expected(self.command.act, &foreseen);
                    self.report.done += 1;
                    self.say(item(&held, outcome, text));
                    stays.push(held.receipt);
                }
                Err(end) => {
                    self.missing.insert(held.letter.id.clone());
                    self.ended = Some(end);
                    stays.push(held.receipt);
                }
            }
        }
        let (ports, command, asked) = (self.ports, self.command, self.asked);
        // Letters of one saga go one after the other: side by side, they would only stand in each other's way when
        // its timeline is written.
        let mut queues = BTreeMap::<Option<SagaId>, Vec<(Held, Foreseen, Timestamp)>>::new();
        for one in begun {
            queues.entry(one.0.letter.facts.saga).or_default().push(one);
        }
        let each = queues.into_values().map(|queue| async move {
            let mut done = Vec::with_capacity(queue.len());
            for (held, foreseen, slot) in queue {
                let early = slot.millis() - ports.time.now().millis();
                if early > 0 {
                    ports.time.sleep(u64::try_from(early).unwrap_or(0)).await;
                }
                let what = act(ports, source, &held, command.act, asked, foreseen.has_saga);
                let what = what.await;
                done.push((held, what));
            }
            done
        });
        for (held, done) in join_all(each).await.into_iter().flatten() {
            match done {
                Done::Yes(text) => {
                    self.report.done += 1;
                    let outcome = if command.act == Act::Replay {
                        "replayed"
                    } else {
                        "discarded"
                    };
                    self.say(item(&held, outcome, text));
                }
                Done::Taken(text) => {
                    self.report.left += 1;
                    self.say(item(&held, "taken", text));
                }
                Done::Failed(text) => {
                    self.fail(&held, text);
                    stays.push(held.receipt);
                }
            }
        }
        stays
    }

    fn fail(&mut self, held: &Held, text: String) {
        self.run.failed();
        self.report.failed += 1;
        self.say(item(held, "failed", text));
        if self.report.failed >= self.command.bounds.stop_after {
            self.ended = Some(End::Failures);
        }
    }

    fn say(&mut self, item: Item) {
        // The counts are whole; the lines are as many as an answer holds.
        if self.report.items.len() < MAX_RUN {
            self.report.items.push(item);
        }
    }

    fn say_of(&mut self, id: &LetterId, outcome: &'static str, text: String) {
        let id = id.to_string();
        self.say(Item {
            id,
            saga_id: None,
            outcome,
            text,
        });
    }

    fn filter(&self) -> Option<&Filter> {
        match &self.command.selection {
            Selection::All(filter) => Some(filter),
            Selection::Ids(_) => None,
        }
    }

    fn is_wanted(&self, letter: &DeadLetter) -> bool {
        match &self.command.selection {
            Selection::All(filter) => filter.takes(letter),
            // Each once: a queue may show a letter again.
            Selection::Ids(_) => self.missing.contains(&letter.id),
        }
    }

    fn keys_of(&self, source: &dyn LetterSource) -> Option<BTreeSet<String>> {
        let Selection::Ids(ids) = &self.command.selection else {
            return None;
        };
        let own = ids.iter().filter(|id| id.source == source.source());
        Some(own.map(|id| id.key.clone()).collect())
    }

    fn has_all_of(&self, source: &dyn LetterSource) -> bool {
        self.missing.iter().all(|id| id.source != source.source())
    }

    fn finish(mut self) -> Report {
        let ended = self.ended.unwrap_or(End::Done);
        if ended == End::Done {
            for id in std::mem::take(&mut self.missing) {
                let absent = self
                    .report
                    .notices
                    .iter()
                    .any(|notice| notice.source == id.source.as_str());
                let text = if absent {
                    "it is not there, or not now: see the notices"
                } else {
                    "there is no such dead letter: it was replayed or discarded, or has expired"
                };
                self.report.failed += 1;
                self.say_of(&id, "unknown", text.to_owned());
            }
        }
        self.report.ended = ended.as_str();
        self.report.more = ended.is_resumable();
        tracing::info!(
            act = self.report.act,
            dry_run = self.report.dry_run,
            by = self.asked.by,
            caller = self.asked.caller.map(Caller::as_str),
            done = self.report.done,
            failed = self.report.failed,
            left = self.report.left,
            ended = self.report.ended,
            "dead letters"
        );
        self.report
    }
}

/// What a dry run says of a letter.
fn expected(act: Act, foreseen: &Foreseen) -> (&'static str, String) {
    match act {
        Act::Replay => (word(foreseen.prospect.verdict), foreseen.prospect.text.clone()),
        Act::Discard => {
            let text = format!(
                "would be archived and removed; a replay {}",
                foreseen.prospect.text
            );
            ("discarded", text)
        }
    }
}
