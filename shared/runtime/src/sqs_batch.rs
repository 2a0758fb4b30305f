//! SQS → Lambda: each record on its own. One poison body, one failing store call or one panic fails its record and
//! no other
//! (<https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>, `ReportBatchItemFailures`).

use std::error::Error;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use futures_util::future::join_all;
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
        let handled = AssertUnwindSafe(handle(record.body.clone())).catch_unwind();
        async move {
            match handled.await {
                Ok(Ok(_)) => None,
                Ok(Err(error)) => {
                    let error = causes(&error);
                    tracing::error!(
                        message_id = record.message_id,
                        error,
                        outcome = "retried",
                        "message"
                    );
                    Some(Failure {
                        id: record.message_id.clone(),
                    })
                }
                Err(_) => {
                    tracing::error!(message_id = record.message_id, outcome = "panicked", "message");
                    Some(Failure {
                        id: record.message_id.clone(),
                    })
                }
            }
        }
    });
    Failures {
        items: join_all(each).await.into_iter().flatten().collect(),
    }
}
