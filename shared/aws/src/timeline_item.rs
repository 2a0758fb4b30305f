//! A line of a saga's timeline ↔ its entry in the saga's item.

use aws_sdk_dynamodb::types::AttributeValue;
use saga_app::ports::PortError;
use saga_core::mark::Caller;
use saga_core::timeline::{Entry, NOTES};
use saga_core::{Cloud, EventId, Outcome};

use crate::item::{Item, corrupt, n, number, optional, parsed, put_some, s, text, time};

/// Our own event ids hold the saga's id, which the item has already: then `e` is what stands before it and `f` what
/// stands behind it. Other publishers' ids stand whole in `e`.
pub(crate) fn write_entry(entry: &Entry, own: &str) -> AttributeValue {
    let id = entry.event.as_str();
    let parts = id.split_once(own);
    let (head, tail) = parts.map_or((id, None), |(head, tail)| (head, Some(tail)));
    let mut item = Item::from([
        ("t".into(), n(entry.at.millis())),
        ("e".into(), s(head)),
        ("v".into(), s(&entry.verb)),
        ("k".into(), n(entry.step)),
        ("c".into(), s(entry.cloud.as_str())),
    ]);
    put_some(&mut item, "f", tail.map(s));
    // Versions before this one have no word for what moved nothing and refuse an item with an unknown word: they wrote
    // `late` for these lines, and so does this one. The verb tells them apart.
    let outcome = match entry.outcome {
        Outcome::Applied => None,
        Outcome::Noted => Some(Outcome::Late),
        outcome => Some(outcome),
    };
    put_some(&mut item, "o", outcome.map(|outcome| s(outcome.as_str())));
    put_some(&mut item, "n", entry.note.as_ref().map(s));
    put_some(&mut item, "x", (entry.times != 1).then(|| n(entry.times)));
    put_some(
        &mut item,
        "a",
        entry.caller.as_ref().map(|caller| s(caller.as_str())),
    );
    put_some(
        &mut item,
        "u",
        entry.unverified.then_some(AttributeValue::Bool(true)),
    );
    AttributeValue::M(item)
}

pub(crate) fn read_entry(value: &AttributeValue, own: &str) -> Result<Entry, PortError> {
    let item = value
        .as_m()
        .map_err(|_| corrupt("a line of the timeline is no map"))?;
    let head = text(item, "e")?;
    let event = optional(item, "f", text)?.map_or(head.to_owned(), |tail| format!("{head}{own}{tail}"));
    let verb = text(item, "v")?;
    let outcome = match optional(item, "o", text)? {
        None => Outcome::Applied,
        Some("late") if NOTES.contains(&verb) => Outcome::Noted,
        Some(word) => [Outcome::Repeated, Outcome::Late, Outcome::Contradicted]
            .into_iter()
            .find(|outcome| outcome.as_str() == word)
            .ok_or_else(|| corrupt(format!("`{word}` is no outcome")))?,
    };
    Ok(Entry {
        at: time(item, "t")?,
        event: EventId::stored(event),
        verb: verb.to_owned(),
        step: number(item, "k")?,
        cloud: parsed::<Cloud>(item, "c")?,
        outcome,
        note: optional(item, "n", text)?.map(str::to_owned),
        times: optional(item, "x", number)?.unwrap_or(1),
        caller: optional(item, "a", text)?.and_then(Caller::new),
        unverified: item.contains_key("u"),
    })
}

#[cfg(test)]
mod tests {
    use saga_core::Timestamp;

    use super::*;

    /// An earlier version knows `applied` (by absence), `repeated`, `late` and `contradicted`, and refuses the whole item
    /// for another word.
    #[test]
    fn a_line_that_moved_nothing_is_stored_in_a_word_that_every_version_reads() {
        let line = |verb: &str, outcome| Entry {
            at: Timestamp::from_millis(1),
            event: EventId::stored("1-x".to_owned()),
            verb: verb.to_owned(),
            step: 0,
            cloud: Cloud::Aws,
            outcome,
            note: None,
            times: 1,
            caller: None,
            unverified: false,
        };
        let notes = NOTES.map(|verb| line(verb, Outcome::Noted));
        for line in notes.into_iter().chain([line("cancel", Outcome::Late)]) {
            let stored = write_entry(&line, "-own-");
            assert_eq!(stored.as_m().unwrap()["o"], s("late"));
            assert_eq!(read_entry(&stored, "-own-").unwrap(), line);
        }
    }
}
