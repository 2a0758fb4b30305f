//! Publishes the outbox: rows that a stream brought, or that a sweep found. A row is deleted only after its
//! event was taken, so a crash between gives a duplicate, never a loss.

use std::collections::BTreeSet;

use saga_core::SagaId;
use saga_core::outbox::OutboxRow;

use crate::ports::{Outbox, PortError, Publisher, Time, causes};

/// What a relay did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Events taken by the other side, and deleted here.
    pub published: usize,
    /// Events that were refused or held back behind one that was; they stay for the next time.
    pub left: usize,
    /// Calls to the publisher.
    pub calls: usize,
}

/// Publishes these rows in batches. Once an event of a saga is refused, later events of that saga wait.
///
/// # Errors
/// [`PortError`] when the outbox cannot be reached; published rows that could not be deleted go out again.
pub async fn relay<P: Publisher>(
    outbox: &impl Outbox,
    publisher: &P,
    rows: Vec<OutboxRow>,
) -> Result<Report, PortError> {
    let mut report = Report::default();
    let mut waiting: BTreeSet<SagaId> = BTreeSet::new();
    for batch in rows.chunks(P::BATCH.max(1)) {
        let (held, ready): (Vec<_>, Vec<_>) =
            batch.iter().cloned().partition(|row| waiting.contains(&row.saga));
        report.left += held.len();
        if ready.is_empty() {
            continue;
        }
        report.calls += 1;
        let answers = match publisher.publish(&ready).await {
            Ok(answers) => answers,
            Err(error) => {
                tracing::warn!(error = causes(&error), rows = ready.len(), "not published");
                ready.iter().map(|_| Err(error.to_string())).collect()
            }
        };
        let mut done = Vec::with_capacity(ready.len());
        for (row, answer) in ready.into_iter().zip(answers) {
            let (saga_id, event_id) = (row.saga, row.id.clone());
            match answer {
                Ok(()) => {
                    tracing::info!(%saga_id, %event_id, r#type = row.kind, outcome = "published", "outbox");
                    done.push(row);
                }
                Err(reason) => {
                    tracing::warn!(%saga_id, %event_id, reason, outcome = "left", "outbox");
                    waiting.insert(row.saga);
                    report.left += 1;
                }
            }
        }
        report.published += done.len();
        outbox.delete(&done).await?;
    }
    Ok(report)
}

/// Finds and publishes what is older than `older_than_millis` in every shard.
///
/// # Errors
/// [`PortError`] when the outbox cannot be reached.
pub async fn sweep(
    outbox: &impl Outbox,
    publisher: &impl Publisher,
    time: &impl Time,
    shards: u16,
    older_than_millis: i64,
) -> Result<Report, PortError> {
    /// One reading of a shard; what is more than this waits for the next round.
    const PAGE: usize = 100;
    let before = time.now().plus_millis(-older_than_millis);
    let mut total = Report::default();
    for shard in 0..shards {
        let rows = outbox.pending(shard, before, PAGE).await?;
        let report = relay(outbox, publisher, rows).await?;
        total.published += report.published;
        total.left += report.left;
        total.calls += report.calls;
    }
    if total != Report::default() {
        tracing::info!(
            published = total.published,
            left = total.left,
            calls = total.calls,
            "outbox swept"
        );
    }
    Ok(total)
}
