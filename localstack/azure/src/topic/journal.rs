//! The durable record of what was accepted and not yet delivered.
//!
//! Invariant: a delivery is on disk before the publisher gets its 200, and leaves the disk only when it was
//! delivered, dead-lettered or dropped. One small file a delivery, written whole under another name and
//! then renamed, so that a process killed at any point leaves either the old state or the new one.

use std::{
    io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::system;

/// One event on its way to one subscription.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Delivery {
    #[serde(skip)]
    pub(crate) id: String,
    pub(crate) event: Box<RawValue>,
    pub(crate) published: Timestamp,
    pub(crate) attempts: u32,
    pub(crate) last_attempt: Option<Attempt>,
    /// Set once it will not be tried again; only its dead letter is still to be written.
    pub(crate) given_up: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Attempt {
    pub(crate) at: Timestamp,
    pub(crate) outcome: String,
}

impl Delivery {
    pub(crate) fn new(event: Box<RawValue>, published: Timestamp) -> Self {
        Self {
            id: system::guid(),
            event,
            published,
            attempts: 0,
            last_attempt: None,
            given_up: None,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Journal {
    folder: PathBuf,
}

impl Journal {
    /// Opens the folder and reads what is undelivered, oldest first.
    pub(crate) fn open(state_dir: &Path, subscription: &str) -> io::Result<(Self, Vec<Delivery>)> {
        let folder = state_dir.join("journal").join(subscription);
        std::fs::create_dir_all(&folder)?;
        let mut pending = Vec::new();
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let Some(id) = name.and_then(|name| name.strip_suffix(".json")) else {
                // The rest of a write that was cut off: its publisher never got an answer.
                std::fs::remove_file(&path)?;
                continue;
            };
            match serde_json::from_slice::<Delivery>(&std::fs::read(&path)?) {
                Ok(delivery) => pending.push(Delivery {
                    id: id.to_owned(),
                    ..delivery
                }),
                Err(error) => {
                    tracing::error!(?path, %error, "a journal file is not understood and is left alone")
                }
            }
        }
        pending.sort_by_key(|delivery| delivery.published);
        Ok((Self { folder }, pending))
    }

    /// Writes a delivery or its new state.
    pub(crate) fn write(&self, delivery: &Delivery) -> io::Result<()> {
        replace(&self.file(&delivery.id), &serde_json::to_vec(delivery)?)
    }

    pub(crate) fn remove(&self, delivery: &Delivery) -> io::Result<()> {
        std::fs::remove_file(self.file(&delivery.id))
    }

    fn file(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }
}

/// Replaces a file's content in one step: readers see the old or the new, never a part.
pub(crate) fn replace(file: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = file.as_os_str().to_owned();
    name.push(".tmp");
    std::fs::write(&name, content)?;
    std::fs::rename(&name, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_and_not_removed_is_there_after_a_restart() {
        let state = tempfile::tempdir().unwrap();
        let (journal, pending) = Journal::open(state.path(), "to-azure").unwrap();
        assert!(pending.is_empty());
        let event = RawValue::from_string(r#"{"amount": 10.500}"#.to_owned()).unwrap();
        let at = system::now();
        let (mut kept, gone) = (Delivery::new(event.clone(), at), Delivery::new(event, at));
        journal.write(&kept).unwrap();
        journal.write(&gone).unwrap();
        kept.attempts = 3;
        kept.last_attempt = Some(Attempt {
            at,
            outcome: "NotFound".to_owned(),
        });
        journal.write(&kept).unwrap();
        journal.remove(&gone).unwrap();
        std::fs::write(state.path().join("journal/to-azure/half.json.tmp"), "{\"ev").unwrap();

        let (_, pending) = Journal::open(state.path(), "to-azure").unwrap();
        assert_eq!(pending.len(), 1);
        assert_eq!(
            (pending[0].id.as_str(), pending[0].attempts),
            (kept.id.as_str(), 3)
        );
        assert_eq!(pending[0].event.get(), r#"{"amount": 10.500}"#);
        assert!(!state.path().join("journal/to-azure/half.json.tmp").exists());
    }
}
