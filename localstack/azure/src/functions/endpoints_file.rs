//! Keeps the handler's process id in the local stack's `endpoints.json`.
//!
//! Invariant: only `pids.azure_participant` changes, and a reader sees the old file or the new one. A file that
//! is not there yet is left to whoever writes it first: the status page has the process id too.

use std::{io, path::Path};

use serde_json::{Map, Value};

use crate::topic::journal::replace;

/// Records the process id, if the file exists.
pub(crate) fn record(file: &Path, pid: u32) -> io::Result<()> {
    let text = match std::fs::read(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let mut content: Map<String, Value> = serde_json::from_slice(&text)?;
    let pids = content.entry("pids").or_insert_with(|| Value::Object(Map::new()));
    let Value::Object(pids) = pids else {
        return Err(io::Error::other("pids is not an object"));
    };
    pids.insert("azure_participant".to_owned(), pid.into());
    replace(file, &serde_json::to_vec_pretty(&content)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_else_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("endpoints.json");
        record(&file, 1).unwrap();
        assert!(!file.exists());
        std::fs::write(&file, r#"{"api":"http://x","pids":{"azurite":7}}"#).unwrap();
        record(&file, 42).unwrap();
        let content: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        assert_eq!(
            content,
            serde_json::json!({"api": "http://x", "pids": {"azurite": 7, "azure_participant": 42}})
        );
    }
}
