//! Properties of things that must be awaited. (Those of plain functions use `proptest!` itself.)

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

/// Checks `cases` generated values, the same in every run, and panics with the smallest that fails.
///
/// # Panics
/// When a value fails, after it was made as small as a few hundred attempts can make it.
pub async fn holds<S: Strategy>(
    cases: u32,
    strategy: S,
    mut check: impl AsyncFnMut(S::Value) -> Result<(), String>,
) {
    let mut runner = TestRunner::deterministic();
    for _ in 0..cases {
        let mut tree = strategy.new_tree(&mut runner).unwrap();
        let Err(mut why) = check(tree.current()).await else {
            continue;
        };
        let mut smallest = tree.current();
        let mut moved = tree.simplify();
        for _ in 0..500 {
            if !moved {
                break;
            }
            moved = match check(tree.current()).await {
                Ok(()) => tree.complicate(),
                Err(reason) => {
                    (why, smallest) = (reason, tree.current());
                    tree.simplify()
                }
            };
        }
        panic!("{why}\nfor {smallest:#?}");
    }
}

/// Says how two values differ, if they do.
///
/// # Errors
/// Both values.
pub fn same<T: PartialEq + std::fmt::Debug>(found: &T, expected: &T) -> Result<(), String> {
    if found == expected {
        Ok(())
    } else {
        Err(format!("found {found:#?}\nexpected {expected:#?}"))
    }
}
