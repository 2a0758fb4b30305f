//! NCRONTAB with six fields, in UTC: second, minute, hour, day, month, day of the week.
//!
//! Unlike cron, day and day of the week must both hold. A value is `*`, `*/n`, a number, a range `a-b` or
//! `a-b/n`, or a list of these.

use std::str::FromStr;

use jiff::{Span, Timestamp, ToSpan, civil::DateTime, tz::TimeZone};

/// A parsed schedule: for each field the values that fit, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Schedule {
    seconds: u64,
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
}

/// How far ahead a next occurrence is looked for: beyond two leap days nothing new comes.
const HORIZON_YEARS: i16 = 9;

impl FromStr for Schedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [seconds, minutes, hours, days, months, weekdays] = fields[..] else {
            return Err(format!("'{text}' does not have six fields"));
        };
        let field = |field: &str, low, high| {
            parse(field, low, high).ok_or_else(|| format!("'{field}' is not understood"))
        };
        Ok(Self {
            seconds: field(seconds, 0, 59)?,
            minutes: field(minutes, 0, 59)?,
            hours: field(hours, 0, 23)?,
            days: field(days, 1, 31)?,
            months: field(months, 1, 12)?,
            weekdays: field(weekdays, 0, 6)?,
        })
    }
}

impl Schedule {
    /// The first occurrence after `now`; none when there is none for years (30 February).
    pub(crate) fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        let start = now.to_zoned(TimeZone::UTC).datetime();
        let mut at = step(start.with().subsec_nanosecond(0).build().ok()?, 1.second())?;
        while at.year() <= start.year() + HORIZON_YEARS {
            let midnight = at.date().at(0, 0, 0, 0);
            let hour = midnight.with().hour(at.hour()).build().ok()?;
            at = if !has(self.months, at.month()) {
                step(at.date().first_of_month().at(0, 0, 0, 0), 1.month())?
            } else if !has(self.days, at.day()) || !has(self.weekdays, at.weekday().to_sunday_zero_offset()) {
                step(midnight, 1.day())?
            } else if !has(self.hours, at.hour()) {
                step(hour, 1.hour())?
            } else if !has(self.minutes, at.minute()) {
                step(hour.with().minute(at.minute()).build().ok()?, 1.minute())?
            } else if !has(self.seconds, at.second()) {
                step(at, 1.second())?
            } else {
                return Some(at.to_zoned(TimeZone::UTC).ok()?.timestamp());
            };
        }
        None
    }
}

fn step(at: DateTime, by: Span) -> Option<DateTime> {
    at.checked_add(by).ok()
}

fn has(set: u64, value: i8) -> bool {
    u32::try_from(value).is_ok_and(|value| set & (1 << value) != 0)
}

fn parse(field: &str, low: u32, high: u32) -> Option<u64> {
    let mut set = 0;
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse::<u32>().ok().filter(|step| *step > 0)?),
            None => (part, 1),
        };
        let (first, last) = match range.split_once('-') {
            Some((first, last)) => (first.parse().ok()?, last.parse().ok()?),
            None if range == "*" => (low, high),
            None => {
                let value: u32 = range.parse().ok()?;
                // `5/10` starts at 5 and goes on to the end.
                (value, if part.contains('/') { high } else { value })
            }
        };
        if first < low || last > high || first > last {
            return None;
        }
        for value in (first..=last).step_by(step as usize) {
            set |= 1 << value;
        }
    }
    Some(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_occurrences() {
        for (schedule, now, expected) in [
            (
                "*/5 * * * * *",
                "2026-11-20T10:00:00Z",
                Some("2026-11-20T10:00:05Z"),
            ),
            (
                "*/5 * * * * *",
                "2026-11-20T10:00:04.9Z",
                Some("2026-11-20T10:00:05Z"),
            ),
            (
                "0 */5 * * * *",
                "2026-11-20T10:58:30Z",
                Some("2026-11-20T11:00:00Z"),
            ),
            (
                "30 0,15 9-17 * * *",
                "2026-11-20T17:15:30Z",
                Some("2026-11-21T09:00:30Z"),
            ),
            (
                "0 0 0 1 1 *",
                "2026-11-20T10:00:00Z",
                Some("2027-01-01T00:00:00Z"),
            ),
            (
                "0 0 12 * * 1",
                "2026-11-20T10:00:00Z",
                Some("2026-11-23T12:00:00Z"),
            ),
            (
                "0 0 0 13 * 5",
                "2026-11-20T10:00:00Z",
                Some("2027-08-13T00:00:00Z"),
            ),
            (
                "0 0 0 29 2 *",
                "2026-11-20T10:00:00Z",
                Some("2028-02-29T00:00:00Z"),
            ),
            (
                "0 10/20 * * * *",
                "2026-11-20T10:31:00Z",
                Some("2026-11-20T10:50:00Z"),
            ),
            ("0 0 0 30 2 *", "2026-11-20T10:00:00Z", None),
        ] {
            let next = schedule
                .parse::<Schedule>()
                .unwrap()
                .next_after(now.parse().unwrap());
            assert_eq!(
                next,
                expected.map(|text| text.parse().unwrap()),
                "{schedule} after {now}"
            );
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for text in [
            "",
            "* * * * *",
            "60 * * * * *",
            "*/0 * * * * *",
            "5-1 * * * * *",
            "a * * * * *",
            "0 0 0 0 * *",
        ] {
            assert!(text.parse::<Schedule>().is_err(), "{text}");
        }
    }
}
