//! [`Publisher`] on EventBridge. `PutEvents` answers 200 with failures entry by entry, matched by index
//! (<https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>).

use aws_config::SdkConfig;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use saga_app::ports::{PortError, Published, Publisher};
use saga_core::outbox::OutboxRow;
use saga_wire::MAX_EVENT_BYTES;
use saga_wire::event_bridge::{MAX_DETAIL_BYTES, MAX_DETAIL_TYPE};

use crate::failure::failure;

/// One request takes 10 entries, and in all regions at least 256 KB; what the entries' other fields take is
/// within the rest.
const MAX_REQUEST_BYTES: usize = MAX_DETAIL_BYTES;

/// A bus.
#[derive(Debug, Clone)]
pub struct Bus {
    client: Client,
    name: String,
    source: &'static str,
}

impl Bus {
    /// The bus of this name. `source` is the EventBridge source of the entries.
    #[must_use]
    pub fn new(config: &SdkConfig, name: String, source: &'static str) -> Self {
        Self {
            client: Client::new(config),
            name,
            source,
        }
    }

    /// Why the bus would not deliver this entry, if it would not: some limits it keeps without a word.
    fn refused(row: &OutboxRow) -> Option<String> {
        if row.kind.len() > MAX_DETAIL_TYPE {
            return Some(format!(
                "the event type has more than {MAX_DETAIL_TYPE} characters"
            ));
        }
        // Another publisher's event may be larger than ours ever are; it stays on this cloud.
        (row.body.len() > MAX_REQUEST_BYTES).then(|| {
            format!(
                "the event has {} bytes; ours have at most {MAX_EVENT_BYTES}",
                row.body.len()
            )
        })
    }

    async fn put(&self, rows: &[&OutboxRow]) -> Result<Vec<Published>, PortError> {
        const WHAT: &str = "putting events on the bus";
        let entries = rows.iter().map(|row| {
            PutEventsRequestEntry::builder()
                .event_bus_name(&self.name)
                .source(self.source)
                .detail_type(&row.kind)
                .detail(&row.body)
                .build()
        });
        let sent = self
            .client
            .put_events()
            .set_entries(Some(entries.collect()))
            .send()
            .await;
        let answer = sent.map_err(|error| failure(WHAT, error))?;
        if answer.entries().len() != rows.len() {
            return Err(PortError::unavailable(
                WHAT,
                "the answer does not match the request",
            ));
        }
        let answers = answer.entries().iter().map(|entry| match entry.error_code() {
            None => Ok(()),
            Some(code) => Err(format!("{code}: {}", entry.error_message().unwrap_or_default())),
        });
        Ok(answers.collect())
    }
}

impl Publisher for Bus {
    const BATCH: usize = 10;

    async fn publish(&self, rows: &[OutboxRow]) -> Result<Vec<Published>, PortError> {
        let mut answers = Vec::with_capacity(rows.len());
        let mut batch: Vec<&OutboxRow> = Vec::with_capacity(Self::BATCH);
        let mut bytes = 0;
        for row in rows {
            let reason = Self::refused(row);
            let full = batch.len() == Self::BATCH || bytes + row.body.len() > MAX_REQUEST_BYTES;
            if !batch.is_empty() && (full || reason.is_some()) {
                answers.extend(self.put(&batch).await?);
                batch.clear();
                bytes = 0;
            }
            match reason {
                Some(reason) => answers.push(Err(reason)),
                None => {
                    bytes += row.body.len();
                    batch.push(row);
                }
            }
        }
        if !batch.is_empty() {
            answers.extend(self.put(&batch).await?);
        }
        Ok(answers)
    }
}
