//! Money: an exact decimal and an ISO 4217 currency. Never a float, on any cloud, in any format.

use std::fmt;
use std::str::FromStr;

use crate::document::{InvalidNumber, Number};

/// Why a text is not an amount of money.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMoney {
    /// Not a plain decimal number, or longer than a store keeps exactly.
    #[error(transparent)]
    Number(#[from] InvalidNumber),
    /// Zero or less: nothing to reserve.
    #[error("must be greater than zero")]
    NotPositive,
    /// Not a currency of ISO 4217.
    #[error("must be an ISO 4217 currency code of three capital letters")]
    UnknownCurrency,
}

/// A positive amount of up to 38 digits: what DynamoDB keeps exactly
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html>).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(Number);

impl Amount {
    /// Checks that `number` is more than nothing.
    ///
    /// # Errors
    /// [`InvalidMoney::NotPositive`].
    pub fn new(number: Number) -> Result<Self, InvalidMoney> {
        if number.is_positive() {
            Ok(Self(number))
        } else {
            Err(InvalidMoney::NotPositive)
        }
    }

    /// The number.
    #[must_use]
    pub fn number(&self) -> &Number {
        &self.0
    }
}

impl FromStr for Amount {
    type Err = InvalidMoney;

    fn from_str(text: &str) -> Result<Self, InvalidMoney> {
        Self::new(text.parse()?)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A currency of ISO 4217, by its alphabetic code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Currency(iso_currency::Currency);

impl Currency {
    /// The three letters.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.0.code()
    }
}

impl FromStr for Currency {
    type Err = InvalidMoney;

    fn from_str(text: &str) -> Result<Self, InvalidMoney> {
        // The list has codes for "no currency" and "for tests", in which nobody can pay.
        let known = iso_currency::Currency::from_code(text).filter(|it| !["XXX", "XTS"].contains(&it.code()));
        known.map(Self).ok_or(InvalidMoney::UnknownCurrency)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
