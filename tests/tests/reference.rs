//! The reference sagas: the definitions that come with the product. Nothing else in the tests depends on their files.
#![allow(clippy::unwrap_used, reason = "the helpers of these tests are tests, too")]

use saga_tests::sagas;

/// Otherwise the tests would say nothing about the reference sagas. One that was taken out or renamed needs no test.
#[test]
fn the_tests_run_the_reference_sagas_as_they_are() {
    let deployed = saga_wire::definitions::all().unwrap();
    for ours in sagas::catalogue().iter() {
        if let Some(reference) = deployed.get(ours.reference()) {
            assert_eq!(
                reference, ours,
                "make tests/definitions/ say what the reference saga says"
            );
        }
    }
}
