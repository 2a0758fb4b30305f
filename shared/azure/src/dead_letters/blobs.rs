//! Event Grid's dead-letter blobs: each holds one event or several.
//!
//! A letter is one event. Removing it writes the blob without it, guarded by the blob's ETag, and removes the blob with
//! its last event: so two operators on one blob never take each other's letters.

use std::collections::VecDeque;

use futures_util::future::try_join_all;
use saga_app::dead_letters::ports::{Answer, Depth, Held, LetterSource, Receipt, Removal, Walk};
use saga_app::ports::PortError;
use saga_core::Timestamp;
use saga_wire::dead_letter::Source;
use saga_wire::dead_letter::{BlobEvent, blob};

use crate::client::{BlobName, Container, Written};

pub(super) const WHAT: &str = "the dead-letter blobs";
/// Names in one page of the container's list.
const NAMES: usize = 500;
/// So many blobs are read at a time.
const READS: usize = 8;
/// Others may write the same blob between our reading and our writing.
const ATTEMPTS: usize = 12;

/// The container of dead-letter blobs.
#[derive(Debug)]
pub struct DeadBlobs {
    container: Container,
}

impl DeadBlobs {
    pub(super) fn new(container: Container) -> Self {
        Self { container }
    }

    async fn letters(&self, named: &BlobName) -> Result<Vec<BlobEvent>, PortError> {
        let Some(read) = self.container.read(&named.name).await? else {
            return Ok(Vec::new());
        };
        let mut letters = blob(&named.name, &read.content, named.created.or(read.created));
        letters.sort_by(|a, b| a.letter.id.key.cmp(&b.letter.id.key));
        Ok(letters)
    }

    /// Writes the blob without one event; what the attempt came to, or none when the blob changed under it.
    async fn without(&self, name: &str, raw: &str) -> Result<Option<Removal>, PortError> {
        let Some(read) = self.container.read(name).await? else {
            return Ok(Some(Removal::NotOurs));
        };
        let mut events: Vec<String> = blob(name, &read.content, None)
            .into_iter()
            .map(|one| one.raw)
            .collect();
        let Some(index) = events.iter().position(|event| event == raw) else {
            return Ok(Some(Removal::NotOurs));
        };
        events.remove(index);
        let written = if events.is_empty() {
            self.container.delete(name, &read.etag).await?
        } else {
            let rest = format!("[{}]", events.join(","));
            self.container.replace(name, &read.etag, rest).await?
        };
        Ok((written == Written::Applied).then_some(Removal::Removed))
    }
}

/// The blob of a letter's key.
fn name_in(key: &str) -> &str {
    key.rsplit_once('/').map_or(key, |(name, _)| name)
}

/// A walk's position: the marker of the next page of names, then the names and times still to be read, line by line.
fn parse_position(position: &str) -> (Option<String>, VecDeque<BlobName>) {
    let mut lines = position.lines();
    let marker = lines
        .next()
        .filter(|marker| !marker.is_empty())
        .map(str::to_owned);
    let names = lines
        .filter_map(|line| line.split_once(' '))
        .map(|(created, name)| BlobName {
            name: name.to_owned(),
            created: created.parse().ok().map(Timestamp::from_millis),
        });
    (marker, names.collect())
}

fn write_position(marker: Option<&str>, names: &VecDeque<BlobName>) -> String {
    let mut out = marker.unwrap_or_default().to_owned();
    for named in names {
        let created = named
            .created
            .map(|at| at.millis().to_string())
            .unwrap_or_default();
        out.push_str(&format!("\n{created} {}", named.name));
    }
    out
}

impl LetterSource for DeadBlobs {
    fn source(&self) -> Source {
        Source::EventGrid
    }

    fn is_queue(&self) -> bool {
        false
    }

