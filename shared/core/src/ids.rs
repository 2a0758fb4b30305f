//! Identifiers and the clock's reading, parsed once and valid ever after.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use crate::text::id_breaks;

/// Why a text is not an identifier. The message names the rule that it breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {rule}")]
pub struct InvalidId {
    what: &'static str,
    rule: &'static str,
}

/// One saga. Derived from the caller's idempotency key, so that starting twice is one condition in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SagaId(Uuid);

impl SagaId {
    /// No id of a saga comes before it.
    pub const LEAST: Self = Self(Uuid::nil());

    /// The id of the saga that `key` starts under `definition`: SHA-256, cut to a version 8 UUID.
    #[must_use]
    pub fn derive(definition: &str, key: &IdempotencyKey) -> Self {
        let digest = Sha256::new()
            .chain_update(b"saga-bridge/saga/")
            .chain_update(definition.as_bytes())
            .chain_update([0])
            .chain_update(key.as_str().as_bytes())
            .finalize();
        Self::of_digest(&digest)
    }

    /// What stands for an outside service where a saga's id is asked for. It is derived from other bytes than a saga's is.
    pub(crate) fn of_service(name: &str) -> Self {
        let digest = Sha256::new()
            .chain_update(b"saga-bridge/service/")
            .chain_update(name.as_bytes())
            .finalize();
        Self::of_digest(&digest)
    }

    fn of_digest(digest: &[u8]) -> Self {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Self(Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// Which of `buckets` this saga belongs to; the same on every cloud and in every version.
    #[must_use]
    pub fn bucket(self, buckets: u16) -> u16 {
        bucket_of(self.0.as_bytes(), buckets)
    }
}

impl FromStr for SagaId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        // In any form in which software writes a UUID. It is kept and shown in one, so that a key built from it is unique.
        Uuid::try_parse(&text.to_ascii_lowercase())
            .map(Self)
            .map_err(|_| InvalidId {
                what: "saga id",
                rule: "must be a UUID",
            })
    }
}

impl fmt::Display for SagaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// Which of `buckets` a text belongs to (the first eight bytes of its SHA-256, modulo).
#[must_use]
pub fn bucket_of(text: &[u8], buckets: u16) -> u16 {
    let digest = Sha256::digest(text);
    let mut head = [0; 8];
    head.copy_from_slice(&digest[..8]);
    (u64::from_be_bytes(head) % u64::from(buckets.max(1))) as u16
}

/// The caller's name for one attempt to start a saga: 1 to 255 printable ASCII characters. The quoted form of the draft standard
/// (<https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>) and the bare one name the same attempt: `"k"` is
/// `k`. Only the quoted form may hold a comma or a quotation mark, because a header that is sent twice arrives as one value
/// with a comma between, and of two keys none is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The key as given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IdempotencyKey {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = |rule| InvalidId {
            what: "Idempotency-Key",
            rule,
        };
        let key = match text.strip_prefix('"') {
            Some(rest) => {
                unquoted(rest).ok_or_else(|| invalid("must be one key, with or without quotation marks"))?
            }
            None if text.contains([',', '"']) => {
                return Err(invalid(
                    "must be one key: one with a comma or a quotation mark in it stands in quotation marks",
                ));
            }
            None => text.to_owned(),
        };
        if key.is_empty() || key.len() > 255 {
            return Err(invalid("must have 1 to 255 characters"));
        }
        if !key.bytes().all(|byte| (0x20..0x7f).contains(&byte)) || key.trim().is_empty() {
            return Err(invalid("must be printable ASCII"));
        }
        Ok(Self(key))
    }
}

/// What stands in a quoted string, after its opening mark; `None` when it does not end where the text does
/// (<https://www.rfc-editor.org/rfc/rfc8941#section-3.3.3>).
fn unquoted(rest: &str) -> Option<String> {
    let (mut out, mut rest) = (String::new(), rest.chars());
    loop {
        match rest.next()? {
            '"' => return rest.as_str().is_empty().then_some(out),
            '\\' => out.push(rest.next().filter(|c| ['"', '\\'].contains(c))?),
            c => out.push(c),
        }
    }
}

