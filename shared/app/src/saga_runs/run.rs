//! The run: bounded in number, rate, failures and time, and only looking unless it is confirmed.
//!
//! Its place moves only past sagas that were dealt with or are not meant. So whoever goes on from the place of a run that
//! ended early comes to each saga once.

use futures_util::future::join_all;
use saga_core::mark::{Asked, Caller};
use saga_core::{Definition, Saga, SagaId, Timestamp};
use saga_wire::http::cursor_text;

use super::act::{ATTEMPTS, one, port};
use super::command::{Command, Selection};
use super::filter::Filter;
use super::report::{Disposition, Item, Report};
use crate::Deployment;
use crate::ports::{PortError, SagaStore, Time, causes};
use crate::runs::{End, Run};
use crate::transact::{Meant, Sagas};
use crate::walk_sagas::Walk;

/// So many sagas are worked on side by side, at a rate of so many a second.
const SIDE_BY_SIDE: usize = 20;
/// So many sagas are read at once.
const PAGE: usize = 100;
/// Sagas that start later are behind the place at which a run begins. Clocks differ by less.
const CLOCKS_MILLIS: i64 = 60_000;

/// Carries out the command for `by`, who is `caller` where the edge proves it, and ends before `until`.
///
/// # Errors
/// [`PortError`] when the list of sagas cannot be read at all. Nothing was changed.
pub async fn run<S: SagaStore, T: Time>(
    (deployment, store, time): (&Deployment, &S, &T),
    command: &Command,
    by: &str,
    caller: Option<&Caller>,
    until: Timestamp,
) -> Result<Report, PortError> {
    let (act, terms) = (&command.act, &command.terms);
    let why = match terms.reason.as_str() {
        // Nothing keeps it.
        "" => "a dry run",
        why => why,
    };
    let filter = match &command.selection {
        Selection::All { filter, .. } => Some(filter),
        Selection::Ids { .. } => None,
    };
    let meant = filter
        .map(|filter| move |saga: &Saga, definition: Option<&Definition>| filter.takes(saga, definition));
    let meant = meant.as_ref().map(|meant| meant as &Meant<'_>);
    let sagas = Sagas::new(deployment, store, time).attempts(ATTEMPTS).only(meant);
    let began = time.now();
    let source = match &command.selection {
        Selection::Ids { ids, done } => Source::Ids {
            rest: ids.get(*done..).unwrap_or_default(),
            before: *done,
            dealt_with: 0,
        },
        Selection::All { filter, place } => {
            let latest = filter.until.unwrap_or(began.plus_millis(CLOCKS_MILLIS));
            let place = place.unwrap_or((latest, SagaId::LEAST));
            let walk = Walk::new((deployment, store, time), filter.since, Some(place), PAGE);
            Source::Walk(Box::new(walk), filter)
        }
    };
    let mut going = Going {
        command,
        time,
        until,
        sagas,
        asked: Asked { by, caller, why },
        run: Run::new(terms.bounds, began, until),
        stand: source.stand(),
        source,
        report: Report {
            act: act.clone(),
            dry_run: !terms.confirm,
            done: 0,
            failed: 0,
            left: 0,
            looked_at: 0,
            ended: End::Done,
            items: Vec::new(),
            notice: None,
            next: None,
        },
    };
    let ended = going.through().await?;
    Ok(going.finish(ended))
}

/// Where the sagas come from.
enum Source<'a, S, T> {
    Walk(Box<Walk<'a, S, T>>, &'a Filter),
    Ids {
        rest: &'a [SagaId],
        before: usize,
        dealt_with: usize,
    },
}

/// How far a run has come: the place where it goes on, and how many sagas it has looked at.
#[derive(Clone)]
struct Stand {
    place: String,
    looked_at: usize,
}

/// A saga that is looked for. Where its definition could not be read, the reason.
struct Found {
    id: SagaId,
    unreadable: Option<String>,
    /// How far the run has come with it.
    stand: Stand,
}

impl<S: SagaStore, T: Time> Source<'_, S, T> {
    fn stand(&self) -> Stand {
        match self {
            Source::Walk(walk, _) => Stand {
                place: walk.place().map(cursor_text).unwrap_or_default(),
                looked_at: walk.passed(),
            },
            Source::Ids {
                before, dealt_with, ..
            } => Stand {
                place: (before + dealt_with).to_string(),
                looked_at: *dealt_with,
            },
        }
    }

    /// The next saga that is meant; `Ok(Err(_))` when none follows, or the time is over before one is found.
    async fn next(&mut self, is_over: impl Fn() -> bool) -> Result<Result<Found, End>, PortError> {
        loop {
            if is_over() {
                return Ok(Err(End::Time));
            }
            let (id, unreadable) = match self {
                Source::Ids { rest, dealt_with, .. } => {
                    let Some((id, others)) = rest.split_first() else {
                        return Ok(Err(End::Done));
                    };
                    (*rest, *dealt_with) = (others, *dealt_with + 1);
                    (*id, None)
                }
                Source::Walk(walk, filter) => match walk.next().await? {
                    None => return Ok(Err(End::Done)),
                    Some((saga, Ok(definition))) if !filter.takes(&saga, definition.as_deref()) => continue,
                    Some((saga, Ok(_))) => (saga.id, None),
                    Some((saga, Err(error))) => {
                        let why = format!("its definition: {}", port(&error, saga.id));
                        (saga.id, Some(why))
                    }
                },
            };
            return Ok(Ok(Found {
                id,
                unreadable,
                stand: self.stand(),
            }));
        }
    }
}

