//! Step records, outbox rows, definitions and states of services ↔ fields of a row.
//!
//! Invariant: a row says its format, and one of another format is left as it is and never guessed at.

use saga_app::ports::Envelope;
use saga_app::ports::outbox::{Lease, OutboxRow, Tries};
use saga_core::document::{Fields, fields};
use saga_core::mark::{Caller, Mark};
use saga_core::participate::StepRecord;
use saga_core::progress::Progress;
use saga_core::reports::Reports;
use saga_core::{Document, ServiceState, Timestamp};
use saga_wire::json;

use super::columns::Row;
use super::keys;

const FORMAT: i64 = 1;
const PAUSED: &str = "paused";
const ACTIVE: &str = "active";

fn put_some(row: &mut Fields, name: &str, value: Option<impl Into<Document>>) {
    row.extend(value.map(|value| (name.to_owned(), value.into())));
}

pub(crate) fn step_fields(record: &StepRecord) -> Fields {
    let mut row = fields([
        ("Format", FORMAT.into()),
        ("State", record.state.as_str().into()),
        ("At", record.at.millis().into()),
        ("Hop", i64::from(record.hop).into()),
        ("Data", json::write_object(&record.data).into()),
    ]);
    let (output, reports) = (&record.output, &record.reports);
    put_some(&mut row, "Reason", record.reason.as_deref());
    put_some(
        &mut row,
        "Output",
        (!output.is_empty()).then(|| json::write_object(output)),
    );
    put_some(&mut row, "Calls", record.progress.as_ref().map(Progress::to_text));
    put_some(
        &mut row,
        "Told",
        (!reports.is_empty()).then_some(reports.as_str()),
    );
    row
}

pub(crate) fn step_record(row: &Fields) -> Result<StepRecord, String> {
    check_format(row)?;
    let object = |name: &str| match optional(row, name, text)? {
        None => Ok(Fields::new()),
        Some(text) => json::parse_object(text).map_err(|error| format!("`{name}` {error}")),
    };
    let state = text(row, "State")?;
    Ok(StepRecord {
        state: state.parse().map_err(|_| format!("`State` is `{state}`"))?,
        at: Timestamp::from_millis(whole(row, "At")?),
        hop: small(whole(row, "Hop")?, "Hop")?,
        reason: optional(row, "Reason", text)?.map(str::to_owned),
        data: object("Data")?,
        output: object("Output")?,
        progress: optional(row, "Calls", progress)?,
        reports: optional(row, "Told", text)?.map_or_else(Reports::default, Reports::new),
    })
}

pub(crate) fn outbox_fields(row: &OutboxRow) -> Fields {
    let mut columns = fields([
        ("Format", FORMAT.into()),
        ("At", row.at.millis().into()),
        ("Queued", row.queued.millis().into()),
        ("Saga", row.saga.to_string().into()),
        ("Type", row.kind.as_str().into()),
        ("Body", row.body.as_str().into()),
    ]);
    put_some(
        &mut columns,
        "Follows",
        row.follows.then_some(Document::Bool(true)),
    );
    columns
}

pub(crate) fn tries_fields(tries: &Tries) -> Fields {
    let mut columns = fields([("Attempts", i64::from(tries.failed).into())]);
    put_some(&mut columns, "NextAt", tries.next.map(Timestamp::millis));
    put_some(&mut columns, "Reason", tries.reason.as_deref());
    columns
}

pub(crate) fn dead_fields(row: &OutboxRow, now: Timestamp) -> Fields {
    let mut columns = outbox_fields(row);
    columns.extend(tries_fields(&row.tries));
    columns.insert("DeadAt".to_owned(), now.millis().into());
    columns
}

pub(crate) fn lease_fields(lease: &Lease) -> Fields {
    fields([
        ("Format", FORMAT.into()),
        ("Owner", lease.owner.as_str().into()),
        ("Until", lease.until.millis().into()),
    ])
}

pub(crate) fn lease(shard: u16, row: &Row) -> Result<Lease, String> {
    check_format(&row.fields)?;
    Ok(Lease {
        shard,
        owner: text(&row.fields, "Owner")?.to_owned(),
        until: Timestamp::from_millis(whole(&row.fields, "Until")?),
    })
}

pub(crate) fn outbox_row(shard: u16, row: &Row) -> Result<OutboxRow, String> {
    let fields = &row.fields;
    check_format(fields)?;
    let at = whole(fields, "At")?;
    Ok(OutboxRow {
        shard,
        event: Envelope {
            id: keys::event_id(&row.key).ok_or_else(|| format!("`{}` holds no event id", row.key))?,
            saga: text(fields, "Saga")?
                .parse()
                .map_err(|error| format!("`Saga` {error}"))?,
            kind: text(fields, "Type")?.to_owned(),
            body: text(fields, "Body")?.to_owned(),
        },
        at: Timestamp::from_millis(at),
        queued: Timestamp::from_millis(optional(fields, "Queued", whole)?.unwrap_or(at)),
        follows: fields.contains_key("Follows"),
        tries: Tries {
            failed: small(optional(fields, "Attempts", whole)?.unwrap_or(0), "Attempts")?,
            next: optional(fields, "NextAt", whole)?.map(Timestamp::from_millis),
            reason: text(fields, "Reason").ok().map(str::to_owned),
        },
    })
}

