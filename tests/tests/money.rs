//! Numbers and money: exact to the last of 38 digits, in every direction, and never anything else.

use proptest::prelude::*;
use saga_core::document::{Document, InvalidNumber, Number};
use saga_core::money::{Amount, Amounts, Currency, InvalidMoney};
use saga_tests::arbitrary::number;
use saga_wire::json;

proptest! {
    #[test]
    fn a_number_is_read_as_it_is_written(number in number()) {
        let text = number.to_string();
        prop_assert_eq!(text.parse::<Number>().unwrap(), number);
    }

    #[test]
    fn every_digit_is_kept_as_it_was_spelled(
        whole in "0|[1-9][0-9]{0,18}", fraction in "[0-9]{1,18}", negative: bool,
    ) {
        let sign = if negative && (whole != "0" || fraction.contains(|digit| digit != '0')) { "-" } else { "" };
        let text = format!("{sign}{whole}.{fraction}");
        prop_assert_eq!(text.parse::<Number>().unwrap().to_string(), text);
    }

    #[test]
    fn json_keeps_numbers_exactly(number in number()) {
        let text = format!(r#"{{"a":{number},"b":"{number}"}}"#);
        let fields = json::parse_object(&text).unwrap();
        prop_assert_eq!(&fields["a"], &Document::Number(number.clone()));
        prop_assert_eq!(fields["b"].as_number(), Some(number));
        prop_assert_eq!(json::write_object(&fields), text);
    }

    #[test]
    fn zeros_at_the_end_change_nothing(number in "[1-9][0-9]{0,9}\\.[0-9]{1,9}", zeros in "0{1,15}") {
        let (short, long): (Number, Number) = (number.parse().unwrap(), (number.clone() + &zeros).parse().unwrap());
        prop_assert_eq!(&short, &long);
        prop_assert_eq!(short.cmp(&long), std::cmp::Ordering::Equal);
        let hash = |number: &Number| {
            use std::hash::{DefaultHasher, Hash, Hasher};
            let mut hasher = DefaultHasher::new();
            number.hash(&mut hasher);
            hasher.finish()
        };
        prop_assert_eq!(hash(&short), hash(&long));
    }

    #[test]
    fn numbers_are_ordered_as_their_digits_say(a in any::<i64>(), b in any::<i64>()) {
        prop_assert_eq!(Number::from(a).cmp(&Number::from(b)), a.cmp(&b));
        prop_assert_eq!(Number::from(a).as_i64(), Some(a));
        prop_assert_eq!(Number::from(a).is_positive(), a > 0);
    }

    #[test]
    fn nothing_but_digits_and_a_point_is_a_number(text in "\\PC{0,8}") {
        let plain = text.strip_prefix('-').unwrap_or(&text);
        let parts: Vec<&str> = plain.split('.').collect();
        let digits = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let expected = parts.len() <= 2 && parts.iter().all(digits);
        prop_assert_eq!(text.parse::<Number>().is_ok(), expected);
    }
}

#[test]
fn thirty_eight_digits_are_kept_and_thirty_nine_refused() {
    let most = "9".repeat(38);
    for text in [
        most.clone(),
        format!("-{most}"),
        format!("0.{most}"),
        format!("{}.{}", &most[..19], &most[..19]),
        format!("000{most}"),
    ] {
        let number: Number = text.parse().unwrap();
        let plain = text.replacen("000", "", 1);
        assert_eq!(number.to_string(), plain);
    }
    for text in [
        "9".repeat(39),
        format!("0.{}", "9".repeat(39)),
        format!("-1{most}"),
        format!("{most}.0"),
    ] {
        assert_eq!(text.parse::<Number>(), Err(InvalidNumber::TooLong), "{text}");
    }
}

#[test]
fn leading_zeros_are_not_a_way_around_the_bound() {
    let endless = format!("{}1", "0".repeat(1_000_000));
    assert_eq!(endless.parse::<Number>(), Err(InvalidNumber::TooLong));
}

#[test]
fn what_is_no_plain_decimal_is_refused() {
    for text in [
        "", "-", "+1", ".", "1.", ".5", "1..2", "1.2.3", "--1", "1-", "1e3", "1E3", "0x10", "NaN", "inf",
        "Infinity", "1,5", "1 000", " 1", "1 ", "1_000", "１", "١", "½", "1\n", "\u{0}",
    ] {
        assert_eq!(text.parse::<Number>(), Err(InvalidNumber::NotDecimal), "{text:?}");
    }
}

#[test]
fn an_amount_is_more_than_nothing() {
    for text in ["0", "0.00", "-0", "-0.0", "-1", "-0.01"] {
        assert_eq!(text.parse::<Amount>(), Err(InvalidMoney::NotPositive), "{text}");
    }
    for text in ["0.01", "1", "129.90", "10000.00"] {
        assert_eq!(text.parse::<Amount>().unwrap().to_string(), text);
    }
}

#[test]
fn a_number_that_is_not_whole_or_too_large_is_no_integer() {
    for (text, expected) in [
        ("1.0", Some(1)),
        ("100", Some(100)),
        ("-7.000", Some(-7)),
        ("0.5", None),
        ("9223372036854775807", Some(i64::MAX)),
        ("9223372036854775808", None),
        ("-9223372036854775808", Some(i64::MIN)),
    ] {
        assert_eq!(text.parse::<Number>().unwrap().as_i64(), expected, "{text}");
    }
}

#[test]
fn json_numbers_with_an_exponent_are_exact_and_texts_that_look_like_them_are_texts() {
    let fields = json::parse_object(r#"{"a":1e2,"b":1.5E1,"c":-0,"d":"1e2"}"#).unwrap();
    assert_eq!(fields["a"], Document::from(100));
    assert_eq!(fields["b"], Document::from(15));
    assert_eq!(fields["d"].as_number(), None);
    assert_eq!(fields["c"], Document::from(0));
}

#[test]
fn an_amount_is_a_whole_number_of_minor_units() {
    // https://www.six-group.com/en/products-services/financial-information/data-standards.html, list one.
    for (places, codes) in [
        (
            0,
            &[
                "JPY", "KRW", "CLP", "ISK", "VND", "UGX", "XAF", "XOF", "XPF", "PYG", "RWF", "UYI",
            ][..],
        ),
        (
            2,
            &[
                "EUR", "USD", "GBP", "CHF", "HUF", "CZK", "MGA", "MRU", "CNY", "INR",
            ],
        ),
        (3, &["BHD", "KWD", "OMR", "JOD", "TND", "LYD", "IQD"]),
        (4, &["CLF", "UYW"]),
    ] {
        for code in codes {
            let currency: Currency = code.parse().unwrap();
            let smallest = |places: usize| match places {
                0 => "7".to_owned(),
                _ => format!("7.{}1", "0".repeat(places - 1)),
            };
            for fewer in 0..=places {
                let amount: Amount = smallest(fewer).parse().unwrap();
                assert_eq!(amount.check_payable(currency), Ok(()), "{amount} {code}");
            }
            let amount: Amount = smallest(places + 1).parse().unwrap();
            let refused = amount.check_payable(currency).unwrap_err();
            let said = format!("at most {places} decimal places in {code}");
            assert!(refused.to_string().contains(&said), "{amount} {code}: {refused}");
            assert_eq!(Amounts::Fractions.check(&amount, currency), Ok(()));
            assert_eq!(Amounts::default().check(&amount, currency), Err(refused));
            // What counts is the value, not its spelling.
            let spelled: Amount = format!("{}.{}", 10, "0".repeat(places + 3)).parse().unwrap();
            assert_eq!(spelled.check_payable(currency), Ok(()), "{spelled} {code}");
        }
    }
    for code in ["XAU", "XAG", "XDR", "XSU", "XUA"] {
        let amount: Amount = "0.00000000001".parse().unwrap();
        assert_eq!(amount.check_payable(code.parse().unwrap()), Ok(()), "{code}");
    }
}

#[test]
fn currencies_are_those_of_iso_4217() {
    for code in [
        "EUR", "USD", "GBP", "JPY", "CHF", "SEK", "PLN", "INR", "CNY", "BRL", "KWD",
    ] {
        assert_eq!(code.parse::<Currency>().unwrap().code(), code);
    }
    for code in [
        "", "EU", "EURO", "eur", "Eur", "XYZ", "ABC", "123", "€", " EUR", "EUR ", "ЕUR",
    ] {
        assert_eq!(
            code.parse::<Currency>(),
            Err(InvalidMoney::UnknownCurrency),
            "{code:?}"
        );
    }
}
