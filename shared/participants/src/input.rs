//! Fields that more than one participant reads from a saga's input.

use std::fmt;
use std::str::FromStr;

use saga_core::document::{Document, Fields, InvalidNumber};
use saga_core::money::{Amount, Amounts, Currency, InvalidMoney};
use saga_core::participant::FieldError;
use saga_core::text::id_breaks;

/// The longest name of a thing: an order, a SKU.
const MAX_NAME: usize = 128;

/// The amounts of money that travel with a saga: what the caller gave, and what the payment reserved of it.
pub(crate) const AMOUNTS: [&str; 2] = ["amount", "reserved_amount"];

/// A required text of 1 to 128 characters, of which a new saga's shows all that it is.
pub(crate) fn new_name(input: &Fields, field: &str) -> Result<String, FieldError> {
    let name = name(input, field)?;
    match id_breaks(&name) {
        Some(rule) => Err(FieldError::new(field, rule)),
        None => Ok(name),
    }
}

/// A required text of 1 to 128 characters. Sagas in flight may have one that no saga of today starts with.
pub(crate) fn name(input: &Fields, field: &str) -> Result<String, FieldError> {
    match input.get(field) {
        None | Some(Document::Null) => Err(FieldError::new(field, "is missing")),
        Some(Document::Text(text)) => checked_name(text).map_err(|problem| FieldError::new(field, problem)),
        Some(_) => Err(FieldError::new(field, "must be a text")),
    }
}

/// A text of 1 to 128 characters, none of them a control character.
pub(crate) fn checked_name(text: &str) -> Result<String, impl fmt::Display + use<>> {
    let length = text.chars().count();
    if text.trim().is_empty() {
        Err("must not be empty")
    } else if length > MAX_NAME {
        Err("must have at most 128 characters")
    } else if text.chars().any(char::is_control) {
        Err("must not hold control characters")
    } else {
        Ok(text.to_owned())
    }
}

/// A required amount of money: a JSON number or a text that is one.
pub(crate) fn amount(input: &Fields, field: &str) -> Result<Amount, FieldError> {
    let parsed = match input.get(field) {
        None | Some(Document::Null) => return Err(FieldError::new(field, "is missing")),
        Some(Document::Number(number)) => Amount::new(number.clone()),
        Some(Document::Text(text)) => Amount::from_str(text),
        Some(_) => Err(InvalidMoney::Number(InvalidNumber::NotDecimal)),
    };
    parsed.map_err(|problem| FieldError::new(field, problem))
}

/// What is wrong with the amount and the currency of a new saga.
pub(crate) fn money(input: &Fields, amounts: Amounts) -> Vec<FieldError> {
    match (amount(input, "amount"), currency(input, "currency")) {
        (Ok(amount), Ok(currency)) => {
            let problem = amounts.check(&amount, currency).err();
            problem
                .map(|problem| FieldError::new("amount", problem))
                .into_iter()
                .collect()
        }
        (amount, currency) => amount.err().into_iter().chain(currency.err()).collect(),
    }
}

/// The amount as the payment reserved it, or as the caller gave it.
pub(crate) fn amount_paid(data: &Fields) -> Result<Amount, FieldError> {
    if data.contains_key("reserved_amount") {
        amount(data, "reserved_amount")
    } else {
        amount(data, "amount")
    }
}

/// A required ISO 4217 code.
pub(crate) fn currency(input: &Fields, field: &str) -> Result<Currency, FieldError> {
    let text = name(input, field)?;
    text.parse()
        .map_err(|problem: InvalidMoney| FieldError::new(field, problem))
}
