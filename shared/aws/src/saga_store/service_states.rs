//! The states of outside services: items of the table `Sagas` whose keys no saga has, `service#<name>`. They have no attribute of
//! an index, so no reader of sagas meets them, and never expire.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use saga_app::ports::{Committed, PortError};
use saga_core::ServiceState;
use saga_core::mark::{Caller, Mark};

use crate::cancelled::{cancelled, is_conflict};
use crate::failure::{built, failure};
use crate::item::{Item, corrupt, n, number, optional, put_some, s, text, time};

const KEY: &str = "SagaId";
const NUMBER: &str = "ChangeNumber";
const IS_NEWER: &str = "attribute_not_exists(SagaId) OR ChangeNumber < :number";
const KEEPING: &str = "keeping a service's state";
const PAUSED: &str = "paused";
const ACTIVE: &str = "active";

fn key(service: &str) -> String {
    format!("service#{service}")
}

fn write(state: &ServiceState) -> Item {
    let mut item = Item::from([
        (KEY.into(), s(key(&state.service))),
        (NUMBER.into(), n(state.number)),
        (
            "ServiceState".into(),
            s(if state.paused { PAUSED } else { ACTIVE }),
        ),
        ("Since".into(), n(state.mark.at.millis())),
        ("AskedBy".into(), s(&state.mark.by)),
        ("Reason".into(), s(&state.mark.reason)),
    ]);
    put_some(
        &mut item,
        "Caller",
        state.caller.as_ref().map(|caller| s(caller.as_str())),
    );
    item
}

fn read(service: &str, item: &Item) -> Result<ServiceState, PortError> {
    let paused = match text(item, "ServiceState")? {
        PAUSED => true,
        ACTIVE => false,
        other => return Err(corrupt(format!("service `{service}` is `{other}`"))),
    };
    Ok(ServiceState {
        service: service.to_owned(),
        number: number(item, NUMBER)?,
        paused,
        mark: Mark {
            at: time(item, "Since")?,
            by: text(item, "AskedBy")?.to_owned(),
            reason: text(item, "Reason")?.to_owned(),
        },
        caller: optional(item, "Caller", text)?.and_then(Caller::new),
    })
}

/// The items of services in this table.
#[derive(Debug, Clone)]
pub(super) struct ServiceItems {
    pub(super) client: Client,
    pub(super) table: String,
}

impl ServiceItems {
    /// The last change of a service.
    pub(super) async fn read_state(&self, name: &str) -> Result<Option<ServiceState>, PortError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key(KEY, s(key(name)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| failure("reading a service's state", error))?;
        answer.item.map(|item| read(name, &item)).transpose()
    }

    /// Keeps a change that is newer than the one that is kept.
    pub(super) async fn keep_state(&self, state: &ServiceState) -> Result<Committed, PortError> {
        let sent = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(write(state)))
            .condition_expression(IS_NEWER)
            .expression_attribute_values(":number", n(state.number))
            .send()
            .await;
        match sent {
            Ok(_) => Ok(Committed::Yes),
            Err(error) if is_conflict(&error) => Ok(Committed::Conflict),
            Err(error) => Err(failure(KEEPING, error)),
        }
    }

    /// The same, together with another item.
    pub(super) async fn keep_state_with(
        &self,
        state: &ServiceState,
        other: TransactWriteItem,
    ) -> Result<Committed, PortError> {
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(write(state)))
            .condition_expression(IS_NEWER)
            .expression_attribute_values(":number", n(state.number));
        let put = TransactWriteItem::builder()
            .put(built(KEEPING, put.build())?)
            .build();
        let items = Some(vec![put, other]);
        let transaction = self.client.transact_write_items().set_transact_items(items);
        match transaction.send().await {
            Ok(_) => Ok(Committed::Yes),
            Err(error) => cancelled(KEEPING, error),
        }
    }
}
