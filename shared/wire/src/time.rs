//! RFC 3339 ↔ [`Timestamp`].

use jiff::Timestamp as Instant;
use jiff::fmt::temporal::DateTimePrinter;
use saga_core::Timestamp;

use crate::Malformed;

/// `2026-11-21T02:12:18.123Z`: UTC, milliseconds.
#[must_use]
pub fn format(time: Timestamp) -> String {
    const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));
    let instant = Instant::from_millisecond(time.millis()).unwrap_or(Instant::UNIX_EPOCH);
    PRINTER.timestamp_to_string(&instant)
}

/// Reads any RFC 3339 time.
///
/// # Errors
/// [`Malformed`] when it is none.
pub fn parse(text: &str) -> Result<Timestamp, Malformed> {
    let instant: Instant = text
        .parse()
        .map_err(|_| Malformed(format!("`{text}` is not an RFC 3339 time")))?;
    Ok(Timestamp::from_millis(instant.as_millisecond()))
}
