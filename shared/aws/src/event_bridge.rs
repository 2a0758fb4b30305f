//! [`Publisher`] on EventBridge. `PutEvents` answers 200 with failures entry by entry, matched by index
//! (<https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>).

use aws_config::SdkConfig;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use saga_app::ports::{Envelope, Limits, PortError, Published, Publisher, Refusal};
use saga_wire::MAX_EVENT_BYTES;
use saga_wire::event_bridge::{MAX_DETAIL_BYTES, MAX_DETAIL_TYPE};

use crate::failure::{failure, is_throttled};

/// One request takes 10 entries, and in all regions at least 256 KB; what the entries' other fields take is
/// within the rest.
const MAX_REQUEST_BYTES: usize = MAX_DETAIL_BYTES;

/// What is wrong with the entry itself, and stays so.
const FOR_GOOD: [&str; 3] = ["MalformedDetail", "InvalidArgument", "ValidationException"];

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
    fn refused(event: &Envelope) -> Option<String> {
        if event.kind.len() > MAX_DETAIL_TYPE {
            let why = format!("the event type has more than {MAX_DETAIL_TYPE} characters");
            return Some(why);
        }
        // Another publisher's event may be larger than ours ever are; it stays on this cloud.
        (event.body.len() > MAX_REQUEST_BYTES).then(|| {
            format!(
                "the event has {} bytes; ours have at most {MAX_EVENT_BYTES}, the bus takes {MAX_REQUEST_BYTES}",
                event.body.len()
            )
        })
    }

    async fn put(&self, events: &[&Envelope]) -> Result<Vec<Published>, PortError> {
        const WHAT: &str = "putting events on the bus";
        let entries = events.iter().map(|event| {
            PutEventsRequestEntry::builder()
                .event_bus_name(&self.name)
                .source(self.source)
                .detail_type(&event.kind)
                .detail(&event.body)
                .build()
        });
        let put = self.client.put_events().set_entries(Some(entries.collect()));
        let answer = put.send().await.map_err(|error| failure(WHAT, error))?;
        if answer.entries().len() != events.len() {
            let why = "the answer does not match the request";
            return Err(PortError::unavailable(WHAT, why));
        }
        let answers = answer.entries().iter().map(|entry| match entry.error_code() {
            None => Ok(()),
            Some(code) if is_throttled(code) => Err(Refusal::Throttled),
            Some(code) => {
                let reason = format!("{code}: {}", entry.error_message().unwrap_or_default());
                Err(if FOR_GOOD.contains(&code) {
                    Refusal::Never(reason)
                } else {
                    Refusal::Later(reason)
                })
            }
        });
        Ok(answers.collect())
    }
}

impl Publisher for Bus {
    const LIMITS: Limits = Limits {
        events: 10,
        bytes: MAX_REQUEST_BYTES,
    };

    async fn publish(&self, events: &[&Envelope]) -> Result<Vec<Published>, PortError> {
        let refused: Vec<Option<String>> = events.iter().map(|event| Self::refused(event)).collect();
        let good = events.iter().zip(&refused);
        let good: Vec<&Envelope> = good
            .filter_map(|(event, why)| why.is_none().then_some(*event))
            .collect();
        let put = if good.is_empty() {
            Vec::new()
        } else {
            self.put(&good).await?
        };
        let mut put = put.into_iter();
        let answers = refused.into_iter().map(|why| match why {
            Some(reason) => Some(Err(Refusal::Never(reason))),
            None => put.next(),
        });
        Ok(answers.flatten().collect())
    }
}
