//! Tells what has newly come to each source: one message a source and run, with a count and an example.
//!
//! It is told first and remembered afterwards: a crash between tells it twice, never not at all.

use futures_util::future::join_all;
use saga_core::Timestamp;
use saga_wire::dead_letter::{DeadLetter, Source};
use sha2::{Digest, Sha256};

use super::Ports;
use super::find::look;
use super::ports::{LetterSource, Memory, Walk, Watched};
use crate::log::{About, not_shown};
use crate::park_saga::park_dead_letter;
use crate::ports::{Alert, Alerts, Parked, PortError, SagaStore, Time, causes};

/// Letters that came so long before the newest one are looked at again: clocks differ, and a letter that somebody
/// held was not seen. Longer than any lease.
const OVERLAP_MILLIS: i64 = 300_000;
/// At most so many letters told are remembered for a source; of a flood that is larger, only the time.
const MAX_TOLD: usize = 4_000;
/// At most so many sagas are marked in one run: those of a flood show what the list of letters shows anyway.
const MAX_PARKED: usize = 500;

/// Of a queue with more letters than this, only the growth is told: looking at all of them every minute would hide them
/// from the operators who work on them.
const DEEP: usize = 1_000;

/// What a watch did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Letters that were new.
    pub new: usize,
    /// Messages that were sent.
    pub told: usize,
    /// Sources that could not be watched; the log says why, and the next run tells what they hold.
    pub failed: usize,
}

/// Looks at every source, and tells what is new.
pub async fn watch<S: SagaStore, T: Time>(
    ports: &Ports<'_, S, T>,
    alerts: &impl Alerts,
    memory: &dyn Memory,
) -> Report {
    let each = ports.sources.iter().map(|source| async move {
        let watched = watch_one(source.as_ref(), ports, alerts, memory).await;
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
                report.told += 1;
            }
            Err(_) => report.failed += 1,
        }
    }
    tracing::info!(
        new = report.new,
        told = report.told,
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
    source: &dyn LetterSource,
    ports: &Ports<'_, S, T>,
    alerts: &impl Alerts,
    memory: &dyn Memory,
) -> Result<usize, PortError> {
    let depth = source.depth().await?.all();
    let before = memory.load(source.source()).await?;
    if depth == 0 {
        // What comes next is all new.
        if before.depth != 0 {
            memory.save(source.source(), &Watched { depth, ..before }).await?;
        }
        return Ok(0);
    }
    if source.is_queue() && depth > DEEP {
        let new = depth.saturating_sub(before.depth);
        if new > 0 {
            alerts.raise(message(source, new, None)).await?;
        }
        if depth != before.depth {
            memory.save(source.source(), &Watched { depth, ..before }).await?;
        }
        return Ok(new);
    }
    // Of a flood, which cannot be remembered letter by letter, the time alone says what was told.
    let from = if before.told.is_empty() {
        before.until
    } else {
        before.until - OVERLAP_MILLIS
    };
    let walk = Walk {
        since: Some(Timestamp::from_millis(from)),
        ..Walk::default()
    };
    let mut arrivals: Vec<(i64, String)> = Vec::new();
    let mut example: Option<DeadLetter> = None;
    let mut of_sagas = Vec::new();
    look(source, ports.time, walk, |letter| {
        let at = letter.arrived().millis();
        let mark = mark(&letter.id.key);
        if at > from && !before.told.contains(&mark) {
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
        if depth != before.depth {
            memory.save(source.source(), &Watched { depth, ..before }).await?;
        }
        return Ok(0);
    };
    let new = arrivals.len();
    let mut failed = None;
    for (letter, parked) in &of_sagas {
        // Its source is told below, so the saga's own alert is not.
        match park_dead_letter(ports.store, ports.time, letter, parked).await {
            Ok(_) => {}
            // A saga that cannot be read must not have the same letter told every minute.
            Err(error @ PortError::Corrupt { .. }) => {
                not_shown(&About::named(parked.saga, &parked.event), &error);
            }
            Err(error) => failed = Some(error),
        }
    }
    alerts.raise(message(source, new, Some(&example))).await?;
    // The next look does it; better told twice than a saga that does not show it.
    if let Some(error) = failed {
        return Err(error);
    }
    let until = example.arrived().millis().max(before.until);
    let recent = arrivals
        .into_iter()
        .filter(|(at, _)| *at > until - OVERLAP_MILLIS)
        .map(|(_, mark)| mark);
    let mut told: std::collections::BTreeSet<String> = recent.collect();
    // Those of before only while they may be seen again.
    if before.until > until - OVERLAP_MILLIS {
        told.extend(before.told);
    }
    if told.len() > MAX_TOLD {
        told.clear();
    }
    memory
        .save(source.source(), &Watched { until, told, depth })
        .await?;
    Ok(new)
}

fn message(source: &dyn LetterSource, new: usize, example: Option<&DeadLetter>) -> Alert {
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
