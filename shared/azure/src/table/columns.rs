//! Fields ↔ a row's columns. One column a field where Table storage has its type, so an operator reads and a script
//! writes `Available` as it is; all others together as JSON text in `MoreJson`.
//!
//! Invariant: what is written comes back the same, to the digit and the spelling of every number. Limits and types:
//! <https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model>.

use saga_app::ports::Version;
use saga_core::Document;
use saga_core::document::{Fields, Number};
use saga_wire::json;

/// The column of all fields that have none of their own; `MoreJson_2` and on take what does not fit into one.
const MORE: &str = "MoreJson";
/// 64 KiB of UTF-16 in one text.
const MAX_UNITS: usize = 32 * 1024;
/// A row has at most 252 columns beside its key and time.
const MAX_COLUMNS: usize = 200;
/// What says a column's type.
const TYPE: &str = "@odata.type";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) key: String,
    pub(crate) version: Version,
    pub(crate) fields: Fields,
}

impl Row {
    pub(crate) fn read(mut columns: Fields) -> Result<Self, String> {
        let mut take = |name: &str| match columns.remove(name) {
            Some(Document::Text(text)) => Ok(text),
            _ => Err(format!("it has no `{name}`")),
        };
        Ok(Self {
            key: take("RowKey")?,
            version: Version(take("odata.etag")?),
            fields: fields(columns)?,
        })
    }
}

pub(crate) fn columns(fields: &Fields) -> Fields {
    let (mut columns, mut more) = (Fields::new(), Fields::new());
    let mut own = 0;
    for (name, value) in fields {
        let may = own < MAX_COLUMNS && is_column(name);
        let Some((value, kind)) = column(value).filter(|_| may) else {
            more.insert(name.clone(), value.clone());
            continue;
        };
        if let Some(kind) = kind {
            columns.insert(format!("{name}{TYPE}"), kind.into());
        }
        columns.insert(name.clone(), value);
        own += 1;
    }
    if !more.is_empty() {
        for (index, part) in pieces(&json::write_object(&more)).into_iter().enumerate() {
            columns.insert(more_name(index), part.into());
        }
    }
    columns
}

/// The value that a column of its own keeps, and its type where JSON does not say it.
fn column(value: &Document) -> Option<(Document, Option<&'static str>)> {
    match value {
        Document::Bool(_) => Some((value.clone(), None)),
        Document::Text(text) if is_plain(text) => Some((value.clone(), None)),
        Document::Number(number) => {
            let text = number.to_string();
            // 1.50 or 007 would come back spelled otherwise.
            let whole = number.as_i64().is_some_and(|whole| whole.to_string() == text);
            whole.then_some((Document::Text(text), Some("Edm.Int64")))
        }
        _ => None,
    }
}

/// The fields of a row's columns: those that [`columns`] wrote, or that a script or a portal did.
fn fields(columns: Fields) -> Result<Fields, String> {
    let mut out = Fields::new();
    let mut more = String::new();
    for index in 0.. {
        match columns.get(&more_name(index)) {
            Some(Document::Text(part)) => more.push_str(part),
            Some(_) => return Err(format!("`{}` is no text", more_name(index))),
            None => break,
        }
    }
    if !more.is_empty() {
        out = json::parse_object(&more).map_err(|error| format!("`{MORE}` {error}"))?;
    }
    for (name, value) in &columns {
        if !is_column(name) {
            continue;
        }
        let kind = columns.get(&format!("{name}{TYPE}")).and_then(Document::as_text);
        let value = match (value, kind) {
            (Document::Text(text), Some("Edm.Int64")) => {
                let number = text.parse::<Number>();
                Document::Number(number.map_err(|error| format!("`{name}` {error}"))?)
            }
            (value, _) => value.clone(),
        };
        out.insert(name.clone(), value);
    }
    Ok(out)
}

/// Whether a field of this name can have a column: an identifier that is not the service's or ours.
fn is_column(name: &str) -> bool {
    (1..=200).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && !["PartitionKey", "RowKey", "Timestamp"].contains(&name)
        && !name.starts_with(MORE)
}

fn is_plain(text: &str) -> bool {
    let odd = |c: char| (c < ' ' && !"\t\n\r".contains(c)) || c == '\u{fffe}' || c == '\u{ffff}';
    text.encode_utf16().count() <= MAX_UNITS && !text.contains(odd)
}

fn more_name(index: usize) -> String {
    if index == 0 {
        MORE.to_owned()
    } else {
        format!("{MORE}_{}", index + 1)
    }
}

