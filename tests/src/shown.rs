//! What a reader of the API is shown of a saga's steps, beside what each step's own cloud has of it.

use saga_app::Deployment;
use saga_core::definition::Definition;
use saga_core::lifecycle::Phase;
use saga_core::step::StepState;
use saga_core::{Saga, StepIndex};
use saga_memory::StepCloud;
use serde_json::Value;

/// State, time in milliseconds, and reason of a step.
pub type Step = (String, Option<i64>, Option<String>);

fn definition<'a>(deployment: &'a Deployment, saga: &Saga) -> &'a Definition {
    deployment
        .catalogue
        .get(&saga.definition)
        .expect("its definition is known")
}

/// The saga as a reader of the API sees it.
#[must_use]
pub fn view(deployment: &Deployment, saga: &Saga) -> Value {
    let text = saga_wire::http::saga(saga, Some(definition(deployment, saga)));
    serde_json::from_str(&text).expect("it is JSON")
}

/// Every step in such a view.
#[must_use]
pub fn reported(view: &Value) -> Vec<Step> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let steps = view["steps"].as_array().expect("a list").iter();
    let step = |step: &Value| {
        let at = text(&step["at"]).map(|at| saga_wire::time::parse(&at).expect("a time").millis());
        (text(&step["state"]).expect("a word"), at, text(&step["reason"]))
    };
    steps.map(step).collect()
}

/// Every step as its own cloud has it.
#[must_use]
pub fn truth(deployment: &Deployment, azure: &StepCloud, saga: &Saga) -> Vec<Step> {
    let step = |number: usize| {
        let index = StepIndex::new(number as u8);
        let own = saga.steps.get(&index).cloned();
        let record = own.or_else(|| azure.step(saga.id, index));
        record.map_or(("NOT_DONE".to_owned(), None, None), |record| {
            let at = Some(record.at.millis());
            let word = match record.state {
                // A member of its own says that it is told to stop.
                StepState::Stopping => "ACTING",
                state => state.as_str(),
            };
            (word.to_owned(), at, record.reason)
        })
    };
    (0..definition(deployment, saga).steps().len())
        .map(step)
        .collect()
}

/// What is shown of a saga that has ended everywhere is what is there. An end that an operator set is shown at once, and
/// nothing is sent again for it: of a step of the other cloud nothing need have been heard then, or nothing of its undoing,
/// which had begun before, or of what became of its call. What is said of it is the last word that arrived.
///
/// # Errors
/// The difference.
pub fn is_true(deployment: &Deployment, azure: &StepCloud, saga: &Saga) -> Result<(), String> {
    let forced = saga.lifecycle.overridden && saga.lifecycle.phase == Phase::Completed;
    let (reported, truth) = (reported(&view(deployment, saga)), truth(deployment, azure, saga));
    let behind = |reported: &Step, truth: &Step| match reported.0.as_str() {
        "UNKNOWN" | "WAITING" => true,
        "DONE" => ["UNDONE", "UNDOING"].contains(&truth.0.as_str()) && reported.1 <= truth.1,
        // A report of another step says so without the reason, which the event that is never sent again has.
        "REFUSED" | "UNDONE" => (&reported.0, reported.1, &reported.2) == (&truth.0, truth.1, &None),
        "ACTING" | "UNDOING" => reported.1 <= truth.1,
        _ => false,
    };
    if reported
        .iter()
        .zip(&truth)
        .all(|(reported, truth)| reported == truth || forced && behind(reported, truth))
    {
        Ok(())
    } else {
        Err(format!(
            "saga {} shows {reported:?}, and its steps are {truth:?}",
            saga.id
        ))
    }
}
