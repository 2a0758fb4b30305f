//! The sagas that the tests run. Their files are the tests' own (`tests/definitions/`), so that the reference sagas can be
//! changed, renamed or taken out without breaking tests of the protocol.

use saga_app::ports::outbox::DEFAULT_SHARDS;
use saga_app::{Deployment, Settings};
use saga_core::definition::Catalogue;
use saga_core::patience::Patience;
use saga_wire::definitions::parse;

/// Two steps: a payment on AWS, stock on Azure.
pub const PAYMENT: &str = include_str!("../definitions/payment.toml");
/// Four steps that end on AWS.
pub const ORDER: &str = include_str!("../definitions/order.toml");

/// Four steps that are answered from outside; not of [`catalogue`].
pub const TRANSFER: &str = include_str!("../definitions/transfer.toml");

/// The payment and the order.
#[must_use]
pub fn catalogue() -> Catalogue {
    Catalogue::new([parse(PAYMENT).unwrap(), parse(ORDER).unwrap()]).unwrap()
}

/// The payment and the order, with the reference participants.
#[must_use]
pub fn deployment() -> Deployment {
    let deployed = Deployment::load(&Settings::default(), Patience::default(), DEFAULT_SHARDS).unwrap();
    Deployment {
        catalogue: catalogue(),
        ..deployed
    }
}
