//! What the tests of the table's two ports share.

use saga_app::ports::Envelope;
use saga_app::ports::outbox::{OutboxRow, Tries};
use saga_core::Timestamp;

use super::{Reply, TestServer, azure};
use crate::table::TableStore;

pub(crate) const SAGA: &str = "00000000-0000-8000-8000-000000000001";
pub(crate) const NO_ROW: &str =
    r#"{"odata.error":{"code":"ResourceNotFound","message":{"lang":"en-US","value":"x"}}}"#;

/// A table on that server.
pub(crate) fn store(server: &TestServer) -> TableStore {
    azure(server, ()).store
}

/// The answer to a batch, change by change.
pub(crate) fn inner(statuses: &[(u16, &str)]) -> Reply {
    let part = |(status, code): &(u16, &str)| {
        format!(
            "--changesetresponse_1\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 {status} X\r\nA: b\r\n\r\n\
             {{\"odata.error\":{{\"code\":\"{code}\"}}}}\r\n"
        )
    };
    let parts: String = statuses.iter().map(part).collect();
    Reply::body(
        202,
        &format!("--batchresponse_2\r\n\r\n{parts}--changesetresponse_1--\r\n--batchresponse_2--\r\n"),
    )
}

/// A pending row.
pub(crate) fn row(shard: u16, id: &str) -> OutboxRow {
    OutboxRow {
        shard,
        event: Envelope {
            id: id.parse().unwrap(),
            saga: SAGA.parse().unwrap(),
            kind: "InventoryReserved".into(),
            body: "{}".into(),
        },
        at: Timestamp::from_millis(1),
        queued: Timestamp::from_millis(1),
        follows: false,
        tries: Tries::default(),
    }
}
