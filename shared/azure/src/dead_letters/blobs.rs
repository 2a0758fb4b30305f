//! Event Grid's dead-letter blobs: each holds one event or several.
//!
//! A dead letter is one event. Removing it writes the blob without it, guarded by the blob's ETag, and removes the blob with
//! its last event: so two operators on one blob never take each other's dead letters.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::future::try_join_all;
use futures_util::stream;
use saga_app::dead_letters::ports::{Answer, DeadLetterContainer, Pages, Removal};
use saga_app::ports::PortError;
use saga_core::Timestamp;
use saga_wire::dead_letter::{BlobEvent, DeadLetter, Source, blob};

use crate::client::{BlobName, Container, Written};

pub(super) const WHAT: &str = "the dead-letter blobs";
/// Names in one page of the container's list.
const NAMES: usize = 500;
/// So many blobs are read at a time.
const READS: usize = 8;
/// Others may write the same blob between our reading and our writing.
const ATTEMPTS: u32 = 12;

/// The container of dead-letter blobs.
#[derive(Debug)]
pub struct DeadBlobs {
    pub(super) container: Container,
}

impl DeadBlobs {
    /// The events of a blob; none when it is gone.
    async fn events(&self, named: &BlobName) -> Result<Vec<DeadLetter>, PortError> {
        let Some(read) = self.container.read(&named.name).await? else {
            return Ok(Vec::new());
        };
        let events = blob(&named.name, &read.content, named.created.or(read.created));
        let mut events: Vec<DeadLetter> = events.into_iter().map(|one| one.dead_letter).collect();
        events.sort_by(|a, b| a.id.key.cmp(&b.id.key));
        Ok(events)
    }

    /// Writes the blob without one event; none when the blob changed under it.
    async fn without(&self, key: &str) -> Result<Option<Removal>, PortError> {
        let name = blob_of(key);
        let Some(read) = self.container.read(name).await? else {
            return Ok(Some(Removal::NotOurs));
        };
        let mut events = blob(name, &read.content, None);
        // Of two equal events it does not matter which one goes.
        let same = |one: &BlobEvent| content_of(&one.dead_letter.id.key) == content_of(key);
        let Some(index) = events.iter().position(same) else {
            return Ok(Some(Removal::NotOurs));
        };
        events.remove(index);
        let written = if events.is_empty() {
            self.container.delete(name, &read.etag).await?
        } else {
            let rest: Vec<&str> = events.iter().map(|one| one.raw.as_str()).collect();
            let rest = format!("[{}]", rest.join(","));
            self.container.replace(name, &read.etag, rest).await?
        };
        Ok((written == Written::Applied).then_some(Removal::Removed))
    }
}

/// The blob of a dead letter's key.
fn blob_of(key: &str) -> &str {
    key.rsplit_once('/').map_or(key, |(name, _)| name)
}

/// A key without the number that tells equal events of one blob apart.
fn content_of(key: &str) -> &str {
    let digest = blob_of(key).len();
    let number = key[digest..].find('-');
    number.map_or(key, |at| &key[..digest + at])
}

impl DeadLetterContainer for DeadBlobs {
    fn source(&self) -> Source {
        Source::EventGrid
    }

    fn pages(&self, after: Option<String>, since: Option<Timestamp>) -> Pages<'_> {
        let after = Arc::new(after);
        // The names that are still to be read, and where the next page of names begins, if there is one.
        let all = (VecDeque::new(), Some(None));
        let page = move |(mut names, mut marker): (VecDeque<BlobName>, Option<Option<String>>)| {
            let after = Arc::clone(&after);
            async move {
                let after = after.as_deref();
                if names.is_empty() {
                    let Some(from) = marker else {
                        return Ok(None);
                    };
                    let (page, next) = self.container.list(from.as_deref(), NAMES).await?;
                    (names, marker) = (page.into(), next.map(Some));
                    names.retain(|named| {
                        after
                            .map(blob_of)
                            .is_none_or(|first| named.name.as_str() >= first)
                            && since.zip(named.created).is_none_or(|(since, at)| at >= since)
                    });
                }
                let some: Vec<BlobName> = names.drain(..names.len().min(READS)).collect();
                let read = try_join_all(some.iter().map(|named| self.events(named))).await?;
                let mut page: Vec<DeadLetter> = read.into_iter().flatten().collect();
                page.retain(|one| after.is_none_or(|after| *one.id.key > *after));
                Ok(Some((page, (names, marker))))
            }
        };
        Box::pin(stream::try_unfold(all, page))
    }

    fn find<'a>(&'a self, key: &'a str) -> Answer<'a, Option<DeadLetter>> {
        Box::pin(async move {
            let named = BlobName {
                name: blob_of(key).to_owned(),
                created: None,
            };
            let events = self.events(&named).await?;
            Ok(events.into_iter().find(|one| one.id.key == key))
        })
    }

    fn remove<'a>(&'a self, key: &'a str) -> Answer<'a, Removal> {
        Box::pin(async move {
            for _ in 0..ATTEMPTS {
                if let Some(removal) = self.without(key).await? {
                    return Ok(removal);
                }
            }
            Err(PortError::Contended {
                what: "the dead-letter blob",
                attempts: ATTEMPTS,
            })
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
        DeadBlobs {
            container: Container::new(&account, &server.url, "dead-letters", WHAT).unwrap(),
        }
    }

    /// The first dead letter of the blob is removed; what was asked of the service after it had been read.
    async fn removed(replies: Vec<Reply>) -> (Removal, Vec<String>) {
        let two = r#"[{"id":"1"},{"id":"2"}]"#;
        let mut script = vec![content(1, two)];
        script.extend(replies);
        let server = TestServer::start(script).await;
        let blobs = blobs(&server);
        let named = BlobName {
            name: NAME.to_owned(),
            created: None,
        };
        let events = blobs.events(&named).await.unwrap();
        let first = events
            .iter()
            .find(|one| one.facts.text.contains("\"1\""))
            .unwrap();
        let removal = blobs.remove(&first.id.key).await.unwrap();
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
            // Event Grid added a dead letter between our reading and our writing.
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
    async fn the_last_dead_letter_takes_its_blob_along_unless_another_came() {
        let (removal, requests) = removed(vec![content(2, r#"[{"id":"1"}]"#), Reply::status(202)]).await;
        assert_eq!(removal, Removal::Removed);
        assert!(
            requests[1].starts_with("DELETE ") && requests[1].to_lowercase().contains("if-match: \"0x2\"")
        );
    }

    #[tokio::test]
    async fn a_dead_letter_that_another_operator_removed_is_not_ours() {
        let (removal, requests) = removed(vec![content(2, r#"[{"id":"2"}]"#)]).await;
        assert_eq!((removal, requests.len()), (Removal::NotOurs, 1));
    }
}
