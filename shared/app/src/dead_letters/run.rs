//! A run over dead letters: bounded in number, rate, failures and time, and only looking unless it is confirmed.
//!
//! What is not done stays where it is, so a run that ended early goes on when it is asked for again.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use saga_core::mark::{Asked, Caller};
use saga_core::{Saga, SagaId, Timestamp};
use saga_wire::dead_letter::{DeadLetter, DeadLetterId};

use super::act::carry_out;
use super::command::{Act, Command, Filter, Selection};
use super::foresee::{foresee, saga_of};
use super::look::WAIT_MILLIS;
use super::ports::{DeadLetterQueue, Depth, Receipt};
use super::report::{Disposition, Item, Notice, Report};
use super::source::{DeadLetterSource, Held, LEASE_SECONDS, MAX_HELD, Wanted, next};
use super::timeline::record_none_left;
use super::{Ports, problem};
use crate::about;
use crate::log::About;
use crate::ports::{PortError, SagaStore, Time, causes};
use crate::runs::{End, Run};

/// So many dead letters are worked on side by side, at a rate of so many a second.
const SIDE_BY_SIDE: usize = 20;
/// A walk of a run ends so long before its first lease does.
const LEASE_MARGIN_SECONDS: u32 = 20;
/// A run waits at most so long, all in all, for dead letters that somebody else holds.
const PATIENCE_MILLIS: u64 = 20_000;

/// Carries out the command for `by`, who is `caller` where the edge proves it, and ends before `until`.
pub async fn run<S: SagaStore, T: Time>(
    ports: &Ports<'_, S, T>,
    command: &Command,
    by: &str,
    caller: Option<&Caller>,
    until: Timestamp,
) -> Report {
    let began = ports.time.now();
    let why = &command.reason;
    let (sources, notices) = ports.chosen(|source| command.selection.names(source));
    let mut going = Going {
        ports,
        command,
        asked: Asked { by, caller, why },
        until,
        run: Run::new(command.bounds, began, until),
        missing: match &command.selection {
            Selection::Ids(ids) => ids.iter().cloned().collect(),
            Selection::All(_) => BTreeSet::new(),
        },
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
            let (source, text) = (source.source(), format!("its source could not be read: {error}"));
            going.report.notices.push(problem(source, &error));
            going.gone_missing(Disposition::Failed, |id| {
                (id.source == source).then(|| text.clone())
            });
        }
    }
    if let Some(saga) = going.nothing_left()
        && let Err(error) = record_none_left(ports, saga, began, going.asked).await
    {
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
    ended: Option<End>,
    /// So long it has waited for dead letters that somebody else holds, in milliseconds.
    waited: u64,
    report: Report,
}