fn pieces(text: &str) -> Vec<&str> {
    let (mut out, mut start, mut units) = (Vec::new(), 0, 0);
    for (at, character) in text.char_indices() {
        if units + character.len_utf16() > MAX_UNITS {
            out.push(&text[start..at]);
            (start, units) = (at, 0);
        }
        units += character.len_utf16();
    }
    out.push(&text[start..]);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use saga_core::document::fields as of;

    use super::*;

    fn there_and_back(fields: &Fields) -> Fields {
        let mut columns = columns(fields);
        columns.insert("PartitionKey".into(), "05".into());
        columns.insert("RowKey".into(), "entity|a|b".into());
        columns.insert("Timestamp".into(), "2026-11-21T00:00:00Z".into());
        columns.insert("odata.etag".into(), "W/\"1\"".into());
        let read = json::parse_object(&json::write_object(&columns)).unwrap();
        Row::read(read).unwrap().fields
    }

    #[test]
    fn simple_fields_have_columns_of_their_own() {
        let number = |text: &str| Document::Number(text.parse().unwrap());
        let stock = of([
            ("Available", 12.into()),
            ("Name", "Bolt".into()),
            ("Weight", number("1.50")),
            ("Old", Document::Bool(true)),
        ]);
        let expected = r#"{"Available":"12","Available@odata.type":"Edm.Int64","MoreJson":"{\"Weight\":1.50}","Name":"Bolt","Old":true}"#;
        assert_eq!(json::write_object(&columns(&stock)), expected);
        let back = there_and_back(&stock);
        assert_eq!(back, stock);
        assert_eq!(back["Weight"].as_number().unwrap().to_string(), "1.50");
    }

    #[test]
    fn a_row_that_a_script_wrote_is_read() {
        let text = r#"{"odata.metadata":"http://x","odata.etag":"W/\"1\"","PartitionKey":"05","RowKey":"entity|stock|a",
            "Timestamp":"2026-11-21T00:00:00Z","Available@odata.type":"Edm.Int64","Available":"7","Sku":"a","Bin":3,
            "Since@odata.type":"Edm.DateTime","Since":"2026-01-01T00:00:00Z"}"#;
        let row = Row::read(json::parse_object(text).unwrap()).unwrap();
        let expected = of([
            ("Available", 7.into()),
            ("Sku", "a".into()),
            ("Bin", 3.into()),
            ("Since", "2026-01-01T00:00:00Z".into()),
        ]);
        assert_eq!(row.fields, expected);
        assert_eq!(row.version, Version("W/\"1\"".into()));
    }

    #[test]
    fn a_long_text_is_spread_over_columns() {
        let long = of([("Body", "ä\"𝄞".repeat(30_000).into())]);
        let columns = columns(&long);
        assert!(columns.contains_key("MoreJson_2") && !columns.contains_key("Body"));
        for value in columns.values() {
            assert!(value.as_text().unwrap().encode_utf16().count() <= MAX_UNITS);
        }
        assert_eq!(there_and_back(&long), long);
    }

    #[test]
    fn many_fields_stay_within_the_columns_of_a_row() {
        let many: Fields = (0..1000_i64).map(|n| (format!("F{n}"), n.into())).collect();
        assert!(columns(&many).len() <= 2 * MAX_COLUMNS + 1);
        assert_eq!(there_and_back(&many), many);
    }

    fn document() -> impl Strategy<Value = Document> {
        let leaf = prop_oneof![
            Just(Document::Null),
            any::<bool>().prop_map(Document::Bool),
            any::<i64>().prop_map(Document::from),
            "-?[0-9]{1,20}(\\.[0-9]{1,18})?".prop_map(|text| Document::Number(text.parse().unwrap())),
            any::<String>().prop_map(Document::Text),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Document::List),
                prop::collection::btree_map(any::<String>(), inner, 0..4).prop_map(Document::Map),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_fields_come_back(
            plain in prop::collection::btree_map("[A-Za-z_][A-Za-z0-9_]{0,9}", document(), 0..6),
            odd in prop::collection::btree_map(prop_oneof![any::<String>(), Just("Timestamp".to_owned()), Just("MoreJson_2".to_owned())], document(), 0..3),
        ) {
            let mut fields = plain;
            fields.extend(odd);
            let back = there_and_back(&fields);
            prop_assert_eq!(&back, &fields);
            prop_assert_eq!(json::write_object(&back), json::write_object(&fields));
        }
    }
}
