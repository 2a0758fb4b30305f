//! The data that travels with a saga: a small tree of values, without any format's types in it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::Sign;

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

    /// Reads `-?digits[.digits]`. No exponent: what a person reads is what is stored.
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
