//! What a replay of a request to an outside service, or of a message that no step receives, would come to.

use saga_core::call::{CallVerb, Owed};
use saga_core::participate::{Step, StepRecord};
use saga_core::{Address, Cloud, Event, Saga};
use saga_wire::time;

use super::{Disposition, Ports, Prospect};
use crate::call_service::schedule::{LONGEST_DELAY, too_early};
use crate::definitions;
use crate::ports::{PortError, SagaStore, Time};

/// Says what a replay of this event would come to; `None` for an event whose receiver is a step.
///
/// The step's record decides whether the service is called. Where the record is on the other cloud, nothing is said of it.
///
/// # Errors
/// [`PortError`] when a definition has to be looked up and the store fails.
pub(super) async fn foresee_request<S: SagaStore, T: Time>(
    ports: &Ports<'_, S, T>,
    event: &Event,
    saga: Option<&Saga>,
) -> Result<Option<Prospect>, PortError> {
    let (verb, index) = match event.address {
        Address::Act(index) => (CallVerb::Act, index),
        Address::Undo(index) => (CallVerb::Undo, index),
        Address::Waiting(_) => {
            return Ok(tried("would be sent again to whoever listens outside"));
        }
        // It is for people, whatever the saga has come to.
        Address::Contradiction(_) => {
            let what = saga.map(|saga| format!("would be tried again: saga is {}", saga.shown));
            return Ok(what.and_then(tried));
        }
        _ => return Ok(None),
    };
    if event.target != Cloud::ORIGIN {
        let cloud = event.target;
        return Ok(tried(format!(
            "would be tried again; whether its step still asks for it is unknown here: the record of the step is on {cloud}"
        )));
    }
    let Some(saga) = saga else {
        return Ok(tried(
            "would be tried again; whether its step still asks for it is unknown: the saga has expired, or cannot be read here",
        ));
    };
    let (deployment, now) = (ports.deployment, ports.time.now());
    let definition = match definitions::check(deployment, ports.store, ports.time, event).await? {
        Ok(definition) => definition,
        Err(reason) => return Ok(quarantined(&reason)),
    };
    let step = match Step::find(event.saga, &definition, index, &deployment.participants) {
        Ok(step) => step,
        Err(missing) => return Ok(quarantined(&missing.to_string())),
    };
    let (record, name) = (saga.steps.get(&index), &step.step().name);
    Ok(match step.owed(record, verb, now) {
        Owed::Nothing => ignored(format!(
            "would be ignored: step `{name}` does not ask for it any more"
        )),
        Owed::KeyExpired => tried(format!(
            "would not call the service, which may have forgotten the key of step `{name}`: the step would be held for a person"
        )),
        Owed::Request(_) => match record.and_then(|record| Some((record, too_early(record, now)?))) {
            Some((record, wait)) => {
                let due = due(record);
                let text = format!("step `{name}` still asks for it, and the next attempt is due at {due}");
                if wait > LONGEST_DELAY {
                    tried(format!("would wait on its queue: {text}"))
                } else {
                    ignored(format!(
                        "would be ignored, because a request of its own comes then: {text}"
                    ))
                }
            }
            None => tried(format!("would be tried again: step `{name}` still asks for it")),
        },
    })
}

fn due(record: &StepRecord) -> String {
    let next = record.progress.as_ref().and_then(|progress| progress.next);
    next.map(time::format).unwrap_or_default()
}

fn tried(text: impl Into<String>) -> Option<Prospect> {
    prospect(Disposition::Tried, text.into())
}

fn ignored(text: String) -> Option<Prospect> {
    prospect(Disposition::Ignored, text)
}

fn quarantined(why: &str) -> Option<Prospect> {
    prospect(Disposition::Left, format!("would be quarantined again: {why}"))
}

fn prospect(disposition: Disposition, text: String) -> Option<Prospect> {
    Some(Prospect { disposition, text })
}
