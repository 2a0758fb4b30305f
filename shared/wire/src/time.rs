//! RFC 3339 ↔ [`Timestamp`].

use jiff::Timestamp as Instant;
use jiff::civil::{DateTime, datetime};
use jiff::fmt::temporal::DateTimePrinter;
use saga_core::Timestamp;
use saga_core::text::shown;

use crate::Malformed;

/// `2026-11-21T02:12:18.123Z`: UTC, milliseconds.
#[must_use]
pub fn format(time: Timestamp) -> String {
    const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));
    let instant = Instant::from_millisecond(time.millis()).unwrap_or(Instant::UNIX_EPOCH);
    PRINTER.timestamp_to_string(&instant)
}

/// Reads any RFC 3339 time (<https://www.rfc-editor.org/rfc/rfc3339#section-5.6>), with a blank for its `T`, too, as the
/// RFC's note allows. Of a fraction the first three digits count. A leap second, which ends the last minute of a month in
/// UTC, counts as the second before it. What lies outside [`Timestamp`]'s range is the end of the range.
///
/// # Errors
/// [`Malformed`] when it is none.
pub fn parse(text: &str) -> Result<Timestamp, Malformed> {
    read(text).ok_or_else(|| Malformed(format!("`{}` is not an RFC 3339 time", shown(text))))
}

const EPOCH: DateTime = datetime(1970, 1, 1, 0, 0, 0, 0);

// jiff's own parser takes other forms of ISO 8601, too, and neither the last two days of the year 9999 nor a fraction
// of more than nine digits.
fn read(text: &str) -> Option<Timestamp> {
    let mut rest = text.as_bytes();
    let year = digits(&mut rest, 4)?;
    let month = after(&mut rest, b"-")?;
    let day = after(&mut rest, b"-")?;
    let hour = after(&mut rest, b"Tt ")?;
    let minute = after(&mut rest, b":")?;
    let second = after(&mut rest, b":")?;
    let millis = fraction(&mut rest)?;
    let offset_minutes = offset(rest)?;

    let narrow = |number: i16| i8::try_from(number).ok();
    let is_leap = second == 60;
    let at = DateTime::new(
        year,
        narrow(month)?,
        narrow(day)?,
        narrow(hour)?,
        narrow(minute)?,
        narrow(if is_leap { 59 } else { second })?,
        0,
    );
    let local_seconds = at.ok()?.duration_since(EPOCH).as_secs();
    let seconds = local_seconds - i64::from(offset_minutes) * 60;
    if is_leap && !ends_a_month(seconds) {
        return None;
    }
    Some(Timestamp::from_millis(seconds * 1_000 + i64::from(millis)))
}

/// Whether the second after this one is the first of a month in UTC.
fn ends_a_month(seconds: i64) -> bool {
    let next = Instant::from_second(seconds + 1).map(|next| next.to_zoned(jiff::tz::TimeZone::UTC));
    next.is_ok_and(|next| next.day() == 1 && next.time() == jiff::civil::Time::midnight())
}

/// A number of so many digits.
fn digits(rest: &mut &[u8], count: usize) -> Option<i16> {
    let (number, behind) = rest.split_at_checked(count)?;
    if !number.iter().all(u8::is_ascii_digit) {
        return None;
    }
    *rest = behind;
    std::str::from_utf8(number).ok()?.parse().ok()
}

/// Two digits behind one of these signs.
fn after(rest: &mut &[u8], signs: &[u8]) -> Option<i16> {
    let (sign, behind) = rest.split_first()?;
    *rest = behind;
    signs.contains(sign).then(|| digits(rest, 2)).flatten()
}

/// Milliseconds. A point has at least one digit behind it.
fn fraction(rest: &mut &[u8]) -> Option<i16> {
    let Some(behind) = rest.strip_prefix(b".") else {
        return Some(0);
    };
    let length = behind.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, behind) = behind.split_at(length);
    *rest = behind;
    let millis = digits.iter().chain(b"000").take(3);
    (length > 0).then(|| millis.fold(0, |sum, digit| sum * 10 + i16::from(digit - b'0')))
}

/// Minutes east of UTC: `Z`, or hours to 23 and minutes to 59. `-00:00` is UTC, said by somebody elsewhere.
fn offset(mut rest: &[u8]) -> Option<i16> {
    if matches!(rest, b"Z" | b"z") {
        return Some(0);
    }
    let sign = match rest.first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let hours = after(&mut rest, b"+-")?;
    let minutes = after(&mut rest, b":")?;
    (rest.is_empty() && hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}
