//! Sends an alert about new dead letters: one a source and run, with a count and an example.
//!
//! The alert is sent first and remembered afterwards: after a crash between the two it is sent twice, never not at all.

use futures_util::future::join_all;
use saga_core::Timestamp;
use saga_wire::dead_letter::{DeadLetter, DeadLetterId, Source};
use saga_wire::quarantine::mark;

use super::Ports;
use super::look::look;
use super::ports::{Memory, Watched};
use super::source::{DeadLetterSource, Wanted};
use crate::log::{About, not_shown};
use crate::park_saga::park_dead_letter;
use crate::ports::{Alert, Alerts, Parked, PortError, SagaStore, Time, causes};

/// Dead letters that came so long before the newest one are looked at again: clocks differ, and a dead letter that somebody
/// held was not seen. Longer than any lease.
const OVERLAP_MILLIS: i64 = 300_000;
/// At most so many dead letters are remembered for a source; of a larger flood, only the time.
const MAX_ANNOUNCED: usize = 4_000;
/// At most so many sagas are marked in one run: those of a flood show what the list of dead letters shows anyway.
const MAX_PARKED: usize = 500;
/// The alert of a queue with more dead letters than this says only how many there are more: looking at all of them every
/// minute would hide them from the operators who work on them.
const DEEP: usize = 1_000;

/// What a watch did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Dead letters that were new.
    pub new: usize,
    /// Messages that were sent.
    pub alerts: usize,
    /// Sources that could not be watched; the log says why, and the next run announces what they hold.
    pub failed: usize,
}

/// Looks at every source, and sends an alert about what is new.
pub async fn watch<S: SagaStore, T: Time>(
    ports: &Ports<'_, S, T>,
    alerts: &impl Alerts,
    memory: &dyn Memory,
) -> Report {
    let each = ports
        .sources
        .iter()
        .map(|source| watch_one(source, ports, alerts, memory));
    let mut report = Report::default();
    for (source, new) in ports.sources.iter().zip(join_all(each).await) {
        match new {
            Ok(new) => {
                report.new += new;
                report.alerts += usize::from(new > 0);
            }
            Err(error) => {
                report.failed += 1;
                let (source, error) = (source.source().as_str(), causes(&error));
                tracing::error!(source, error, outcome = "not watched", "dead letters");
            }
        }
    }
    let Report { new, alerts, failed } = report;
    tracing::info!(new, alerts, failed, "dead letters watched");
    report
}

/// How many dead letters of the source are new.
async fn watch_one<S: SagaStore, T: Time>(
    source: &DeadLetterSource,
    ports: &Ports<'_, S, T>,
    alerts: &impl Alerts,
    memory: &dyn Memory,
) -> Result<usize, PortError> {
    let before = memory.load(source.source()).await?;
    let mut now = before.clone();
    let (mut new, mut example, mut parked) = (0, None, Ok(()));
    // A container is small or ordered by time, and is not counted.
    let depth = match source.queue() {
        Some(queue) => Some(queue.depth().await?.all()),
        None => None,
    };
    now.depth = depth.unwrap_or_default();
    if now.depth > DEEP {
        new = now.depth.saturating_sub(before.depth);
    } else if depth != Some(0) {
        let found = arrivals(source, ports.time, &before).await?;
        new = found.marks.len();
        example = found.newest;
        if let Some(newest) = &example {
            now.until = newest.arrived().millis().max(before.until);
            let again = now.until - OVERLAP_MILLIS;
            // Those of before only while they may be seen again.
            now.announced.retain(|_| before.until > again);
            let recent = found.marks.into_iter().filter(|(at, _)| *at > again);
            now.announced.extend(recent.map(|(_, mark)| mark));
            if now.announced.len() > MAX_ANNOUNCED {
                now.announced.clear();
            }
        }
        parked = park(ports, &found.of_sagas).await;
    }
    if new > 0 {
        alerts
            .raise(message(source.source(), new, example.as_ref()))
            .await?;
    }
    // The next look does it; a second alert is better than a saga that does not show it.
    parked?;
    // What comes next after none is all new.
    if now != before {
        memory.save(source.source(), &now).await?;
    }
    Ok(new)
}

