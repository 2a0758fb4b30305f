//! What must hold once nothing moves any more: the stores and the ledger of the services are read.

use std::collections::{BTreeMap, BTreeSet};

use saga_core::lifecycle::Phase;
use saga_core::{Outcome, Saga, SagaId, StepIndex};

use super::outcome::Outcome as Counts;
use super::plan::SKUS;
use super::stage::Stage;
use crate::invariants::{at_most_once, is_exempt, pivot_stays};
use crate::shown::is_true;

impl Stage {
    /// Everything that must hold once nothing moves; and what the run did.
    ///
    /// # Errors
    /// The first rule that does not hold, by its name.
    pub fn judge(&self) -> Result<Counts, String> {
        let started = self.started();
        let unheard = self
            .answered
            .borrow()
            .iter()
            .find(|id| !started.contains(id))
            .copied();
        if let Some(id) = unheard {
            return Err(format!(
                "I3: the caller was told that saga {id} exists, and it does not"
            ));
        }
        let sagas: Vec<Saga> = started.iter().filter_map(|id| self.aws.saga(*id)).collect();
        let contradicted: BTreeSet<SagaId> = sagas
            .iter()
            .filter(|saga| self.is_contradicted(saga))
            .map(|saga| saga.id)
            .collect();
        let before: BTreeMap<String, i64> = SKUS.map(|(sku, count)| (sku.to_owned(), count)).into();
        self.accounts().close(&started, &before, &contradicted)?;
        let mut counts = Counts::default();
        for saga in &sagas {
            let exempt = is_exempt(saga.lifecycle, contradicted.contains(&saga.id));
            self.one(saga, exempt)?;
            if !contradicted.contains(&saga.id) {
                is_true(&self.deployment, &self.azure, saga)?;
            }
            let outside = self
                .definition(saga)
                .steps()
                .iter()
                .any(|step| step.participant().is_none());
            counts.outside += usize::from(outside);
            counts.exempt += usize::from(exempt);
            counts.completed += usize::from(saga.lifecycle.phase == Phase::Completed);
        }
        counts.sagas = sagas.len();
        counts.faults = self.trouble.count();
        let alerts = self.aws.alerts().into_iter().chain(self.azure.alerts());
        counts.held = alerts.filter(|alert| alert.text.contains(" is held: ")).count();
        counts += *self.counts.borrow();
        counts += self.provider.counts();
        Ok(counts)
    }

    /// Somebody cancelled it by force, and a pivot said that it is done.
    fn is_contradicted(&self, saga: &Saga) -> bool {
        let mut lines = saga.timeline.entries.iter();
        let cancelled = saga.lifecycle.overridden && saga.lifecycle.phase == Phase::Cancelled;
        let forced = self.forced.borrow().contains(&saga.id);
        cancelled && forced && lines.any(|line| line.outcome == Outcome::Contradicted)
    }

    fn one(&self, saga: &Saga, exempt: bool) -> Result<(), String> {
        let (id, definition) = (saga.id, self.definition(saga));
        if self.aws.shown_status(id) != Some(saga.status(definition)) {
            return Err(format!(
                "status: the store shows another status of saga {id} than its facts"
            ));
        }
        let all = saga.lifecycle.phase == Phase::Completed;
        let cancelled = saga.lifecycle.overridden && !all;
        for (number, step) in definition.steps().iter().enumerate() {
            let index = StepIndex::new(number as u8);
            let state = self.accounts().record(saga, step.cloud, index);
            let effects = self.provider.effects(id, index);
            let about = || {
                format!(
                    "step `{}` of saga {id} ({:?}): record {state:?}, {effects:?}",
                    step.name, saga.lifecycle
                )
            };
            if !at_most_once(effects.applied, effects.taken_back) {
                return Err(format!("I2: {}", about()));
            }
            if step.call().is_some() && !exempt && (effects.applied > effects.taken_back) != all {
                return Err(format!("I8: {}", about()));
            }
            if !pivot_stays(step.class, state, effects.taken_back > 0, cancelled) {
                return Err(format!("I9: {}", about()));
            }
        }
        Ok(())
    }
}
