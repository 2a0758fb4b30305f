//! A run over dead letters: bounded in number, rate, failures and time, and only looking unless it is confirmed.
//!
//! What is not done stays where it is, so a run that ended early goes on when it is asked for again.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::{join, join_all};
use saga_core::mark::{Asked, Caller};
use saga_core::{Saga, SagaId, Timestamp};
use saga_wire::dead_letter::{DeadLetter, DeadLetterId};

use super::act::{Begun, Done, Placed, item, place_all, settle};
use super::command::{Act, Command, Filter, MAX_RUN, Selection};
use super::find::lease_ends;
use super::foresee::{Foreseen, foresee, saga_of};
use super::pace::Run;
use super::ports::{Held, LetterSource, Receipt, Walk};
use super::record::record_none_left;
use super::{
    Disposition, End, Item, LEASE_SECONDS, MAX_HELD, PATIENCE_MILLIS, Ports, Report, WAIT_MILLIS, notice,
    problem,
};
use crate::about;
use crate::log::About;
use crate::ports::{PortError, SagaStore, Time, causes};

/// So many letters are worked on side by side.
const SIDE_BY_SIDE: usize = 10;

/// Carries out the command for `by`, who is `caller` where the edge proves it, and ends before `until`.
pub async fn run<S: SagaStore, T: Time>(
    ports: &Ports<'_, S, T>,
    command: &Command,
    by: &str,
    caller: Option<&Caller>,
    until: Timestamp,
) -> Report {
    let began = ports.time.now();
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
        placed: Vec::new(),
        ended: None,
        // By chance: of two runs that hold what the other one waits for, one gives up first.
        waited: ports.time.below(PATIENCE_MILLIS / 2),
        report: Report {
            act: command.act,
            dry_run: !command.confirm,
            done: 0,
            failed: 0,
            left: 0,
            ended: End::Done,
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
            let unseen = |id: &&DeadLetterId| id.source == source.source();
            let unseen: Vec<DeadLetterId> = going.missing.iter().filter(unseen).cloned().collect();
            for id in unseen {
                going.missing.remove(&id);
                going.say_of(
                    &id,
                    Disposition::Failed,
                    format!("its source could not be read: {error}"),
                );
                going.report.failed += 1;
            }
        }
    }
    if let Some(saga) = going.nothing_left() {
        let asked = Asked {
            by,
            caller,
            why: &command.reason,
        };
        if let Err(error) = record_none_left(ports, saga, began, asked).await {
            let about = About {
                saga_id: Some(saga.to_string()),
                ..About::default()
            };
            about!(
                warn,
                &about,
                error = causes(&error),
                outcome = "not shown",
                "the saga still shows that it is parked"
            );
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
    missing: BTreeSet<DeadLetterId>,
    /// Letters that are sent, and not yet recorded and removed.
    placed: Vec<Placed>,
    ended: Option<End>,
    /// So long it has waited for letters that somebody else holds, in milliseconds.
    waited: u64,
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
        let there = if source.is_queue() {
            source.depth().await?.all()
        } else {
            0
        };
        let mut unseen = 0;
        // What stays is put back at the end: put back at once, the walk would come to it again.
        let mut stays: Vec<Receipt> = Vec::new();
        let mut seen = 0;
        let walked = loop {
            let letters = match source.next(&mut walk).await {
                Ok(letters) if letters.is_empty() => {
                    stays.extend(self.settle(source).await);
                    if self.ended.is_some() {
                        break Ok(());
                    }
                    unseen = left_by(source, there.saturating_sub(seen), stays.len()).await;
                    if unseen == 0 || !self.waits(ends).await {
                        break Ok(());
                    }
                    continue;
                }
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
            if (source.is_queue() && seen >= MAX_HELD) || self.ports.time.now() >= ends {
                self.ended = Some(End::Time);
                break Ok(());
            }
        };
        stays.extend(self.settle(source).await);
        source.put_back(stays).await?;
        if unseen > 0 && self.ended.is_none() {
            let text = format!(
                "{unseen} letters are held by somebody else and were not looked at; ask again in a minute"
            );
            self.report.notices.push(notice(source.source(), text));
        }
        walked
    }

    /// Some letters side by side, each in its time; gives back the receipts of those that stay.
    async fn batch(&mut self, source: &dyn LetterSource, letters: Vec<Held>) -> Vec<Receipt> {
        let ids: BTreeSet<SagaId> = letters.iter().filter_map(|held| held.letter.facts.saga).collect();
        let sagas = ids
            .into_iter()
            .map(async |id| (id, saga_of(self.ports, id).await));
        let sagas: BTreeMap<SagaId, Result<Option<Saga>, PortError>> =
            join_all(sagas).await.into_iter().collect();
        let mut stays = Vec::new();
        let mut begun = Vec::new();
        for held in letters {
            if self.ended.is_some() {
                stays.push(held.receipt);
                continue;
            }
            self.missing.remove(&held.letter.id);
            let saga = match held.letter.facts.saga.and_then(|id| sagas.get(&id)) {
                Some(Ok(saga)) => Ok(saga.as_ref()),
                None => Ok(None),
                Some(Err(error)) => Err(format!("its saga could not be read: {error}; nothing was done")),
            };
            let foreseen = match saga {
                Ok(saga) => foresee(self.ports, &held.letter, saga)
                    .await
                    .map_err(|error| format!("its definition could not be read: {error}; nothing was done")),
                Err(text) => Err(text),
            };
            let foreseen = match foreseen {
                Ok(foreseen) => foreseen,
                Err(text) => {
                    self.fail(&held, text);
                    stays.push(held.receipt);
                    continue;
                }
            };
            if self.command.act == Act::Replay && foreseen.prospect.disposition == Disposition::Left {
                self.report.left += 1;
                self.say(item(&held, Disposition::Left, foreseen.prospect.text));
                stays.push(held.receipt);
                continue;
            }
            let slot = if self.command.confirm {
                self.run.begin(self.ports.time.now())
            } else if self.report.done < self.command.bounds.limit {
                Ok(self.ports.time.now())
            } else {
                Err(End::Limit)
            };
            match slot {
                Ok(at) if self.command.confirm => begun.push(Begun {
                    held,
                    has_saga: foreseen.has_saga,
                    at,
                }),
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
        // While these are sent, each in its time, those before them are recorded and removed.
        let before = std::mem::take(&mut self.placed);
        let ((placed, failed), done) = join(
            place_all(self.ports, self.command.act, self.asked, begun),
            settle(self.ports, source, self.command.act, self.asked, before),
        )
        .await;
        self.placed = placed;
        stays.extend(self.tell(done.into_iter().chain(failed)));
        stays
    }

    /// Waits a moment for letters that somebody else holds, unless it has waited enough. A dry run waits for none.
    async fn waits(&mut self, ends: Timestamp) -> bool {
        if !self.command.confirm || self.waited >= PATIENCE_MILLIS || self.ports.time.now() >= ends {
            return false;
        }
        self.waited += WAIT_MILLIS;
        self.ports.time.sleep(WAIT_MILLIS).await;
        true
    }

    /// Records and removes what was sent last; gives back the receipts of those that stay.
    async fn settle(&mut self, source: &dyn LetterSource) -> Vec<Receipt> {
        let last = std::mem::take(&mut self.placed);
        let done = settle(self.ports, source, self.command.act, self.asked, last).await;
        self.tell(done)
    }

    /// Counts what became of letters; gives back the receipts of those that stay.
    fn tell(&mut self, letters: impl IntoIterator<Item = (Held, Done)>) -> Vec<Receipt> {
        let mut stays = Vec::new();
        for (held, done) in letters {
            match done {
                Done::Yes(text) => {
                    self.report.done += 1;
                    let outcome = match self.command.act {
                        Act::Replay => Disposition::Replayed,
                        Act::Discard => Disposition::Discarded,
                    };
                    self.say(item(&held, outcome, text));
                }
                Done::Taken(text) => {
                    self.report.left += 1;
                    self.say(item(&held, Disposition::Taken, text));
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
        self.say(item(held, Disposition::Failed, text));
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

    fn say_of(&mut self, id: &DeadLetterId, disposition: Disposition, text: String) {
        self.say(Item {
            id: id.clone(),
            saga: None,
            disposition,
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

    /// The saga that the run was about, when the run went through all sources and left no letter of it: then what the saga
    /// shows as parked has expired, say.
    fn nothing_left(&self) -> Option<SagaId> {
        let all = Filter {
            saga: self.filter()?.saga,
            ..Filter::default()
        };
        let of_the_saga = self.command.confirm && *self.filter()? == all;
        let report = &self.report;
        let to_the_end = self.ended.is_none() && report.notices.is_empty();
        let none = report.failed == 0 && report.left == 0;
        all.saga.filter(|_| of_the_saga && to_the_end && none)
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
                    .any(|notice| notice.source == id.source);
                let text = if absent {
                    "it is not there, or not now: see the notices"
                } else {
                    "there is no such dead letter: it was replayed or discarded, or has expired"
                };
                self.report.failed += 1;
                self.say_of(&id, Disposition::Unknown, text.to_owned());
            }
        }
        self.report.ended = ended;
        tracing::info!(
            act = self.report.act.as_str(),
            dry_run = self.report.dry_run,
            caller = self.asked.caller.map(Caller::as_str),
            done = self.report.done,
            failed = self.report.failed,
            left = self.report.left,
            ended = ended.as_str(),
            "dead letters"
        );
        self.report
    }
}

/// How many of `unseen` letters, which were there when the walk began, are there besides `ours`.
async fn left_by(source: &dyn LetterSource, unseen: usize, ours: usize) -> usize {
    if unseen == 0 {
        return 0;
    }
    // Some may have been removed meanwhile. A count that fails tells nothing new.
    let depth = source.depth().await;
    depth.map_or(unseen, |depth| unseen.min(depth.all().saturating_sub(ours)))
}

/// What a dry run says of a letter.
fn expected(act: Act, foreseen: &Foreseen) -> (Disposition, String) {
    match act {
        Act::Replay => (foreseen.prospect.disposition, foreseen.prospect.text.clone()),
        Act::Discard => {
            let text = format!(
                "would be archived and removed; a replay {}",
                foreseen.prospect.text
            );
            (Disposition::Discarded, text)
        }
    }
}