/// The dead letters of a source that no alert was sent for.
#[derive(Default)]
struct Arrivals {
    /// When each came, and by what it is known again.
    marks: Vec<(i64, String)>,
    newest: Option<DeadLetter>,
    of_sagas: Vec<(DeadLetterId, Parked)>,
}

async fn arrivals(
    source: &DeadLetterSource,
    time: &impl Time,
    before: &Watched,
) -> Result<Arrivals, PortError> {
    // Of a flood, which cannot be remembered one by one, the time alone says what was announced.
    let overlap = if before.announced.is_empty() {
        0
    } else {
        OVERLAP_MILLIS
    };
    let from = before.until - overlap;
    let wanted = Wanted {
        since: Some(Timestamp::from_millis(from)),
        ..Wanted::default()
    };
    let mut found = Arrivals::default();
    look(source, time, wanted, |one| {
        let (at, mark) = (one.arrived(), mark(&one.id.key));
        if at.millis() > from && !before.announced.contains(&mark) {
            found.marks.push((at.millis(), mark));
            if found.of_sagas.len() < MAX_PARKED {
                found
                    .of_sagas
                    .extend(parked(&one).map(|parked| (one.id.clone(), parked)));
            }
            if found.newest.as_ref().is_none_or(|newest| at > newest.arrived()) {
                found.newest = Some(one.without_body());
            }
        }
        true
    })
    .await?;
    Ok(found)
}

/// What a dead letter says of its saga. What nobody understood says nothing of any: others may have written it.
fn parked(one: &DeadLetter) -> Option<Parked> {
    let source = one.id.source;
    if matches!(
        source,
        Source::Quarantine | Source::AzureQuarantine | Source::Stream
    ) {
        return None;
    }
    let kind = one.facts.kind.as_deref().unwrap_or("a message");
    Some(Parked {
        saga: one.facts.saga?,
        event: one.facts.event.clone()?,
        reason: format!("{kind} lies in {source}: {}", one.reason),
        at: one.arrived(),
    })
}

/// Marks the sagas. The alert about the source follows, and no alert of the saga's own is sent.
async fn park<S: SagaStore, T: Time>(
    ports: &Ports<'_, S, T>,
    of_sagas: &[(DeadLetterId, Parked)],
) -> Result<(), PortError> {
    let mut failed = Ok(());
    for (id, parked) in of_sagas {
        match park_dead_letter(ports.store, ports.time, id, parked).await {
            Ok(_) => {}
            // A saga that cannot be read must not cause the same alert every minute.
            Err(error @ PortError::Corrupt { .. }) => {
                not_shown(&About::named(parked.saga, &parked.event), &error);
            }
            Err(error) => failed = Err(error),
        }
    }
    failed
}

fn message(source: Source, new: usize, example: Option<&DeadLetter>) -> Alert {
    let what = if new == 1 { "dead letter" } else { "dead letters" };
    let have = if new == 1 { "has" } else { "have" };
    let cloud = source.cloud().as_str();
    let mut text = format!("{new} new {what} {have} come to `{source}` ({cloud}).");
    if let Some(DeadLetter {
        id, facts, reason, ..
    }) = example
    {
        let saga = facts
            .saga
            .map_or("no saga".to_owned(), |saga| format!("saga {saga}"));
        let kind = facts.kind.as_deref().unwrap_or("unknown type");
        text += &format!(
            " For instance {kind}, {saga}:\n  {reason}\n\nAt this one:    make dlq ARGS=\"show {id}\""
        );
    }
    text += &format!(
        "\nLook at them:   make dlq ARGS=\"list --source {source}\"\n\
         Replay, dry:    make dlq ARGS=\"replay --source {source}\""
    );
    Alert {
        subject: format!("saga-bridge: {new} new {what} in {source}"),
        text,
    }
}
