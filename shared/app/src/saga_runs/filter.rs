//! Which sagas a run is about.

use std::collections::BTreeSet;

use saga_core::document::{Document, Fields};
use saga_core::participant::FieldError;
use saga_core::saga::Flag;
use saga_core::step::StepState;
use saga_core::{Definition, Saga, Status, StepDefinition, StepIndex, Timestamp};
use saga_wire::http::step_state;

use crate::Deployment;
use crate::list_sagas::{flag_named, status_named};
use crate::runs::request::{bounded, moment, only};

/// The members of a filter.
pub const FILTERS: [&str; 8] = [
    "status",
    "flag",
    "definition",
    "since",
    "until",
    "step",
    "service",
    HELD,
];
pub(super) const HELD: &str = "held";

/// Which sagas are meant. What is `None` does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only of this status.
    pub status: Option<Status>,
    /// Only with this flag.
    pub flag: Option<Flag>,
    /// Only of the definition of this name, whatever its version.
    pub definition: Option<String>,
    /// Only started then or later.
    pub since: Option<Timestamp>,
    /// Only started before.
    pub until: Option<Timestamp>,
    /// Only with a step of this name that may be answered from outside now.
    pub step: Option<String>,
    /// Only with a step of this service that may be answered from outside now.
    pub service: Option<String>,
    /// Only where such a step, or where none is named any step, is held; or is not.
    pub held: Option<bool>,
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// What to change, in a sentence.
    pub fn read(given: &Fields) -> Result<Self, String> {
        only(given, &FILTERS, "a filter")?;
        if given.is_empty() {
            return Err(
                "an empty `filter` would mean every saga: say which are meant, such as \
                 {\"status\": \"PENDING_AZURE_CONFIRMATION\"}, or with {\"since\": \"1970-01-01T00:00:00Z\"} that all are"
                    .to_owned(),
            );
        }
        let mut filter = Self::default();
        for (name, value) in given {
            if name == HELD {
                let Document::Bool(held) = value else {
                    return Err("`held` must be true or false".to_owned());
                };
                filter.held = Some(*held);
                continue;
            }
            let value = bounded(name, value.as_text().unwrap_or_default())?;
            match name.as_str() {
                "status" => filter.status = Some(status_named(value)?),
                "flag" => filter.flag = Some(flag_named(value)?),
                "definition" => filter.definition = Some(value.to_owned()),
                "since" => filter.since = Some(moment(name, value)?),
                "until" => filter.until = Some(moment(name, value)?),
                "step" => filter.step = Some(value.to_owned()),
                _ => filter.service = Some(value.to_owned()),
            }
        }
        Ok(filter)
    }

    /// A member with which no saga can be meant. The names of definitions and steps are not checked: sagas of earlier releases
    /// have definitions that only the store keeps. For the same reason a service counts as known that is not bound any more
    /// while a definition of this release calls it.
    pub(super) fn unknown(&self, deployment: &Deployment) -> Option<FieldError> {
        if self
            .since
            .zip(self.until)
            .is_some_and(|(since, until)| since >= until)
        {
            return Some(FieldError::new("filter.until", "must be later than `since`"));
        }
        let (wanted, bound) = (self.service.as_deref()?, deployment.services.as_ref()?);
        let steps = deployment.catalogue.iter().flat_map(Definition::steps);
        let called = steps.filter_map(|step| Some(step.call()?.service.as_str()));
        let known: BTreeSet<&str> = bound
            .iter()
            .map(|service| service.name.as_str())
            .chain(called)
            .collect();
        (!known.contains(wanted)).then(|| {
            let known: Vec<_> = known.into_iter().map(|name| format!("`{name}`")).collect();
            let known = if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            };
            FieldError::new(
                "filter.service",
                format!("is not a service of this deployment, which knows {known}"),
            )
        })
    }

    /// Whether the saga is meant. Of a saga whose definition nobody here knows no step can be named.
    #[must_use]
    pub fn takes(&self, saga: &Saga, definition: Option<&Definition>) -> bool {
        let name = self.definition.as_ref();
        self.status
            .is_none_or(|status| status == saga.status_with(definition))
            && self
                .flag
                .is_none_or(|wanted| saga.flags().any(|flag| flag == wanted))
            && name.is_none_or(|name| *name == saga.definition.name)
            && self.since.is_none_or(|since| saga.created >= since)
            && self.until.is_none_or(|until| saga.created < until)
            && self.takes_steps(saga, definition)
    }

    fn takes_steps(&self, saga: &Saga, definition: Option<&Definition>) -> bool {
        if self.step.is_none() && self.service.is_none() {
            return self.held.is_none_or(|held| held == saga.is_held());
        }
        let Some(definition) = definition else {
            return false;
        };
        let mut steps = (0..).map(StepIndex::new).zip(definition.steps());
        steps.any(|(index, step)| {
            self.names(step)
                && takes_answers(saga, definition, index, step)
                && self
                    .held
                    .is_none_or(|held| held == is_held(saga, definition, index))
        })
    }

    fn names(&self, step: &StepDefinition) -> bool {
        let service = step.call().map(|call| &call.service);
        self.step.as_ref().is_none_or(|name| *name == step.name)
            && self.service.as_ref().is_none_or(|wanted| service == Some(wanted))
    }
}

/// Whether the step was asked, as far as the origin knows, and has not been answered.
fn takes_answers(saga: &Saga, definition: &Definition, index: StepIndex, step: &StepDefinition) -> bool {
    if step.participant().is_some() {
        return false;
    }
    let is_asked = |state: StepState| state == StepState::Waiting || state.is_calling();
    match saga.steps.get(&index) {
        Some(record) => is_asked(record.state),
        None => {
            let observed = saga.observed(definition);
            let said = observed.get(&index).and_then(|known| known.state);
            // Of a step of the other cloud that was asked and has said nothing yet, nothing is known.
            said.is_some_and(is_asked) || step_state(saga, definition, index) == "UNKNOWN"
        }
    }
}

fn is_held(saga: &Saga, definition: &Definition, index: StepIndex) -> bool {
    let observed = saga.observed(definition);
    let progress = match saga.steps.get(&index) {
        Some(record) => record.progress.as_ref(),
        None => observed.get(&index).and_then(|known| known.progress.as_ref()),
    };
    progress.is_some_and(|progress| progress.held.is_some())
}
