//! The model checker: every state of a saga of two and of three steps (of four with `make prove`), on core's own code.
#![allow(clippy::expect_used, reason = "the helpers of these tests are tests, too")]
#![allow(clippy::print_stdout, reason = "what was looked at is part of the result")]

use saga_core::Cloud;
use saga_tests::model::{Code, Explored, Finding, Network, Proof, Shape, local_shapes, shapes};

fn prove(code: Code, network: Network, shapes: impl Iterator<Item = Shape>) -> Result<Explored, Finding> {
    let mut total = Explored::default();
    for shape in shapes {
        let explored = Proof::new(code, network, &shape).check().map_err(|mut finding| {
            finding.story.insert(0, format!("{shape:?}"));
            finding
        })?;
        total.states += explored.states;
        total.committed_states += explored.committed_states;
        total.liveness_states += explored.liveness_states;
    }
    Ok(total)
}

fn proven(what: &str, network: Network, shapes: impl Iterator<Item = Shape>) -> Explored {
    match prove(Code::CORE, network, shapes) {
        Ok(explored) => {
            let Explored {
                states,
                committed_states,
                liveness_states,
            } = explored;
            println!(
                "model, {what}, {network:?} network: I1, I2 and I4 to I9 hold in all {states} states ({committed_states} \
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
    proven("2 local steps", Network::Abstract, local_shapes(2));
}

#[test]
fn three_steps() {
    proven("3 local steps", Network::Abstract, local_shapes(3));
}

const NEW: &str = "steps with services, waits or a pivot";

/// Every `every`-th of the shapes with a call, a wait or a pivot: no multiple of how often a choice changes, so that each
/// choice occurs beside each other one.
fn services(steps: usize, every: usize) {
    let what = match every {
        1 => format!("all {steps} {NEW}"),
        _ => format!("{steps} {NEW}, one of {every} shapes"),
    };
    let some: Vec<Shape> = shapes(steps).step_by(every).collect();
    println!("{} shapes", some.len());
    proven(&what, Network::Abstract, some.into_iter());
}

#[test]
fn two_steps_with_services() {
    services(2, 5);
}

#[test]
fn three_steps_with_services() {
    services(3, 131);
}

#[test]
#[ignore = "`make prove`"]
fn all_two_steps_with_services() {
    services(2, 1);
}

#[test]
#[ignore = "`make prove`"]
fn all_three_steps_with_services() {
    services(3, 1);
}

#[test]
#[ignore = "`make prove`"]
fn four_steps_with_services() {
    services(4, 997);
}

#[test]
fn four_steps() {
    proven("4 local steps", Network::Abstract, local_shapes(4));
}

/// With every publication, repetition and loss as an action of its own the stores come to the same states.
fn the_abstraction_leaves_nothing_out(what: &str, shape: &Shape) {
    let shape = || std::iter::once(shape.clone());
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
        let payment = Shape::local(&[Cloud::Aws, Cloud::Azure], refuses);
        the_abstraction_leaves_nothing_out("payment", &payment);
    }
}

#[test]
#[ignore = "`make prove`"]
fn an_order_with_every_loss_and_repeat() {
    let order = [Cloud::Aws, Cloud::Azure, Cloud::Azure, Cloud::Aws];
    for refuses in [None, Some(3)] {
        the_abstraction_leaves_nothing_out("order", &Shape::local(&order, refuses));
    }
}

#[test]
#[ignore = "`make prove`"]
fn three_steps_with_every_loss_and_repeat() {
    for refuses in [None, Some(2)] {
        let shape = Shape::local(&[Cloud::Aws, Cloud::Azure, Cloud::Aws], refuses);
        the_abstraction_leaves_nothing_out("3 steps, there and back", &shape);
    }
}
