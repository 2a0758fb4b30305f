//! The business: participants that decide, and nothing else. Each file is one of them.
//!
//! To add one, write a file that implements [`Participant`] and name it in [`all`].

mod input;
pub mod inventory;
pub mod payments;
pub mod receipts;
pub mod shipping;

use saga_core::document::Number;
use saga_core::participant::Participant;
use saga_core::participant::Participants;

/// What a deployment may set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The amount above which the inventory refuses an order.
    pub inventory_limit: Number,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            inventory_limit: Number::from(10_000),
        }
    }
}

/// Every participant of this deployment, by name.
#[must_use]
pub fn all(settings: &Settings) -> Participants {
    let list: [Box<dyn Participant>; 4] = [
        Box::new(payments::Payments),
        Box::new(inventory::Inventory {
            limit: settings.inventory_limit.clone(),
        }),
        Box::new(receipts::Receipts),
        Box::new(shipping::Shipping),
    ];
    list.into_iter()
        .map(|participant| (participant.name(), participant))
        .collect()
}