/// The id of one event. Ours are `<milliseconds>-<saga>-<verb><step>`: they sort by time, and an event that is
/// emitted again has the id of the first, because everything in it is stored with the step. Other
/// publishers' are taken as they come, up to 256 bytes, if all of them can be seen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(String);

impl EventId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The longest id that is taken.
    pub const MAX_BYTES: usize = 256;

    /// An id that was stored, or that is ours: it keeps the rules of whoever wrote it, which may be older than today's.
    #[must_use]
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    /// When the step or the origin decided what the event says, where this is the id of one of ours, of this saga.
    pub(crate) fn decided_at(&self, saga: SagaId) -> Option<Timestamp> {
        let (at, label) = self.0.split_once(&format!("-{saga}-"))?;
        let ours = at.len() == 13 && !label.is_empty();
        at.parse().ok().filter(|_| ours).map(Timestamp::from_millis)
    }

    pub(crate) fn ours(at: Timestamp, saga: SagaId, label: &str) -> Self {
        Self(format!("{:013}-{saga}-{label}", at.millis()))
    }

    /// The id by which a timeline names a command, which has no event.
    pub(crate) fn of_command(at: Timestamp, command: &str) -> Self {
        Self(format!("{:013}-{command}", at.millis()))
    }
}

impl FromStr for EventId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let what = "event id";
        if text.is_empty() || text.len() > Self::MAX_BYTES {
            return Err(InvalidId {
                what,
                rule: "must have 1 to 256 bytes",
            });
        }
        match id_breaks(text) {
            Some(rule) => Err(InvalidId { what, rule }),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The position of a step in its definition, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepIndex(u8);

impl StepIndex {
    /// The first step.
    pub const FIRST: StepIndex = StepIndex(0);

    /// The step at `index`; whether a definition has it is asked of the definition.
    #[must_use]
    pub const fn new(index: u8) -> Self {
        Self(index)
    }

    /// The position, from 0.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }

    /// The step after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The step before this one; `None` before the first.
    #[must_use]
    pub fn previous(self) -> Option<Self> {
        self.0.checked_sub(1).map(Self)
    }
}

impl fmt::Display for StepIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The first time, and the last that has a four-digit year in every time zone: 9999-12-30T22:00:00Z.
    const RANGE: std::ops::RangeInclusive<i64> = 0..=253_402_207_200_000;

    /// The time at `millis`, held inside the years 1970 to 9999.
    #[must_use]
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(*Self::RANGE.start(), *Self::RANGE.end()))
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn millis(self) -> i64 {
        self.0
    }

    /// This time and `millis` more.
    #[must_use]
    pub fn plus_millis(self, millis: i64) -> Self {
        Self::from_millis(self.0.saturating_add(millis))
    }
}

/// The one flag of version 00: the caller may have recorded the trace.
const SAMPLED: u8 = 1;

/// A W3C trace context (`traceparent`) in version 00, carried through every event of a saga. What comes in version 00 is
/// carried unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceParent(String);

impl TraceParent {
    /// The header's value.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The 32 hexadecimal digits that one search needs to show one saga on both clouds.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        &self.0[3..35]
    }

    /// A context for a caller who sent none; deterministic, so that a repeated start has the same.
    #[must_use]
    pub fn for_saga(saga: SagaId) -> Self {
        let trace = saga.0.simple();
        let digest = Sha256::digest(saga.0.as_bytes());
        let span = digest[..8]
            .iter()
            .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        Self(format!("00-{trace}-{span}-01"))
    }
}

impl FromStr for TraceParent {
    type Err = InvalidId;

