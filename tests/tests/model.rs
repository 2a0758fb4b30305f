//! The model checker: every state of a saga of two and of three steps (of four with `make prove`), on core's own code.
#![allow(clippy::expect_used, reason = "the helpers of these tests are tests, too")]
#![allow(clippy::print_stdout, reason = "what was looked at is part of the result")]

use saga_core::Cloud;
use saga_core::origin::{Command, Decided};
use saga_core::step::StepVerb;
use saga_tests::model::{Code, Explored, Finding, Network, Proof, assignments, invariant};

/// Every shape of `steps` steps, each with every choice of who refuses.
fn shapes(steps: usize) -> impl Iterator<Item = (Vec<Cloud>, Option<usize>)> {
    assignments(steps).flat_map(move |clouds| {
        let refusals = std::iter::once(None).chain((0..steps).map(Some));
        refusals.map(move |refuses| (clouds.clone(), refuses))
    })
}

fn prove(
    code: Code,
    network: Network,
    shapes: impl Iterator<Item = (Vec<Cloud>, Option<usize>)>,
) -> Result<Explored, Finding> {
    let mut total = Explored::default();
    for (clouds, refuses) in shapes {
        let explored = Proof::new(code, network, &clouds, refuses)
            .check()
            .map_err(|mut finding| {
                finding
                    .story
                    .insert(0, format!("steps on {clouds:?}, refused by {refuses:?}"));
                finding
            })?;
        total.states += explored.states;
        total.committed_states += explored.committed_states;
        total.liveness_states += explored.liveness_states;
    }
    Ok(total)
}

fn proven(
    what: &str,
    network: Network,
    shapes: impl Iterator<Item = (Vec<Cloud>, Option<usize>)>,
) -> Explored {
    match prove(Code::CORE, network, shapes) {
        Ok(explored) => {
            let Explored {
                states,
                committed_states,
                liveness_states,
            } = explored;
            println!(
                "model, {what}, {network:?} network: I1, I2, I4, I5 and I6 hold in all {states} states ({committed_states} \
                 of the stores); I3: an end is reachable from each of {liveness_states}"
            );
            assert!(states > 10, "only {states} states: the model does not move");
            explored
        }
        Err(finding) => panic!(
            "{} does not hold:\n{}",
            finding.invariant,
            finding.story.join("\n")
        ),
    }
}

#[test]
fn two_steps() {
    proven("2 steps", Network::Abstract, shapes(2));
}

#[test]
fn three_steps() {
    proven("3 steps", Network::Abstract, shapes(3));
}

#[test]
fn four_steps() {
    proven("4 steps", Network::Abstract, shapes(4));
}

/// With every publication, repetition and loss as an action of its own the stores come to the same states.
fn the_abstraction_leaves_nothing_out(what: &str, clouds: &[Cloud], refuses: Option<usize>) {
    let shape = || std::iter::once((clouds.to_vec(), refuses));
    let one = proven(what, Network::Abstract, shape());
    let other = proven(what, Network::Explicit, shape());
    assert_eq!(
        one.committed_states, other.committed_states,
        "the abstraction leaves something out"
    );
}

#[test]
fn two_steps_with_every_loss_and_repeat() {
    for refuses in [None, Some(1)] {
        the_abstraction_leaves_nothing_out("payment", &[Cloud::Aws, Cloud::Azure], refuses);
    }
}

#[test]
#[ignore = "`make prove`"]
fn an_order_with_every_loss_and_repeat() {
    let order = [Cloud::Aws, Cloud::Azure, Cloud::Azure, Cloud::Aws];
    for refuses in [None, Some(3)] {
        the_abstraction_leaves_nothing_out("order", &order, refuses);
    }
}

#[test]
#[ignore = "`make prove`"]
fn three_steps_with_every_loss_and_repeat() {
    for refuses in [None, Some(2)] {
        the_abstraction_leaves_nothing_out(
            "3 steps, there and back",
            &[Cloud::Aws, Cloud::Azure, Cloud::Aws],
            refuses,
        );
    }
}

fn caught(code: Code, expected: &[&str]) {
    let finding =
        prove(code, Network::Abstract, shapes(2)).and_then(|_| prove(code, Network::Abstract, shapes(3)));
    let finding = finding.expect_err("the model did not notice that the code is another");
    assert!(expected.contains(&finding.invariant), "{finding:#?}");
}

/// The model proves the code that it is given: with another function in the place of core's it finds something else.
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
