//! An entity-group transaction: all changes of one partition, or none
//! (<https://learn.microsoft.com/rest/api/storageservices/performing-entity-group-transactions>).
//!
//! The outer status is 202 whatever happens. Invariant: [`Answered::Applied`] only when the answer holds a success
//! for every change; an answer that says less is unreadable, and nobody takes it for a yes.

use std::collections::BTreeSet;

use saga_app::ports::Version;
use saga_core::document::Fields;
use saga_wire::{json, quarantine::sha256};

use super::error::{Failure, error_code};
use super::url;

/// At most so many changes.
pub(crate) const MAX_CHANGES: usize = 100;
/// At most so many bytes.
const MAX_BYTES: usize = 4 * 1024 * 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verb {
    /// It must not exist.
    Insert,
    /// It must exist in this version.
    Replace(Version),
    /// It may exist.
    Put,
    /// It must exist, in any version.
    Delete,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) verb: Verb,
    pub(crate) key: String,
    pub(crate) columns: Fields,
}

impl Change {
    pub(crate) fn put(key: String, columns: Fields) -> Self {
        Self {
            verb: Verb::Put,
            key,
            columns,
        }
    }

    pub(crate) fn delete(key: String) -> Self {
        Self {
            verb: Verb::Delete,
            key,
            columns: Fields::new(),
        }
    }
}

/// The changes of one transaction. They have one partition between them: a second one cannot be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) partition: String,
    pub(crate) changes: Vec<Change>,
}

#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) content_type: String,
    pub(super) body: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// All changes are committed.
    Applied,
    /// None is, because of one of them.
    Refused {
        /// The status of that one.
        status: u16,
        /// The service's error code.
        code: String,
    },
}

/// The path of a row, below the endpoint.
pub(super) fn row_path(table: &str, partition: &str, key: &str) -> String {
    format!(
        "/{table}(PartitionKey='{}',RowKey='{}')",
        url::key(partition),
        url::key(key)
    )
}

/// A row's columns with its key, as JSON.
pub(super) fn row_body(partition: &str, key: &str, columns: &Fields) -> String {
    let mut row = columns.clone();
    row.insert("PartitionKey".to_owned(), partition.into());
    row.insert("RowKey".to_owned(), key.into());
    json::write_object(&row)
}

impl Batch {
    /// Writes the multipart request for the table at `base`.
    pub(super) fn encode(&self, base: &str, table: &str) -> Result<Encoded, Failure> {
        let count = self.changes.len();
        if count > MAX_CHANGES {
            return Err(Failure::OverLimit(format!(
                "{count} rows are to change at once; Table storage changes {MAX_CHANGES}"
            )));
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = self.changes.iter().find(|change| !seen.insert(&change.key)) {
            return Err(Failure::OverLimit(format!(
                "row `{}` is to change twice in one transaction",
                twice.key
            )));
        }
        let changes = self.changes.iter();
        let requests: Vec<String> = changes.map(|one| self.request(one, base, table)).collect();
        // A boundary that is a digest of all parts stands in none of them.
        let digest = sha256(requests.concat().as_bytes());
        let mark = &digest[..32];
        let mut body =
            format!("--batch_{mark}\r\nContent-Type: multipart/mixed; boundary=changeset_{mark}\r\n\r\n");
        for request in requests {
            body.push_str(&format!(
                "--changeset_{mark}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
            ));
            body.push_str(&request);
        }
        body.push_str(&format!("--changeset_{mark}--\r\n--batch_{mark}--\r\n"));
        if body.len() > MAX_BYTES {
            return Err(Failure::OverLimit(format!(
                "a transaction has {} bytes; Table storage takes {MAX_BYTES}",
                body.len()
            )));
        }
        Ok(Encoded {
            content_type: format!("multipart/mixed; boundary=batch_{mark}"),
            body,
        })
    }

    fn request(&self, change: &Change, base: &str, table: &str) -> String {
        let row = row_path(table, &self.partition, &change.key);
        let (line, condition) = match &change.verb {
            Verb::Insert => (format!("POST {base}/{table}"), String::new()),
            Verb::Replace(version) => (format!("PUT {base}{row}"), format!("If-Match: {}\r\n", version.0)),
            Verb::Put => (format!("PUT {base}{row}"), String::new()),
            Verb::Delete => (format!("DELETE {base}{row}"), "If-Match: *\r\n".to_owned()),
        };
        let head = format!(
            "{line} HTTP/1.1\r\nAccept: application/json;odata=nometadata\r\nDataServiceVersion: 3.0\r\n{condition}"
        );
        if change.verb == Verb::Delete {
            return format!("{head}\r\n");
        }
        let body = row_body(&self.partition, &change.key, &change.columns);
        format!("{head}Content-Type: application/json\r\nPrefer: return-no-content\r\n\r\n{body}\r\n")
    }
}

/// Reads the multipart answer to a batch of `count` changes.
pub(super) fn answered(body: &str, count: usize) -> Result<Answered, Failure> {
    let mut applied = 0;
    let mut lines = body.lines();
    while let Some(line) = lines.next() {
        let Some(status) = line.strip_prefix("HTTP/1.1 ") else {
            continue;
        };
        let status = status.get(..3).and_then(|status| status.parse::<u16>().ok());
        let status = status.ok_or_else(|| Failure::Unreadable(format!("`{line}` is no status")))?;
        let headers = lines.by_ref().take_while(|line| !line.trim().is_empty());
        headers.for_each(drop);
        if (200..300).contains(&status) {
            applied += 1;
            continue;
        }
        let error: Vec<&str> = lines.take_while(|line| !line.starts_with("--")).collect();
        let code = error_code(error.join("\n").trim());
        return Ok(Answered::Refused { status, code });
    }
    if applied == count {
        Ok(Answered::Applied)
    } else {
        Err(Failure::Unreadable(format!(
            "it tells of {applied} of {count} changes"
        )))
    }
}

#[cfg(test)]
mod tests {
    use saga_core::document::fields;

