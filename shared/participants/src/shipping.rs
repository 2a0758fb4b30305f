//! Books the shipment of an order, and takes the booking back.

use saga_core::document::{Fields, fields};
use saga_core::money::Amounts;
use saga_core::participant::{
    Context, Decision, Entities, EntityKey, EntityWrite, FieldError, Participant, Placement, Work,
};

use crate::input;

/// The shipping: one entity a saga.
#[derive(Debug, Clone, Copy)]
pub struct Shipping;

/// The kind of the entity that is a shipment; its id is the saga's.
pub const SHIPMENT: &str = "shipment";

/// Where the carrier of the reference goes, as ISO 3166-1 alpha-2 codes.
pub const DESTINATIONS: [&str; 12] = [
    "AT", "BE", "CH", "CZ", "DE", "DK", "ES", "FR", "IT", "LU", "NL", "PL",
];

const BOOKED: &str = "BOOKED";
const CANCELLED: &str = "CANCELLED";

fn key(context: Context<'_>) -> EntityKey {
    EntityKey::new(SHIPMENT, context.saga)
}

impl Participant for Shipping {
    fn name(&self) -> &'static str {
        "shipping"
    }

    fn accepts(&self) -> &'static [&'static str] {
        &["order_id", "destination"]
    }

    /// Whether the carrier goes there is known only when it is asked: an unknown destination is a refusal.
    fn check(&self, data: &Fields, _: Amounts) -> Vec<FieldError> {
        let problems = [
            input::new_name(data, "order_id").err(),
            input::new_name(data, "destination").err(),
        ];
        problems.into_iter().flatten().collect()
    }

    fn placement(&self) -> Placement {
        Placement::BySaga
    }

    /// A new shipment needs nothing to be read: that it does not exist is the insert's own condition.
    fn reads(&self, work: Work, context: Context<'_>) -> Vec<EntityKey> {
        match work {
            Work::Act => Vec::new(),
            Work::Undo => vec![key(context)],
        }
    }

    fn act(&self, context: Context<'_>, _: &Entities) -> Decision {
        let parsed = (
            input::name(context.data, "order_id"),
            input::name(context.data, "destination"),
        );
        let (Ok(order), Ok(destination)) = parsed else {
            return Decision::Refuse("the shipment's order or destination is not valid".to_owned());
        };
        if !DESTINATIONS.contains(&destination.as_str()) {
            return Decision::Refuse(format!(
                "{destination} is no destination of the carrier: it goes to {}",
                DESTINATIONS.join(", ")
            ));
        }
        let shipment = fields([
            ("Status", BOOKED.into()),
            ("OrderId", order.into()),
            ("Destination", destination.into()),
        ]);
        Decision::Accept {
            writes: vec![EntityWrite {
                key: key(context),
                fields: shipment,
            }],
            output: fields([]),
        }
    }

    fn undo(&self, context: Context<'_>, entities: &Entities) -> Vec<EntityWrite> {
        let key = key(context);
        let Some(shipment) = entities.get(&key) else {
            return Vec::new();
        };
        let mut fields = shipment.clone();
        fields.insert("Status".into(), CANCELLED.into());
        vec![EntityWrite { key, fields }]
    }
}
