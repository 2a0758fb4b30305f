//! Discarded dead letters, and the memory of the watch: partitions of their own in the outbox table. No other store is
//! needed, the body stays whole in as many items as it takes, and the table's TTL clears it away after 90 days.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use saga_app::dead_letters::ports::{Answer, Archive, Memory, Watched};
use saga_app::ports::PortError;
use saga_core::Timestamp;
use saga_core::document::Fields;
use saga_core::mark::Asked;
use saga_wire::dead_letter::{DeadLetter, Part, Source};
use saga_wire::json;

use crate::failure::failure;
use crate::item::{Item, n, number, s, text};

const DISCARDED: &str = "discarded";
const WATCHED: &str = "watched";
/// An item holds 400 KB, the other attributes among them.
const PART_BYTES: usize = 300 * 1024;
const NINETY_DAYS_SECONDS: i64 = 90 * 24 * 60 * 60;
/// A sort key holds 1024 bytes; the part's number and the time are in it, too.
const MAX_ID: usize = 900;

/// Partitions of the outbox table that are no outbox.
#[derive(Debug, Clone)]
pub struct DynamoArchive {
    client: Client,
    table: String,
}

impl DynamoArchive {
    /// That of this table.
    #[must_use]
    pub fn new(config: &SdkConfig, table: String) -> Self {
        let client = Client::new(config);
        Self { client, table }
    }

    async fn put(&self, what: &'static str, item: Item) -> Result<(), PortError> {
        let put = self.client.put_item().table_name(&self.table);
        let put = put.set_item(Some(item)).send().await;
        put.map(drop).map_err(|error| failure(what, error))
    }
}

/// The items that keep a discarded dead letter.
fn items(dead_letter: &DeadLetter, at: Timestamp, asked: Asked<'_>) -> Vec<Item> {
    let DeadLetter {
        id, facts, reason, ..
    } = dead_letter;
    let (source, id) = (id.source.as_str(), id.to_string());
    let parts = pieces(&facts.text, PART_BYTES);
    let headers = facts.headers.iter();
    let headers: Fields = headers
        .map(|(name, value)| (name.clone(), value.clone().into()))
        .collect();
    let body_part = |part: &Part| format!("{} of {}, SHA-256 {}", part.number, part.of, part.sha256);
    let texts = [
        ("Shard", Some(DISCARDED.to_owned())),
        ("Letter", Some(id.clone())),
        ("Source", Some(source.to_owned())),
        ("Reason", Some(reason.clone())),
        ("By", Some(asked.by.to_owned())),
        ("Why", Some(asked.why.to_owned())),
        ("Caller", asked.caller.map(|caller| caller.as_str().to_owned())),
        ("SagaId", facts.saga.map(|saga| saga.to_string())),
        ("Type", facts.kind.clone()),
        ("Encoding", facts.is_base64.then(|| "base64".to_owned())),
        (
            "Headers",
            (!headers.is_empty()).then(|| json::write_object(&headers)),
        ),
        ("BodyPart", facts.part.as_ref().map(body_part)),
        (
            "Event",
            facts.event.as_ref().map(|event| event.as_str().to_owned()),
        ),
    ];
    let texts = texts
        .into_iter()
        .filter_map(|(name, text)| Some((name.to_owned(), s(text?))));
    let mut common: Item = texts.collect();
    common.insert("DiscardedAt".to_owned(), n(at.millis()));
    common.insert(
        "ExpiresAt".to_owned(),
        n(at.millis() / 1_000 + NINETY_DAYS_SECONDS),
    );
    common.insert("Parts".to_owned(), n(parts.len()));
    let tail = &id[id.len().saturating_sub(MAX_ID)..];
    let each = parts.into_iter().zip(1..).map(|(body, number)| {
        let mut item = common.clone();
        let key = format!("{:013}-{tail}#{number:03}", at.millis());
        item.insert("EventId".to_owned(), s(key));
        item.insert("Part".to_owned(), n(number));
        // Not every engine of DynamoDB takes an empty text: a dead letter without a body has no attribute for it.
        if !body.is_empty() {
            item.insert("Body".to_owned(), s(body));
        }
        item
    });
    each.collect()
}

fn pieces(text: &str, limit: usize) -> Vec<&str> {
    let (mut out, mut rest) = (Vec::new(), text);
    while rest.len() > limit {
        let (head, tail) = rest.split_at(rest.floor_char_boundary(limit));
        out.push(head);
        rest = tail;
    }
    out.push(rest);
    out
}

