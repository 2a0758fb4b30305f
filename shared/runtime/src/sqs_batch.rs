//! SQS → Lambda: each record on its own. One poison body, one failing store call or one panic fails its record and
//! no other
//! (<https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>, `ReportBatchItemFailures`).

use std::error::Error;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use futures_util::future::join_all;
use saga_app::about;
use saga_app::log::About;
use saga_app::ports::causes;
use serde::{Deserialize, Serialize};

/// What SQS invokes the function with. Bodies are not decoded here.
#[derive(Debug, Deserialize)]
pub struct Batch {
    /// The records.
    #[serde(rename = "Records")]
    pub records: Vec<Record>,
}

/// One message.
#[derive(Debug, Deserialize)]
pub struct Record {
    /// Its id, by which a failure is reported.
    #[serde(rename = "messageId")]
    pub message_id: String,
    /// Its body.
    #[serde(default)]
    pub body: String,
}

/// What the function answers: the messages that stay on the queue.
#[derive(Debug, Default, Serialize, PartialEq, Eq)]
pub struct Failures {
    /// Their ids.
    #[serde(rename = "batchItemFailures")]
    pub items: Vec<Failure>,
}

/// A message that stays on the queue.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct Failure {
    /// Its id.
    #[serde(rename = "itemIdentifier")]
    pub id: String,
}

/// Handles the records of a batch side by side, and answers which of them stay on the queue.
pub async fn handle_each<H, F, T, E>(batch: &Batch, handle: H) -> Failures
where
    H: Fn(String) -> F,
    F: Future<Output = Result<T, E>>,
    E: Error + 'static,
{
    let each = batch.records.iter().map(|record| {
        // The handler is called inside, since it may panic before it gives a future.
        let handled = AssertUnwindSafe(async { handle(record.body.clone()).await }).catch_unwind();
        async move {
            let (outcome, error) = match handled.await {
                Ok(Ok(_)) => return None,
                Ok(Err(error)) => ("retried", Some(causes(&error))),
                Err(_) => ("panicked", None),
            };
            let id = record.message_id.clone();
            let (about, error) = (About::message(&record.body), error.as_deref());
            about!(error, &about, message_id = id, error, outcome, "message");
            Some(Failure { id })
        }
    });
    Failures {
        items: join_all(each).await.into_iter().flatten().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("on purpose")]
    struct OnPurpose;

    fn batch(bodies: &[&str]) -> Batch {
        let records = bodies.iter().enumerate().map(|(index, body)| {
            serde_json::json!({ "messageId": format!("m-{index}"), "body": body, "eventSource": "aws:sqs" })
        });
        serde_json::from_value(serde_json::json!({ "Records": records.collect::<Vec<_>>() })).unwrap()
    }

    async fn fail(body: String) -> Result<(), OnPurpose> {
        match body.as_str() {
            "fails" => Err(OnPurpose),
            "panics" => panic!("on purpose"),
            "panics later" => {
                tokio::task::yield_now().await;
                panic!("on purpose")
            }
            _ => Ok(()),
        }
    }

    async fn kept_on_the_queue(bodies: &[&str]) -> serde_json::Value {
        let failures = handle_each(&batch(bodies), fail).await;
        serde_json::to_value(failures).unwrap()
    }

    #[tokio::test]
    async fn a_message_leaves_its_queue_only_when_it_was_handled() {
        for bad in ["fails", "panics", "panics later"] {
            let expected = serde_json::json!({ "batchItemFailures": [{ "itemIdentifier": "m-1" }] });
            assert_eq!(kept_on_the_queue(&["good", bad, "good"]).await, expected, "{bad}");
        }
        let all = serde_json::json!({ "batchItemFailures": [
            { "itemIdentifier": "m-0" }, { "itemIdentifier": "m-1" }, { "itemIdentifier": "m-2" },
        ]});
        assert_eq!(kept_on_the_queue(&["panics", "fails", "panics later"]).await, all);
        let none = serde_json::json!({ "batchItemFailures": [] });
        assert_eq!(kept_on_the_queue(&["good", ""]).await, none);
        assert_eq!(kept_on_the_queue(&[]).await, none);
    }

    #[tokio::test]
    async fn messages_that_are_handled_before_and_after_one_that_panics_are_handled_once() {
        let handled = std::sync::Mutex::new(Vec::new());
        let batch = batch(&["a", "panics", "b"]);
        let failures = handle_each(&batch, |body| async {
            assert_ne!(body, "panics");
            handled.lock().unwrap().push(body);
            Ok::<_, OnPurpose>(())
        });
        assert_eq!(failures.await.items.len(), 1);
        assert_eq!(*handled.lock().unwrap(), ["a", "b"]);
    }

    /// A closure may panic before it gives a future.
    #[tokio::test]
    async fn a_message_whose_handler_panics_at_once_stays_alone() {
        let batch = batch(&["a", "panics", "b"]);
        let failures = handle_each(&batch, |body| {
            assert_ne!(body, "panics");
            fail(body)
        });
        let failures = failures.await;
        assert_eq!(failures.items.len(), 1);
        assert_eq!(failures.items[0].id, "m-1");
    }
}
