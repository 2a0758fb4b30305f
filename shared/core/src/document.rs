//! The data that travels with a saga: a small tree of values, without any format's types in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use bigdecimal::num_bigint::Sign;
use bigdecimal::{BigDecimal, Zero};

/// Why a text is not a number that every store on the way keeps exactly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNumber {
    /// Something else than an optional sign, digits and at most one point.
    #[error("must be a decimal number such as 129.90")]
    NotDecimal,
    /// More than 38 digits.
    #[error("must have at most {} digits", Number::MAX_DIGITS)]
    TooLong,
}

/// An exact decimal number of at most 38 digits. 1.5 and 1.50 are equal and keep their spelling.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number(BigDecimal);

impl Number {
    /// What the narrowest store on the way (DynamoDB) keeps exactly.
    pub const MAX_DIGITS: usize = 38;

    /// Whether it is greater than zero.
    #[must_use]
    pub fn is_positive(&self) -> bool {
        self.0.sign() == Sign::Plus
    }

    /// Reads a number as JSON writes it, exponent included: 1.299e2 is 129.9. The same bounds hold for what it stands for.
    ///
    /// # Errors
    /// [`InvalidNumber`].
    pub fn from_json(text: &str) -> Result<Self, InvalidNumber> {
        let Some((digits, exponent)) = text.split_once(['e', 'E']) else {
            return text.parse();
        };
        let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if unsigned.is_empty() || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidNumber::NotDecimal);
        }
        let number: Self = digits.parse()?;
        // Zero is zero, whatever is said of its point.
        if number.0.is_zero() {
            return Ok(Self(BigDecimal::zero()));
        }
        let exponent: i64 = exponent.parse().map_err(|_| InvalidNumber::TooLong)?;
        // Past this no number of so few digits keeps the bounds; the text of a larger one would fill the memory.
        if exponent.unsigned_abs() > 4 * Self::MAX_DIGITS as u64 {
            return Err(InvalidNumber::TooLong);
        }
        let (digits, scale) = number.0.into_bigint_and_exponent();
        BigDecimal::new(digits, scale - exponent)
            .to_plain_string()
            .parse()
    }

    /// How many digits behind the point its value needs: 2 for 1.05, and for 1.050.
    #[must_use]
    pub fn decimal_places(&self) -> u64 {
        let (_, places) = self.0.normalized().into_bigint_and_exponent();
        u64::try_from(places).unwrap_or(0)
    }

    /// The whole number that this is, if it is one and fits.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        let whole = self.0.normalized();
        let (digits, scale) = whole.as_bigint_and_exponent();
        if scale > 0 {
            return None;
        }
        let text = format!("{digits}{}", "0".repeat(usize::try_from(-scale).ok()?));
        text.parse().ok()
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self(BigDecimal::from(value))
    }
}

impl FromStr for Number {
    type Err = InvalidNumber;

    /// Reads `-?digits[.digits]`. No exponent: what a person writes as text is what is stored.
    fn from_str(text: &str) -> Result<Self, InvalidNumber> {
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) {
            return Err(InvalidNumber::NotDecimal);
        }
        let length = unsigned
            .trim_start_matches('0')
            .bytes()
            .filter(u8::is_ascii_digit)
            .count();
        // The second bound stops long runs of leading zeros before the point.
        if length > Self::MAX_DIGITS || unsigned.len() > 2 * Self::MAX_DIGITS {
            return Err(InvalidNumber::TooLong);
        }
        text.parse().map(Self).map_err(|_| InvalidNumber::NotDecimal)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_plain_string())
    }
}

/// A value: what JSON can say, with exact numbers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Document {
    /// Nothing.
    Null,
    /// Yes or no.
    Bool(bool),
    /// An exact decimal number.
    Number(Number),
    /// Text.
    Text(String),
    /// Values in order.
    List(Vec<Document>),
    /// Values by name.
    Map(Fields),
}

/// Values by name, in the order of their names.
pub type Fields = BTreeMap<String, Document>;

