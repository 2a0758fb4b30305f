//! Discarded letters, and what the watch remembers: partitions of their own in the outbox table. No other store is
//! needed, the body stays whole in as many items as it takes, and the table's TTL clears it away after 90 days.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use saga_app::dead_letters::ports::{Answer, Archive, Discarded, Memory, Watched};
use saga_app::ports::PortError;
use saga_core::document::Fields;
use saga_wire::dead_letter::Source;
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
pub struct Shelf {
    client: Client,
    table: String,
}

impl Shelf {
    /// That of this table.
    #[must_use]
    pub fn new(config: &SdkConfig, table: String) -> Self {
        Self {
            client: Client::new(config),
            table,
        }
    }
}

/// The items that keep a discarded letter.
fn items(discarded: Discarded<'_>) -> Vec<Item> {
    let letter = discarded.letter;
    let id = letter.id.to_string();
    let tail = &id[id.len().saturating_sub(MAX_ID)..];
    let parts = pieces(&letter.facts.text, PART_BYTES);
    let count = parts.len();
    let headers = letter.facts.headers.clone();
    let headers: Fields = headers
        .into_iter()
        .map(|(name, value)| (name, value.into()))
        .collect();
    let each = parts.into_iter().enumerate().map(|(index, body)| {
        let mut item = Item::from([
            ("Shard".into(), s(DISCARDED)),
            (
                "EventId".into(),
                s(format!("{:013}-{tail}#{:03}", discarded.at.millis(), index + 1)),
            ),
            ("Letter".into(), s(&id)),
            ("Source".into(), s(letter.id.source.as_str())),
            ("Reason".into(), s(&letter.reason)),
            ("By".into(), s(discarded.asked.by)),
            ("Why".into(), s(discarded.asked.why)),
            ("DiscardedAt".into(), n(discarded.at.millis())),
            ("Part".into(), n(index + 1)),
            ("Parts".into(), n(count)),
            (
                "ExpiresAt".into(),
                n(discarded.at.millis() / 1_000 + NINETY_DAYS_SECONDS),
            ),
        ]);
        let known = [
            // Not every engine of DynamoDB takes an empty text: a letter without a body has no attribute for it.
            ("Body", Some(body.to_owned()).filter(|body| !body.is_empty())),
            (
                "Caller",
                discarded.asked.caller.map(|caller| caller.as_str().to_owned()),
            ),
            ("SagaId", letter.facts.saga.map(|saga| saga.to_string())),
            ("Type", letter.facts.kind.clone()),
            ("Encoding", letter.facts.is_base64.then(|| "base64".to_owned())),
            (
                "Headers",
                Some(json::write_object(&headers)).filter(|_| !headers.is_empty()),
            ),
            (
                "BodyPart",
                letter
                    .facts
                    .part
                    .as_ref()
                    .map(|part| format!("{} of {}, SHA-256 {}", part.number, part.of, part.sha256)),
            ),
            (
                "Event",
                letter.facts.event.as_ref().map(|event| event.as_str().to_owned()),
            ),
        ];
        item.extend(
            known
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), s(value?)))),
        );
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

/// The item that remembers what was told of a source.
fn remembered(source: Source, watched: &Watched) -> Item {
    let told: Vec<&str> = watched.told.iter().map(String::as_str).collect();
    // A blank when nothing was told: an empty text is not taken by every engine of DynamoDB.
    let told = Some(told.join(" ")).filter(|told| !told.is_empty());
    Item::from([
        ("Shard".into(), s(WATCHED)),
        ("EventId".into(), s(source.as_str())),
        ("Until".into(), n(watched.until)),
        ("Told".into(), s(told.unwrap_or_else(|| " ".to_owned()))),
        ("Depth".into(), n(watched.depth)),
    ])
}

fn watched(item: &Item) -> Result<Watched, PortError> {
    // Splitting nothing gives one mark that is nothing: a flood, of which none is kept, would not be known as one.
    let told = text(item, "Told")?.split(' ').filter(|mark| !mark.is_empty());
    Ok(Watched {
        until: number(item, "Until")?,
        told: told.map(str::to_owned).collect(),
        depth: number(item, "Depth")?,
    })
}

impl Archive for Shelf {
    fn keep<'a>(&'a self, discarded: Discarded<'a>) -> Answer<'a, ()> {
        Box::pin(async move {
            for item in items(discarded) {
                let sent = self
                    .client
                    .put_item()
                    .table_name(&self.table)
                    .set_item(Some(item))
                    .send()
                    .await;
                sent.map_err(|error| failure("archiving a letter", error))?;
            }
            Ok(())
        })
    }
}

impl Memory for Shelf {
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
                .map_err(|error| failure("reading what was told", error))?;
            answer
                .item
                .map_or_else(|| Ok(Watched::default()), |item| watched(&item))
        })
    }

    fn save<'a>(&'a self, source: Source, watched: &'a Watched) -> Answer<'a, ()> {
        Box::pin(async move {
            let sent = self
                .client
                .put_item()
                .table_name(&self.table)
                .set_item(Some(remembered(source, watched)))
                .send()
                .await;
            sent.map(|_| ())
                .map_err(|error| failure("remembering what was told", error))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use saga_core::Timestamp;
    use saga_core::mark::Asked;
    use saga_wire::dead_letter::{Received, events};

    use super::*;

    #[test]
    fn what_was_told_is_remembered_as_it_was() {
        for count in [0, 1, 2, 4_000] {
            let known = Watched {
                until: 1_795_226_400_123,
                told: (0..count).map(|number| format!("{number:016x}")).collect(),
                depth: 17,
            };
            assert_eq!(watched(&remembered(Source::Events, &known)).unwrap(), known);
        }
        // As it was written before: an empty mark among the others.
        let mut item = remembered(Source::Events, &Watched::default());
        item.insert("Told".into(), s(" aa bb"));
        assert_eq!(
            watched(&item).unwrap().told,
            ["aa", "bb"].map(str::to_owned).into()
        );
    }

    #[test]
    fn a_quarantined_body_is_kept_with_what_says_how_to_read_it() {
        let kept = r#"{"entrance":"event-ingress","reason":"r","at":"2026-11-21T02:00:00.123Z","headers":{"content-encoding":"gzip"},"body_base64":"/wA=","part":1,"parts":2,"body_bytes":4,"body_sha256":"ab12"}"#;
        let letter = saga_wire::dead_letter::quarantine(&Received {
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
        let item = items(Discarded {
            letter: &letter,
            at,
            asked,
        })
        .remove(0);
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
            let letter = events(&Received {
                key: "k".repeat(2_000),
                body: body.clone(),
                ..Received::default()
            });
            let discarded = Discarded {
                letter: &letter,
                at: Timestamp::from_millis(1_795_226_400_123),
                asked: Asked {
                    by: "me",
                    caller: None,
                    why: "why",
                },
            };
            let items = items(discarded);
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