    fn depth(&self) -> Answer<'_, Depth> {
        Box::pin(async move {
            let (names, _) = self.container.list(None, 1).await?;
            Ok(Depth {
                visible: names.len(),
                hidden: 0,
            })
        })
    }

    fn next<'a>(&'a self, walk: &'a mut Walk) -> Answer<'a, Vec<Held>> {
        Box::pin(async move {
            let only: Option<VecDeque<BlobName>> = walk.only.take().map(|keys| {
                let mut names: Vec<&str> = keys.iter().map(|key| name_in(key)).collect();
                names.dedup();
                let named = names.into_iter().map(|name| BlobName {
                    name: name.to_owned(),
                    created: None,
                });
                named.collect()
            });
            if let Some(names) = only {
                walk.position = Some(write_position(None, &names));
            }
            let first = walk.position.is_none();
            let (mut marker, mut names) = parse_position(walk.position.as_deref().unwrap_or_default());
            loop {
                if names.is_empty() {
                    if !first && marker.is_none() || walk.ended {
                        return Ok(Vec::new());
                    }
                    let (listed, next) = self.container.list(marker.as_deref(), NAMES).await?;
                    (names, marker) = (listed.into(), next);
                    walk.ended = marker.is_none();
                    let (after, since) = (walk.after.as_deref().map(name_in), walk.since);
                    names.retain(|named| after.is_none_or(|after| named.name.as_str() >= after));
                    names.retain(|named| since.zip(named.created).is_none_or(|(since, at)| at >= since));
                    if names.is_empty() && walk.ended {
                        walk.position = Some(String::new());
                        return Ok(Vec::new());
                    }
                    continue;
                }
                let some: Vec<BlobName> = names.drain(..names.len().min(READS)).collect();
                let read = try_join_all(some.iter().map(|named| self.letters(named))).await?;
                walk.position = Some(write_position(marker.as_deref(), &names));
                let held: Vec<Held> = read
                    .into_iter()
                    .flatten()
                    .filter(|one| {
                        let after = walk.after.as_ref();
                        after.is_none_or(|after| one.letter.id.key > *after)
                    })
                    .map(|one| Held {
                        letter: one.letter,
                        receipt: Receipt(one.raw),
                    })
                    .collect();
                if !held.is_empty() {
                    return Ok(held);
                }
            }
        })
    }

    fn put_back(&self, _: Vec<Receipt>) -> Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn remove<'a>(&'a self, held: &'a Held) -> Answer<'a, Removal> {
        Box::pin(async move {
            for _ in 0..ATTEMPTS {
                if let Some(removal) = self
                    .without(name_in(&held.letter.id.key), &held.receipt.0)
                    .await?
                {
                    return Ok(removal);
                }
            }
            Err(PortError::Contended {
                what: "the dead-letter blob",
                attempts: u32::try_from(ATTEMPTS).unwrap_or(u32::MAX),
            })
        })
    }

    fn requeue<'a>(&'a self, _: &'a Held, _: Timestamp) -> Answer<'a, Removal> {
        Box::pin(async move {
            Err(PortError::unavailable(
                WHAT,
                "its letters are no rows of an outbox",
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::{Reply, TestServer, account, config, quick};

    const NAME: &str = "topic/sub/2026/11/21/1.json";

    fn content(etag: u8, events: &str) -> Reply {
        Reply::with(200, &format!("etag: \"0x{etag}\""), events)
    }

    fn blobs(server: &TestServer) -> DeadBlobs {
        let config = config(server);
        let connection = quick();
        let account = account(&connection, &config);
        DeadBlobs::new(Container::new(&account, &server.url, "dead-letters", WHAT).unwrap())
    }

    /// The first letter of the blob is removed; what was asked of the service after it had been read.
    async fn removed(replies: Vec<Reply>) -> (Removal, Vec<String>) {
        let two = r#"[{"id":"1"},{"id":"2"}]"#;
        let mut script = vec![content(1, two)];
        script.extend(replies);
        let server = TestServer::start(script).await;
        let blobs = blobs(&server);
        let mut walk = Walk {
            only: Some([format!("{NAME}/0")].into()),
            ..Walk::default()
        };
        let held = blobs.next(&mut walk).await.unwrap();
        let removal = blobs.remove(&held[0]).await.unwrap();
        (removal, server.requests().split_off(1))
    }

    #[tokio::test]
    async fn a_blob_is_written_only_as_it_was_read() {
        let (two, three) = (
            r#"[{"id":"1"},{"id":"2"}]"#,
            r#"[{"id":"1"},{"id":"2"},{"id":"3"}]"#,
        );
        let (removal, requests) = removed(vec![
            content(2, two),
            // Event Grid added a letter between our reading and our writing.
            Reply::status(412),
            content(3, three),
            Reply::status(201),
        ])
        .await;
        assert_eq!((removal, requests.len()), (Removal::Removed, 4));
        let guarded = |request: &str, etag: u8| {
            request
                .to_lowercase()
                .contains(&format!("if-match: \"0x{etag}\""))
        };
        assert!(
            guarded(&requests[1], 2) && requests[1].ends_with(r#"[{"id":"2"}]"#),
            "{}",
            requests[1]
        );
        assert!(
            guarded(&requests[3], 3) && requests[3].ends_with(r#"[{"id":"2"},{"id":"3"}]"#),
            "{}",
            requests[3]
        );
    }

    #[tokio::test]
    async fn the_last_letter_takes_its_blob_along_unless_another_came() {
        let (removal, requests) = removed(vec![content(2, r#"[{"id":"1"}]"#), Reply::status(202)]).await;
        assert_eq!(removal, Removal::Removed);
        assert!(
            requests[1].starts_with("DELETE ") && requests[1].to_lowercase().contains("if-match: \"0x2\"")
        );
    }

    #[tokio::test]
    async fn a_letter_that_another_operator_removed_is_not_ours() {
        let (removal, requests) = removed(vec![content(2, r#"[{"id":"2"}]"#)]).await;
        assert_eq!((removal, requests.len()), (Removal::NotOurs, 1));
    }
}
