//! A quarantined message as both clouds write it, whole or one part of it, and the parts put together.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::facts::{Facts, Part, facts_of};
use super::model::DeadLetter;
use crate::quarantine::sha256;

/// A message of a quarantine.
#[derive(Debug, Deserialize)]
pub(super) struct Kept {
    #[serde(default)]
    pub(super) entrance: String,
    #[serde(default)]
    pub(super) reason: String,
    #[serde(default)]
    pub(super) at: String,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    body: Option<String>,
    body_base64: Option<String>,
    /// Set by an earlier version where the body was cut: the bytes that it had.
    cut_from_bytes: Option<u64>,
    /// Set where the body is in several messages.
    part: Option<u32>,
    parts: Option<u32>,
    body_sha256: Option<String>,
}

impl Kept {
    /// What is here of the body.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(super) fn body(&mut self) -> Result<Vec<u8>, String> {
        match (self.body.take(), self.body_base64.take()) {
            (Some(text), None) => Ok(text.into_bytes()),
            (None, Some(base64)) => STANDARD
                .decode(base64)
                .map_err(|error| format!("`body_base64` is no base64: {error}")),
            _ => Err("it must have one of `body` and `body_base64`".to_owned()),
        }
    }

    /// Which part of the body is here, if not all of it.
    pub(super) fn part(&self) -> Option<Part> {
        let (number, of) = (self.part?, self.parts?);
        let sha256 = self.body_sha256.clone().unwrap_or_default();
        (of > 1).then_some(Part { number, of, sha256 })
    }

    /// Why what is here is not the whole body, if it is not.
    pub(super) fn not_whole(&self) -> Option<String> {
        if let Some(bytes) = self.cut_from_bytes {
            return Some(format!("its body was cut: it had {bytes} bytes"));
        }
        let Part { number, of, sha256 } = self.part()?;
        Some(format!(
            "it is part {number} of {of} of one body (SHA-256 {sha256})"
        ))
    }
}

/// The dead letter with the whole body instead of its part, when `others` hold the rest of it. A part may be among them
/// more than once.
#[must_use]
pub fn join(one: &DeadLetter, others: &[DeadLetter]) -> Option<DeadLetter> {
    let wanted = one.facts.part.as_ref()?;
    let parts: BTreeMap<u32, &Facts> = [one]
        .into_iter()
        .chain(others)
        .filter_map(|other| Some((other.facts.part.as_ref()?, &other.facts)))
        .filter(|(part, _)| part.sha256 == wanted.sha256)
        .map(|(part, facts)| (part.number, facts))
        .collect();
    let whole: Vec<u8> = (1..=wanted.of)
        .map(|number| parts.get(&number).map(|facts| facts.bytes()))
        .collect::<Option<Vec<_>>>()?
        .concat();
    if sha256(&whole) != wanted.sha256 {
        return None;
    }
    let facts = Facts {
        headers: one.facts.headers.clone(),
        ..facts_of(one.id.source, &whole)
    };
    Some(DeadLetter {
        facts,
        bytes: whole.len(),
        ..one.clone()
    })
}
