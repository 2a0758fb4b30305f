//! What is on its way, and where carriers bring it.

use saga_app::ports::Time;
use saga_core::step::StepState;
use saga_core::{Cloud, SagaId, Timestamp};
use serde_json::Value;

use super::stage::Stage;
use crate::world::{Place, envelope};

/// What another team sends that nobody understands.
pub(super) const JUNK_KIND: &str = "junk";
pub(super) const JUNK: &str =
    r#"{"specversion":"1.0","id":"junk","source":"somebody","type":"Unheard","data":{}}"#;

/// Where a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum To {
    Place(Place),
    /// The caller of a cloud's services.
    Caller(Cloud),
}

/// A message on its way.
#[derive(Debug, Clone)]
pub(super) struct Carried {
    pub to: To,
    pub kind: String,
    pub body: String,
    /// Its queue brings it from now on.
    pub seen: Timestamp,
}

impl Stage {
    /// What both sides have published and callers have put back, routed as the rules of the bus and the topic do.
    pub fn collect(&self, on_the_way: &mut Vec<Carried>) {
        let now = self.clock.now();
        let bus = self.aws.take_published().into_iter().map(|row| (row, true));
        let topic = self.azure.take_published().into_iter().map(|row| (row, false));
        for (row, from_bus) in bus.chain(topic) {
            let event: Value = serde_json::from_str(&row.body).expect("an event is JSON");
            let (to, body) = match (event["sagatarget"].as_str().unwrap_or_default(), from_bus) {
                ("azure", _) => (To::Place(Place::AzureQueue), row.body),
                ("aws", true) => (To::Place(Place::EventsQueue), envelope(&row.kind, &row.body)),
                ("aws", false) => (To::Place(Place::Ingress), format!("[{}]", row.body)),
                // Whoever is to answer hears of it; nobody here needs to.
                ("aws.outside", true) => continue,
                (target, true) if target.starts_with("aws.") => (To::Caller(Cloud::Aws), row.body),
                (target, false) if target.starts_with("azure.") => (To::Caller(Cloud::Azure), row.body),
                (target, _) => panic!("no rule matches the target `{target}`"),
            };
            on_the_way.push(Carried {
                to,
                kind: row.kind,
                body,
                seen: now,
            });
        }
        let put = std::mem::take(&mut *self.put.lock().expect("no process panicked"));
        on_the_way.extend(put.into_iter().map(|(cloud, body, seen)| Carried {
            to: To::Caller(cloud),
            kind: "a request that was put back".to_owned(),
            body,
            seen,
        }));
    }

    /// Another team's publisher wants the first step undone, where that is the origin's.
    pub fn outsider(&self, id: SagaId) -> Option<Carried> {
        let saga = self.aws.saga(id)?;
        let definition = self.definition(&saga);
        if !definition.opens_at_origin() || definition.pivot().is_some() {
            return None;
        }
        let kind = &definition.steps()[0].compensate;
        let body = format!(
            r#"[{{"specversion":"1.0","id":"their-{id}","source":"billing.example","type":"{kind}",
                "data":{{"saga_id":"{id}","reason":"the card was stolen"}}}}]"#
        );
        Some(Carried {
            to: To::Place(Place::Ingress),
            kind: format!("{kind} of an outsider"),
            body,
            seen: self.clock.now(),
        })
    }

    /// Counts what cancels and overrides have met since the last time.
    pub fn count_steered(&self) {
        for saga in self.seen_aws.take_steered() {
            let definition = self.definition(&saga);
            let states = definition.steps().iter().zip(0..).map(|(step, number)| {
                let index = saga_core::StepIndex::new(number);
                (step, self.accounts().record(&saga, step.cloud, index))
            });
            let states: Vec<_> = states.collect();
            let calls = |wanted: StepState| {
                let met = |(step, state): &(&saga_core::StepDefinition, Option<StepState>)| {
                    step.call().is_some() && *state == Some(wanted)
                };
                usize::from(states.iter().any(met))
            };
            let mut counts = self.counts.borrow_mut();
            if saga.resolved.is_none() {
                counts.cancel_met_acting += calls(StepState::Acting);
                continue;
            }
            counts.overrides += 1;
            counts.met_acting += calls(StepState::Acting);
            counts.met_stopping += calls(StepState::Stopping);
            counts.met_undoing += calls(StepState::Undoing);
            let pivot = definition.pivot().map(|pivot| states[usize::from(pivot.get())].1);
            counts.met_pivot += usize::from(pivot == Some(Some(StepState::Done)));
        }
    }
}