impl Document {
    /// The text, if this is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        if let Document::Text(text) = self {
            Some(text)
        } else {
            None
        }
    }

    /// The number, if this is one: written as a number, or as text (which is how money travels, since
    /// software between the clouds may read a number as a float).
    #[must_use]
    pub fn as_number(&self) -> Option<Number> {
        match self {
            Document::Number(number) => Some(number.clone()),
            Document::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The decimal number that this says, in any spelling that a carrier or another team may give it: beside JSON's, `+12.9`,
    /// `.5` and `5.`. To compare with: what is stored is read by [`Document::as_number`].
    fn as_decimal(&self) -> Option<Number> {
        let Document::Text(text) = self else {
            return self.as_number();
        };
        let (sign, unsigned) = match text.strip_prefix('-') {
            Some(unsigned) => ("-", unsigned),
            None => ("", text.strip_prefix('+').unwrap_or(text)),
        };
        let (digits, exponent) = unsigned.split_at(unsigned.find(['e', 'E']).unwrap_or(unsigned.len()));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() && fraction.is_empty() || !digits(whole) || !digits(fraction) {
            return None;
        }
        // Zeros at either end say nothing, however many there are.
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        let whole = if whole.is_empty() { "0" } else { whole };
        let point = if fraction.is_empty() { "" } else { "." };
        Number::from_json(&format!("{sign}{whole}{point}{fraction}{exponent}")).ok()
    }

    /// Whether both say the same decimal number, as text or as a number, in any spelling.
    #[must_use]
    pub fn is_same_decimal(&self, other: &Document) -> bool {
        let number = self.as_decimal();
        number.is_some() && number == other.as_decimal()
    }

    /// The value in the form in which it travels between the clouds. Software on the way may read a number as a float and write it
    /// in another form, or with other digits; whole numbers that a float holds exactly stay numbers, all others become text.
    #[must_use]
    pub fn carried(self) -> Document {
        match self {
            Document::Number(number) => match number.as_i64() {
                Some(whole) if whole.unsigned_abs() <= MAX_EXACT => Document::from(whole),
                _ => Document::Text(number.to_string()),
            },
            Document::List(list) => Document::List(list.into_iter().map(Document::carried).collect()),
            Document::Map(fields) => Document::Map(carried(fields, &BTreeSet::new())),
            other => other,
        }
    }

    /// What is the same for this value and for what carriers may make of it that read numbers as floats: 1.50 and 1.5
    /// are alike, and so are numbers that a float cannot tell apart; texts never are. To compare with, and for nothing
    /// else.
    #[must_use]
    pub fn gist(&self) -> String {
        match self {
            Document::Null => "null".to_owned(),
            Document::Bool(value) => value.to_string(),
            Document::Number(number) => {
                let float = number.to_string().parse::<f64>();
                float.map_or_else(|_| number.to_string(), |float| float.to_string())
            }
            // Its length tells where a text ends, whatever is in it.
            Document::Text(text) => format!("{}:{text}", text.len()),
            Document::List(list) => format!(
                "[{}]",
                list.iter().map(Document::gist).collect::<Vec<_>>().join(",")
            ),
            Document::Map(fields) => gist(fields),
        }
    }
}

/// The largest whole number up to which a float of 64 bits holds every one: 2^53 - 1
/// (<https://www.rfc-editor.org/rfc/rfc8259#section-6>).
const MAX_EXACT: u64 = 9_007_199_254_740_991;

/// [`Document::carried`] of fields. Those in `decimals` are amounts: they travel as text with the digits that they were given.
#[must_use]
pub fn carried(fields: Fields, decimals: &BTreeSet<&str>) -> Fields {
    let each = fields.into_iter().map(|(name, value)| {
        let value = match value {
            Document::Number(number) if decimals.contains(name.as_str()) => {
                Document::Text(number.to_string())
            }
            value => value.carried(),
        };
        (name, value)
    });
    each.collect()
}

/// Whether two inputs say the same: the order of names, the spelling of a number, and for `decimals` whether it is a number or
/// a text, make no difference; neither does `null`, which says no more than absence does.
#[must_use]
pub fn is_same_input(one: &Fields, other: &Fields, decimals: &BTreeSet<&str>) -> bool {
    let carried = |fields: &Fields| {
        let mut fields = carried(fields.clone(), decimals);
        fields.retain(|_, value| *value != Document::Null);
        fields
    };
    let (one, other) = (carried(one), carried(other));
    one.len() == other.len()
        && one.iter().all(|(name, value)| {
            other.get(name).is_some_and(|also| {
                value == also || (decimals.contains(name.as_str()) && value.is_same_decimal(also))
            })
        })
}

/// [`Document::gist`] of fields.
#[must_use]
pub fn gist(fields: &Fields) -> String {
    let each = fields.iter().filter(|(_, value)| **value != Document::Null);
    let each = each.map(|(name, value)| format!("{}:{name}={}", name.len(), value.gist()));
    format!("{{{}}}", each.collect::<Vec<_>>().join(","))
}

impl From<&str> for Document {
    fn from(text: &str) -> Self {
        Document::Text(text.to_owned())
    }
}

impl From<String> for Document {
    fn from(text: String) -> Self {
        Document::Text(text)
    }
}

impl From<i64> for Document {
    fn from(value: i64) -> Self {
        Document::Number(value.into())
    }
}

/// Builds [`Fields`] from names and values.
pub fn fields<const N: usize>(pairs: [(&str, Document); N]) -> Fields {
    pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_json_is_read_in_every_form_or_refused_for_what_it_is() {
        let read = |text: &str| Number::from_json(text).map(|number| number.to_string());
        let tiny = format!("0.{}1", "0".repeat(37));
        for (text, expected) in [
            ("1.299e2", Ok("129.9")),
            ("1E+2", Ok("100")),
            ("-5e-1", Ok("-0.5")),
            ("0e999999999999", Ok("0")),
            ("0.0e-7", Ok("0")),
            // As far as an exponent can reach: from the smallest number of 38 digits to the largest power of ten.
            (
                &format!("{tiny}e75"),
                Ok("10000000000000000000000000000000000000"),
            ),
            (&format!("{tiny}e76"), Err(InvalidNumber::TooLong)),
            ("1e37", Ok("10000000000000000000000000000000000000")),
            ("1e38", Err(InvalidNumber::TooLong)),
            ("1e-39", Err(InvalidNumber::TooLong)),
            // Whoever tried to write these out would run out of memory.
            ("1e4000000000000000000", Err(InvalidNumber::TooLong)),
            ("1e-4000000000000000000", Err(InvalidNumber::TooLong)),
            ("1e99999999999999999999", Err(InvalidNumber::TooLong)),
            ("1e", Err(InvalidNumber::NotDecimal)),
            ("1e+", Err(InvalidNumber::NotDecimal)),
            ("1e-", Err(InvalidNumber::NotDecimal)),
            ("1e+-1", Err(InvalidNumber::NotDecimal)),
            ("1e1x", Err(InvalidNumber::NotDecimal)),
            ("1e1.5", Err(InvalidNumber::NotDecimal)),
            ("e1", Err(InvalidNumber::NotDecimal)),
        ] {
            assert_eq!(read(text), expected.map(str::to_owned), "{text}");
        }
    }

    #[test]
    fn a_number_has_up_to_38_digits_behind_up_to_38_zeros() {
        let digits = "1".repeat(38);
        let zeros = "0".repeat(38);
        assert!(digits.parse::<Number>().is_ok());
        assert!(format!("{zeros}{digits}").parse::<Number>().is_ok());
        for long in [
            format!("{digits}1"),
            format!("{zeros}0{digits}"),
            format!("{zeros}0{zeros}"),
        ] {
            assert_eq!(long.parse::<Number>(), Err(InvalidNumber::TooLong), "{long}");
        }
    }

    #[test]
    fn a_decimal_is_the_same_in_every_spelling() {
        let text = |text: &str| Document::from(text);
        let hundred = Document::from(100);
        for same in ["100", "100.0", "1e2", "1.00E+2"] {
            assert!(text(same).is_same_decimal(&hundred), "{same}");
            assert!(hundred.is_same_decimal(&text(same)), "{same}");
        }
        for other in ["1e3", "hundred", ""] {
            assert!(!text(other).is_same_decimal(&hundred), "{other}");
        }
        assert!(!text("hundred").is_same_decimal(&text("hundred")));
        assert!(!Document::Null.is_same_decimal(&Document::Null));
    }

    #[test]
    fn a_whole_number_travels_as_a_number_as_long_as_a_float_holds_it_exactly() {
        let carried = |whole: i64| Document::from(whole).carried();
        let largest = (1 << 53) - 1;
        for exact in [0, largest, -largest] {
            assert_eq!(carried(exact), Document::from(exact));
        }
        for more in [largest + 1, -largest - 1, i64::MAX] {
            assert_eq!(carried(more), Document::from(more.to_string()));
        }
    }
}
