//! What the stores say when everything is over, read past the code: for any definition of the reference participants,
//! each saga's entities are all done or all undone, and stock and money add up.
//!
//! Nothing here looks at a saga's status or at a step's record to know what was done; they are compared with what the
//! entities say afterwards.

use std::collections::{BTreeMap, BTreeSet};

use saga_app::Deployment;
use saga_app::ports::Partition;
use saga_app::step_transact::partition;
use saga_core::document::{Document, Fields};
use saga_core::lifecycle::Phase;
use saga_core::participant::EntityKey;
use saga_core::step::StepState;
use saga_core::{Cloud, Saga, SagaId, StepIndex};
use saga_memory::{OriginCloud, StepCloud};
use saga_participants::inventory::STOCK;
use saga_participants::payments::PAYMENT;
use saga_participants::receipts::RECEIPT;
use saga_participants::shipping::SHIPMENT;

use crate::invariants::{is_exempt, is_whole};

/// What a participant's entity says of one saga.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// There is none: the participant never did anything, or keeps nothing that is the saga's own.
    Nothing,
    /// Its part is done.
    Done,
    /// Its part was done, and is undone.
    Undone,
    /// Something between the two.
    Pending,
}

/// The stores of both clouds.
#[derive(Clone, Copy)]
pub struct Accounts<'a> {
    /// The definitions and participants.
    pub deployment: &'a Deployment,
    /// The cloud that keeps the sagas.
    pub aws: &'a OriginCloud,
    /// The other cloud.
    pub azure: &'a StepCloud,
}

