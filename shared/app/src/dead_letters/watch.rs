//! Sends an alert about new dead letters: one a source and run, with a count and an example.
//!
//! The alert is sent first and remembered afterwards: after a crash between the two it is sent twice, never not at all.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use saga_core::Timestamp;
use saga_wire::dead_letter::{DeadLetter, Source};
use sha2::{Digest, Sha256};

use super::Ports;
use super::look::look;
use super::ports::{Memory, Watched};
use super::source::{DeadLetterSource, Wanted};
use crate::log::{About, not_shown};
use crate::park_saga::park_dead_letter;
use crate::ports::{Alert, Alerts, Parked, PortError, SagaStore, Time, causes};

/// Letters that came so long before the newest one are looked at again: clocks differ, and a letter that somebody
/// held was not seen. Longer than any lease.
const OVERLAP_MILLIS: i64 = 300_000;
/// At most so many dead letters are remembered for a source; of a larger flood, only the time.
const MAX_ANNOUNCED: usize = 4_000;
/// At most so many sagas are marked in one run: those of a flood show what the list of letters shows anyway.
const MAX_PARKED: usize = 500;

/// The alert of a queue with more dead letters than this says only how many there are more: looking at all of them every
/// minute would hide them from the operators who work on them.
const DEEP: usize = 1_000;

/// What a watch did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Letters that were new.
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
    let each = ports.sources.iter().map(|source| async move {
        let watched = watch_one(source, ports, alerts, memory).await;
        watched.inspect_err(|error| {
            let source = source.source().as_str();
            tracing::error!(
                source,
                error = causes(error),
                outcome = "not watched",
                "dead letters"
            );
        })
    });
    let mut report = Report::default();
    for new in join_all(each).await {
        match new {
            Ok(0) => {}
            Ok(new) => {
                report.new += new;
                report.alerts += 1;
            }
            Err(_) => report.failed += 1,
        }
    }
    tracing::info!(
        new = report.new,
        told = report.alerts,
        failed = report.failed,
        "dead letters watched"
    );
    report
}

/// What a letter says of its saga. What nobody understood says nothing of any: others may have written it.
fn parked(letter: &DeadLetter) -> Option<Parked> {
    if matches!(
        letter.id.source,
        Source::Quarantine | Source::AzureQuarantine | Source::Stream
    ) {
        return None;
    }
    let kind = letter.facts.kind.as_deref().unwrap_or("a message");
    Some(Parked {
        saga: letter.facts.saga?,
        event: letter.facts.event.clone()?,
        reason: format!("{kind} lies in {}: {}", letter.id.source, letter.reason),
        at: letter.arrived(),
    })
}

async fn watch_one<S: SagaStore, T: Time>(
    source: &DeadLetterSource,
    ports: &Ports<'_, S, T>,
    alerts: &impl Alerts,
    memory: &dyn Memory,
) -> Result<usize, PortError> {
    let before = memory.load(source.source()).await?;
    // A container is small or ordered by time, and is not counted.
    let depth = match source.queue() {
        Some(queue) => Some(queue.depth().await?.all()),
        None => None,
    };
    let now = Watched {
        depth: depth.unwrap_or_default(),
        ..before.clone()
    };
    let counted = async || {
        if now == before {
            return Ok(());
        }
        memory.save(source.source(), &now).await
    };
    if depth == Some(0) {
        // What comes next is all new.
        counted().await?;
        return Ok(0);
    }
    if now.depth > DEEP {
        let new = now.depth.saturating_sub(before.depth);
        if new > 0 {
            alerts.raise(message(source, new, None)).await?;
        }
        counted().await?;
        return Ok(new);
    }
    // Of a flood, which cannot be remembered letter by letter, the time alone says what was announced.
    let from = if before.announced.is_empty() {
        before.until
    } else {
        before.until - OVERLAP_MILLIS
    };
    let wanted = Wanted {
        since: Some(Timestamp::from_millis(from)),
        ..Wanted::default()
    };
    let mut arrivals: Vec<(i64, String)> = Vec::new();
    let mut example: Option<DeadLetter> = None;
    let mut of_sagas = Vec::new();
    look(source, ports.time, wanted, |letter| {
        let at = letter.arrived().millis();
        let mark = mark(&letter.id.key);
        if at > from && !before.announced.contains(&mark) {
            arrivals.push((at, mark));
            if of_sagas.len() < MAX_PARKED {
                of_sagas.extend(parked(&letter).map(|parked| (letter.id.clone(), parked)));
            }
            if example
                .as_ref()
                .is_none_or(|known| letter.arrived() > known.arrived())
            {
                example = Some(letter.without_body());
            }
        }
        true
    })
    .await?;
    let Some(example) = example else {
        counted().await?;
        return Ok(0);
    };
    let new = arrivals.len();
    let mut failed = None;
    for (letter, parked) in &of_sagas {
        // The alert about its source follows below, and no alert of the saga's own is sent.
        match park_dead_letter(ports.store, ports.time, letter, parked).await {
            Ok(_) => {}
            // A saga that cannot be read must not cause the same alert every minute.
            Err(error @ PortError::Corrupt { .. }) => {
                not_shown(&About::named(parked.saga, &parked.event), &error);
            }
            Err(error) => failed = Some(error),
        }
    }
    alerts.raise(message(source, new, Some(&example))).await?;
    // The next look does it; a second alert is better than a saga that does not show it.
    if let Some(error) = failed {
        return Err(error);
    }
    let until = example.arrived().millis().max(before.until);
    let recent = arrivals
        .into_iter()
        .filter(|(at, _)| *at > until - OVERLAP_MILLIS)
        .map(|(_, mark)| mark);
    let mut announced: BTreeSet<String> = recent.collect();
    // Those of before only while they may be seen again.
    if before.until > until - OVERLAP_MILLIS {
        announced.extend(before.announced);
    }
    if announced.len() > MAX_ANNOUNCED {
        announced.clear();
    }
    let watched = Watched {
        until,
        announced,
        depth: now.depth,
    };
    memory.save(source.source(), &watched).await?;
    Ok(new)
}

fn message(source: &DeadLetterSource, new: usize, example: Option<&DeadLetter>) -> Alert {
    let source = source.source();
    let (letters, came) = if new == 1 {
        ("letter", "has")
    } else {
        ("letters", "have")
    };
    let mut text = format!(
        "{new} new dead {letters} {came} come to `{source}` ({}).",
        source.cloud().as_str()
    );
    if let Some(example) = example {
        let facts = &example.facts;
        let saga = facts
            .saga
            .map_or("no saga".to_owned(), |saga| format!("saga {saga}"));
        let kind = facts.kind.as_deref().unwrap_or("unknown type");
        text += &format!(" For instance {kind}, {saga}:\n  {}\n", example.reason);
        text += &format!("\nAt this one:    make dlq ARGS=\"show {}\"", example.id);
    }
    text += &format!(
        "\nLook at them:   make dlq ARGS=\"list --source {source}\"\n\
         Replay, dry:    make dlq ARGS=\"replay --source {source}\""
    );
    Alert {
        subject: format!("saga-bridge: {new} new dead {letters} in {source}"),
        text,
    }
}

fn mark(key: &str) -> String {
    let digest = Sha256::digest(key.as_bytes());
    digest[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}
