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
    /// Less than the smallest unit of its currency is in it.
    #[error("must have at most {places} decimal places in {currency}, as ISO 4217 divides it")]
    TooFine {
        /// The currency.
        currency: Currency,
        /// The decimal places of its minor unit.
        places: u16,
    },
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

    /// Checks that the amount can be paid in `currency`: that it is a whole number of minor units. What counts is the value,
    /// so 10.00 JPY are 10 JPY. Gold, drawing rights and the like have no minor unit, and any amount.
    ///
    /// # Errors
    /// [`InvalidMoney::TooFine`].
    pub fn check_payable(&self, currency: Currency) -> Result<(), InvalidMoney> {
        match currency.0.exponent() {
            Some(places) if self.0.decimal_places() > u64::from(places) => {
                Err(InvalidMoney::TooFine { currency, places })
            }
            _ => Ok(()),
        }
    }
}

/// How exact the amounts of a definition's sagas may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Amounts {
    /// Whole numbers of the currency's minor unit: what can be paid.
    #[default]
    MinorUnits,
    /// Any decimal: what is priced in fractions of it, such as fuel or electricity.
    Fractions,
}

impl Amounts {
    /// Both.
    pub const ALL: [Amounts; 2] = [Amounts::MinorUnits, Amounts::Fractions];

    /// The word used in definition files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Amounts::MinorUnits => "minor-units",
            Amounts::Fractions => "fractions",
        }
    }

    /// Checks that `amount` is as exact as it may be in `currency`.
    ///
    /// # Errors
    /// [`InvalidMoney::TooFine`].
    pub fn check(self, amount: &Amount, currency: Currency) -> Result<(), InvalidMoney> {
        match self {
            Amounts::MinorUnits => amount.check_payable(currency),
            Amounts::Fractions => Ok(()),
        }
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

/// In which nobody can pay: "no currency" and "for tests", and what the library still has though ISO 4217 has withdrawn it.
const UNPAYABLE: [&str; 6] = ["XXX", "XTS", "CUC", "HRK", "SLL", "ZWL"];

impl FromStr for Currency {
    type Err = InvalidMoney;

    fn from_str(text: &str) -> Result<Self, InvalidMoney> {
        let known = iso_currency::Currency::from_code(text).filter(|it| !UNPAYABLE.contains(&it.code()));
        known.map(Self).ok_or(InvalidMoney::UnknownCurrency)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
