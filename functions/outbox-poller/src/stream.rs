//! What invokes the poller: the outbox table's stream, or the schedule. Each record of the stream is read on its
//! own; one that cannot be read is left to the schedule, which reads the table.

use saga_app::outbox::{Report, Stopped};
use saga_app::ports::outbox::OutboxRow;
use saga_app::ports::{PortError, causes};
use saga_aws::outbox::row_of_image;
use serde::Deserialize;
use serde_json::{Value, json};

/// A stream's batch has records; anything else is the schedule.
#[derive(Debug, Deserialize)]
pub struct Invocation {
    /// The stream's records, each read later.
    #[serde(rename = "Records")]
    pub records: Option<Vec<Value>>,
}

/// A relay that failed half way leaves the rest to the schedule: the stream would bring what went out already, too.
pub fn reported(relayed: Result<Report, PortError>) -> Report {
    relayed.unwrap_or_else(|error| {
        tracing::error!(error = causes(&error), "the rest is left to the schedule");
        Report::default()
    })
}

/// What the function answers. For the stream, an empty list of failures: what could not be published is still in the
/// table.
pub fn answer(report: &Report) -> Value {
    json!({
        "batchItemFailures": [],
        "published": report.published,
        "left": report.left,
        "buried": report.set_aside,
        "calls": report.calls,
        "busy": report.busy,
        "unseen": report.unseen,
        "stopped": report.stopped.map(Stopped::as_str),
    })
}

/// The rows of the records, oldest first.
pub fn rows(records: Vec<Value>) -> Vec<OutboxRow> {
    let new = |record: &&Value| record["eventName"] == "INSERT" && is_pending(record);
    let read = records.iter().filter(new).filter_map(|record| {
        let row = row_of_image(&record["dynamodb"]["NewImage"]);
        if row.is_none() {
            tracing::warn!(event_id = %record["eventID"], "a stream record is no outbox row; the sweep looks at it");
        }
        row
    });
    let mut rows: Vec<OutboxRow> = read.collect();
    // The items of one transaction can appear in any order; ids begin with the time.
    rows.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    rows
}

/// Leases, dead and discarded rows are in the same table; only shards have numbers.
fn is_pending(record: &Value) -> bool {
    let keys = &record["dynamodb"]["Keys"];
    let no_number = |shard: &str| shard.parse::<u16>().is_err();
    let id = keys["EventId"]["S"].as_str();
    !keys["Shard"]["S"].as_str().is_some_and(no_number) && !id.is_some_and(|id| id.starts_with('!'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str, id: &str) -> Value {
        json!({"eventName": name, "eventID": "1", "dynamodb": {"NewImage": {
            "Shard": {"S": "07"}, "EventId": {"S": id}, "SagaId": {"S": "0193e0b1-0000-8000-8000-000000000001"},
            "Type": {"S": "PaymentReserved"}, "Body": {"S": "{}"}, "At": {"N": "1763690000123"}}}})
    }

    #[test]
    fn only_inserts_count_and_an_unknown_record_does_not_hide_its_neighbours() {
        let records = vec![
            record("INSERT", "2"),
            record("REMOVE", "3"),
            json!({"eventName": "INSERT"}),
            record("INSERT", "1"),
        ];
        let rows = rows(records);
        assert_eq!(
            rows.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(),
            ["1", "2"]
        );
        assert_eq!(rows[0].shard, 7);
    }

    #[test]
    fn leases_and_dead_rows_are_not_published() {
        let mut lease = record("INSERT", "!lease");
        lease["dynamodb"]["Keys"] = json!({"Shard": {"S": "07"}, "EventId": {"S": "!lease"}});
        let mut dead = record("INSERT", "1");
        dead["dynamodb"]["Keys"] = json!({"Shard": {"S": "dead"}, "EventId": {"S": "1"}});
        assert_eq!(rows(vec![lease, dead]), []);
    }

    #[test]
    fn a_schedule_has_no_records() {
        let schedule = r#"{"version":"0","detail-type":"Scheduled Event","source":"aws.events","detail":{}}"#;
        assert!(
            serde_json::from_str::<Invocation>(schedule)
                .unwrap()
                .records
                .is_none()
        );
    }
}