    /// Reads `<version>-<32 hex>-<16 hex>-<2 hex>`, lower case, ids not all 0
    /// (<https://www.w3.org/TR/trace-context/#versioning-of-traceparent>). A later version may say more behind a dash; it
    /// is carried on as version 00, with the one flag that version 00 knows.
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let bad = || InvalidId {
            what: "traceparent",
            rule: "must be a W3C trace context",
        };
        let hex = |part: &str, length: usize| {
            part.len() == length
                && part
                    .bytes()
                    .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        let mut parts = text.splitn(5, '-');
        let mut next = |length| parts.next().filter(|part| hex(part, length)).ok_or_else(bad);
        let (version, trace, span, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
        // A comma would join two headers, and of two contexts neither is the caller's.
        let more = parts.next();
        let readable = |more: &str| more.bytes().all(|b| b.is_ascii_graphic() && b != b',');
        let zero = |part: &str| part.bytes().all(|b| b == b'0');
        if version == "ff" || zero(trace) || zero(span) || !more.is_none_or(readable) {
            return Err(bad());
        }
        match (version, more) {
            ("00", None) => Ok(Self(text.to_owned())),
            ("00", Some(_)) => Err(bad()),
            _ => {
                let flags = u8::from_str_radix(flags, 16).map_err(|_| bad())?;
                Ok(Self(format!("00-{trace}-{span}-{:02x}", flags & SAMPLED)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_id_of_ours_says_when_it_was_decided() {
        let saga = SagaId::derive("payment", &"key".parse().unwrap());
        let decided = |text: String| EventId::stored(text).decided_at(saga).map(Timestamp::millis);
        assert_eq!(
            [
                decided(format!("1790000000000-{saga}-advance1")),
                decided(format!("179000000000-{saga}-advance1")),
                decided(format!("1790000000000-{saga}-")),
                decided(format!("{saga}-advance1")),
            ],
            [Some(1_790_000_000_000), None, None, None]
        );
    }

    #[test]
    fn an_event_id_has_1_to_256_bytes() {
        let of = |length: usize| "e".repeat(length).parse::<EventId>().is_ok();
        assert_eq!([0, 1, 256, 257].map(of), [false, true, true, false]);
    }

    #[test]
    fn a_step_is_written_as_its_number() {
        assert_eq!(StepIndex::new(12).to_string(), "12");
        assert_eq!(StepIndex::new(12).next(), StepIndex::new(13));
        assert_eq!(StepIndex::new(12).previous(), Some(StepIndex::new(11)));
        assert_eq!(StepIndex::FIRST.previous(), None);
        assert_eq!(StepIndex::new(u8::MAX).next(), StepIndex::new(u8::MAX));
    }

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn a_trace_context_of_a_later_version_is_carried_as_version_00() {
        let here = |version: &str, flags: &str, more: &str| format!("{version}-{TRACE}-{SPAN}-{flags}{more}");
        for (text, carried) in [
            (here("00", "01", ""), here("00", "01", "")),
            (here("00", "00", ""), here("00", "00", "")),
            // Other software may set flags of its own; they are carried unchanged.
            (here("00", "ff", ""), here("00", "ff", "")),
            (here("01", "01", ""), here("00", "01", "")),
            (
                here("01", "00", "-what.comes_next-and-more"),
                here("00", "00", ""),
            ),
            (here("cc", "03", "-"), here("00", "01", "")),
            (here("fe", "fe", "-x"), here("00", "00", "")),
        ] {
            let read: TraceParent = text.parse().unwrap();
            assert_eq!(
                (read.as_str(), read.trace_id()),
                (carried.as_str(), TRACE),
                "{text}"
            );
            assert_eq!(read.as_str().parse(), Ok(read));
        }
        for text in [
            String::new(),
            here("ff", "01", ""),
            here("ff", "01", "-x"),
            here("00", "01", "-x"),
            here("00", "01", "-"),
            here("01", "01", "x"),
            here("01", "01", ".x"),
            here("01", "01", &format!(",{}", here("01", "01", ""))),
            here("01", "01", &format!("-x,{}", here("01", "01", ""))),
            here("01", "01", "-x\n"),
            here("1", "01", ""),
            here("0A", "01", ""),
            here("01", "0G", ""),
            here("01", "1", ""),
            here("01", "01", "").to_uppercase(),
            format!("01-{}-{SPAN}-01", "0".repeat(32)),
            format!("01-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("01-{TRACE}x-{SPAN}-01"),
            format!("01-{}-{SPAN}-01", &TRACE[1..]),
            format!("01-{TRACE}-{SPAN}"),
            format!("01{TRACE}{SPAN}01"),
        ] {
            assert!(text.parse::<TraceParent>().is_err(), "{text:?}");
        }
    }
}
