//! Stores the receipt of an order, and voids it.

use saga_core::document::{Document, Fields, fields};
use saga_core::money::Amounts;
use saga_core::participant::{
    Context, Decision, Entities, EntityKey, EntityWrite, FieldError, Participant, Placement, Work,
};

use crate::input;

/// The receipts: one entity a saga. A receipt is never deleted, because its number has been given out.
#[derive(Debug, Clone, Copy)]
pub struct Receipts;

/// The kind of the entity that is a receipt; its id is the saga's.
pub const RECEIPT: &str = "receipt";

const STORED: &str = "STORED";
const VOIDED: &str = "VOIDED";

fn key(context: Context<'_>) -> EntityKey {
    EntityKey::new(RECEIPT, context.saga)
}

impl Participant for Receipts {
    fn name(&self) -> &'static str {
        "receipts"
    }

    fn accepts(&self) -> &'static [&'static str] {
        &["order_id", "amount", "currency"]
    }

    fn decimals(&self) -> &'static [&'static str] {
        &input::AMOUNTS
    }

    fn check(&self, data: &Fields, amounts: Amounts) -> Vec<FieldError> {
        let order = input::new_name(data, "order_id").err();
        // Without one it is the step before that says the amount.
        let money = if data.contains_key("amount") {
            input::money(data, amounts)
        } else {
            input::currency(data, "currency").err().into_iter().collect()
        };
        order.into_iter().chain(money).collect()
    }

    fn placement(&self) -> Placement {
        Placement::BySaga
    }

    /// A new receipt needs nothing to be read: that it does not exist is the insert's own condition.
    fn reads(&self, work: Work, context: Context<'_>) -> Vec<EntityKey> {
        match work {
            Work::Act => Vec::new(),
            Work::Undo => vec![key(context)],
        }
    }

    fn act(&self, context: Context<'_>, _: &Entities) -> Decision {
        let parsed = (
            input::name(context.data, "order_id"),
            input::amount_paid(context.data),
            input::currency(context.data, "currency"),
        );
        let (Ok(order), Ok(amount), Ok(currency)) = parsed else {
            return Decision::Refuse("the receipt's order, amount or currency is not valid".to_owned());
        };
        let receipt = fields([
            ("Status", STORED.into()),
            ("OrderId", order.into()),
            ("Amount", Document::Number(amount.number().clone())),
            ("Currency", currency.code().into()),
        ]);
        Decision::Accept {
            writes: vec![EntityWrite {
                key: key(context),
                fields: receipt,
            }],
            output: fields([]),
        }
    }

    fn undo(&self, context: Context<'_>, entities: &Entities) -> Vec<EntityWrite> {
        let key = key(context);
        let Some(receipt) = entities.get(&key) else {
            return Vec::new();
        };
        let mut fields = receipt.clone();
        fields.insert("Status".into(), VOIDED.into());
        vec![EntityWrite { key, fields }]
    }
}
