//! A run over dead letters: bounded in number, rate, failures and time, and only looking unless it is confirmed.
//!
//! What is not done stays where it is, so a run that ended early goes on when it is asked for again.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::{join, join_all};
use saga_core::mark::{Asked, Caller};
use saga_core::{Saga, SagaId, Timestamp};
use saga_wire::dead_letter::{DeadLetter, DeadLetterId};

use super::act::{Begun, Done, Placed, place_all, settle};
use super::command::{Act, Command, Filter, Selection};
use super::foresee::{Foreseen, foresee, saga_of};
use super::pace::{End, Run};
use super::ports::{DeadLetterQueue, Depth, Receipt};
use super::record::record_none_left;
use super::report::{Disposition, Report};
use super::source::{DeadLetterSource, Held, LEASE_SECONDS, MAX_HELD, Wanted};
use super::{PATIENCE_MILLIS, Ports, WAIT_MILLIS, notice, problem};
use crate::about;
use crate::log::About;
use crate::ports::{PortError, SagaStore, Time, causes};

/// So many dead letters are worked on side by side.
const SIDE_BY_SIDE: usize = 10;
/// A walk of a run ends so long before its first lease does.
const LEASE_MARGIN_SECONDS: u32 = 20;

/// Carries out the command for `by`, who is `caller` where the edge proves it, and ends before `until`.
pub async fn run<S: SagaStore, T: Time>(
    ports: &Ports<'_, S, T>,
    command: &Command,
    by: &str,
    caller: Option<&Caller>,
    until: Timestamp,
) -> Report {
    let began = ports.time.now();
    let (sources, notices) = ports.chosen(|source| command.selection.names(source));
    let mut going = Going {
        ports,
        command,
        asked: Asked {
            by,
            caller,
            why: &command.reason,
        },
        until,
        run: Run::new(command.bounds, began, until),
        missing: command.selection.ids().iter().cloned().collect(),
        placed: Vec::new(),
        ended: None,
        // By chance: of two runs that hold what the other one waits for, one gives up first.
        waited: ports.time.below(PATIENCE_MILLIS / 2),
        report: Report::new(command.act, !command.confirm, notices),
    };
    for source in sources {
        if going.ended.is_some() {
            break;
        }
        if let Err(error) = going.through(source).await {
            going.report.notices.push(problem(source.source(), &error));
            let unseen = |id: &DeadLetterId| id.source == source.source();
            let unseen: Vec<_> = going.missing.iter().filter(|id| unseen(id)).cloned().collect();
            for id in unseen {
                going.missing.remove(&id);
                let text = format!("its source could not be read: {error}");
                going.report.say(id, None, Disposition::Failed, text);
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
    /// Dead letters asked for by id that no source has shown yet.
    missing: BTreeSet<DeadLetterId>,
    /// Dead letters that are sent, and not yet recorded and removed.
    placed: Vec<Placed>,
    ended: Option<End>,
    /// So long it has waited for dead letters that somebody else holds, in milliseconds.
    waited: u64,
    report: Report,
}

impl<S: SagaStore, T: Time> Going<'_, S, T> {
    /// One source, from its front to its end or that of the run.
    async fn through(&mut self, source: &DeadLetterSource) -> Result<(), PortError> {
        let wanted = Wanted {
            keys: self.command.selection.keys_of(source.source()),
            since: self.command.selection.filter().and_then(|filter| filter.since),
            ..Wanted::default()
        };
        let by_id = wanted.keys.is_some();
        let mut walk = source.walk(wanted);
        let lease = i64::from(LEASE_SECONDS - LEASE_MARGIN_SECONDS) * 1_000;
        let ends = self.ports.time.now().plus_millis(lease).min(self.until);
        let there = match source.queue() {
            Some(queue) => queue.depth().await?.all(),
            None => 0,
        };
        // What stays is put back at the end: put back at once, the walk would come to it again.
        let mut stays: Vec<Receipt> = Vec::new();
        let (mut seen, mut unseen) = (0, 0);
        let walked = loop {
            let held = match walk.next().await {
                Ok(held) if held.is_empty() => {
                    stays.extend(self.settle(source).await);
                    if self.ended.is_some() {
                        break Ok(());
                    }
                    unseen = left_by(source.queue(), there.saturating_sub(seen), stays.len()).await;
                    if unseen == 0 || !self.waits(ends).await {
                        break Ok(());
                    }
                    continue;
                }
                Ok(held) => held,
                Err(error) => break Err(error),
            };
            seen += held.len();
            let (wanted, others): (Vec<_>, Vec<_>) = held
                .into_iter()
                .partition(|held| self.is_wanted(&held.dead_letter));
            stays.extend(others.into_iter().filter_map(|held| held.receipt));
            let mut wanted = wanted.into_iter().peekable();
            while wanted.peek().is_some() {
                let some: Vec<Held> = wanted.by_ref().take(SIDE_BY_SIDE).collect();
                stays.extend(self.batch(source, some).await);
            }
            let has_all = self.missing.iter().all(|id| id.source != source.source());
            if self.ended.is_some() || (by_id && has_all) {
                break Ok(());
            }
            if (source.queue().is_some() && seen >= MAX_HELD) || self.ports.time.now() >= ends {
                self.ended = Some(End::Time);
                break Ok(());
            }
        };
        stays.extend(self.settle(source).await);
        source.put_back(stays).await?;
        if unseen > 0 && self.ended.is_none() {
            let text = format!(
                "{unseen} dead letters are held by somebody else and were not looked at; ask again in a minute"
            );
            self.report.notices.push(notice(source.source(), text));
        }
        walked
    }

    /// Some dead letters side by side, each in its time; gives back the receipts of those that stay.
    async fn batch(&mut self, source: &DeadLetterSource, some: Vec<Held>) -> Vec<Receipt> {
        let ids: BTreeSet<SagaId> = some
            .iter()
            .filter_map(|held| held.dead_letter.facts.saga)
            .collect();
        let sagas = ids
            .into_iter()
            .map(async |id| (id, saga_of(self.ports, id).await));
        let sagas: BTreeMap<SagaId, _> = join_all(sagas).await.into_iter().collect();
        let (mut stays, mut begun) = (Vec::new(), Vec::new());
        for held in some {
            let saga = held.dead_letter.facts.saga.and_then(|id| sagas.get(&id));
            match self.begin(held, saga).await {
                Ok(one) => begun.push(one),
                Err(held) => stays.extend(held.receipt),
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
        stays.extend(self.count(done.into_iter().chain(failed)));
        stays
    }

    /// Begins with one dead letter, or gives it back because it stays.
    async fn begin(
        &mut self,
        held: Held,
        saga: Option<&Result<Option<Saga>, PortError>>,
    ) -> Result<Begun, Held> {
        if self.ended.is_some() {
            return Err(held);
        }
        self.missing.remove(&held.dead_letter.id);
        let foreseen = match saga {
            Some(Err(error)) => Err(format!("its saga could not be read: {error}; nothing was done")),
            Some(Ok(saga)) => self.foresee(&held, saga.as_ref()).await,
            None => self.foresee(&held, None).await,
        };
        let Foreseen { prospect, has_saga } = match foreseen {
            Ok(foreseen) => foreseen,
            Err(text) => {
                self.fail(&held, text);
                return Err(held);
            }
        };
        if self.command.act == Act::Replay && prospect.disposition == Disposition::Left {
            self.say(&held, Disposition::Left, prospect.text);
            return Err(held);
        }
        let slot = if self.command.confirm {
            self.run.begin(self.ports.time.now())
        } else if self.report.done < self.command.bounds.limit {
            let (disposition, text) = match self.command.act {
                Act::Replay => (prospect.disposition, prospect.text),
                Act::Discard => {
                    let text = format!("would be archived and removed; a replay {}", prospect.text);
                    (Disposition::Discarded, text)
                }
            };
            self.say(&held, disposition, text);
            return Err(held);
        } else {
            Err(End::Limit)
        };
        match slot {
            Ok(at) => Ok(Begun { held, has_saga, at }),
            Err(end) => {
                self.missing.insert(held.dead_letter.id.clone());
                self.ended = Some(end);
                Err(held)
            }
        }
    }

    async fn foresee(&self, held: &Held, saga: Option<&Saga>) -> Result<Foreseen, String> {
        let foreseen = foresee(self.ports, &held.dead_letter, saga).await;
        foreseen.map_err(|error| format!("its definition could not be read: {error}; nothing was done"))
    }

    /// Waits a moment for dead letters that somebody else holds, unless it has waited enough. A dry run waits for none.
    async fn waits(&mut self, ends: Timestamp) -> bool {
        if !self.command.confirm || self.waited >= PATIENCE_MILLIS || self.ports.time.now() >= ends {
            return false;
        }
        self.waited += WAIT_MILLIS;
        self.ports.time.sleep(WAIT_MILLIS).await;
        true
    }

    /// Records and removes what was sent last; gives back the receipts of those that stay.
    async fn settle(&mut self, source: &DeadLetterSource) -> Vec<Receipt> {
        let last = std::mem::take(&mut self.placed);
        let done = settle(self.ports, source, self.command.act, self.asked, last).await;
        self.count(done)
    }

    /// Reports on some dead letters; gives back the receipts of those that stay.
    fn count(&mut self, some: impl IntoIterator<Item = (Held, Done)>) -> Vec<Receipt> {
        let mut stays = Vec::new();
        for (held, done) in some {
            match done {
                Done::Yes(text) => {
                    let disposition = match self.command.act {
                        Act::Replay => Disposition::Replayed,
                        Act::Discard => Disposition::Discarded,
                    };
                    self.say(&held, disposition, text);
                }
                Done::Taken(text) => self.say(&held, Disposition::Taken, text),
                Done::Failed(text) => {
                    self.fail(&held, text);
                    stays.extend(held.receipt);
                }
            }
        }
        stays
    }

    fn fail(&mut self, held: &Held, text: String) {
        self.run.failed();
        self.say(held, Disposition::Failed, text);
        if self.report.failed >= self.command.bounds.stop_after {
            self.ended = Some(End::Failures);
        }
    }

    fn say(&mut self, held: &Held, disposition: Disposition, text: String) {
        let DeadLetter { id, facts, .. } = &held.dead_letter;
        self.report.say(id.clone(), facts.saga, disposition, text);
    }

    fn is_wanted(&self, one: &DeadLetter) -> bool {
        match &self.command.selection {
            Selection::All(filter) => filter.takes(one),
            // Each once: a queue may show a dead letter again.
            Selection::Ids(_) => self.missing.contains(&one.id),
        }
    }

    /// The saga that the run was about, when the run went through all sources and left no dead letter of it: then what the
    /// saga shows as parked has expired, for example.
    fn nothing_left(&self) -> Option<SagaId> {
        let filter = self.command.selection.filter()?;
        let all = Filter {
            saga: filter.saga,
            ..Filter::default()
        };
        let of_the_saga = self.command.confirm && *filter == all;
        let report = &self.report;
        let to_the_end = self.ended.is_none() && report.notices.is_empty();
        let none = report.failed == 0 && report.left == 0;
        all.saga.filter(|_| of_the_saga && to_the_end && none)
    }

    fn finish(mut self) -> Report {
        self.report.ended = self.ended.unwrap_or(End::Done);
        if self.report.ended == End::Done {
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
                self.report.say(id, None, Disposition::Unknown, text.to_owned());
            }
        }
        tracing::info!(
            act = self.report.act.as_str(),
            dry_run = self.report.dry_run,
            caller = self.asked.caller.map(Caller::as_str),
            done = self.report.done,
            failed = self.report.failed,
            left = self.report.left,
            ended = self.report.ended.as_str(),
            "dead letters"
        );
        self.report
    }
}

/// How many of `unseen` dead letters, which were there when the walk began, are there besides `ours`.
async fn left_by(queue: Option<&dyn DeadLetterQueue>, unseen: usize, ours: usize) -> usize {
    match queue {
        // Some may have been removed meanwhile. A count that fails says nothing new.
        Some(queue) if unseen > 0 => {
            let there = queue.depth().await.map(Depth::all);
            there.map_or(unseen, |there| unseen.min(there.saturating_sub(ours)))
        }
        _ => 0,
    }
}