pub(crate) fn definition_fields(text: &str) -> Fields {
    fields([("Format", FORMAT.into()), ("Text", text.into())])
}

pub(crate) fn definition_text(row: &Fields) -> Result<&str, String> {
    check_format(row)?;
    text(row, "Text")
}

pub(crate) fn service_fields(state: &ServiceState) -> Fields {
    let mut row = fields([
        ("Format", FORMAT.into()),
        ("Number", i64::try_from(state.number).unwrap_or(i64::MAX).into()),
        ("State", if state.paused { PAUSED } else { ACTIVE }.into()),
        ("Since", state.mark.at.millis().into()),
        ("AskedBy", state.mark.by.as_str().into()),
        ("Reason", state.mark.reason.as_str().into()),
    ]);
    put_some(&mut row, "Caller", state.caller.as_ref().map(Caller::as_str));
    row
}

pub(crate) fn service_state(service: &str, row: &Fields) -> Result<ServiceState, String> {
    check_format(row)?;
    let number = whole(row, "Number")?;
    Ok(ServiceState {
        service: service.to_owned(),
        number: number
            .try_into()
            .map_err(|_| "`Number` is out of range".to_owned())?,
        paused: match text(row, "State")? {
            PAUSED => true,
            ACTIVE => false,
            other => return Err(format!("`State` is `{other}`")),
        },
        mark: Mark {
            at: Timestamp::from_millis(whole(row, "Since")?),
            by: text(row, "AskedBy")?.to_owned(),
            reason: text(row, "Reason")?.to_owned(),
        },
        caller: optional(row, "Caller", text)?.and_then(Caller::new),
    })
}

fn progress(row: &Fields, name: &str) -> Result<Progress, String> {
    Progress::of_text(text(row, name)?)
        .ok_or_else(|| format!("`{name}` does not say how far the step has come"))
}

fn check_format(row: &Fields) -> Result<(), String> {
    match whole(row, "Format")? {
        FORMAT => Ok(()),
        other => Err(format!("its format is {other}, this version reads {FORMAT}")),
    }
}

/// Reads a column that may be absent.
fn optional<'a, T>(
    row: &'a Fields,
    name: &str,
    read: impl FnOnce(&'a Fields, &str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    row.contains_key(name).then(|| read(row, name)).transpose()
}

fn small<T: TryFrom<i64>>(number: i64, name: &str) -> Result<T, String> {
    number.try_into().map_err(|_| format!("`{name}` is out of range"))
}

fn text<'a>(row: &'a Fields, name: &str) -> Result<&'a str, String> {
    row.get(name)
        .and_then(Document::as_text)
        .ok_or_else(|| format!("it has no text `{name}`"))
}

fn whole(row: &Fields, name: &str) -> Result<i64, String> {
    let number = match row.get(name) {
        Some(Document::Number(number)) => number.as_i64(),
        _ => None,
    };
    number.ok_or_else(|| format!("it has no whole number `{name}`"))
}

#[cfg(test)]
mod tests {
    use saga_app::ports::Version;
    use saga_core::step::StepState;

    use super::*;

    fn record() -> StepRecord {
        StepRecord {
            progress: Some(Progress {
                attempts: 2,
                error: Some("no answer in 10 s".to_owned()),
                ..Progress::since(Timestamp::from_millis(5))
            }),
            state: StepState::Undone,
            at: Timestamp::from_millis(1_795_226_400_123),
            hop: 3,
            reason: Some("the \u{1}customer\nchanged his mind".to_owned()),
            data: fields([("amount", "129.90".into()), ("n", 7.into())]),
            output: fields([("receipt", "r-1".into())]),
            reports: Reports::new("2 REFUSED 1795226400100"),
        }
    }

    #[test]
    fn a_step_record_comes_back() {
        assert_eq!(step_record(&step_fields(&record())).unwrap(), record());
        let bare = StepRecord {
            reason: None,
            output: Fields::new(),
            reports: Reports::default(),
            ..record()
        };
        assert_eq!(step_record(&step_fields(&bare)).unwrap(), bare);
    }

    #[test]
    fn an_outbox_row_comes_back_with_the_id_in_its_key() {
        let row = OutboxRow {
            shard: 5,
            event: Envelope {
                id: "1795226400123-4b1c-advance2".parse().unwrap(),
                saga: "00000000-0000-8000-8000-000000000001".parse().unwrap(),
                kind: "InventoryReserved".to_owned(),
                body: "{\"specversion\":\"1.0\"}".to_owned(),
            },
            at: Timestamp::from_millis(1_795_226_400_123),
            queued: Timestamp::from_millis(1_795_226_400_200),
            follows: true,
            tries: Tries {
                failed: 3,
                next: Some(Timestamp::from_millis(1_795_226_500_000)),
                reason: Some("503 \"busy\"".to_owned()),
            },
        };
        let mut fields = outbox_fields(&row);
        fields.extend(tries_fields(&row.tries));
        let read = Row {
            key: keys::outbox(&row.id).unwrap(),
            version: Version("1".into()),
            fields,
        };
        assert_eq!(outbox_row(5, &read).unwrap(), row);
    }

    #[test]
    fn a_row_of_a_later_format_is_not_guessed_at() {
        let mut row = step_fields(&record());
        row.insert("Format".into(), 2.into());
        assert!(step_record(&row).unwrap_err().contains("format is 2"));
    }
}