impl Accounts<'_> {
    /// Where a participant keeps what it keeps for this saga.
    #[must_use]
    pub fn partition(&self, participant: &str, saga: SagaId) -> Partition {
        let placement = self.deployment.participants[participant].placement();
        partition(participant, placement, saga, self.deployment.shards)
    }

    /// What the entity of this step says.
    fn said(&self, saga: &Saga, cloud: Cloud, participant: &str) -> Said {
        let (kind, done, undone) = match participant {
            "payments" => (PAYMENT, "COMPLETED", "CANCELLED_VIA_COMPENSATION"),
            "receipts" => (RECEIPT, "STORED", "VOIDED"),
            "shipping" => (SHIPMENT, "BOOKED", "CANCELLED"),
            _ => return Said::Nothing,
        };
        let key = EntityKey::new(kind, saga.id);
        let found = match cloud {
            Cloud::Aws => self.aws.entity(&key),
            Cloud::Azure => self.azure.entity(&self.partition(participant, saga.id), &key),
        };
        match found.as_ref().and_then(|entity| entity["Status"].as_text()) {
            None => Said::Nothing,
            Some(status) if status == done => Said::Done,
            Some(status) if status == undone => Said::Undone,
            Some(_) => Said::Pending,
        }
    }

    /// The state of a step, where its cloud has it.
    #[must_use]
    pub fn record(&self, saga: &Saga, cloud: Cloud, index: StepIndex) -> Option<StepState> {
        match cloud {
            Cloud::Aws => saga.steps.get(&index).map(|record| record.state),
            Cloud::Azure => self.azure.step(saga.id, index).map(|record| record.state),
        }
    }

    /// What is left of a SKU.
    #[must_use]
    pub fn stock(&self, sku: &str) -> i64 {
        let partition = partition(
            "inventory",
            self.deployment.participants["inventory"].placement(),
            crate::arbitrary::nth_saga(0),
            self.deployment.shards,
        );
        let stock = self
            .azure
            .entity(&partition, &EntityKey::new(STOCK, sku))
            .expect("the SKU is in stock");
        stock["Available"]
            .as_number()
            .and_then(|number| number.as_i64())
            .expect("stock is a whole number")
    }

    /// I1 for one saga that has ended: whether all of it is done (or none).
    ///
    /// # Errors
    /// What is a mix, or contradicts the saga.
    pub fn all_or_nothing(&self, saga: &Saga) -> Result<bool, String> {
        let definition = self
            .deployment
            .catalogue
            .get(&saga.definition)
            .expect("its definition is known");
        let all = match (saga.lifecycle.phase, saga.lifecycle.closing) {
            (Phase::Completed, false) => true,
            (Phase::Cancelled, false) => false,
            _ => return Err(format!("saga {} has not ended: {:?}", saga.id, saga.lifecycle)),
        };
        let mut facts = Vec::new();
        let mut mixed = false;
        for (number, step) in definition.steps().iter().enumerate() {
            let index = StepIndex::new(number as u8);
            let said = self.said(saga, step.cloud, step.participant().unwrap_or_default());
            let record = self.record(saga, step.cloud, index);
            let own = ["payments", "receipts", "shipping"].contains(&step.participant().unwrap_or_default());
            let fits = match record {
                Some(StepState::Done) => said == Said::Done || !own,
                Some(StepState::Undone) => said == Said::Undone || !own,
                Some(StepState::Refused) | None => said == Said::Nothing,
                Some(_) => false,
            };
            mixed |= !fits || !is_whole(all, record);
            facts.push(format!("{}: record {record:?}, entity {said:?}", step.name));
        }
        if mixed {
            let (lifecycle, facts) = (saga.lifecycle, facts.join("; "));
            return Err(format!("I1: saga {} is a mix: {lifecycle:?}; {facts}", saga.id));
        }
        Ok(all)
    }

    /// Everything that must hold once nothing moves: no saga is owed anything, no row waits in an outbox, each saga is
    /// all or nothing, each payment still says its amount, and of each SKU of `before` only what completed sagas took
    /// is gone. Sagas are left out of whose end the protocol says nothing: see [`is_exempt`]; `contradicted` are those that were
    /// cancelled by force past a pivot that was done.
    ///
    /// # Errors
    /// The first rule that does not hold, by its name.
    pub fn close(
        &self,
        sagas: &[SagaId],
        before: &BTreeMap<String, i64>,
        contradicted: &BTreeSet<SagaId>,
    ) -> Result<(), String> {
        let mut left = before.clone();
        for id in sagas {
            let saga = self
                .aws
                .saga(*id)
                .ok_or_else(|| format!("I3: saga {id} was started and is not there"))?;
            if saga.due.is_some() {
                return Err(format!(
                    "I3: saga {id} is still owed something: {:?}",
                    saga.lifecycle
                ));
            }
            let steps = self
                .deployment
                .catalogue
                .get(&saga.definition)
                .map(|definition| definition.steps());
            let has = |name: &str| {
                steps.is_some_and(|steps| steps.iter().any(|step| step.participant() == Some(name)))
            };
            if !is_exempt(saga.lifecycle, contradicted.contains(id)) {
                self.all_or_nothing(&saga)?;
            }
            let inventory = steps.and_then(|steps| {
                let at = steps
                    .iter()
                    .position(|step| step.participant() == Some("inventory"))?;
                self.record(&saga, steps[at].cloud, StepIndex::new(at as u8))
            });
            if inventory == Some(StepState::Done) {
                for (sku, quantity) in items(&saga.input) {
                    *left.entry(sku).or_default() -= quantity;
                }
            }
            let paid = self.aws.entity(&EntityKey::new(PAYMENT, *id));
            let amount = paid.map(|payment| payment["Amount"].as_number());
            if has("payments") && amount != Some(saga.input["amount"].as_number()) {
                return Err(format!(
                    "I2: the payment of saga {id} says another amount: {amount:?}"
                ));
            }
        }
        for (sku, expected) in &left {
            let found = self.stock(sku);
            if found != *expected {
                return Err(format!(
                    "I2: {found} of {sku} are left, {expected} should be: something was taken or given back twice, or not at all"
                ));
            }
        }
        for (cloud, rows) in [("aws", self.aws.outbox()), ("azure", self.azure.outbox())] {
            if let Some(row) = rows.first() {
                return Err(format!("R1: {} waits for ever in the outbox of {cloud}", row.id));
            }
        }
        for (cloud, kept) in [
            ("aws", self.aws.quarantined()),
            ("azure", self.azure.quarantined()),
        ] {
            if let Some(kept) = kept.iter().find(|kept| kept.text().contains("saga_id")) {
                return Err(format!(
                    "R6: one of our own events lies in the quarantine of {cloud}: {}",
                    kept.reason
                ));
            }
        }
        Ok(())
    }
}

/// The items of an order.
#[must_use]
pub fn items(input: &Fields) -> Vec<(String, i64)> {
    let Some(Document::List(list)) = input.get("items") else {
        return Vec::new();
    };
    let item = |item: &Document| {
        let Document::Map(item) = item else { return None };
        let quantity = item["quantity"].as_number()?.as_i64()?;
        Some((item["sku"].as_text()?.to_owned(), quantity))
    };
    list.iter().filter_map(item).collect()
}
