//! A quarantined message as both clouds write it, whole or one part of it.

use serde::Deserialize;

/// A message of a quarantine.
#[derive(Debug, Deserialize)]
pub(super) struct Kept {
    #[serde(default)]
    pub(super) entrance: String,
    #[serde(default)]
    pub(super) reason: String,
    #[serde(default)]
    pub(super) at: String,
    pub(super) body: String,
    /// Set where the body was cut: the bytes that it had.
    pub(super) cut_from_bytes: Option<u64>,
    /// Set where the body is in several messages.
    pub(super) part: Option<u32>,
    pub(super) parts: Option<u32>,
    pub(super) body_sha256: Option<String>,
}

impl Kept {
    /// Why what is here is not the whole body, if it is not.
    pub(super) fn not_whole(&self) -> Option<String> {
        if let Some(bytes) = self.cut_from_bytes {
            return Some(format!("its body was cut: it had {bytes} bytes"));
        }
        let (part, parts) = (self.part?, self.parts?);
        let digest = self.body_sha256.as_deref().unwrap_or("unknown");
        (parts > 1).then(|| format!("it is part {part} of {parts} of one body (SHA-256 {digest})"))
    }
}