/// The item that remembers the dead letters of a source that were announced.
fn remembered(source: Source, watched: &Watched) -> Item {
    let announced: Vec<&str> = watched.announced.iter().map(String::as_str).collect();
    // A blank when nothing was announced: an empty text is not taken by every engine of DynamoDB.
    let announced = Some(announced.join(" ")).filter(|marks| !marks.is_empty());
    Item::from([
        ("Shard".into(), s(WATCHED)),
        ("EventId".into(), s(source.as_str())),
        ("Until".into(), n(watched.until)),
        ("Told".into(), s(announced.unwrap_or_else(|| " ".to_owned()))),
        ("Depth".into(), n(watched.depth)),
    ])
}

fn watched(item: &Item) -> Result<Watched, PortError> {
    // Splitting nothing gives one mark that is nothing: a flood, of which none is kept, would not be known as one.
    let announced = text(item, "Told")?.split(' ').filter(|mark| !mark.is_empty());
    Ok(Watched {
        until: number(item, "Until")?,
        announced: announced.map(str::to_owned).collect(),
        depth: number(item, "Depth")?,
    })
}

impl Archive for DynamoArchive {
    fn keep<'a>(&'a self, dead_letter: &'a DeadLetter, at: Timestamp, asked: Asked<'a>) -> Answer<'a, ()> {
        Box::pin(async move {
            for item in items(dead_letter, at, asked) {
                self.put("archiving a dead letter", item).await?;
            }
            Ok(())
        })
    }
}

impl Memory for DynamoArchive {
    fn load(&self, source: Source) -> Answer<'_, Watched> {
        Box::pin(async move {
            let answer = self
                .client
                .get_item()
                .table_name(&self.table)
                .key("Shard", s(WATCHED))
                .key("EventId", s(source.as_str()))
                .consistent_read(true)
                .send()
                .await
                .map_err(|error| failure("reading what was announced", error))?;
            answer
                .item
                .map_or_else(|| Ok(Watched::default()), |item| watched(&item))
        })
    }

    fn save<'a>(&'a self, source: Source, watched: &'a Watched) -> Answer<'a, ()> {
        Box::pin(self.put("remembering what was announced", remembered(source, watched)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use saga_wire::dead_letter::{Received, events};

    use super::*;

    #[test]
    fn what_was_announced_is_remembered_as_it_was() {
        for count in [0, 1, 2, 4_000] {
            let known = Watched {
                until: 1_795_226_400_123,
                announced: (0..count).map(|number| format!("{number:016x}")).collect(),
                depth: 17,
            };
            assert_eq!(watched(&remembered(Source::Events, &known)).unwrap(), known);
        }
        // As it was written before: an empty mark among the others.
        let mut item = remembered(Source::Events, &Watched::default());
        item.insert("Told".into(), s(" aa bb"));
        assert_eq!(
            watched(&item).unwrap().announced,
            ["aa", "bb"].map(str::to_owned).into()
        );
    }

    #[test]
    fn a_quarantined_body_is_kept_with_what_says_how_to_read_it() {
        let kept = r#"{"entrance":"event-ingress","reason":"r","at":"2026-11-21T02:00:00.123Z","headers":{"content-encoding":"gzip"},"body_base64":"/wA=","part":1,"parts":2,"body_bytes":4,"body_sha256":"ab12"}"#;
        let dead_letter = saga_wire::dead_letter::quarantine(&Received {
            key: "k".to_owned(),
            body: kept.to_owned(),
            ..Received::default()
        });
        let asked = Asked {
            by: "me",
            caller: None,
            why: "why",
        };
        let at = Timestamp::from_millis(0);
        let item = items(&dead_letter, at, asked).remove(0);
        for (name, value) in [
            ("Body", "/wA="),
            ("Encoding", "base64"),
            ("Headers", r#"{"content-encoding":"gzip"}"#),
            ("BodyPart", "1 of 2, SHA-256 ab12"),
        ] {
            assert_eq!(text(&item, name).unwrap(), value);
        }
    }

    #[test]
    fn a_body_of_any_size_is_kept_whole_in_items_that_fit() {
        for body in [String::new(), "x".repeat(PART_BYTES), "ä𝄞\"".repeat(200_000)] {
            let dead_letter = events(&Received {
                key: "k".repeat(2_000),
                body: body.clone(),
                ..Received::default()
            });
            let asked = Asked {
                by: "me",
                caller: None,
                why: "why",
            };
            let items = items(&dead_letter, Timestamp::from_millis(1_795_226_400_123), asked);
            let mut joined = String::new();
            for item in &items {
                let part = item.get("Body").map_or("", |body| body.as_s().unwrap());
                assert!(part.len() <= PART_BYTES && text(item, "EventId").unwrap().len() <= 1_024);
                joined.push_str(part);
            }
            assert_eq!(joined, body);
            let keys: BTreeSet<&str> = items.iter().map(|item| text(item, "EventId").unwrap()).collect();
            assert_eq!(keys.len(), items.len());
        }
    }
}
