//! The model proves the code that it is given: with other functions in the place of core's it finds something else.
#![allow(clippy::expect_used, reason = "the helpers of these tests are tests, too")]

use saga_core::call::{CallVerb, Owed};
use saga_core::origin::{Command, Decided};
use saga_core::participant::Entities;
use saga_core::participate::{Message, Step};
use saga_core::step::{Class, Kind, Recover, Reply, StepState, StepVerb};
use saga_core::{Cloud, Timestamp};
use saga_tests::model::{Code, Network, Proof, Shape, StepShape, invariant, local_shapes};

fn caught(code: Code, expected: &[&str]) {
    caught_in(code, local_shapes(2).chain(local_shapes(3)), expected);
}

fn caught_in(code: Code, shapes: impl IntoIterator<Item = Shape>, expected: &[&str]) {
    let proofs = shapes
        .into_iter()
        .map(|shape| Proof::new(code, Network::Abstract, &shape).check());
    let finding = proofs.into_iter().find_map(Result::err);
    let finding = finding.expect("the model did not notice that the code is another");
    assert!(expected.contains(&finding.invariant), "{finding:#?}");
}

/// A call, and a local step that can be undone.
fn with_call(call: (Cloud, Recover), local: Cloud, call_first: bool) -> Shape {
    let step = |cloud, kind| StepShape {
        cloud,
        kind,
        class: Class::Compensatable,
    };
    let mut steps = vec![step(call.0, Kind::Call(call.1)), step(local, Kind::Local)];
    if !call_first {
        steps.reverse();
    }
    Shape { steps, refuses: None }
}

const FAR_KEY: (Cloud, Recover) = (Cloud::Azure, Recover::Key);
const FAR_TOMBSTONE: (Cloud, Recover) = (Cloud::Azure, Recover::Tombstone);

/// What the cancel of an ACTING step would be if the step were in `state`.
fn as_if(
    step: &Step<'_>,
    state: Option<StepState>,
    record: Option<&saga_core::participate::StepRecord>,
    message: &Message<'_>,
    entities: &Entities,
    now: Timestamp,
) -> saga_core::participate::StepDecision {
    let stops =
        message.verb == StepVerb::Cancel && record.is_some_and(|record| record.state == StepState::Acting);
    let other = match (record, state) {
        (Some(record), Some(state)) if stops => Some(saga_core::participate::StepRecord {
            state,
            ..record.clone()
        }),
        (_, None) if stops => None,
        (record, _) => record.cloned(),
    };
    step.decide(other.as_ref(), message, entities, now)
}

#[test]
fn a_tombstone_over_an_unknown_outcome() {
    let code = Code {
        step: |step, record, message, entities, now| as_if(step, None, record, message, entities, now),
        ..Code::CORE
    };
    for call in [FAR_KEY, FAR_TOMBSTONE] {
        caught_in(
            code,
            [with_call(call, Cloud::Aws, false)],
            &[invariant::NO_ORPHAN_EFFECT],
        );
    }
}

#[test]
fn an_undo_before_a_service_of_keys_has_decided() {
    let code = Code {
        step: |step, record, message, entities, now| {
            let mut decision = as_if(step, Some(StepState::Undoing), record, message, entities, now);
            let known = record.map(|record| record.state);
            if message.verb == StepVerb::Cancel && known == Some(StepState::Acting) {
                decision.record = record.cloned();
                decision
                    .record
                    .iter_mut()
                    .for_each(|record| record.state = StepState::Undoing);
            }
            decision
        },
        ..Code::CORE
    };
    caught_in(
        code,
        [with_call(FAR_KEY, Cloud::Aws, false)],
        &[invariant::ONLY_ACCEPTED_IS_UNDONE, invariant::NO_ORPHAN_EFFECT],
    );
}

