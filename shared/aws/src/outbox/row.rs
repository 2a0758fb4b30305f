//! A pending row ↔ its item in the table `SagaOutbox`.

use saga_app::ports::outbox::{OutboxRow, Tries};
use saga_app::ports::{Envelope, PortError};

use crate::item::{Item, n, number, optional, parsed, s, text, time};
use crate::saga_item::bucket;

pub(crate) fn write_row(row: &OutboxRow) -> Item {
    let mut item = Item::from([
        ("Shard".into(), s(bucket(row.shard))),
        ("EventId".into(), s(row.id.as_str())),
        ("SagaId".into(), s(row.saga.to_string())),
        ("Type".into(), s(&row.kind)),
        ("Body".into(), s(&row.body)),
        ("At".into(), n(row.at.millis())),
        ("Queued".into(), n(row.queued.millis())),
    ]);
    if row.follows {
        item.insert("Follows".into(), n(1));
    }
    item
}

/// The row in the image that a stream brings (DynamoDB's JSON); `None` when it is none of ours.
#[must_use]
pub fn row_of_image(image: &serde_json::Value) -> Option<OutboxRow> {
    let attributes = image.as_object()?.iter().filter_map(|(name, value)| {
        let value = match (value["S"].as_str(), value["N"].as_str()) {
            (Some(text), _) => s(text),
            (_, Some(number)) => n(number),
            _ => return None,
        };
        Some((name.clone(), value))
    });
    read_row(&attributes.collect()).ok()
}

fn read_row(item: &Item) -> Result<OutboxRow, PortError> {
    let at = time(item, "At")?;
    Ok(OutboxRow {
        shard: parsed(item, "Shard")?,
        event: Envelope {
            id: parsed(item, "EventId")?,
            saga: parsed(item, "SagaId")?,
            kind: text(item, "Type")?.to_owned(),
            body: text(item, "Body")?.to_owned(),
        },
        at,
        queued: optional(item, "Queued", time)?.unwrap_or(at),
        follows: item.contains_key("Follows"),
        tries: Tries {
            failed: optional(item, "Attempts", number)?.unwrap_or(0),
            next: optional(item, "NextAt", time)?,
            reason: optional(item, "Reason", text)?.map(str::to_owned),
        },
    })
}

/// A row that this version cannot read must not hold up those behind it.
pub(super) fn readable(item: &Item) -> Option<OutboxRow> {
    let id = text(item, "EventId").unwrap_or_default();
    read_row(item)
        .inspect_err(|error| tracing::error!(event_id = id, %error, "an outbox row cannot be read; it is left as it is"))
        .ok()
}
