//! Names of rows: `step|<saga>|<k>`, `entity|<kind>|<id>`, `outbox|<event id>`, `dead|<event id>` and
//! `lease`, in the partition of a bucket; `definition|<name>|<version>` and `service|<name>` in
//! partitions of their own.
//!
//! Invariant: two different names never have the same key, and a key holds only what Table storage takes
//! (<https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model>): no
//! `/ \ # ?`, no control character, at most 1 KiB of UTF-16. A name of printable ASCII without these, `|` and `%`
//! stands in its key as it is, so a script can seed stock and an operator can find it.

use saga_core::participant::EntityKey;
use saga_core::{DefinitionRef, EventId, SagaId, StepIndex};

use crate::client::Failure;

/// Stands before the two hexadecimal digits of a character that cannot stand in a key. It is outside ASCII so that
/// no name of ASCII needs it for its own sake, and it is not `%`, which some clients decode once too often.
const ESCAPE: char = '¤';

/// 1 KiB of UTF-16.
const MAX_UNITS: usize = 512;

pub(crate) const OUTBOX: &str = "outbox|";
/// The key of the lease of a partition's outbox: right before the outbox rows.
pub(crate) const LEASE: &str = "lease";
pub(crate) const DEAD: &str = "dead|";

pub(crate) fn partition(bucket: u16) -> String {
    format!("{bucket:02}")
}

/// The partition of all definitions: a bucket's has two digits.
pub(crate) const DEFINITIONS: &str = "definitions";

pub(crate) fn definition(reference: &DefinitionRef) -> String {
    format!("definition|{}|{}", escape(&reference.name), reference.version)
}

/// The partition of the states of all services.
pub(crate) const SERVICES: &str = "services";

pub(crate) fn service(name: &str) -> String {
    format!("service|{}", escape(name))
}

pub(crate) fn step(saga: SagaId, index: StepIndex) -> String {
    format!("step|{saga}|{index}")
}

pub(crate) fn entity(key: &EntityKey) -> Result<String, Failure> {
    checked(format!("entity|{}|{}", escape(&key.kind), escape(&key.id)))
}

pub(crate) fn outbox(id: &EventId) -> Result<String, Failure> {
    checked(format!("{OUTBOX}{}", escape(id.as_str())))
}

pub(crate) fn dead(id: &EventId) -> Result<String, Failure> {
    checked(format!("{DEAD}{}", escape(id.as_str())))
}

/// The event id in the key of an outbox row; `None` when it is no such key.
pub(crate) fn event_id(key: &str) -> Option<EventId> {
    unescape(key.strip_prefix(OUTBOX)?)?.parse().ok()
}

fn checked(key: String) -> Result<String, Failure> {
    let units = key.encode_utf16().count();
    if units > MAX_UNITS {
        return Err(Failure::OverLimit(format!(
            "a row's key has {units} characters; Table storage takes {MAX_UNITS}"
        )));
    }
    Ok(key)
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '/' | '\\' | '#' | '?' | '%' | '|' | ESCAPE | '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => {
                out.push(ESCAPE);
                out.push_str(&format!("{:02X}", u32::from(character)));
            }
            _ => out.push(character),
        }
    }
    out
}

fn unescape(text: &str) -> Option<String> {
    let mut parts = text.split(ESCAPE);
    let mut out = parts.next()?.to_owned();
    for part in parts {
        let code = u8::from_str_radix(part.get(..2)?, 16).ok()?;
        out.push(char::from(code));
        out.push_str(&part[2..]);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_names_stand_as_they_are() {
        assert_eq!(
            entity(&EntityKey::new("stock", "SKU-1~!^")).unwrap(),
            "entity|stock|SKU-1~!^"
        );
        assert_eq!(partition(5), "05");
    }

    #[test]
    fn a_key_that_is_too_long_is_refused_here() {
        assert!(entity(&EntityKey::new("stock", "x".repeat(499))).is_ok());
        assert!(entity(&EntityKey::new("stock", "x".repeat(501))).is_err());
    }

    proptest! {
        #[test]
        fn any_name_comes_back_and_holds_nothing_forbidden(name in "\\PC{0,40}|[\\x00-\\xff]{0,40}") {
            let key = escape(&name);
            let forbidden = |c: char| "/\\#?%|".contains(c) || c.is_control();
            prop_assert!(!key.contains(forbidden));
            prop_assert_eq!(unescape(&key), Some(name));
        }

        #[test]
        fn two_entities_never_share_a_key(a in "[a|/¤7C]{0,4}", b in "[a|/¤7C]{0,4}", c in "[a|/¤7C]{0,4}", d in "[a|/¤7C]{0,4}") {
            let (one, two) = (EntityKey::new(&a, &b), EntityKey::new(&c, &d));
            prop_assert_eq!(one == two, entity(&one).unwrap() == entity(&two).unwrap());
        }
    }
}