    use super::*;

    fn change(verb: Verb, key: &str) -> Change {
        Change {
            verb,
            key: key.to_owned(),
            columns: fields([("State", "DONE".into())]),
        }
    }

    fn batch(changes: Vec<Change>) -> Batch {
        Batch {
            partition: "05".to_owned(),
            changes,
        }
    }

    #[test]
    fn each_change_is_a_request_of_its_own() {
        let encoded = batch(vec![
            change(Verb::Insert, "step|a|1"),
            change(Verb::Replace(Version("W/\"1\"".into())), "entity|stock|x"),
            change(Verb::Put, "outbox|1"),
            change(Verb::Delete, "outbox|2"),
        ])
        .encode("http://h/acc", "Saga")
        .unwrap();
        let mark = encoded
            .content_type
            .strip_prefix("multipart/mixed; boundary=batch_")
            .unwrap();
        let part = format!(
            "--changeset_{mark}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        );
        let head = "HTTP/1.1\r\nAccept: application/json;odata=nometadata\r\nDataServiceVersion: 3.0\r\n";
        let json = "Content-Type: application/json\r\nPrefer: return-no-content\r\n\r\n";
        let row =
            |key: &str| format!("{{\"PartitionKey\":\"05\",\"RowKey\":\"{key}\",\"State\":\"DONE\"}}\r\n");
        let at = "http://h/acc/Saga";
        let expected = [
            format!("--batch_{mark}\r\nContent-Type: multipart/mixed; boundary=changeset_{mark}\r\n\r\n"),
            format!("{part}POST {at} {head}{json}{}", row("step|a|1")),
            format!(
                "{part}PUT {at}(PartitionKey='05',RowKey='entity%7Cstock%7Cx') {head}If-Match: W/\"1\"\r\n{json}{}",
                row("entity|stock|x")
            ),
            format!(
                "{part}PUT {at}(PartitionKey='05',RowKey='outbox%7C1') {head}{json}{}",
                row("outbox|1")
            ),
            format!("{part}DELETE {at}(PartitionKey='05',RowKey='outbox%7C2') {head}If-Match: *\r\n\r\n"),
            format!("--changeset_{mark}--\r\n--batch_{mark}--\r\n"),
        ];
        assert_eq!(encoded.body, expected.concat());
    }

    #[test]
    fn the_limits_are_kept_before_anything_is_sent() {
        let rows = |count: usize| {
            (0..count)
                .map(|n| change(Verb::Put, &format!("outbox|{n}")))
                .collect()
        };
        assert!(batch(rows(100)).encode("http://h", "Saga").is_ok());
        let many = batch(rows(101))
            .encode("http://h", "Saga")
            .unwrap_err()
            .to_string();
        assert!(many.contains("101 rows"), "{many}");
        let twice = batch(vec![change(Verb::Put, "a"), change(Verb::Insert, "a")]);
        assert!(
            twice
                .encode("http://h", "Saga")
                .unwrap_err()
                .to_string()
                .contains("twice")
        );
        let mut large = change(Verb::Put, "a");
        large.columns.insert("Body".into(), "x".repeat(MAX_BYTES).into());
        assert!(
            batch(vec![large])
                .encode("http://h", "Saga")
                .unwrap_err()
                .to_string()
                .contains("bytes")
        );
    }

    fn answer(inner: &[&str]) -> String {
        let mut body = String::from(
            "--batchresponse_1\r\nContent-Type: multipart/mixed; boundary=changesetresponse_2\r\n\r\n",
        );
        for response in inner {
            body.push_str("--changesetresponse_2\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n");
            body.push_str(response);
        }
        body.push_str("--changesetresponse_2--\r\n--batchresponse_1--\r\n");
        body
    }

    const DONE: &str = "HTTP/1.1 204 No Content\r\nDataServiceVersion: 1.0;\r\nETag: W/\"1\"\r\n\r\n\r\n";

    #[test]
    fn it_is_applied_only_when_every_change_is() {
        assert_eq!(answered(&answer(&[DONE, DONE]), 2).unwrap(), Answered::Applied);
        assert!(answered(&answer(&[DONE]), 2).is_err());
        assert!(answered(&answer(&[DONE, DONE])[..150], 2).is_err());
        assert!(answered("", 1).is_err());
    }

    #[test]
    fn the_one_change_that_was_refused_tells_why() {
        let error = r#"{"odata.error":{"code":"UpdateConditionNotSatisfied","message":{"lang":"en-US","value":"1:no"}}}"#;
        let refused =
            format!("HTTP/1.1 412 Precondition Failed\r\nContent-Type: application/json\r\n\r\n{error}\r\n");
        let code = "UpdateConditionNotSatisfied".to_owned();
        assert_eq!(
            answered(&answer(&[&refused]), 3).unwrap(),
            Answered::Refused { status: 412, code }
        );
    }
}