struct Going<'a, S, T> {
    command: &'a Command,
    time: &'a T,
    until: Timestamp,
    sagas: Sagas<'a, S, T>,
    asked: Asked<'a>,
    run: Run,
    source: Source<'a, S, T>,
    stand: Stand,
    report: Report,
}

impl<S: SagaStore, T: Time> Going<'_, S, T> {
    /// From the place where the run begins to its end.
    async fn through(&mut self) -> Result<End, PortError> {
        let bounds = self.command.terms.bounds;
        let most = (bounds.per_second as usize).clamp(1, SIDE_BY_SIDE);
        loop {
            // No more side by side than may fail.
            let allowed = bounds.stop_after.saturating_sub(self.report.failed).max(1);
            let (mut batch, mut ended) = (Vec::new(), None);
            while ended.is_none() && batch.len() < most.min(allowed) {
                let (time, until) = (self.time, self.until);
                match self.source.next(|| time.now() >= until).await {
                    Ok(Ok(found)) => batch.push(found),
                    Ok(Err(end)) => ended = Some(end),
                    Err(error) if batch.is_empty() && self.source.stand().looked_at == 0 => {
                        return Err(error);
                    }
                    Err(error) => {
                        tracing::warn!(error = causes(&error), "the list of sagas could not be read on");
                        let why = "the list of sagas could not be read to its end; go on with `next`";
                        self.report.notice = Some(why.to_owned());
                        ended = Some(End::Store);
                    }
                }
            }
            let all_read = self.source.stand();
            match self.batch(batch).await {
                Some(end) => return Ok(end),
                None => self.stand = all_read,
            }
            if self.report.failed >= bounds.stop_after {
                return Ok(End::Failures);
            }
            if let Some(end) = ended {
                return Ok(end);
            }
        }
    }

    /// Some sagas side by side, each in its time; the end of the run where it comes before the last of them.
    async fn batch(&mut self, batch: Vec<Found>) -> Option<End> {
        let (act, asked) = (&self.command.act, self.asked);
        let dry = self.sagas.dry_run();
        let filtered = matches!(self.command.selection, Selection::All { .. });
        let foreseen = batch.iter().map(async |found| match &found.unreadable {
            Some(why) => (Disposition::Failed, why.clone()),
            None => one(&dry, act, asked, found.id, filtered).await,
        });
        let foreseen = join_all(foreseen).await;
        let (mut begun, mut ended) = (Vec::new(), None);
        let mut would_be_done = self.report.done;
        for (found, became) in batch.into_iter().zip(foreseen) {
            let slot = match became.0 {
                Disposition::Done => match self.slot(would_be_done) {
                    Ok(slot) => slot,
                    Err(end) => {
                        ended = Some(end);
                        break;
                    }
                },
                Disposition::Left | Disposition::Failed => None,
            };
            would_be_done += usize::from(became.0 == Disposition::Done);
            begun.push((found, became, slot));
        }
        let (sagas, time) = (&self.sagas, self.time);
        let became = begun.into_iter().map(async |(found, foreseen, slot)| match slot {
            None => (found, foreseen),
            Some(at) => {
                let early = at.millis() - time.now().millis();
                time.sleep(u64::try_from(early).unwrap_or(0)).await;
                let became = one(sagas, act, asked, found.id, filtered).await;
                (found, became)
            }
        });
        for (found, (disposition, text)) in join_all(became).await {
            if disposition == Disposition::Failed {
                self.run.failed();
            }
            self.stand = found.stand;
            self.report.say(Item {
                saga: found.id,
                disposition,
                text,
            });
        }
        ended
    }

    /// When the next saga may be changed; `None` in a dry run.
    fn slot(&mut self, would_be_done: usize) -> Result<Option<Timestamp>, End> {
        if self.command.terms.confirm {
            self.run.begin(self.time.now()).map(Some)
        } else if would_be_done < self.command.terms.bounds.limit {
            Ok(None)
        } else {
            Err(End::Limit)
        }
    }

    fn finish(mut self, ended: End) -> Report {
        self.report.ended = ended;
        self.report.looked_at = self.stand.looked_at;
        self.report.next = ended.is_resumable().then(|| self.command.next(&self.stand.place));
        tracing::info!(
            act = self.report.act.as_str(),
            dry_run = self.report.dry_run,
            caller = self.asked.caller.map(Caller::as_str),
            done = self.report.done,
            failed = self.report.failed,
            left = self.report.left,
            looked_at = self.report.looked_at,
            ended = ended.as_str(),
            "run over sagas"
        );
        self.report
    }
}