#[test]
fn a_forgotten_stop() {
    // The undo is requested, and nobody remembers why.
    let code = Code {
        step: |step, record, message, entities, now| {
            let mut decision = step.decide(record, message, entities, now);
            let stopped = decision
                .record
                .as_ref()
                .is_some_and(|record| record.state == StepState::Stopping);
            if stopped {
                decision.record = None;
            }
            decision
        },
        owed: |step, record, verb, now| match verb {
            CallVerb::Undo => Owed::Request(verb),
            CallVerb::Act => step.owed(record, verb, now),
        },
        ..Code::CORE
    };
    caught_in(
        code,
        [with_call(FAR_TOMBSTONE, Cloud::Aws, false)],
        &[invariant::INTENT_BEFORE_EFFECT],
    );

    // An override that does not stop its own first step never closes.
    let code = Code {
        origin: |origin, command| {
            let mut decided = (Code::CORE.origin)(origin, command)?;
            if let Decided::Commit(decision) = &mut decided {
                let stopping = decision.saga.steps.values_mut();
                stopping
                    .filter(|record| record.state == StepState::Stopping)
                    .for_each(|record| record.state = StepState::Acting);
                decision.status = decision.saga.status_with(origin.definition);
            }
            Ok(decided)
        },
        ..Code::CORE
    };
    let first = with_call((Cloud::Aws, Recover::Key), Cloud::Azure, true);
    caught_in(
        code,
        [first],
        &[
            invariant::NO_LOST_START,
            invariant::NO_ORPHAN_EFFECT,
            invariant::LATE_IS_HARMLESS,
            invariant::RETRANSMISSION,
        ],
    );
}

#[test]
fn closing_that_ends_with_the_undo_of_step_0() {
    let code = Code {
        origin: |origin, command| {
            let mut decided = (Code::CORE.origin)(origin, command)?;
            let undone = matches!(command, Command::Answer(answer) if answer.reply == Reply::Undone);
            if let (true, Decided::Commit(decision)) = (undone, &mut decided) {
                decision.saga.lifecycle.closing = false;
                decision.saga.due = None;
            }
            Ok(decided)
        },
        ..Code::CORE
    };
    let first = with_call((Cloud::Aws, Recover::Tombstone), Cloud::Azure, true);
    caught_in(
        code,
        [first],
        &[
            invariant::ALL_OR_NOTHING,
            invariant::NO_ORPHAN_EFFECT,
            invariant::LATE_IS_HARMLESS,
        ],
    );
}

#[test]
fn a_request_that_no_record_asks_for() {
    let code = Code {
        owed: |_, _, verb, _| Owed::Request(verb),
        ..Code::CORE
    };
    caught_in(
        code,
        [with_call(FAR_KEY, Cloud::Aws, false)],
        &[invariant::INTENT_BEFORE_EFFECT, invariant::KEY_LIFETIME],
    );
}

#[test]
fn other_code_is_another_model() {
    let repeats_are_ignored = Code {
        step: |step, record, message, entities, now| {
            let mut decision = step.decide(record, message, entities, now);
            if message.verb == StepVerb::Advance && decision.record.is_none() {
                decision.emit = None;
            }
            decision
        },
        ..Code::CORE
    };
    caught(repeats_are_ignored, &[invariant::NO_LOST_START]);

    let the_sweeper_never_sends = Code {
        origin: |origin, command| {
            let mut decided = (Code::CORE.origin)(origin, command)?;
            if let (Command::Sweep, Decided::Commit(decision)) = (command, &mut decided) {
                decision.emit = None;
            }
            Ok(decided)
        },
        ..Code::CORE
    };
    caught(the_sweeper_never_sends, &[invariant::RETRANSMISSION]);

    let a_step_forgets_what_it_did = Code {
        step: |step, _, message, entities, now| step.decide(None, message, entities, now),
        ..Code::CORE
    };
    caught(
        a_step_forgets_what_it_did,
        &[
            invariant::AT_MOST_ONCE,
            invariant::CANCEL_NEVER_TEARS,
            invariant::ALL_OR_NOTHING,
            invariant::LATE_IS_HARMLESS,
        ],
    );

    let an_override_sends_nothing_and_closes = Code {
        origin: |origin, command| {
            let mut decided = (Code::CORE.origin)(origin, command)?;
            if let (Command::Resolve { .. }, Decided::Commit(decision)) = (command, &mut decided) {
                decision.saga.lifecycle.closing = false;
                decision.emit = None;
            }
            Ok(decided)
        },
        ..Code::CORE
    };
    caught(an_override_sends_nothing_and_closes, &[invariant::ALL_OR_NOTHING]);
}
