//! Why DynamoDB cancelled a transaction or a single write.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError as TransactError;
use aws_sdk_dynamodb::types::CancellationReason;
use saga_app::ports::{Committed, PortError};

use crate::failure::failure;

/// Why a transaction was cancelled, entry by entry; `None` when it failed for another reason.
pub(crate) fn reasons<R>(error: &SdkError<TransactError, R>) -> Option<&[CancellationReason]> {
    match error.as_service_error() {
        Some(TransactError::TransactionCanceledException(cancelled)) => {
            Some(cancelled.cancellation_reasons())
        }
        _ => None,
    }
}

pub(crate) fn has(reasons: &[CancellationReason], code: &str) -> bool {
    reasons.iter().any(|reason| reason.code() == Some(code))
}

/// What a cancelled transaction means: a condition that failed, or a transaction that ran at the same time, is
/// decided again; being throttled is an error that is tried again later.
pub(crate) fn cancelled(what: &'static str, error: SdkError<TransactError>) -> Result<Committed, PortError> {
    match reasons(&error) {
        Some(reasons) if has(reasons, "ConditionalCheckFailed") || has(reasons, "TransactionConflict") => {
            Ok(Committed::Conflict)
        }
        Some(reasons) if has(reasons, "ThrottlingError") || has(reasons, "ProvisionedThroughputExceeded") => {
            Err(PortError::Throttled { what })
        }
        _ => Err(failure(what, error)),
    }
}

/// Whether a single write met another version of its item, or a transaction at the same time.
pub(crate) fn is_conflict<R>(error: &SdkError<PutItemError, R>) -> bool {
    use PutItemError::{ConditionalCheckFailedException as Failed, TransactionConflictException as AtOnce};
    matches!(error.as_service_error(), Some(Failed(_) | AtOnce(_)))
}
