//! Reserves a payment, and gives it back.

use saga_core::document::{Document, Fields, fields};
use saga_core::money::Amounts;
use saga_core::participant::{
    Context, Decision, Entities, EntityKey, EntityWrite, FieldError, Participant, Placement, Work,
};

use crate::input;

/// The payment of an order: one entity a saga, in the words that users of the pattern know.
#[derive(Debug, Clone, Copy)]
pub struct Payments;

/// The kind of the entity that is a payment; its id is the saga's.
pub const PAYMENT: &str = "payment";

const PENDING: &str = "PENDING_AZURE_CONFIRMATION";
const COMPLETED: &str = "COMPLETED";
const CANCELLED: &str = "CANCELLED_VIA_COMPENSATION";

fn key(context: Context<'_>) -> EntityKey {
    EntityKey::new(PAYMENT, context.saga)
}

impl Participant for Payments {
    fn name(&self) -> &'static str {
        "payments"
    }

    fn accepts(&self) -> &'static [&'static str] {
        &["order_id", "amount", "currency"]
    }

    fn decimals(&self) -> &'static [&'static str] {
        &input::AMOUNTS
    }

    fn check(&self, data: &Fields, amounts: Amounts) -> Vec<FieldError> {
        let order = input::new_name(data, "order_id").err();
        order.into_iter().chain(input::money(data, amounts)).collect()
    }

    fn placement(&self) -> Placement {
        Placement::BySaga
    }

    /// A new payment needs nothing to be read: that it does not exist is the insert's own condition.
    fn reads(&self, work: Work, context: Context<'_>) -> Vec<EntityKey> {
        match work {
            Work::Act => Vec::new(),
            Work::Undo => vec![key(context)],
        }
    }

    fn act(&self, context: Context<'_>, _: &Entities) -> Decision {
        let parsed = (
            input::name(context.data, "order_id"),
            input::amount(context.data, "amount"),
            input::currency(context.data, "currency"),
        );
        let (Ok(order), Ok(amount), Ok(currency)) = parsed else {
            return Decision::Refuse("the payment's order, amount or currency is not valid".to_owned());
        };
        let payment = fields([
            ("Status", PENDING.into()),
            ("OrderId", order.into()),
            ("Amount", Document::Number(amount.number().clone())),
            ("Currency", currency.code().into()),
        ]);
        // Money travels as text: software between the clouds may read a number as a float.
        let output = fields([("reserved_amount", amount.to_string().into())]);
        Decision::Accept {
            writes: vec![EntityWrite {
                key: key(context),
                fields: payment,
            }],
            output,
        }
    }

    fn undo(&self, context: Context<'_>, entities: &Entities) -> Vec<EntityWrite> {
        let key = key(context);
        let Some(payment) = entities.get(&key) else {
            return Vec::new();
        };
        let mut fields = payment.clone();
        fields.insert("Status".into(), CANCELLED.into());
        vec![EntityWrite { key, fields }]
    }

    fn settle(&self, context: Context<'_>) -> Vec<EntityWrite> {
        vec![EntityWrite {
            key: key(context),
            fields: fields([("Status", COMPLETED.into())]),
        }]
    }
}
