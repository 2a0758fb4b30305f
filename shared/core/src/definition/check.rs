//! The rules that a definition keeps. What breaks one is refused before any saga can start with it.

use std::collections::BTreeSet;

use super::reference::{Cloud, DefinitionRef, InvalidDefinition, MAX_STEPS};
use super::step::{Answerer, Call, OnTimeout, StepDefinition, StepWork};
use crate::address::{MAILBOX_OUTSIDE, RESERVED_TYPES};
use crate::step::Class;

/// Nine outputs of 4 KiB fit into an event of 47 KiB beside the input.
const MAX_OUTSIDE: usize = 9;

/// Finds the first rule that a definition breaks.
pub(super) fn check(
    reference: &DefinitionRef,
    deadline_millis: i64,
    steps: &[StepDefinition],
) -> Result<(), InvalidDefinition> {
    let named = |why: String| InvalidDefinition(format!("definition `{}`: {why}", reference.name));
    if !is_plain(&reference.name) {
        return Err(named("the name needs 1 to 64 letters, digits, `-` or `_`".into()));
    }
    if reference.version == 0 {
        return Err(named("versions start at 1".into()));
    }
    if deadline_millis <= 0 || deadline_millis % 1_000 != 0 {
        return Err(named(
            "the deadline must be a second or more, in whole seconds".into(),
        ));
    }
    if !(2..=MAX_STEPS).contains(&steps.len()) {
        return Err(named(format!(
            "a saga has 2 to {} steps, this one has {}",
            MAX_STEPS,
            steps.len()
        )));
    }
    names(steps)
        .and_then(|()| classes(steps))
        .and_then(|()| steps.iter().try_for_each(|step| work(step, deadline_millis)))
        .and_then(|()| together(steps, deadline_millis))
        .map_err(named)
}

fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=64).contains(&name.len()) && name.bytes().all(plain)
}

fn names(steps: &[StepDefinition]) -> Result<(), String> {
    let (mut names, mut types) = (BTreeSet::new(), BTreeSet::from(RESERVED_TYPES));
    for step in steps {
        let name = &step.name;
        if !is_plain(name) || !names.insert(name) {
            return Err(format!("step name `{name}` is not plain or stands twice"));
        }
        for kind in [&step.done, &step.compensate, &step.cancel] {
            if !is_plain(kind) || !types.insert(kind) {
                return Err(format!(
                    "event type `{kind}` of step `{name}` is not plain or stands twice"
                ));
            }
        }
    }
    Ok(())
}

/// At most one pivot; before it everything can be undone, after it nothing refuses.
fn classes(steps: &[StepDefinition]) -> Result<(), String> {
    let mut pivot: Option<&str> = None;
    for step in steps {
        let name = &step.name;
        match (step.class, pivot) {
            (Class::Compensatable, None) => {}
            (Class::Pivot, None) => pivot = Some(name),
            (Class::Retriable, Some(_)) => {}
            (Class::Pivot, Some(first)) => {
                return Err(format!(
                    "step `{name}` is a second pivot after `{first}`: a saga has one point of no return at most"
                ));
            }
            (Class::Compensatable, Some(pivot)) => {
                return Err(format!(
                    "step `{name}` is compensatable and comes after the pivot `{pivot}`: what follows a pivot is never \
                     undone, so make it `retriable`, or move it before the pivot"
                ));
            }
            (Class::Retriable, None) => {
                return Err(format!(
                    "step `{name}` is retriable and no pivot comes before it: an earlier step could still be refused, and \
                     this one would have to be undone"
                ));
            }
        }
    }
    Ok(())
}

/// Outputs travel with every later event, and a saga that waits must still have time.
fn together(steps: &[StepDefinition], deadline_millis: i64) -> Result<(), String> {
    let outside = steps.iter().filter(|step| step.participant().is_none()).count();
    if outside > MAX_OUTSIDE {
        return Err(format!(
            "{outside} steps are answered from outside, and at most {MAX_OUTSIDE} may be: the outputs of all travel in one event"
        ));
    }
    let waits = steps.iter().filter_map(|step| step.wait()?.within_millis);
    if waits.fold(0_i64, i64::saturating_add) >= deadline_millis {
        return Err("the `within` of all steps together must be less than the deadline".to_owned());
    }
    Ok(())
}

fn work(step: &StepDefinition, deadline_millis: i64) -> Result<(), String> {
    let name = &step.name;
    match &step.work {
        StepWork::Local { participant } => {
            if !is_plain(participant) {
                return Err(format!("step `{name}` has no plain participant name"));
            }
        }
        StepWork::Call(call) => {
            if !is_plain(&call.service) || call.service == MAILBOX_OUTSIDE {
                return Err(format!(
                    "step `{name}` calls `{}`, which is no plain name of a service",
                    call.service
                ));
            }
            if !(1..=Call::LONGEST_TIMEOUT).contains(&call.timeout_millis) {
                return Err(format!("the timeout of step `{name}` must be 1 to 60 seconds"));
            }
            if call.hold_after_millis <= 0 {
                return Err(format!("hold_after of step `{name}` must be a second or more"));
            }
            if call.key_lifetime_millis <= call.timeout_millis {
                return Err(format!(
                    "key_lifetime of step `{name}` must be longer than its timeout: else it could not be asked at all"
                ));
            }
        }
        StepWork::Wait(wait) => {
            if step.cloud != Cloud::ORIGIN {
                return Err(format!(
                    "step `{name}` waits on {}: steps that wait belong to {}, whose clock judges them",
                    step.cloud,
                    Cloud::ORIGIN
                ));
            }
            if wait
                .within_millis
                .is_some_and(|within| within <= 0 || within > deadline_millis)
            {
                return Err(format!(
                    "`within` of step `{name}` must be a second or more and at most the saga's deadline"
                ));
            }
            if wait.answerer == Answerer::Timer
                && (wait.within_millis.is_none() || wait.on_timeout != OnTimeout::Accept)
            {
                return Err(format!(
                    "step `{name}` is a timer: it needs `within`, and takes no other `on_timeout` than `accept`"
                ));
            }
            if step.class == Class::Retriable
                && wait.on_timeout == OnTimeout::Refuse
                && wait.within_millis.is_some()
            {
                return Err(format!(
                    "step `{name}` is retriable, so it cannot refuse at its timeout: use `accept` or `hold`"
                ));
            }
        }
    }
    Ok(())
}
