//! What the readers of commit 04d03cd accept, derived from their source (its items of sagas and of the outbox, its rows of steps): the
//! names they ask for, the types they want, and the words they know. They pass over attributes and columns with other names.

use std::collections::BTreeSet;

use serde_json::Value;

fn text<'a>(item: &'a Value, name: &str) -> Result<&'a str, String> {
    item[name]["S"]
        .as_str()
        .ok_or(format!("{name} is no text: {item}"))
}

fn number<T: std::str::FromStr>(item: &Value, name: &str) -> Result<T, String> {
    let digits = item[name]["N"]
        .as_str()
        .ok_or(format!("{name} is no number: {item}"))?;
    digits
        .parse()
        .map_err(|_| format!("{name} is out of range: {digits}"))
}

fn known(word: &str, words: &[&str]) -> Result<(), String> {
    words
        .contains(&word)
        .then_some(())
        .ok_or(format!("`{word}` is none of {words:?}"))
}

fn has(item: &Value, name: &str) -> bool {
    item.get(name).is_some()
}

fn mark(mark: &Value) -> Result<(), String> {
    let mark = &mark["M"];
    number::<i64>(mark, "At")?;
    text(mark, "By")?;
    text(mark, "Why").map(drop)
}

fn object(json: &str) -> Result<(), String> {
    saga_wire::json::parse_object(json)
        .map(drop)
        .map_err(|error| format!("{error:?}"))
}

/// Whether it reads this item of the table `Sagas`.
///
/// # Errors
/// Why it does not.
pub fn reads_saga(item: &Value) -> Result<(), String> {
    for name in ["SagaId", "Definition", "Trace"] {
        text(item, name)?;
    }
    object(text(item, "Input")?)?;
    number::<u32>(item, "Ver")?;
    number::<u64>(item, "Revision")?;
    for name in ["CreatedAt", "Deadline"] {
        number::<i64>(item, name)?;
    }
    let mut words = text(item, "Ends")?.split(' ');
    known(words.next().unwrap(), &["OPEN", "COMPLETED", "CANCELLED"])?;
    for flag in words {
        known(flag, &["closing", "cancelling", "overridden"])?;
    }
    for (index, record) in item["Steps"]["M"].as_object().unwrap() {
        index.parse::<u8>().map_err(|_| format!("step {index}"))?;
        step(&record["M"])?;
    }
    for line in item["Timeline"]["L"].as_array().unwrap() {
        entry(&line["M"])?;
    }
    for name in ["Cancel", "Resolved", "Parked"] {
        if has(item, name) {
            mark(&item[name])?;
        }
    }
    for name in ["Stuck", "DueAt", "Dropped", "Nudges"] {
        if has(item, name) {
            number::<i64>(item, name)?;
        }
    }
    Ok(())
}

fn step(record: &Value) -> Result<(), String> {
    known(text(record, "State")?, &["DONE", "REFUSED", "UNDONE"])?;
    number::<i64>(record, "At")?;
    number::<u16>(record, "Hop")?;
    for name in ["Why", "Data", "Out"] {
        if has(record, name) {
            let said = text(record, name)?;
            if name != "Why" {
                object(said)?;
            }
        }
    }
    Ok(())
}

fn entry(line: &Value) -> Result<(), String> {
    number::<i64>(line, "t")?;
    number::<i32>(line, "k")?;
    for name in ["e", "v"] {
        text(line, name)?;
    }
    known(text(line, "c")?, &["aws", "azure"])?;
    if has(line, "o") {
        known(text(line, "o")?, &["repeated", "late", "contradicted"])?;
    }
    for name in ["f", "n", "a"] {
        if has(line, name) {
            text(line, name)?;
        }
    }
    if has(line, "x") {
        number::<u32>(line, "x")?;
    }
    Ok(())
}

/// Whether it reads this pending row of the table `SagaOutbox`.
///
/// # Errors
/// Why it does not.
pub fn reads_outbox_row(item: &Value) -> Result<(), String> {
    text(item, "Shard")?
        .parse::<u16>()
        .map_err(|_| format!("no shard: {item}"))?;
    for name in ["EventId", "SagaId", "Type", "Body"] {
        text(item, name)?;
    }
    number::<i64>(item, "At")?;
    for name in ["Queued", "NextAt", "Attempts"] {
        if has(item, name) {
            number::<i64>(item, name)?;
        }
    }
    if has(item, "Reason") {
        text(item, "Reason")?;
    }
    Ok(())
}

/// Whether it reads this row of a step on Azure.
///
/// # Errors
/// Why it does not.
pub fn reads_step(row: &Value) -> Result<(), String> {
    let whole = |name: &str| {
        let typed = row[format!("{name}@odata.type")] == "Edm.Int64";
        let digits = row[name].as_str().filter(|_| typed);
        digits
            .and_then(|digits| digits.parse::<i64>().ok())
            .ok_or(format!("{name}: {row}"))
    };
    if whole("Format")? != 1 {
        return Err(format!("another format: {row}"));
    }
    whole("At")?;
    u16::try_from(whole("Hop")?).map_err(|_| "Hop".to_owned())?;
    known(
        row["State"].as_str().unwrap_or_default(),
        &["DONE", "REFUSED", "UNDONE"],
    )?;
    let texts: BTreeSet<&str> = ["Data", "Output", "Reason"].into();
    for name in texts.into_iter().filter(|name| has(row, name)) {
        let text = row[name].as_str().ok_or(format!("{name} is no text: {row}"))?;
        if name != "Reason" {
            object(text)?;
        }
    }
    Ok(())
}