impl<S: SagaStore, T: Time> Going<'_, S, T> {
    /// One source, from its front to its end or that of the run.
    async fn through(&mut self, source: &DeadLetterSource) -> Result<(), PortError> {
        let wanted = match &self.command.selection {
            Selection::Ids(ids) => Wanted {
                keys: Some(
                    ids.iter()
                        .filter(|id| id.source == source.source())
                        .map(|id| id.key.clone())
                        .collect(),
                ),
                ..Wanted::default()
            },
            Selection::All(filter) => Wanted {
                since: filter.since,
                ..Wanted::default()
            },
        };
        let by_id = wanted.keys.is_some();
        let side_by_side = (self.command.bounds.per_second as usize).clamp(1, SIDE_BY_SIDE);
        let lease = i64::from(LEASE_SECONDS - LEASE_MARGIN_SECONDS) * 1_000;
        let walk_until = self.ports.time.now().plus_millis(lease).min(self.until);
        let there = match source.queue() {
            Some(queue) => queue.depth().await?.all(),
            None => 0,
        };
        let mut walk = source.walk(wanted);
        // What stays is put back at the end: put back at once, the walk would come to it again.
        let mut stays: Vec<Receipt> = Vec::new();
        let (mut seen, mut unseen) = (0, 0);
        let walked = loop {
            let held = match next(&mut walk).await {
                Ok(held) => held,
                Err(error) => break Err(error),
            };
            if held.is_empty() {
                unseen = left_by(source.queue(), there.saturating_sub(seen), stays.len()).await;
                if unseen == 0 || !self.waits(walk_until).await {
                    break Ok(());
                }
                continue;
            }
            seen += held.len();
            let (mut wanted, others): (Vec<_>, Vec<_>) = held
                .into_iter()
                .partition(|held| self.is_wanted(&held.dead_letter));
            stays.extend(others.into_iter().filter_map(|held| held.receipt));
            while !wanted.is_empty() {
                let rest = wanted.split_off(side_by_side.min(wanted.len()));
                self.batch(source, wanted, &mut stays).await;
                wanted = rest;
            }
            let has_all = self.missing.iter().all(|id| id.source != source.source());
            if self.ended.is_some() || (by_id && has_all) {
                break Ok(());
            }
            if (source.queue().is_some() && seen >= MAX_HELD) || self.ports.time.now() >= walk_until {
                self.ended = Some(End::Time);
                break Ok(());
            }
        };
        source.put_back(stays).await?;
        if unseen > 0 && self.ended.is_none() {
            let text = format!(
                "{unseen} dead letters are held by somebody else and were not looked at; ask again in a minute"
            );
            self.report.notices.push(Notice::new(source.source(), text));
        }
        walked
    }

    /// Some dead letters side by side, each in its time; the receipts of those that stay go to `stays`.
    async fn batch(&mut self, source: &DeadLetterSource, some: Vec<Held>, stays: &mut Vec<Receipt>) {
        let ids = some.iter().filter_map(|held| held.dead_letter.facts.saga);
        let ids: BTreeSet<SagaId> = ids.collect();
        let sagas = ids
            .into_iter()
            .map(async |id| (id, saga_of(self.ports, id).await));
        let sagas: BTreeMap<SagaId, _> = join_all(sagas).await.into_iter().collect();
        let mut begun = Vec::new();
        for held in some {
            let saga = held.dead_letter.facts.saga.and_then(|id| sagas.get(&id));
            match self.begin(&held, saga).await {
                Some(at) => begun.push((held, at)),
                None => stays.extend(held.receipt),
            }
        }
        for (held, disposition, text) in
            carry_out(self.ports, source, self.command.act, self.asked, begun).await
        {
            self.say(&held.dead_letter, disposition, text);
            if disposition == Disposition::Failed {
                stays.extend(held.receipt);
            }
        }
    }

    /// When this dead letter may be replayed or discarded; `None` when it stays.
    async fn begin(
        &mut self,
        Held { dead_letter, .. }: &Held,
        saga: Option<&Result<Option<Saga>, PortError>>,
    ) -> Option<Timestamp> {
        if self.ended.is_some() {
            return None;
        }
        self.missing.remove(&dead_letter.id);
        let prospect = match saga.map(Result::as_ref).transpose() {
            Err(error) => Err(format!("its saga could not be read: {error}")),
            Ok(saga) => foresee(self.ports, dead_letter, saga.and_then(Option::as_ref))
                .await
                .map_err(|error| format!("its definition could not be read: {error}")),
        };
        let (disposition, text) = match (prospect, self.command.act) {
            (Err(text), _) => {
                self.say(dead_letter, Disposition::Failed, text + "; nothing was done");
                return None;
            }
            (Ok(prospect), Act::Replay) => (prospect.disposition, prospect.text),
            (Ok(prospect), Act::Discard) => {
                let text = format!("would be archived and removed; a replay {}", prospect.text);
                (Disposition::Discarded, text)
            }
        };
        let within = self.report.done < self.command.bounds.limit;
        if disposition == Disposition::Left || (within && !self.command.confirm) {
            self.say(dead_letter, disposition, text);
            return None;
        }
        let slot = if self.command.confirm {
            self.run.begin(self.ports.time.now())
        } else {
            Err(End::Limit)
        };
        slot.inspect_err(|end| {
            self.missing.insert(dead_letter.id.clone());
            self.ended = Some(*end);
        })
        .ok()
    }

    /// Waits a moment for dead letters that somebody else holds, unless it has waited enough. A dry run waits for none.
    async fn waits(&mut self, walk_until: Timestamp) -> bool {
        if !self.command.confirm || self.waited >= PATIENCE_MILLIS || self.ports.time.now() >= walk_until {
            return false;
        }
        self.waited += WAIT_MILLIS;
        self.ports.time.sleep(WAIT_MILLIS).await;
        true
    }

    fn say(&mut self, dead_letter: &DeadLetter, disposition: Disposition, text: String) {
        self.report.say(Item {
            id: dead_letter.id.clone(),
            saga: dead_letter.facts.saga,
            disposition,
            text,
        });
        if disposition == Disposition::Failed {
            self.run.failed();
            if self.report.failed >= self.command.bounds.stop_after {
                self.ended = Some(End::Failures);
            }
        }
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
        let Selection::All(filter) = &self.command.selection else {
            return None;
        };
        let all = Filter {
            saga: filter.saga,
            ..Filter::default()
        };
        let report = &self.report;
        let to_the_end = self.ended.is_none() && report.notices.is_empty();
        let none = self.command.confirm && to_the_end && report.failed == 0 && report.left == 0;
        all.saga.filter(|_| none && *filter == all)
    }

    /// Reports on the missing dead letters of which `why` says something.
    fn gone_missing(&mut self, disposition: Disposition, why: impl Fn(&DeadLetterId) -> Option<String>) {
        for id in std::mem::take(&mut self.missing) {
            match why(&id) {
                Some(text) => self.report.say(Item {
                    id,
                    saga: None,
                    disposition,
                    text,
                }),
                None => drop(self.missing.insert(id)),
            }
        }
    }

    fn finish(mut self) -> Report {
        self.report.ended = self.ended.unwrap_or(End::Done);
        if self.report.ended == End::Done {
            let notices = self.report.notices.clone();
            self.gone_missing(Disposition::Unknown, |id| {
                let absent = notices.iter().any(|notice| notice.source == id.source);
                let text = if absent {
                    "it is not there, or not now: see the notices"
                } else {
                    "there is no such dead letter: it was replayed or discarded, or has expired"
                };
                Some(text.to_owned())
            });
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
